//! Logs: lines on stderr, as `RUST_LOG` says.

mod collapse;

use tracing_subscriber::EnvFilter;

use crate::cli::Screen;
use collapse::Collapsing;

/// What is logged unless `RUST_LOG` says otherwise.
const USUAL: &str = "info,sqlx=error,hyper=warn";

/// Writes logs to stderr from now on. A user's own subscriber stays.
pub(crate) fn to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let colours = Screen::stderr().has_colours();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .event_format(Collapsing::new(colours));
    // It fails only where the user's `main` has set one before.
    let _ = logs.try_init();
}
