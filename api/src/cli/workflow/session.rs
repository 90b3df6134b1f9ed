//! What every verb works with: which run, which server, and who asks.

use std::time::Duration;

use crate::rest_client::Client;

/// How long a server may be away while a command waits, or be about to start while any asks: a takeover or a restart takes less.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Which run a command means.
#[derive(clap::Args)]
pub(super) struct Run {
    /// The workflow's id.
    #[arg(value_name = "WORKFLOW_ID")]
    pub(super) workflow_id: String,
    /// The run; the latest one unless given.
    #[arg(long)]
    pub(super) run_id: Option<String>,
}

impl Run {
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        self.run_id
            .iter()
            .map(|run_id| ("runId", run_id.clone()))
            .collect()
    }
}

/// What every verb works with.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) json: bool,
}

/// Returns who asks: `user@host`, as far as the machine tells.
pub(super) fn identity() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "cli".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}

pub(super) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
