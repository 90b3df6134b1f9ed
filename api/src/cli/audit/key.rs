//! `coreason audit key`, `rotate-key` and `begin-log`: who signs, and what.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use engine::seal::{self, Signer};

use crate::{
    audit::{connected, on},
    cli::Error,
    place::Place,
};

#[derive(clap::Args)]
pub(super) struct Key {
    #[command(flatten)]
    place: Place,
    /// The file with the key, as `dev --seal-key` has it; that in the data directory unless given.
    #[arg(long, env = "COREASON_SEAL_KEY", value_name = "FILE")]
    seal_key: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct RotateKey {
    #[command(flatten)]
    place: Place,
    /// The file with the key that has signed until now; that in the data directory unless given.
    #[arg(long, value_name = "FILE", conflicts_with = "lost")]
    old: Option<PathBuf>,
    /// The key that has signed until now is lost: whoever trusts it has to be told of the new one.
    #[arg(long)]
    lost: bool,
    /// The file with the key that signs from now on, which is made if it is not there; start the servers again with it.
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct BeginLog {
    #[command(flatten)]
    place: Place,
    /// The file with the key that signs, as `dev --seal-key` has it; that in the data directory unless given.
    #[arg(long, env = "COREASON_SEAL_KEY", value_name = "FILE")]
    seal_key: Option<PathBuf>,
    /// Delete the entries and checkpoints of the log that is.
    #[arg(long, required = true)]
    discard: bool,
}

impl BeginLog {
    pub(super) async fn run(self) -> Result<(), Error> {
        let signer = Signer::open_known(&file(&self.place, self.seal_key)?)?;
        let first = on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let begun = seal::begin(&pool, &signer).await;
            pool.close().await;
            begun
                .map_err(engine::Error::from)?
                .map_err(Error::NotSealed)
        })
        .await?;
        Ok(write!(io::stdout().lock(), "{first}")?)
    }
}

impl Key {
    pub(super) fn run(self) -> Result<(), Error> {
        let file = file(&self.place, self.seal_key)?;
        // One that is made here would be one that nothing was signed with.
        let signer = Signer::open_known(&file)?;
        Ok(writeln!(io::stdout().lock(), "{}", signer.public())?)
    }
}

impl RotateKey {
    pub(super) async fn run(self) -> Result<(), Error> {
        let old = if self.lost {
            None
        } else {
            Some(Signer::open_known(&file(&self.place, self.old)?)?)
        };
        let new = Signer::open(&self.new)?;
        let public = new.public();
        if old.as_ref().is_some_and(|old| old.public() == public) {
            return Err(Error::Usage(
                "--new is the key that signs already".to_owned(),
            ));
        }
        on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let rotated = seal::rotate(&pool, old.as_ref(), &new).await;
            pool.close().await;
            rotated
                .map_err(engine::Error::from)?
                .map_err(Error::NotSealed)
        })
        .await?;
        Ok(writeln!(io::stdout().lock(), "{public}")?)
    }
}

/// Returns the file that is meant.
fn file(place: &Place, given: Option<PathBuf>) -> Result<PathBuf, Error> {
    given.or_else(|| place.seal_key()).ok_or_else(|| {
        Error::Usage("a Postgres that is not embedded has no key of its own: name the file with --seal-key or --old".to_owned())
    })
}
