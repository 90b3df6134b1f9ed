//! Whether there is a database at all: asked once, before a pool asks again and again in silence.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

use super::{Error, address::password::Origin, way::Way};
use crate::{cause::innermost, limits::SERVER_START_MAX};

/// How often a server is asked that says that it is starting.
const START_LOOK: Duration = Duration::from_millis(200);

/// Opens a session and closes it again. A server that is starting is waited for.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Refused`] and [`Error::Tls`], as soon as that is known.
pub(super) async fn check(way: &Way) -> Result<(), Error> {
    let server = way.target().servers();
    let give_up_at = Instant::now() + SERVER_START_MAX;
    let mut said = false;
    loop {
        let error = match way.log_in("coreason").await {
            Ok(_session) => return Ok(()),
            Err(Error::Driver(error)) => error,
            Err(error) => return Err(error),
        };
        let mut problem = match error.as_db_error() {
            Some(told) => told.message().to_owned(),
            None => innermost(&error),
        };
        if error.code() == Some(&SqlState::INVALID_PASSWORD)
            && let Ok(password) = &way.target().password
            && password.origin != Origin::Address
        {
            problem = format!("{problem} (the password is that of {})", password.origin);
        }
        let starting = error.code() == Some(&SqlState::CANNOT_CONNECT_NOW);
        if error.as_db_error().is_some() && !starting {
            return Err(Error::Refused { server, problem });
        }
        if !starting || Instant::now() >= give_up_at {
            return Err(Error::Unreachable { server, problem });
        }
        if !said {
            said = true;
            tracing::info!(server, problem, "waiting for the database");
        }
        sleep(START_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::address::Target, *};

    async fn refusal(url: &str) -> Error {
        let way = Way::new(Target::parse(url).unwrap()).unwrap();
        check(&way).await.unwrap_err()
    }

    #[tokio::test]
    async fn host_and_reason_are_told_at_once() {
        // The port of a socket that nobody listens on.
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = bound.local_addr().unwrap().port();
        drop(bound);
        let began = Instant::now();

        let nobody = refusal(&format!("postgres://u@127.0.0.1:{port}/d")).await;
        let nowhere = refusal("postgres://u@nowhere.invalid:5432/d").await;

        assert_eq!(nobody.code(), "DATABASE_UNREACHABLE");
        let told = nobody.to_string();
        assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
        assert!(told.to_lowercase().contains("refused"), "{told}");
        assert_eq!(nowhere.code(), "DATABASE_UNREACHABLE");
        assert!(
            nowhere.to_string().contains("nowhere.invalid:5432"),
            "{nowhere}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}
