//! Whether there is a database at all: asked once, before a pool asks again and again in silence.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep, timeout};

use super::Error;

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long one may take that says that it is starting, as after a crash, and how often it is asked.
const START_MAX: Duration = Duration::from_mins(1);
const START_LOOK: Duration = Duration::from_millis(200);
/// What a server says that is starting, stopping or recovering: `cannot_connect_now`.
const NOT_NOW: &str = "57P03";

/// Opens a connection as a pool would, and closes it again. One server that is starting is waited for.
///
/// # Errors
/// [`Error::Unreachable`] and [`Error::Refused`], as soon as that is known.
pub(crate) async fn check(pool: &PgPool) -> Result<(), Error> {
    let options = pool.connect_options();
    let server = server(&options);
    let give_up_at = Instant::now() + START_MAX;
    let mut said = false;
    loop {
        let problem = match timeout(ANSWER_MAX, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => return Ok(connection.close().await?),
            Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some(NOT_NOW) => {
                error.message().to_owned()
            }
            Ok(Err(sqlx::Error::Database(error))) => {
                let problem = error.message().to_owned();
                return Err(Error::Refused { server, problem });
            }
            Ok(Err(error)) => {
                let problem = innermost(&error);
                return Err(Error::Unreachable { server, problem });
            }
            Err(_elapsed) => {
                let problem = format!("no answer within {} s", ANSWER_MAX.as_secs());
                return Err(Error::Unreachable { server, problem });
            }
        };
        if Instant::now() >= give_up_at {
            return Err(Error::Unreachable { server, problem });
        }
        if !said {
            said = true;
            tracing::info!(server, problem, "waiting for the database");
        }
        sleep(START_LOOK).await;
    }
}

fn server(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use sqlx::postgres::PgPoolOptions;

    use super::*;

    async fn refusal(url: &str) -> Error {
        let options = PgConnectOptions::from_str(url).unwrap();
        let pool = PgPoolOptions::new().connect_lazy_with(options);
        check(&pool).await.unwrap_err()
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
        assert!(began.elapsed() < ANSWER_MAX, "{:?}", began.elapsed());
    }
}
