//! One table of figures from one run: what a workflow costs in process and over HTTP, beside the limit and beside others.
//!
//! `cargo run --release -p bench -- --help` says how; `bench/README.md` has the last table and how to read it.

mod cpu;
mod http;
mod kind;
mod limit;
mod load;
mod meter;
mod open;
mod options;
mod own;
mod peers;
mod process;
mod rounds;
mod scale;
mod soak;
mod system;
mod table;
mod targets;
mod workflows;

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use coreason::postgres;

use crate::{meter::Meter, options::Options, rounds::Rounds, system::Ground};

/// How the bench runs.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    own: Option<OwnProgram>,
    #[command(flatten)]
    options: Options,
}

/// Our engine, as the bench starts it, and what is measured apart.
#[derive(Debug, Subcommand)]
enum OwnProgram {
    /// The engine with its load in the same process.
    #[command(hide = true)]
    InProcess {
        url: String,
        #[arg(long)]
        seal_key: Option<PathBuf>,
    },
    /// The engine behind HTTP.
    #[command(hide = true)]
    OverHttp {
        url: String,
        #[arg(long)]
        seal_key: Option<PathBuf>,
    },
    /// What stays flat while something grows.
    Scale(scale::Options),
    /// The load over HTTP, for long, with figures by minute.
    Soak(soak::Options),
    /// The engine on what sleeps.
    #[command(hide = true)]
    Restarted { url: String },
}

#[tokio::main]
async fn main() -> Result<()> {
    let Cli { own, options } = Cli::parse();
    match &own {
        Some(OwnProgram::InProcess { url, seal_key }) => {
            own::in_process(url, seal_key.as_deref()).await
        }
        Some(OwnProgram::OverHttp { url, seal_key }) => {
            own::over_http(url, seal_key.as_deref()).await
        }
        Some(OwnProgram::Scale(scale)) => {
            let postgres = scale.postgres.clone();
            on_postgres(postgres, None, async |_, url| {
                Box::pin(scale::measure(scale, url)).await
            })
            .await
        }
        Some(OwnProgram::Soak(soak)) => {
            let postgres = soak.postgres.clone();
            let setting = soak
                .freeze_max_age
                .map(|age| format!("autovacuum_freeze_max_age = {age}"));
            on_postgres(postgres, setting, async |folder, url| {
                Box::pin(soak::measure(soak, folder, url)).await
            })
            .await
        }
        Some(OwnProgram::Restarted { url }) => scale::sleepers::restarted(url).await,
        None => {
            let postgres = options.postgres.clone();
            on_postgres(postgres, None, async |folder, url| {
                Box::pin(measure(&options, folder, url)).await
            })
            .await
        }
    }
}

/// Measures on a Postgres of its own, with a setting if there is one, and prints the report.
async fn on_postgres(
    bin_dir: Option<PathBuf>,
    setting: Option<String>,
    measure: impl AsyncFnOnce(PathBuf, &str) -> Result<String>,
) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("coreason-bench-{}", std::process::id()));
    let options = || postgres::Options {
        data_dir: folder.clone(),
        missing: postgres::Missing::Create,
        bin_dir: bin_dir.clone(),
        port: None,
    };
    let mut server = postgres::Server::start(options()).await?;
    if let Some(setting) = setting {
        let (client, connection) =
            tokio_postgres::connect(server.url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let setting = format!("ALTER SYSTEM SET {setting}");
        client.batch_execute(&setting).await?;
        // It is read at the start.
        server.stop().await?;
        server = postgres::Server::start(options()).await?;
    }
    let report = measure(folder.clone(), server.url()).await;
    server.stop().await?;
    std::fs::remove_dir_all(&folder).context("the bench's folder")?;
    std::io::stdout().write_all(report?.as_bytes())?;
    Ok(())
}

/// Measures everything that is asked for and returns the tables.
async fn measure(options: &Options, folder: PathBuf, url: &str) -> Result<String> {
    let ground = Ground {
        is_sealed: true,
        meter: Meter::open(url, &folder).await?,
        url: url.to_owned(),
        folder,
    };
    let mut rounds = Rounds::plan(options);
    for _ in 0..options.repeats {
        rounds.run(&ground, options).await?;
    }
    let mut report = rounds.report(options.clients)?;
    if options.open > 0 {
        let open = open::measure(url, options.open, options.clients).await?;
        table::open(&mut report, &open)?;
    }
    Ok(report)
}
