//! The database of a development server: embedded, or one that runs already.

use crate::postgres;

use super::{Error, Options};

/// Where the engine keeps everything.
pub(super) enum Database {
    /// Ours, started with us.
    Embedded(postgres::Server),
    /// Somebody else's, by its URL.
    External(String),
}

impl Database {
    /// Starts or adopts the embedded Postgres, unless a URL names another one. Nothing when it was `stopped` before that.
    pub(super) async fn open(
        options: &Options,
        stopped: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Error> {
        if let Some(url) = options.place.url() {
            return Ok(Some(Self::External(url.to_owned())));
        }
        let options = postgres::Options {
            data_dir: options.place.data_dir(),
            missing: postgres::Missing::Create,
            bin_dir: options.postgres.clone(),
            port: None,
        };
        let started = postgres::Server::start_unless(options, stopped).await?;
        Ok(started.map(Self::Embedded))
    }

    /// Returns the URL, with its password.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Embedded(server) => server.url(),
            Self::External(url) => url,
        }
    }

    /// Stops it if it is ours.
    pub(super) async fn stop(self) -> Result<(), Error> {
        match self {
            Self::Embedded(server) => Ok(server.stop().await?),
            Self::External(_) => Ok(()),
        }
    }
}
