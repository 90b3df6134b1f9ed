//! All SQL, a file per table or concern. The commit path uses tokio-postgres; the rest uses sqlx.
//!
//! The engine sees [`Store`], which is Postgres in what ships and memory in the simulation.

pub(crate) mod acknowledged;
mod address;
pub(crate) mod archive;
pub(crate) mod audit;
mod bridge;
mod call;
pub(crate) mod check;
pub(crate) mod clock;
pub mod commit;
pub(crate) mod connect;
#[cfg(test)]
pub(crate) mod database;
pub(crate) mod dump;
mod error;
pub(crate) mod events;
pub(crate) mod fate;
pub mod feed;
pub(crate) mod fit;
mod folding;
mod hot;
pub(crate) mod load;
mod locks;
mod membership;
pub(crate) mod migrate;
pub(crate) mod namespaces;
pub(crate) mod ownership;
mod parked;
pub(crate) mod partition;
mod pooler;
pub(crate) mod postgres;
mod reach;
pub(crate) mod retention;
mod run_ref;
pub(crate) mod seal;
pub(crate) mod search_attributes;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod sqlstate;
mod term;
mod terminate;
mod told;
mod traits;
pub(crate) mod view;
pub mod visibility;
mod way;

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

pub use error::Error;
pub use run_ref::RunRef;
pub(crate) use term::{Joined, Term};
pub(crate) use traits::{Answer, Connection, Session, Store};

/// Says in words which database a URL means: its name, its servers and the user, not the password.
///
/// # Errors
/// When it is no URL of a database.
pub fn named(url: &str) -> Result<String, Error> {
    Ok(address::Target::parse(url)?.to_string())
}

/// Writes a time as Postgres has it.
fn interval(time: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(time.as_micros()).unwrap_or(i64::MAX),
    }
}
