//! The systems that are measured, and how each is started.

use anyhow::Result;
use tokio::process::Command;

use crate::{
    http::Service,
    meter::Store,
    peers::{dbos, restate, temporal},
    process::Process,
    system::{Ground, Load, System},
};

/// One that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InProcess,
    Http,
    Restate,
    DbosRust,
    DbosPython,
    Temporal,
}

impl Kind {
    pub(crate) const OURS: [Self; 2] = [Self::InProcess, Self::Http];
    pub(crate) const PEERS: [Self; 4] = [
        Self::Restate,
        Self::DbosRust,
        Self::DbosPython,
        Self::Temporal,
    ];

    /// Returns what the table calls it, a name for each way to load it.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::InProcess => &["in process"],
            Self::Http => &["HTTP"],
            Self::Restate => &["Restate, `ctx.run`", "Restate, calls"],
            Self::DbosRust => &["DBOS for Rust"],
            Self::DbosPython => &["DBOS for Python"],
            Self::Temporal => &["Temporal"],
        }
    }

    /// Starts it.
    pub(crate) async fn start(self, ground: &Ground) -> Result<System> {
        match self {
            Self::InProcess => {
                let mut process = ours(ground, "in-process")?;
                process.hear().await?;
                Ok(System {
                    processes: vec![process],
                    load: Load::Itself,
                    store: Store::Ours,
                })
            }
            Self::Http => {
                let mut process = ours(ground, "over-http")?;
                let address = process.hear().await?.parse()?;
                Ok(System {
                    processes: vec![process],
                    load: Load::Http(address, vec![Service::Ours]),
                    store: Store::Ours,
                })
            }
            Self::Restate => restate::start(ground).await,
            Self::DbosRust => dbos::rust(ground).await,
            Self::DbosPython => dbos::python(ground).await,
            Self::Temporal => temporal::start(ground).await,
        }
    }
}

/// Starts this very program as our engine.
fn ours(ground: &Ground, mode: &str) -> Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([mode, &ground.url]);
    if ground.is_sealed {
        command
            .arg("--seal-key")
            .arg(ground.folder.join("seal.key"));
    }
    Process::program(&mut command, &ground.folder)
}
