//! The way to a database of one or several servers, encrypted or not: all sessions take it, whichever library speaks on them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use super::{
    Error,
    address::{Host, Target},
    tls::{Encryption, Negotiated, Refused},
};
use crate::limits::{CONNECT_TIMEOUT, KEEPALIVE_AFTER, KEEPALIVE_EVERY, SENT_HEARD_WITHIN};

/// A connection to a server, before anything was said on it.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The way to a database.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) target: Arc<Target>,
    encryption: Option<Encryption>,
    /// Which of the servers did last.
    latest: Arc<AtomicUsize>,
    /// What is known of each server.
    known: Arc<[Known]>,
}

/// What is known of a server.
#[derive(Debug, Default)]
struct Known {
    /// A connection to it was encrypted.
    encrypts: AtomicBool,
    /// It has TLS, and lets this user in only without: that was so when somebody logged in last.
    only_plain: AtomicBool,
}

/// Whether a connection is encrypted, where its server can.
#[derive(Debug, Clone, Copy)]
enum Go {
    Encrypted,
    Plain,
}

impl Way {
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            encryption: target.tls.encryption()?,
            known: target.hosts.iter().map(|_| Known::default()).collect(),
            target: Arc::new(target),
            latest: Arc::default(),
        })
    }

    /// Says whether it takes more than a connection to one server on this machine without encryption: others are to be noticed when
    /// they are gone.
    pub(super) fn is_special(&self) -> bool {
        let hosts = &self.target.hosts;
        hosts.len() > 1
            || self
                .known
                .iter()
                .any(|server| server.encrypts.load(Ordering::Relaxed))
            || hosts.iter().any(|host| !host.is_here())
    }

    /// Opens a session on the first server that will do, beginning with the one that did last.
    pub(super) async fn log_in(&self, name: &str) -> Result<Client, Error> {
        let mut failed = None;
        for n in self.order() {
            let trying = Trying::begin(self, n);
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

    /// Opens a connection to the first server that will do, beginning with the one that did last. Where only one that takes writes
    /// will, or one lets the user in only without TLS, it is asked by a session first: whoever speaks through the connection does not ask.
    pub(super) async fn dial(&self) -> Result<Box<dyn Wire>, Error> {
        let only_plain = |server: &Known| server.only_plain.load(Ordering::Relaxed);
        if self.target.writable || self.known.iter().any(only_plain) {
            drop(self.log_in("coreason").await?);
        }
        let mut failed = None;
        for n in self.order() {
            let trying = Trying::begin(self, n);
            let tried = self.dial_at(n, self.tries_first(n)).await;
            trying.end();
            match tried {
                Ok(wire) => {
                    self.latest.store(n, Ordering::Relaxed);
                    return Ok(wire);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(Error::Silent))
    }

    /// Returns all servers once. All begin at the same one, while it does: of two that take writes, after a failover of which one knows
    /// nothing, a process must not speak to both.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.target.hosts.len();
        let first = self.latest.load(Ordering::Relaxed);
        (0..count).map(move |n| (first + n) % count)
    }

    /// Opens a session on a server. Where both ways will do, one that does not let this user in by the first is tried by the other.
    async fn log_in_at(&self, n: usize, name: &str) -> Result<Client, Error> {
        let (first, other) = match self.tries_first(n) {
            Go::Plain => (Go::Plain, Go::Encrypted),
            Go::Encrypted => (Go::Encrypted, Go::Plain),
        };
        let refused = match self.try_to_log_in_at(n, first, name).await {
            Err(Error::Driver(error)) if is_refusal(&error) && self.has_two_ways(n) => error,
            answer => return answer,
        };
        let Ok(client) = self.try_to_log_in_at(n, other, name).await else {
            return Err(refused.into());
        };
        let only_plain = matches!(other, Go::Plain);
        self.known[n]
            .only_plain
            .store(only_plain, Ordering::Relaxed);
        Ok(client)
    }

    /// Returns how a server is tried first.
    fn tries_first(&self, n: usize) -> Go {
        if self.known[n].only_plain.load(Ordering::Relaxed) {
            Go::Plain
        } else {
            Go::Encrypted
        }
    }

    /// Says whether connections to a server are encrypted that need not be.
    fn has_two_ways(&self, n: usize) -> bool {
        let encryption = self.encryption.as_ref();
        encryption.is_some_and(Encryption::is_optional)
            && self.known[n].encrypts.load(Ordering::Relaxed)
    }

    async fn try_to_log_in_at(&self, n: usize, go: Go, name: &str) -> Result<Client, Error> {
        let target = &self.target;
        let mut config = Config::new();
        config
            .user(&target.user)
            .dbname(&target.database)
            .application_name(name);
        if let Some(password) = &target.password {
            config.password(password);
        }
        if !target.options.is_empty() {
            let settings = target.options.iter();
            let settings: Vec<String> = settings
                .map(|(name, value)| format!("-c {name}={value}"))
                .collect();
            config.options(settings.join(" "));
        }
        let wire = self.dial_at(n, go).await?;
        let connected = timeout(CONNECT_TIMEOUT, config.connect_raw(wire, NoTls)).await;
        let (client, connection) = connected.map_err(|_elapsed| unanswered(&target.hosts[n]))??;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a database connection ended"
                );
            }
        });
        if target.writable {
            let asked = client.query_one("SELECT pg_is_in_recovery()", &[]);
            let standby = timeout(CONNECT_TIMEOUT, asked).await;
            let standby = standby.map_err(|_elapsed| unanswered(&target.hosts[n]))??;
            if standby.get(0) {
                return Err(Error::Standby(target.hosts[n].to_string()));
            }
        }
        Ok(client)
    }

    async fn dial_at(&self, n: usize, go: Go) -> Result<Box<dyn Wire>, Error> {
        let host = &self.target.hosts[n];
        match timeout(CONNECT_TIMEOUT, self.connect(n, go)).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(Refused::Io(error))) => Err(Error::Unreachable {
                server: host.to_string(),
                problem: error.to_string(),
            }),
            Ok(Err(refused)) => Err(Error::Tls {
                host: host.to_string(),
                source: Box::new(refused),
            }),
            Err(_elapsed) => Err(unanswered(host)),
        }
    }

    async fn connect(&self, n: usize, go: Go) -> Result<Box<dyn Wire>, Refused> {
        let (name, port) = match &self.target.hosts[n] {
            Host::Tcp { name, port } => (name, *port),
            Host::Unix { folder, port } => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                return Ok(Box::new(UnixStream::connect(socket).await?));
            }
        };
        let stream = reach(name, port).await?;
        let (Some(encryption), Go::Encrypted) = (&self.encryption, go) else {
            return Ok(Box::new(stream));
        };
        match encryption.negotiate(stream, name).await {
            Ok(Negotiated::Plain(stream)) => Ok(Box::new(stream)),
            Ok(Negotiated::Encrypted(stream)) => {
                self.known[n].encrypts.store(true, Ordering::Relaxed);
                Ok(stream)
            }
            Err(Refused::Handshake(_)) if encryption.is_optional() => {
                Ok(Box::new(reach(name, port).await?))
            }
            Err(refused) => Err(refused),
        }
    }
}

