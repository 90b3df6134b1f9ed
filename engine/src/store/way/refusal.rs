//! Why a server did not let somebody in.

use tokio_postgres::error::SqlState;

use super::tls::Refused;
use crate::{
    cause::innermost,
    limits::CONNECT_TIMEOUT,
    store::{
        Error,
        address::{host::Host, password::Missing},
    },
};

/// Tells that a server gave no answer.
pub(super) fn unanswered(host: &Host) -> Error {
    Error::Unreachable {
        server: host.to_string(),
        problem: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
    }
}

/// Tells why TLS failed beside what the server says of a login without it.
pub(super) fn without_tls(host: &Host, refusal: &tokio_postgres::Error, tls: &Refused) -> Error {
    let refusal = match refusal.as_db_error() {
        Some(told) => told.message().to_owned(),
        None => innermost(refusal),
    };
    Error::Refused {
        server: host.to_string(),
        problem: format!("{refusal} ({tls}: {})", innermost(tls)),
    }
}

/// Tells that a server wants a password, and why there is none.
pub(super) fn without_password(host: &Host, missing: &Missing) -> Error {
    Error::Refused {
        server: host.to_string(),
        problem: format!("it asks for a password, and {missing}"),
    }
}

/// Says whether a server does not let somebody in this way; a wrong password is wrong either way.
pub(super) fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Says whether a server asked for a password and got none. The library says so itself, without a code.
pub(super) fn is_password_missing(error: &tokio_postgres::Error) -> bool {
    error.code().is_none() && innermost(error) == "password missing"
}
