//! What a request names: a run, itself, and who asks.

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
