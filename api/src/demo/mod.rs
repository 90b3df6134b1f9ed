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
mod watch;

use std::path::PathBuf;

use engine::audit::Scope;
use tokio::{
    select,
    time::{Duration, Instant},
};

use crate::{audit::verify, place::Place, rest_client::Client, shutdown::Shutdown};

use check::Checks;
use crash::Plan;
pub(crate) use error::Error;
use files::Files;
use histories::Histories;
use server::Server;
use watch::Watch;

/// How long the server may be away: a restart with the recovery of a killed Postgres takes less.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many files a server reads at once that is to be killed on the way: few, so that there is a way.
const SLOTS_OF_A_VICTIM: u32 = 1;

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
    let mut shutdown = Shutdown::on_signals()?;
    let files = Files::find(&options.folder).await?;
    let slots = options.crash.then_some(SLOTS_OF_A_VICTIM);
    let mut server = match &options.address {
        Some(_) => None,
        None => Some(Server::start(options.data_dir.clone(), slots).await?),
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
    let client = Client::new(&address, "default")?.waits_for_start(PATIENCE);
    if server.is_none() {
        // One that is not there is not waited for.
        client
            .get(&["workflows"], &[("pageSize", "1".to_owned())])
            .await?;
    }
    let client = client.patient(PATIENCE);
    let plan = if options.crash {
        Plan::draw(chance)
    } else {
        Plan::peaceful()
    };
    let began = Instant::now();
    let workflow_id = index::start(&client, files).await?;
    let mut watch = Watch::new(&client, &workflow_id, files, plan);
    watch.follow(server.as_deref_mut()).await?;
    index::approve(&client, &workflow_id).await?;
    let index = index::result(&client, &workflow_id).await?;
    let took = began.elapsed();

    let mut checks = Checks::new();
    checks.against_commands(files, &index).await?;
    let now = Histories::read(&client, &workflow_id).await?;
    checks.of_histories(files, &watch.histories, &now);
    if let Some(server) = server {
        let data_dir = server.data_dir().to_owned();
        checks.of_audit(&verify(Place::embedded(data_dir), Scope::Everything).await?);
    }
    checks.print(files, took, &watch.kills)?;
    checks.passed()
}

/// Returns a number from 0 to 1, another one each time.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
