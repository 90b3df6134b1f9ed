//! Connections to the servers of a database, encrypted or not, before anything is said on them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    time::timeout,
};

use super::{
    refusal::unanswered,
    tcp,
    tls::{Encryption, Negotiated, Refused},
};
use crate::{
    limits::CONNECT_TIMEOUT,
    store::{
        Error,
        address::{Target, host::Host},
    },
};

/// A connection to a server, before anything was said on it.
pub(in crate::store) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The servers of a database, by their places in its address.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) target: Arc<Target>,
    encryption: Option<Encryption>,
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

/// A connection to a server, and why it is not encrypted where TLS was tried in vain.
pub(super) struct Dialed {
    pub(super) wire: Box<dyn Wire>,
    pub(super) tls_failed: Option<Refused>,
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
pub(super) enum Go {
    Encrypted,
    Plain,
}

impl Servers {
    pub(super) fn new(target: Target) -> Result<Self, Error> {
        Ok(Self {
            encryption: Encryption::of(&target.tls)?,
            known: target.hosts.iter().map(|_| Known::default()).collect(),
            target: Arc::new(target),
        })
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
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

    /// Returns how a server is tried first.
    pub(super) fn tries_first(&self, n: usize) -> Go {
        if self.known[n].only_plain.load(Ordering::Relaxed) {
            Go::Plain
        } else {
            Go::Encrypted
        }
    }

    /// Says whether connections to a server are encrypted that need not be.
    pub(super) fn has_two_ways(&self, n: usize) -> bool {
        let encryption = self.encryption.as_ref();
        encryption.is_some_and(Encryption::is_optional)
            && self.known[n].encrypts.load(Ordering::Relaxed)
    }

    /// Says whether who logs in is to find out first how a server lets this user in.
    pub(super) fn may_turn(&self) -> bool {
        let only_plain = |server: &Known| server.only_plain.load(Ordering::Relaxed);
        (0..self.count()).any(|n| self.has_two_ways(n)) || self.known.iter().any(only_plain)
    }

    /// Takes note of how a server has let this user in.
    pub(super) fn note(&self, n: usize, by: Go) {
        let only_plain = matches!(by, Go::Plain);
        self.known[n]
            .only_plain
            .store(only_plain, Ordering::Relaxed);
    }

    /// Opens a connection to a server.
    pub(super) async fn dial_at(&self, n: usize, go: Go) -> Result<Dialed, Error> {
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
        let stream = tcp::reach(name, port).await?;
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
                wire: Box::new(tcp::reach_at(address).await?),
                tls_failed: Some(failed),
            }),
            Err(refused) => Err(refused),
        }
    }
}
