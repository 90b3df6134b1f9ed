//! Restate: its server with the durability that it has by default, and a service by its Rust SDK.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{process::Command, time::Instant};

use crate::{
    http::{Client, Service},
    meter::Store,
    process::Process,
    system::{Ground, Load, System, free_ports},
};

use super::installed;

/// How long it may take until the server knows the service.
const PATIENCE: Duration = Duration::from_mins(1);

/// Starts both and makes them known to each other.
pub(crate) async fn start(ground: &Ground) -> Result<System> {
    let [service, ingress, admin, node] = free_ports()
        .await
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut processes = vec![Process::server(
        Command::new(installed("bin/restate-service")?).arg(service.to_string()),
        &ground.folder,
    )?];
    processes.push(server(&ground.folder, ingress, admin, node)?);
    let deployment = format!(r#"{{"uri":"http://{service}","force":true}}"#);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = register(admin, ingress, &deployment).await {
        if Instant::now() > deadline {
            let words = processes.last().map(Process::last_words);
            return Err(error.context(words.unwrap_or_default()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(System {
        processes,
        load: Load::Http(
            ingress,
            vec![
                Service::Restate("/Sequence/run"),
                Service::Restate("/Sequence/call"),
            ],
        ),
        store: Store::Elsewhere,
    })
}

fn server(
    folder: &Path,
    ingress: SocketAddr,
    admin: SocketAddr,
    node: SocketAddr,
) -> Result<Process> {
    Process::server(
        Command::new(installed("bin/restate-server")?)
            .args(["--no-logo", "--node-name", "bench", "--listen-mode", "tcp"])
            .arg("--base-dir")
            .arg(folder.join("restate"))
            .env("RESTATE_DISABLE_TELEMETRY", "true")
            .env("RESTATE_LOG_FILTER", "warn")
            .env("RESTATE_BIND_ADDRESS", node.to_string())
            .env("RESTATE_ADVERTISED_ADDRESS", format!("http://{node}"))
            .env("RESTATE_INGRESS__BIND_ADDRESS", ingress.to_string())
            .env("RESTATE_ADMIN__BIND_ADDRESS", admin.to_string()),
        folder,
    )
}

/// Makes the service known, and waits until it answers.
async fn register(admin: SocketAddr, ingress: SocketAddr, deployment: &str) -> Result<()> {
    let mut client = Client::connect(admin, Service::Restate("")).await?;
    client
        .post("/deployments", deployment)
        .await
        .context("the service can't be registered")?;
    let mut client = Client::connect(ingress, Service::Restate("")).await?;
    client.post("/Sequence/call", "1").await?;
    Ok(())
}
