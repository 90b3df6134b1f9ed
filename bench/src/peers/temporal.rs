//! Temporal's server on two databases of the same Postgres, and one Go program with a worker and the clients.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::{
    meter::Store,
    process::Process,
    system::{Ground, Load, System, free_ports},
};

use super::installed;

/// Its databases, and the folder of each one's schema.
const DATABASES: [(&str, &str); 2] = [
    ("temporal", "temporal"),
    ("temporal_visibility", "visibility"),
];

/// Starts both.
pub(crate) async fn start(ground: &Ground) -> Result<System> {
    let client = installed("temporal/bin/client")?;
    let folder = ground.folder.join("temporal");
    if !folder.exists() {
        for (database, schema) in DATABASES {
            ground.database(database).await?;
            make_schema(ground, database, schema).await?;
        }
        std::fs::create_dir(&folder)?;
    }
    let frontend = configure(ground, &folder).await?;
    let server = Process::server(
        Command::new(installed("temporal/bin/server")?)
            .arg("--root")
            .arg(&folder)
            .args([
                "--config",
                ".",
                "--env",
                "bench",
                "--allow-no-auth",
                "start",
            ]),
        &folder,
    )?;
    let mut client = Process::program(
        Command::new(client).arg(format!("127.0.0.1:{frontend}")),
        &folder,
    )?;
    client.hear().await.with_context(|| server.last_words())?;
    Ok(System {
        processes: vec![server, client],
        load: Load::Itself,
        store: Store::Postgres,
    })
}

/// Runs the server's own tool for the schema.
async fn make_schema(ground: &Ground, database: &str, schema: &str) -> Result<()> {
    let (address, user, password) = ground.credentials()?;
    let (host, port) = address.rsplit_once(':').context("a port")?;
    let versions = installed("temporal/schema")?.join(schema).join("versioned");
    let steps: [Vec<PathBuf>; 2] = [
        ["setup-schema", "-v", "0.0"].map(PathBuf::from).to_vec(),
        vec!["update-schema".into(), "-d".into(), versions],
    ];
    for step in steps {
        let done = Command::new(installed("temporal/bin/sql")?)
            .args(["--plugin", "postgres12", "--ep", host, "-p", port])
            .args(["-u", &user, "--pw", &password, "--db", database])
            .args(step)
            .output()
            .await?;
        anyhow::ensure!(
            done.status.success(),
            "{database}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(())
}

/// Writes the server's configuration; returns the port of its frontend.
async fn configure(ground: &Ground, folder: &Path) -> Result<u16> {
    let (address, user, password) = ground.credentials()?;
    let dynamic = folder.join("dynamic.yaml");
    std::fs::write(&dynamic, include_str!("../../peers/temporal/dynamic.yaml"))?;
    let mut text = include_str!("../../peers/temporal/config.yaml")
        .replace("{postgres}", &address)
        .replace("{user}", &user)
        .replace("{password}", &password)
        .replace("{dynamic}", &dynamic.to_string_lossy());
    let ports: [u16; 8] = free_ports().await;
    let services = ["frontend", "matching", "history", "worker"];
    for (service, ports) in services.into_iter().zip(ports.chunks(2)) {
        text = text
            .replace(&format!("{{{service}}}"), &ports[0].to_string())
            .replace(&format!("{{{service}_membership}}"), &ports[1].to_string());
    }
    std::fs::write(folder.join("bench.yaml"), text)?;
    Ok(ports[0])
}
