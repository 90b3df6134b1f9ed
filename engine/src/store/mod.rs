//! All SQL, a file per table or concern. The commit path uses tokio-postgres; the rest uses sqlx.
//!
//! The engine sees [`Store`], which is Postgres in what ships and memory in the simulation.

pub(crate) mod acknowledged;
mod address;
pub(crate) mod audit;
mod bridge;
mod call;
pub(crate) mod check;
pub mod commit;
pub(crate) mod connect;
mod dial;
mod error;
mod failover;
pub(crate) mod fate;
mod host;
pub mod list;
pub(crate) mod load;
pub(crate) mod ownership;
pub(crate) mod partition;
mod password;
mod pooler;
pub(crate) mod postgres;
mod reach;
pub(crate) mod sqlstate;
mod term;
mod tls;
mod told;
mod traits;

pub use error::Error;
pub(crate) use term::Term;
pub(crate) use traits::{Answer, Connection, Session, Store};

/// Says in words which database a URL means: its name, its servers and the user, not the password.
///
/// # Errors
/// When it is no URL of a database.
pub fn named(url: &str) -> Result<String, Error> {
    Ok(address::Target::parse(url)?.to_string())
}
