//! `coreason stop`: ends what runs on a data directory.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use super::Error;
use crate::postgres::{self, Stopped};

/// Where.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The folder of the embedded Postgres; `~/.local/share/coreason`, or `/var/lib/coreason` for root, unless given.
    #[arg(long, env = "COREASON_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Options {
    pub(super) async fn run(self) -> Result<(), Error> {
        let data_dir = self.data_dir.unwrap_or_else(postgres::default_data_dir);
        let Stopped { users, postmaster } = postgres::stop(&data_dir).await?;
        let mut out = io::stdout().lock();
        if users.is_empty() && postmaster.is_none() {
            writeln!(out, "nothing runs in {}", data_dir.display())?;
        }
        for pid in users {
            writeln!(out, "stopped process {pid}")?;
        }
        if let Some(pid) = postmaster {
            writeln!(out, "stopped Postgres (process {pid})")?;
        }
        Ok(())
    }
}
