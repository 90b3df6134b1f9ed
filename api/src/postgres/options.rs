//! Where and how to run Postgres.

use std::path::PathBuf;

/// Where and how to run Postgres.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that keeps the cluster.
    pub data_dir: PathBuf,
    /// What to do where it has none.
    pub missing: Missing,
    /// The folder of `initdb` and `postgres`; `None` looks for one: `COREASON_POSTGRES`, the one
    /// packed in this program, `PATH`, the distribution's folders.
    pub bin_dir: Option<PathBuf>,
    /// The port on 127.0.0.1; `None` takes a free one. A Postgres that runs already keeps its own.
    pub port: Option<u16>,
}

/// What to do where there is no cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made.
    Create,
    /// It is an error, and nothing is made.
    Refuse,
}
