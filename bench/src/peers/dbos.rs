//! DBOS, in process, on a database of the same Postgres.

use std::path::Path;

use anyhow::Result;
use tokio::process::Command;

use crate::{
    meter::Store,
    process::Process,
    system::{Ground, Load, System},
};

use super::installed;

/// Starts DBOS for Rust.
pub(crate) async fn rust(ground: &Ground) -> Result<System> {
    start(
        ground,
        "dbos_rust",
        &mut Command::new(installed("bin/dbos-rust")?),
    )
    .await
}

/// Starts DBOS for Python.
pub(crate) async fn python(ground: &Ground) -> Result<System> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/dbos.py");
    start(
        ground,
        "dbos_python",
        // Isolated, because the folder of the script would come before the package of the same name.
        Command::new(installed("dbos-python/bin/python")?)
            .arg("-I")
            .arg(script),
    )
    .await
}

async fn start(ground: &Ground, database: &str, command: &mut Command) -> Result<System> {
    command.env("DBOS_DATABASE_URL", ground.database(database).await?);
    let mut process = Process::program(command, &ground.folder)?;
    process.hear().await?;
    Ok(System {
        processes: vec![process],
        load: Load::Itself,
        store: Store::Postgres,
    })
}
