//! `coreason search-attribute delete`.

use std::io::Write as _;

use crate::cli::{Error, session::Session};

#[derive(clap::Args)]
pub(super) struct Delete {
    /// Its name.
    #[arg(long)]
    name: String,
}

impl Delete {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        // No URL can name these.
        if matches!(self.name.as_str(), "" | "." | "..") {
            let problem = format!("`{}` is no name of a search attribute", self.name);
            return Err(Error::Usage(problem));
        }
        let path = ["search-attributes", &self.name];
        let answer = session.client.delete(&path, &[]).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
        } else {
            writeln!(out, "deleted {}", self.name)?;
        }
        Ok(())
    }
}
