//! The way to a database of one or several servers, encrypted or not: all sessions take it, whichever library speaks on them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
    time::{sleep, timeout},
};
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use super::{
    Error,
    address::Target,
    failover::{Latest, TIME, Time},
    host::Host,
    tls::{Encryption, Negotiated, Refused},
};
use crate::{
    cause::innermost,
    limits::{CONNECT_TIMEOUT, KEEPALIVE_AFTER, KEEPALIVE_EVERY, MEET_MAX, SENT_HEARD_WITHIN},
};

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
    /// Which time of the database the sessions speak to, where it may be at another server tomorrow.
    pub(super) time: Latest,
}

/// What is known of a server.
#[derive(Debug, Default)]
struct Known {
    /// A connection to it was encrypted.
    encrypts: AtomicBool,
    /// It has TLS, and lets this user in only without: that was so when somebody logged in last.
    only_plain: AtomicBool,
}

/// A connection to a server, and why it is not encrypted where TLS was tried in vain.
struct Dialed {
    wire: Box<dyn Wire>,
    tls_failed: Option<Refused>,
}

impl Dialed {
    fn new(wire: impl Wire + 'static) -> Self {
        Self {
            wire: Box::new(wire),
            tls_failed: None,
        }
    }
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
            time: Latest::default(),
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

    /// Says whether a session is asked which time of the database its server has: a name or an address may lead to another one tomorrow.
    pub(super) fn asks(&self) -> bool {
        let mut hosts = self.target.hosts.iter();
        hosts.any(|host| matches!(host, Host::Tcp { .. }))
    }

