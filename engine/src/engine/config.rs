//! How an engine is set up.

use std::{sync::Arc, time::Duration};

use crate::{
    archive::Archive,
    limits,
    peers::{self, Peers},
    seal::Signer,
};

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where Postgres is: a `postgres://` URL.
    pub database_url: String,
    /// Where this process answers HTTP; the other members find it there.
    pub address: String,
    /// The way to the other members; [`peers::Nobody`] unless told.
    pub peers: Arc<dyn Peers>,
    /// Within how long another process takes over when this one is silent; [`limits::LEASE`] unless told.
    pub lease: Duration,
    /// The most memory for open runs; [`limits::MEMORY_BYTES`] unless told.
    pub memory_bytes: usize,
    /// After how long a run that only waits leaves memory; [`limits::PARK_AFTER`] unless told.
    pub park_after: Duration,
    /// Who signs sealed histories; nobody unless told.
    pub signer: Option<Arc<Signer>>,
    /// How often what was committed is sealed; [`limits::SEAL_EVERY`] unless told.
    pub seal_every: Duration,
    /// Where the histories of runs go that are kept no longer, once they are sealed; nowhere unless told.
    pub archive: Option<Arc<dyn Archive>>,
}

impl Config {
    /// Returns the usual set-up on a database.
    pub fn new(database_url: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            address: address.into(),
            peers: Arc::new(peers::Nobody),
            lease: limits::LEASE,
            memory_bytes: limits::MEMORY_BYTES,
            park_after: limits::PARK_AFTER,
            signer: None,
            seal_every: limits::SEAL_EVERY,
            archive: None,
        }
    }
}
