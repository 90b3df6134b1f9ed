//! The engines beside ours. `bench/peers/setup` installs them, `bench/peers` has their programs.

pub(crate) mod dbos;
pub(crate) mod restate;
pub(crate) mod temporal;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Returns something that `bench/peers/setup` has installed.
fn installed(path: &str) -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME")?;
    let path = PathBuf::from(home)
        .join(".cache/coreason-runtime/peers")
        .join(path);
    anyhow::ensure!(
        path.exists(),
        "{} is missing; bench/peers/setup installs it",
        path.display()
    );
    Ok(path)
}
