//! What an address says of TLS, in libpq's words.

use std::path::{Path, PathBuf};

use super::parameters::{Parameters, invalid};
use crate::store::Error;

/// How much is asked of the connection; libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can, with whoever it is.
    Prefer,
    /// Encrypted, with whoever it is; verified by its authority where a root certificate is at hand.
    Require,
    /// Encrypted, with a server of an authority that is trusted.
    VerifyCa,
    /// The same, and it has the name by which it was called.
    VerifyFull,
}

/// What a URL says of TLS.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// Authorities that are trusted; `system` stands for those of this machine.
    pub(crate) root: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Settings {
    /// Reads what the parameters of an address say; else what libpq takes, where it is there.
    pub(super) fn take(parameters: &mut Parameters) -> Result<Self, Error> {
        let mode = match parameters.take("sslmode") {
            Some(text) => Mode::parse(&text)?,
            None => Mode::Prefer,
        };
        let mut file = |name, otherwise| {
            let named = parameters.take(name).map(PathBuf::from);
            named.or_else(|| usual(otherwise))
        };
        let settings = Self {
            mode,
            root: file("sslrootcert", "root.crt"),
            certificate: file("sslcert", "postgresql.crt"),
            key: file("sslkey", "postgresql.key"),
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        let root = self.root.as_deref();
        if root == Some(Path::new("system")) && self.mode != Mode::VerifyFull {
            return invalid(
                "sslrootcert=system trusts everybody's authorities, so it goes with sslmode=verify-full only",
            );
        }
        if root.is_none() && matches!(self.mode, Mode::VerifyCa | Mode::VerifyFull) {
            return invalid(
                "sslmode asks to verify the server, and no file says by what: add sslrootcert=FILE, or sslrootcert=system with verify-full",
            );
        }
        Ok(())
    }
}

impl Mode {
    fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => {
                return invalid(format!(
                    "sslmode={other} is none of disable, prefer, require, verify-ca, verify-full"
                ));
            }
        })
    }
}

/// Returns the file where libpq looks when none is named, if it is there.
fn usual(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    let file = Path::new(&home).join(".postgresql").join(name);
    file.exists().then_some(file)
}
