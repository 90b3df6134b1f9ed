//! `coreason audit prove`, `prove-consistency` and `checkpoint`: what can be verified without the database.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use engine::audit::{self, Proof};
use history::{Namespace, RunId, WorkflowId};

use crate::{
    audit::{connected, on},
    cli::Error,
    place::Place,
};

#[derive(clap::Args)]
pub(super) struct Prove {
    #[command(flatten)]
    place: Place,
    /// The workflow.
    #[arg(value_name = "WORKFLOW_ID")]
    workflow_id: WorkflowId,
    /// Its namespace.
    #[arg(long, env = "COREASON_NAMESPACE", default_value = "default")]
    namespace: Namespace,
    /// This run of it; the latest unless given.
    #[arg(long)]
    run_id: Option<RunId>,
    #[command(flatten)]
    out: Out,
}

#[derive(clap::Args)]
pub(super) struct ProveConsistency {
    #[command(flatten)]
    place: Place,
    /// The number of the earlier checkpoint.
    #[arg(value_name = "FROM")]
    from: i64,
    /// The number of the later one; the latest unless given.
    #[arg(value_name = "TO")]
    to: Option<i64>,
    #[command(flatten)]
    out: Out,
}

#[derive(clap::Args)]
pub(super) struct ShowCheckpoint {
    #[command(flatten)]
    place: Place,
    /// Its number; the latest unless given.
    #[arg(value_name = "N")]
    n: Option<i64>,
}

/// Where a proof goes.
#[derive(clap::Args)]
struct Out {
    /// The file to write; it must not be there. Standard output unless given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    pub(super) async fn run(self) -> Result<(), Error> {
        let (namespace, workflow_id, run_id) = (self.namespace, self.workflow_id, self.run_id);
        let proof = on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let proof = audit::prove(&pool, &namespace, &workflow_id, run_id).await;
            pool.close().await;
            Ok::<_, Error>(proof?)
        });
        self.out.write(&proof.await?)
    }
}

impl ProveConsistency {
    pub(super) async fn run(self) -> Result<(), Error> {
        let (from, to) = (self.from, self.to);
        if to.is_some_and(|to| to < from) {
            return Err(Error::Usage(
                "the first checkpoint is the earlier one".to_owned(),
            ));
        }
        let proof = on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let proof = audit::prove_consistency(&pool, from, to).await;
            pool.close().await;
            Ok::<_, Error>(proof?)
        });
        self.out.write(&proof.await?)
    }
}

impl ShowCheckpoint {
    pub(super) async fn run(self) -> Result<(), Error> {
        let n = self.n;
        let note = on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let note = audit::checkpoint(&pool, n).await;
            pool.close().await;
            Ok::<_, Error>(note?)
        });
        let note = note.await?;
        Ok(write!(io::stdout().lock(), "{note}")?)
    }
}

impl Out {
    fn write(&self, proof: &Proof) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(proof).map_err(io::Error::from)?;
        text.push('\n');
        match &self.out {
            None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
            Some(path) => {
                let named =
                    |error: io::Error| Error::Usage(format!("--out {}: {error}", path.display()));
                // It has what users gave.
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(path);
                Ok(file
                    .map_err(named)?
                    .write_all(text.as_bytes())
                    .map_err(named)?)
            }
        }
    }
}
