//! Has `tlog` make proofs of hashes that are in a database: it is asked which ones it wants, and once more when they are there.

use std::{cell::RefCell, collections::BTreeMap};

use tlog_tiles::tlog::{Error, Hash, HashReader};

/// The hashes that are there; notes what it is asked for beside them.
#[derive(Debug, Default)]
pub(crate) struct Hashes {
    known: BTreeMap<u64, Hash>,
    wanted: RefCell<Vec<u64>>,
}

impl HashReader for Hashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let known: Option<Vec<Hash>> = (indexes.iter())
            .map(|index| self.known.get(index).copied())
            .collect();
        known.ok_or_else(|| {
            self.wanted.replace(indexes.to_vec());
            Error::IndexesNotInTree
        })
    }
}

/// A proof: it is found by the hashes that are there, or which ones it is made of.
pub(crate) enum Asked<T> {
    Proof(T),
    Wants(Vec<u64>),
}

impl Hashes {
    /// Returns these.
    pub(crate) fn new(known: BTreeMap<u64, Hash>) -> Self {
        Self {
            known,
            wanted: RefCell::default(),
        }
    }

    /// Asks for a proof; `None` if there is no such proof.
    pub(crate) fn ask<T>(&self, proof: impl FnOnce(&Self) -> Result<T, Error>) -> Option<Asked<T>> {
        match proof(self) {
            Ok(proof) => Some(Asked::Proof(proof)),
            Err(Error::IndexesNotInTree) => Some(Asked::Wants(self.wanted.take())),
            Err(_) => None,
        }
    }
}
