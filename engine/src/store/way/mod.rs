//! The way to a database of one or several servers: all sessions take it, whichever library speaks on them.

mod dial;
pub(super) mod failover;
mod refusal;
mod tcp;
mod tls;
mod trying;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use super::{
    Error,
    address::{Target, options},
};
use crate::limits::{CONNECT_TIMEOUT, MEET_MAX};
use dial::{Dialed, Go, Servers, Wire};
use failover::{Latest, TIME, Time};
use trying::Trying;

/// The way to a database.
#[derive(Debug, Clone)]
pub(super) struct Way {
    servers: Servers,
    /// Which of the servers did last.
    latest: Arc<AtomicUsize>,
    /// Which time of the database the sessions speak to, where it may be at another server tomorrow.
    pub(super) time: Latest,
}

impl Way {
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            servers: Servers::new(target)?,
            latest: Arc::default(),
            time: Latest::default(),
        })
    }

    /// Returns what the address says.
    pub(super) fn target(&self) -> &Target {
        &self.servers.target
    }

    /// Says whether it takes more than a plain connection on this machine.
    pub(super) fn is_special(&self) -> bool {
        self.servers.is_special()
    }

    /// Says whether a session is asked which time of the database its server has.
    pub(super) fn asks(&self) -> bool {
        self.servers.asks()
    }

    /// Meets all servers once, if there are several and they answer soon: which one is the latest is to be known before anything is done
    /// at one of them.
    pub(super) async fn meet_all(&self) {
        let count = self.servers.count();
        if count > 1 {
            let met = join_all((0..count).map(|n| self.meet(n)));
            // Whoever does not answer is tried again when no other one does.
            drop(timeout(MEET_MAX, met).await);
        }
    }

    /// Meets a server; one that starts is asked again.
    async fn meet(&self, n: usize) {
        const AGAIN_AFTER: Duration = Duration::from_millis(100);
        while let Err(Error::Driver(error)) = self.log_in_at(n, "coreason").await
            && error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
        {
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Opens a session on the first server that will do, beginning with the one that did last.
    pub(super) async fn log_in(&self, name: &str) -> Result<Client, Error> {
        let mut failed = None;
        for n in self.order() {
            let trying = self.try_at(n);
            let tried = self.log_in_at(n, name).await;
            trying.end();
            match tried {
                Ok(client) => {
                    self.latest.store(n, Ordering::Relaxed);
                    return Ok(client);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(Error::Silent))
    }

    /// Opens a connection to the server that will do. Which of several that is, and whether it lets the user in with TLS or only without, a
    /// session finds out first: whoever speaks through the connection tries no other one.
    pub(super) async fn dial(&self) -> Result<Box<dyn Wire>, Error> {
        if self.servers.count() > 1 || self.servers.may_turn() {
            drop(self.log_in("coreason").await?);
        }
        let n = self.latest.load(Ordering::Relaxed);
        let trying = self.try_at(n);
        let dialed = self.servers.dial_at(n, self.servers.tries_first(n)).await;
        trying.end();
        Ok(dialed?.wire)
    }

    fn try_at(&self, n: usize) -> Trying<'_> {
        Trying::begin(&self.latest, n, self.servers.count())
    }

    /// Returns all servers once. All begin at the same one, while it does: of two that take writes, after a failover of which one knows
    /// nothing, a process must not speak to both.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.servers.count();
        let first = self.latest.load(Ordering::Relaxed);
        (0..count).map(move |n| (first + n) % count)
    }

    /// Opens a session on a server. Where both ways will do, one that does not let this user in by the first is tried by the other.
    async fn log_in_at(&self, n: usize, name: &str) -> Result<Client, Error> {
        let (first, other) = match self.servers.tries_first(n) {
            Go::Plain => (Go::Plain, Go::Encrypted),
            Go::Encrypted => (Go::Encrypted, Go::Plain),
        };
        let refused = match self.try_to_log_in_at(n, first, name).await {
            Err(Error::Driver(error))
                if refusal::is_refusal(&error) && self.servers.has_two_ways(n) =>
            {
                error
            }
            answer => return answer,
        };
        let client = match self.try_to_log_in_at(n, other, name).await {
            Ok(client) => client,
            // It says more than the first one.
            Err(error @ Error::Refused { .. }) => return Err(error),
            Err(_) => return Err(refused.into()),
        };
        self.servers.note(n, other);
        Ok(client)
    }

    async fn try_to_log_in_at(&self, n: usize, go: Go, name: &str) -> Result<Client, Error> {
        let host = &self.target().hosts[n];
        let Dialed { wire, tls_failed } = self.servers.dial_at(n, go).await?;
        let connected = timeout(CONNECT_TIMEOUT, self.config(name).connect_raw(wire, NoTls)).await;
        let connected = connected.map_err(|_elapsed| refusal::unanswered(host))?;
        let (client, connection) = connected.map_err(|error| match tls_failed {
            Some(tls) if refusal::is_refusal(&error) => refusal::without_tls(host, &error, &tls),
            _ => match &self.target().password {
                Err(missing) if refusal::is_password_missing(&error) => {
                    refusal::without_password(host, missing)
                }
                _ => error.into(),
            },
        })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a database connection ended"
                );
            }
        });
        if self.asks() {
            let asked = timeout(CONNECT_TIMEOUT, client.query_one(TIME, &[])).await;
            let row = asked.map_err(|_elapsed| refusal::unanswered(host))??;
            self.judge(row.get(0), row.get(1), || host.to_string())?;
        }
        Ok(client)
    }

    /// Returns what a session says as it begins.
    fn config(&self, name: &str) -> Config {
        let target = self.target();
        let mut config = Config::new();
        config
            .user(&target.user)
            .dbname(&target.database)
            .application_name(name);
        if let Ok(password) = &target.password {
            config.password(&password.text);
        }
        let options = options::at_startup(&target.options);
        if !options.is_empty() {
            config.options(options);
        }
        config
    }

    /// Says whether a server that has answered [`TIME`] will do.
    ///
    /// # Errors
    /// [`Error::Standby`] and [`Error::Replaced`].
    pub(super) fn judge(
        &self,
        system: i64,
        timeline: Option<i64>,
        server: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        match timeline {
            Some(timeline) if self.time.meet(Time { system, timeline }) => Ok(()),
            Some(_) => Err(Error::Replaced(server())),
            None if self.target().writable => Err(Error::Standby(server())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_not_the_first_again() {
        let target = Target::parse("postgres://u@a,b,c/d").unwrap();
        let way = Way::new(target).unwrap();
        assert_eq!(way.order().collect::<Vec<_>>(), [0, 1, 2]);
        // Whoever comes while one is tried begins there too.
        let trying = way.try_at(0);
        assert_eq!(way.order().next(), Some(0));
        // Nobody waited for its answer, nor for that of the next.
        drop(trying);
        assert_eq!(way.order().next(), Some(1));
        drop(way.try_at(1));
        assert_eq!(way.order().collect::<Vec<_>>(), [2, 0, 1]);
        // Somebody found one that does while another waited in vain.
        let trying = way.try_at(2);
        way.latest.store(1, Ordering::Relaxed);
        drop(trying);
        assert_eq!(way.order().next(), Some(1));
        way.latest.store(2, Ordering::Relaxed);
        // One that has failed is another matter.
        way.try_at(2).end();
        assert_eq!(way.order().next(), Some(2));
    }
}
