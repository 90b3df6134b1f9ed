//! `coreason audit dump`: what an audit reads, in a file.

use std::path::PathBuf;

use crate::{
    audit::{connected, on},
    cli::Error,
    place::Place,
};

#[derive(clap::Args)]
pub(super) struct Dump {
    #[command(flatten)]
    place: Place,
    /// The file to write; it must not be there.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Dump {
    pub(super) async fn run(self) -> Result<(), Error> {
        let file = self.file;
        on(self.place, |url| async move {
            let pool = connected(&url).await?;
            let dumped = engine::audit::dump(&pool, &file).await;
            pool.close().await;
            Ok(dumped?)
        })
        .await
    }
}