    /// Meets all servers once, if there are several and they answer soon: which one is the latest is to be known before anything is done
    /// at one of them.
    pub(super) async fn meet_all(&self) {
        let count = self.target.hosts.len();
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

    /// Opens a connection to the server that will do. Which of several that is, and whether it lets the user in with TLS or only without, a
    /// session finds out first: whoever speaks through the connection tries no other one.
    pub(super) async fn dial(&self) -> Result<Box<dyn Wire>, Error> {
        let only_plain = |server: &Known| server.only_plain.load(Ordering::Relaxed);
        let may_turn = (0..self.target.hosts.len()).any(|n| self.has_two_ways(n));
        if self.target.hosts.len() > 1 || may_turn || self.known.iter().any(only_plain) {
            drop(self.log_in("coreason").await?);
        }
        let n = self.latest.load(Ordering::Relaxed);
        let trying = Trying::begin(self, n);
        let dialed = self.dial_at(n, self.tries_first(n)).await;
        trying.end();
        Ok(dialed?.wire)
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
        let client = match self.try_to_log_in_at(n, other, name).await {
            Ok(client) => client,
            // It says more than the first one.
            Err(error @ Error::Refused { .. }) => return Err(error),
            Err(_) => return Err(refused.into()),
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
        if let Ok(password) = &target.password {
            config.password(&password.text);
        }
        let options = target.startup_options();
        if !options.is_empty() {
            config.options(options);
        }
        let Dialed { wire, tls_failed } = self.dial_at(n, go).await?;
        let connected = timeout(CONNECT_TIMEOUT, config.connect_raw(wire, NoTls)).await;
        let connected = connected.map_err(|_elapsed| unanswered(&target.hosts[n]))?;
        let (client, connection) = connected.map_err(|error| match tls_failed {
            Some(tls) if is_refusal(&error) => refused_without_tls(&target.hosts[n], &error, &tls),
            _ => match &target.password {
                Err(missing) if is_password_missing(&error) => Error::Refused {
                    server: target.hosts[n].to_string(),
                    problem: format!("it asks for a password, and {missing}"),
                },
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
            let row = asked.map_err(|_elapsed| unanswered(&target.hosts[n]))??;
            self.judge(row.get(0), row.get(1), || target.hosts[n].to_string())?;
        }
        Ok(client)
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
            None if self.target.writable => Err(Error::Standby(server())),
            None => Ok(()),
        }
    }

    async fn dial_at(&self, n: usize, go: Go) -> Result<Dialed, Error> {
        let host = &self.target.hosts[n];
        match timeout(CONNECT_TIMEOUT, self.connect(n, go)).await {
            Ok(Ok(dialed)) => Ok(dialed),
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

    async fn connect(&self, n: usize, go: Go) -> Result<Dialed, Refused> {
        let (name, port) = match &self.target.hosts[n] {
            Host::Tcp { name, port } => (name, *port),
            Host::Unix { folder, port } => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                return Ok(Dialed::new(UnixStream::connect(socket).await?));
            }
        };
        let stream = reach(name, port).await?;
        let (Some(encryption), Go::Encrypted) = (&self.encryption, go) else {
            return Ok(Dialed::new(stream));
        };
        let address = stream.peer_addr()?;
        match encryption.negotiate(stream, name).await {
            Ok(Negotiated::Plain(stream)) => Ok(Dialed::new(stream)),
            Ok(Negotiated::Encrypted(stream)) => {
                self.known[n].encrypts.store(true, Ordering::Relaxed);
                Ok(Dialed::new(stream))
            }
            Err(failed @ Refused::Handshake(_)) if encryption.is_optional() => Ok(Dialed {
                wire: Box::new(reach_at(address).await?),
                tls_failed: Some(failed),
            }),
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
    this: usize,
    next: usize,
    given_up: bool,
}

impl<'a> Trying<'a> {
    fn begin(way: &'a Way, n: usize) -> Self {
        Self {
            latest: &way.latest,
            this: n,
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
            // Unless another one has found one that does.
            let (this, next) = (self.this, self.next);
            let _ = self
                .latest
                .compare_exchange(this, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Tells why TLS failed beside what the server says of a login without it.
fn refused_without_tls(host: &Host, refusal: &tokio_postgres::Error, tls: &Refused) -> Error {
    let refusal = match refusal.as_db_error() {
        Some(told) => told.message().to_owned(),
        None => innermost(refusal),
    };
    Error::Refused {
        server: host.to_string(),
        problem: format!("{refusal} ({tls}: {})", innermost(tls)),
    }
}

/// Says whether a server does not let somebody in this way; a wrong password is wrong either way.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Says whether a server asked for a password and got none. The library says so itself, without a code.
fn is_password_missing(error: &tokio_postgres::Error) -> bool {
    error.code().is_none() && innermost(error) == "password missing"
}

/// Opens a connection to an address of a name.
async fn reach(name: &str, port: u16) -> std::io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((name, port)).await?.collect();
    first_of(&addresses, reach_at).await
}

/// Connects to the first of these addresses that answers. Each has its share of [`CONNECT_TIMEOUT`], so that one that is silent leaves
/// time for the others.
async fn first_of<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> std::io::Result<T>
where
    F: Future<Output = std::io::Result<T>>,
{
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let share = CONNECT_TIMEOUT / count.max(1);
    let mut failed = None;
    for address in addresses {
        let error = match timeout(share, connect(*address)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => error,
            Err(_elapsed) => {
                let problem = format!("{address} gives no answer within {share:?}");
                std::io::Error::new(std::io::ErrorKind::TimedOut, problem)
            }
        };
        failed.get_or_insert(error);
    }
    Err(failed.unwrap_or_else(|| std::io::Error::other("its name has no address")))
}

/// Opens a connection. Postgres's own timeouts don't end one whose way is gone: Linux ends it when nothing has come for
/// [`SENT_HEARD_WITHIN`], however often it has asked.
async fn reach_at(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
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

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_leaves_time_for_the_next() {
        let addresses: [SocketAddr; 3] =
            ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(|address| address.parse().unwrap());
        let connect = |answers: Option<SocketAddr>| {
            move |address| async move {
                if address == addresses[0] {
                    std::future::pending::<()>().await;
                }
                if answers == Some(address) {
                    return Ok(address);
                }
                Err(std::io::Error::other("it refuses"))
            }
        };
        let last = addresses[2];
        let reached = timeout(CONNECT_TIMEOUT, first_of(&addresses, connect(Some(last)))).await;
        assert_eq!(reached.unwrap().unwrap(), last);
        let none = timeout(CONNECT_TIMEOUT, first_of(&addresses, connect(None))).await;
        let told = none.unwrap().unwrap_err().to_string();
        assert!(told.starts_with("192.0.2.1:1 gives no answer"), "{told}");
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
        // Somebody found one that does while another waited in vain.
        let trying = Trying::begin(&way, 2);
        way.latest.store(1, Ordering::Relaxed);
        drop(trying);
        assert_eq!(way.order().next(), Some(1));
        way.latest.store(2, Ordering::Relaxed);
        // One that has failed is another matter.
        Trying::begin(&way, 2).end();
        assert_eq!(way.order().next(), Some(2));
    }
}
