//! `coreason demo`: a folder of real files, indexed by durable workflows that are killed on the way if told, and the
//! result held against `find`, `wc` and `sha256sum`.

mod check;
mod crash;
mod error;
mod files;
mod histories;
mod index;
mod progress;
mod server;

use std::path::PathBuf;

use engine::audit::Scope;
use tokio::{
    select,
    time::{Duration, Instant, sleep},
};

use crate::{cli::Client, dev::Shutdown};

use check::Checks;
use crash::{Plan, Victim};
pub(crate) use error::Error;
use files::Files;
use histories::Histories;
use progress::Progress;
use server::Server;

/// How long the server may be away: a restart with the recovery of a killed Postgres takes less.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often the histories are read on.
const LOOK: Duration = Duration::from_millis(15);

/// What to index, and how badly it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder to index.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Kill the engine three times and Postgres once on the way, with `kill -9`.
    #[arg(long)]
    crash: bool,
    /// A server to run on; one is started for the demo unless given.
    #[arg(long, conflicts_with = "crash")]
    address: Option<String>,
    /// Where the demo's own server keeps its data; a folder that is removed at the end unless given.
    #[arg(long, conflicts_with = "address")]
    data_dir: Option<PathBuf>,
}

/// Runs the demo; an error when anything is not exact.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let mut shutdown = Shutdown::on_signals().map_err(|_| Error::Interrupted)?;
    let files = Files::find(&options.folder).await?;
    let mut server = match &options.address {
        Some(_) => None,
        None => Some(Server::start(options.data_dir.clone()).await?),
    };
    let done = select! {
        done = Box::pin(on_server(&options, &files, server.as_mut())) => done,
        () = shutdown.asked() => Err(Error::Interrupted),
    };
    if let Some(server) = server {
        server.stop().await?;
    }
    done
}

async fn on_server(
    options: &Options,
    files: &Files,
    mut server: Option<&mut Server>,
) -> Result<(), Error> {
    let address = match (&options.address, &server) {
        (Some(address), _) => address.clone(),
        (None, server) => server
            .as_ref()
            .map(|server| server.address())
            .unwrap_or_default(),
    };
    let client = Client::new(&address, "default")?.patient(PATIENCE);
    let plan = if options.crash {
        Plan::draw(chance)
    } else {
        Plan::peaceful()
    };
    let began = Instant::now();
    let workflow_id = index::start(&client, files).await?;
    let seen = watch(&client, &workflow_id, files, plan, server.as_deref_mut()).await?;
    index::approve(&client, &workflow_id).await?;
    let index = index::result(&client, &workflow_id).await?;
    let took = began.elapsed();

    let mut checks = Checks::new();
    checks.against_commands(files, &index).await?;
    checks.of_histories(files, &seen, &Histories::read(&client, &workflow_id).await?);
    if let Some(server) = server {
        let report =
            crate::cli::verify(None, Some(server.data_dir().to_owned()), Scope::Everything).await?;
        checks.of_audit(&report);
    }
    checks.print(files, took, options.crash)?;
    checks.passed()
}

/// Follows the histories until all files are indexed, and kills what the plan says on the way.
async fn watch(
    client: &Client,
    workflow_id: &str,
    files: &Files,
    mut plan: Plan,
    mut server: Option<&mut Server>,
) -> Result<Histories, Error> {
    let mut histories = Histories::new(client.clone(), workflow_id);
    let mut progress = Progress::new(files.len());
    loop {
        histories.read_on().await?;
        progress.show(&histories)?;
        let share = if histories.children_done() {
            1.0
        } else {
            progress.share(&histories)
        };
        match (plan.due(share), &mut server) {
            (Some(Victim::Engine), Some(server)) => {
                progress.say("kill -9 the engine")?;
                server.kill_engine().await?;
            }
            (Some(Victim::Postgres), Some(server)) => {
                progress.say("kill -9 Postgres")?;
                server.kill_postgres()?;
            }
            _ if histories.is_closed() || histories.children_done() => {
                progress.end()?;
                return Ok(histories);
            }
            _ => sleep(LOOK).await,
        }
    }
}

/// Returns a number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
