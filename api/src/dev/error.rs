//! Why the development server can't run.

use std::{io, net::SocketAddr};

use crate::shutdown::NoSignals;

/// Why the development server can't run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; name a free one with --listen")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// What `--advertise` says is no address.
    #[error(
        "--advertise {given:?} is no address at which others reach this process: {problem}; write it as in http://10.0.0.5:8000"
    )]
    Advertise {
        given: String,
        problem: &'static str,
    },
    /// No address of this host is known that leads here.
    #[error(
        "{listening} means every address of this host, and the other processes on the database need one of them: {problem}; name it with \
         --advertise http://HOST:{}", .listening.port()
    )]
    NoAddress {
        listening: SocketAddr,
        problem: String,
    },
    /// A worker serves what the database does not have.
    #[error(
        "there is no namespace {0} in this database, so that no work would ever come for a worker of it; leave --namespace, \
         COREASON_NAMESPACE and Worker::namespace(..) out for `default`, or name one that is there"
    )]
    Namespace(String),
    /// The machine gives no signals.
    #[error(transparent)]
    Signals(#[from] NoSignals),
    /// The machine gives no thread, or no log.
    #[error("cannot {doing}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
    /// Two signals, one after the other.
    #[error("ended by a second signal; what was under way is done again after the next start")]
    Interrupted,
    /// The program's worker.
    #[error(transparent)]
    Worker(#[from] worker::BuildError),
    /// The key that seals histories.
    #[error(transparent)]
    SealKey(#[from] engine::seal::KeyError),
    /// What is archived is sealed.
    #[error(
        "--archive takes histories that are sealed, and no key seals them; name one with --seal-key"
    )]
    ArchiveUnsealed,
    /// The archive can't be meant.
    #[error(transparent)]
    Archive(#[from] crate::archive::NoArchive),
    /// The embedded Postgres.
    #[error(transparent)]
    Postgres(#[from] crate::postgres::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

impl Error {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "LISTEN_FAILED",
            Self::Advertise { .. } => "ADVERTISE_INVALID",
            Self::NoAddress { .. } => "ADVERTISE_NEEDED",
            Self::Namespace(_) => "NAMESPACE_NOT_FOUND",
            Self::Signals(_) | Self::Io { .. } => "IO_FAILED",
            Self::Interrupted => "INTERRUPTED",
            Self::Worker(_) => "WORKER_INVALID",
            Self::SealKey(_) => "SEAL_KEY_UNUSABLE",
            Self::ArchiveUnsealed | Self::Archive(_) => "ARCHIVE_INVALID",
            Self::Postgres(error) => error.code(),
            Self::Engine(error) => error.code(),
        }
    }
}
