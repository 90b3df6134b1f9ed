//! A server, as an address names it.

use std::{fmt, net::IpAddr, path::PathBuf};

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
