//! `coreason audit`: whether a database holds what was committed, and proofs of it.

mod check;
mod dump;
mod key;
mod prove;
mod verify;

use clap::Subcommand;

use super::Error;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Recompute the hash chain of every run and name each row that was changed, inserted, moved or removed; with a public key also what was done to
    /// sealed histories by somebody who computed the chains anew.
    Verify(verify::Verify),
    /// Check what must always hold, on a live database, and name what breaks it.
    Check(check::Check),
    /// Write a file by which anybody who has the public key can verify that the history of a workflow is the one that was sealed.
    Prove(prove::Prove),
    /// Write a file by which anybody who has the public key can verify that the sealed log was only appended to between two checkpoints.
    ProveConsistency(prove::ProveConsistency),
    /// Show a signed checkpoint of the sealed log, to be kept where nobody can change it.
    Checkpoint(prove::ShowCheckpoint),
    /// Write what an audit reads to a file, for `audit verify --offline`.
    Dump(dump::Dump),
    /// Show the public key by which sealed histories are verified.
    Key(key::Key),
    /// Have another key sign from now on, on record.
    RotateKey(key::RotateKey),
    /// End the sealed log and begin another in its place, on record: where the database was restored to an earlier state, or the log was damaged. What was
    /// sealed until now is proved no more, but by the proofs and the archive that there are.
    BeginLog(key::BeginLog),
}

impl Args {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self.verb {
            Verb::Verify(verify) => verify.run().await,
            Verb::Check(check) => check.run().await,
            Verb::Prove(prove) => prove.run().await,
            Verb::ProveConsistency(prove) => prove.run().await,
            Verb::Checkpoint(show) => show.run().await,
            Verb::Dump(dump) => dump.run().await,
            Verb::Key(key) => key.run(),
            Verb::RotateKey(rotate) => rotate.run().await,
            Verb::BeginLog(begin) => begin.run().await,
        }
    }
}