fn unanswered(host: &Host) -> Error {
    Error::Unreachable {
        server: host.to_string(),
        problem: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
    }
}

/// A server that is being tried. When that is given up, the next counts as the one to begin with: whoever has no patience left for a
/// server that says nothing goes on at another one.
struct Trying<'a> {
    latest: &'a AtomicUsize,
    next: usize,
    given_up: bool,
}

impl<'a> Trying<'a> {
    fn begin(way: &'a Way, n: usize) -> Self {
        Self {
            latest: &way.latest,
            next: (n + 1) % way.target.hosts.len(),
            given_up: true,
        }
    }

    /// It has answered, or its time is over.
    fn end(mut self) {
        self.given_up = false;
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if self.given_up {
            self.latest.store(self.next, Ordering::Relaxed);
        }
    }
}

/// Says whether a server does not let somebody in this way; a wrong password is wrong either way.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Opens a connection. Postgres's own timeouts don't end one whose way is gone: Linux ends it when nothing has come for
/// [`SENT_HEARD_WITHIN`], however often it has asked.
async fn reach(name: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(SENT_HEARD_WITHIN))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_way_that_is_gone_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = reach("127.0.0.1", port).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SENT_HEARD_WITHIN));
    }

    #[test]
    fn a_server_that_says_nothing_is_not_the_first_again() {
        let target = Target::parse("postgres://u@a,b,c/d").unwrap();
        let way = Way::new(target).unwrap();
        assert_eq!(way.order().collect::<Vec<_>>(), [0, 1, 2]);
        // Whoever comes while one is tried begins there too.
        let trying = Trying::begin(&way, 0);
        assert_eq!(way.order().next(), Some(0));
        // Nobody waited for its answer, nor for that of the next.
        drop(trying);
        assert_eq!(way.order().next(), Some(1));
        drop(Trying::begin(&way, 1));
        assert_eq!(way.order().collect::<Vec<_>>(), [2, 0, 1]);
        // One that has failed is another matter.
        Trying::begin(&way, 2).end();
        assert_eq!(way.order().next(), Some(2));
    }
}
