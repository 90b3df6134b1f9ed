//! Audits a database, which is the embedded one of a data directory or runs elsewhere.

use engine::audit::{Pool, Report, Scope, Trust};
use tokio::select;

use crate::{
    place::Place,
    postgres,
    shutdown::{NoSignals, Shutdown},
};

/// Why a database could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The machine gives no signals.
    #[error(transparent)]
    Signals(#[from] NoSignals),
    /// A signal.
    #[error("interrupted")]
    Interrupted,
    /// Postgres can't be started.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// The database can't be read.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

impl Error {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Signals(_) => "IO_FAILED",
            Self::Interrupted => "INTERRUPTED",
            Self::Postgres(error) => error.code(),
            Self::Engine(error) => error.code(),
        }
    }
}

/// Audits a database: of that URL, or the embedded one of a data directory, which is started for it if need be.
pub(crate) async fn verify(place: Place, scope: Scope) -> Result<Report, Error> {
    on(place, |url| async move { audited(&url, scope).await }).await
}

/// The same of all runs, and compares them with what was sealed.
pub(crate) async fn verify_sealed(place: Place, trust: Trust) -> Result<Report, Error> {
    on(place, |url| async move {
        let pool = connected(&url).await?;
        let report = engine::audit::verify_sealed(&pool, &trust)
            .await
            .map_err(engine::Error::from)?;
        pool.close().await;
        Ok(report)
    })
    .await
}

/// Does something with a database; the embedded one is started for that if need be, and is there already.
pub(crate) async fn on<T, E, F>(place: Place, work: impl FnOnce(String) -> F) -> Result<T, E>
where
    E: From<Error>,
    F: Future<Output = Result<T, E>>,
{
    if let Some(url) = place.url() {
        return work(url.to_owned()).await;
    }
    let options = postgres::Options {
        data_dir: place.data_dir(),
        missing: postgres::Missing::Refuse,
        bin_dir: None,
        port: None,
    };
    let mut shutdown = Shutdown::on_signals().map_err(Error::from)?;
    let started = postgres::Server::start_unless(options, shutdown.clone().into_asked());
    let server = started.await.map_err(Error::from)?;
    let server = server.ok_or(Error::Interrupted)?;
    let done = select! {
        done = Box::pin(work(server.url().to_owned())) => done,
        () = shutdown.asked() => Err(Error::Interrupted.into()),
    };
    server.stop().await.map_err(Error::from)?;
    done
}

async fn audited(url: &str, scope: Scope) -> Result<Report, Error> {
    let pool = connected(url).await?;
    let report = engine::audit::verify(&pool, scope)
        .await
        .map_err(engine::Error::from)?;
    pool.close().await;
    Ok(report)
}

/// Opens a database to be audited.
pub(crate) async fn connected(url: &str) -> Result<Pool, Error> {
    let pool = engine::audit::connect(url).await;
    Ok(pool.map_err(engine::Error::from)?)
}
