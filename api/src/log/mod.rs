//! Logs: lines on stderr, as `RUST_LOG` says.

mod collapse;
mod lines;

use std::io;

use tracing_subscriber::EnvFilter;

use crate::terminal::Screen;
use collapse::Collapsing;
use lines::Lines;
pub(crate) use lines::{Flush, is_unread};

/// What is logged unless `RUST_LOG` says otherwise.
const USUAL: &str = "info,sqlx=error,hyper=warn";

/// Writes logs to stderr from now on, and the last of them when what it returns is dropped. A user's own subscriber stays.
///
/// # Errors
/// When there is no thread for that.
pub(crate) fn to_stderr() -> io::Result<Flush> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let lines = Lines::default();
    lines.write_to(io::stderr())?;
    let writer = lines.clone();
    let colours = Screen::stderr().has_colours();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        // It says them with `eprintln!`, which panics where nobody reads.
        .log_internal_errors(false)
        .with_ansi(colours)
        .event_format(Collapsing::new(colours));
    // It fails only where the user's `main` has set one before.
    let _ = logs.try_init();
    Ok(Flush(lines))
}
