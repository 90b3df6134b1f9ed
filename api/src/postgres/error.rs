//! Why the embedded Postgres could not be found, initialised or started.

use std::io;
use std::path::{Path, PathBuf};

/// A refusal of the embedded Postgres, with the sentence that says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no Postgres {minimum} or newer on this machine; install one (Debian, Ubuntu: `apt-get install postgresql`), start \
         through `./run`, which brings one, name its folder of binaries in COREASON_POSTGRES, or point DATABASE_URL at a \
         running server",
        minimum = super::version::MAJOR_MIN
    )]
    NotFound,

    #[error(
        "{} holds no usable Postgres binaries ({reason}); name the folder that holds `initdb` and `postgres` of version \
         {minimum} or newer, such as /usr/lib/postgresql/{minimum}/bin",
        path.display(),
        minimum = super::version::MAJOR_MIN
    )]
    WrongBinaries { path: PathBuf, reason: String },

    #[error(
        "the Postgres in this program cannot be used from {} ({reason}); name a folder that may be written and lets programs \
         run in COREASON_CACHE, or a Postgres of the machine in COREASON_POSTGRES",
        path.display()
    )]
    NotUnpacked { path: PathBuf, reason: String },

    #[error(
        "the data in {} was written by Postgres {major}, and that version is not on this machine; install it (Debian, \
         Ubuntu: `apt-get install postgresql-{major}`), name its folder of binaries in COREASON_POSTGRES, or choose another \
         data directory",
        path.display()
    )]
    WrongVersion { path: PathBuf, major: u32 },

    #[error(
        "Postgres refuses to run as root, and this machine has neither a `postgres` nor a `nobody` user to run it as; create \
         one with `useradd --system postgres`"
    )]
    NoAccount,

    #[error(
        "user `{user}`, who runs Postgres because Postgres refuses root, cannot enter {}, which lies on the way to {}; choose \
         a place outside of it (such as /var/lib/coreason), or open it with `chmod o+x {}`",
        closed.display(),
        path.display(),
        closed.display()
    )]
    ClosedFolder {
        user: String,
        path: PathBuf,
        closed: PathBuf,
    },

    #[error(
        "{} is missing, or its password is not the one of the Postgres in this data directory, so nobody can log in; put it back \
         from a backup, or move the data directory away to begin with an empty one",
        path.display()
    )]
    PasswordMissing { path: PathBuf },

    #[error(
        "{} {problem}; put the data directory back from a backup, or move it away to begin with an empty one",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        problem: &'static str,
    },

    #[error("there is no database in {}; name its data directory with --data-dir, or begin one with `coreason dev`", path.display())]
    NoDatabase { path: PathBuf },

    #[error(
        "{path:?} has a line break or another control character in it, which Postgres can't take; choose another data directory"
    )]
    UnusableName { path: PathBuf },

    #[error(
        "a process on another machine or in another container uses this data directory, as {} says, and a second Postgres on the \
         same files would destroy them; stop that one, or choose another data directory",
        path.display()
    )]
    UsedElsewhere { path: PathBuf },

    #[error(
        "{} is in use still, by {}; end what is left by hand, and stop again",
        path.display(),
        if pids.is_empty() { "processes that this user may not see".to_owned() } else { format!("{pids:?}") }
    )]
    StillUsed { path: PathBuf, pids: Vec<u32> },

    #[error("initdb failed: {output}")]
    Initdb { output: String },

    #[error("Postgres did not start: {log}; {advice}")]
    Start { log: String, advice: String },

    #[error("no free port for Postgres on 127.0.0.1 between {first} and {last}; name one")]
    NoPort { first: u16, last: u16 },

    #[error("Postgres on 127.0.0.1:{port} refused the login or the creation of its database")]
    Connect {
        port: u16,
        source: tokio_postgres::Error,
    },

    #[error("cannot {doing} {}{}", path.display(), advice(source))]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl Error {
    /// The stable code of this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "POSTGRES_NOT_FOUND",
            Self::WrongBinaries { .. } => "POSTGRES_WRONG_BINARIES",
            Self::NotUnpacked { .. } => "POSTGRES_NOT_UNPACKED",
            Self::WrongVersion { .. } => "POSTGRES_WRONG_VERSION",
            Self::NoAccount => "POSTGRES_NO_ACCOUNT",
            Self::ClosedFolder { .. } => "POSTGRES_CLOSED_FOLDER",
            Self::PasswordMissing { .. } => "POSTGRES_PASSWORD_MISSING",
            Self::Damaged { .. } => "POSTGRES_DAMAGED",
            Self::NoDatabase { .. } => "NO_DATABASE",
            Self::UnusableName { .. } => "POSTGRES_UNUSABLE_NAME",
            Self::UsedElsewhere { .. } => "POSTGRES_USED_ELSEWHERE",
            Self::StillUsed { .. } => "POSTGRES_STILL_USED",
            Self::Initdb { .. } => "POSTGRES_INITDB_FAILED",
            Self::Start { .. } => "POSTGRES_START_FAILED",
            Self::NoPort { .. } => "POSTGRES_NO_PORT",
            Self::Connect { .. } => "POSTGRES_CONNECT_FAILED",
            Self::Io { .. } => "POSTGRES_IO_FAILED",
        }
    }

    /// Wraps an I/O error with what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// What to do where the system's own words do not say it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give this user the right to, or choose another data directory with --data-dir"
        }
        io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::DirectoryNotEmpty => {
            "; something that is not of coreason is in the way: move it elsewhere, or choose another data directory with --data-dir"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        _ => "",
    }
}
