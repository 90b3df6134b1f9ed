//! A server, as an address names it.

use std::{fmt, net::IpAddr, path::PathBuf};

use super::parameters::{Parameters, decoded, invalid};
use crate::store::Error;

/// Where a server of Postgres listens unless told.
const PORT: u16 = 5432;

/// One server of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Tcp {
        name: String,
        port: u16,
    },
    /// The folder of its socket.
    Unix {
        folder: PathBuf,
        port: u16,
    },
}

impl Host {
    fn named(name: String, port: &str) -> Result<Self, Error> {
        let port = match port.parse() {
            Ok(port) => port,
            Err(_) if port.is_empty() => PORT,
            Err(_) => return invalid(format!("{port:?} is no port")),
        };
        Ok(if name.starts_with('/') {
            let folder = PathBuf::from(name);
            Self::Unix { folder, port }
        } else {
            Self::Tcp { name, port }
        })
    }

    /// Says whether it is on this machine, as its name says.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Unix { .. } => true,
            Self::Tcp { name, .. } => {
                name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Unix { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// Reads `a:1,b` and the parameters `host` and `port`, which stand for more of the same.
pub(super) fn parse(authority: &str, parameters: &mut Parameters) -> Result<Vec<Host>, Error> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in authority.split(',').filter(|host| !host.is_empty()) {
        // The colons of an IPv6 address stand in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, ""),
        };
        names.push(decoded(name.trim_start_matches('[').trim_end_matches(']'))?);
        ports.push(port.to_owned());
    }
    if let Some(named) = parameters.take("host") {
        names = named.split(',').map(str::to_owned).collect();
        ports.clear();
    }
    if let Some(named) = parameters.take("port") {
        ports = named.split(',').map(str::to_owned).collect();
    }
    if names.is_empty() {
        names.push("localhost".to_owned());
    }
    // One port is everybody's.
    let port_of = |n: usize| ports.get(if ports.len() == 1 { 0 } else { n });
    let hosts = names.into_iter().enumerate();
    hosts
        .map(|(n, name)| Host::named(name, port_of(n).map_or("", String::as_str)))
        .collect()
}
