//! The data directory: where it is, what lies in it, and whether that is a cluster.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{Error, Missing, account::Account};

/// The superuser of the cluster, and the name of the engine's database.
pub(super) const NAME: &str = "coreason";

/// The oldest version whose clusters say it with one number.
const MAJOR_OLDEST: u32 = 9;

/// Returns the data directory for a user who names none: one that an unprivileged Postgres can enter when root starts us.
pub fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/coreason");
    }
    let share = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".local/share"));
    share
        .or_else(home)
        .unwrap_or_else(env::temp_dir)
        .join("coreason")
}

/// A data directory that is there. Its path has no links.
#[derive(Debug, Clone)]
pub(super) struct DataDir(PathBuf);

impl DataDir {
    /// Makes the folder if need be, which root leaves open for the account that runs Postgres; the cluster inside is closed to
    /// others.
    pub(super) fn open(path: &Path, missing: Missing) -> Result<Self, Error> {
        if missing == Missing::Refuse && Self(path.to_owned()).written_by()?.is_none() {
            return Err(Error::NoDatabase {
                path: path.to_owned(),
            });
        }
        check_name(path)?;
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let found = fs::canonicalize(path).map_err(Error::io("resolve", path))?;
        check_name(&found)?;
        Ok(Self(found))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The cluster.
    pub(super) fn pgdata(&self) -> PathBuf {
        self.0.join("pgdata")
    }

    /// The superuser's password, as initdb reads it.
    pub(super) fn password(&self) -> PathBuf {
        self.0.join("password")
    }

    /// The same, as psql and all that goes by libpq read it.
    pub(super) fn passfile(&self) -> PathBuf {
        self.0.join("pgpass")
    }

    /// Returns the version of Postgres that wrote the cluster; nothing where there is none yet.
    pub(super) fn written_by(&self) -> Result<Option<u32>, Error> {
        let pgdata = self.pgdata();
        match fs::metadata(&pgdata) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(found) if !found.is_dir() => return Err(damaged(&pgdata, "is no folder")),
            found => found.map_err(Error::io("look at", &pgdata))?,
        };
        let version = pgdata.join("PG_VERSION");
        let text = match fs::read(&version) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut entries = fs::read_dir(&pgdata).map_err(Error::io("read", &pgdata))?;
                return match entries.next() {
                    None => Ok(None),
                    Some(_) => Err(damaged(
                        &pgdata,
                        "holds files, but no PG_VERSION: it is no cluster of Postgres, or only a part of one",
                    )),
                };
            }
            Err(source) => return Err(Error::io("read", &version)(source)),
        };
        let major = std::str::from_utf8(&text).ok();
        let major = major.and_then(|text| text.trim().split('.').next()?.parse().ok());
        major
            .filter(|&major| major >= MAJOR_OLDEST)
            .map(Some)
            .ok_or_else(|| damaged(&version, "does not say which version of Postgres wrote it"))
    }

    /// Draws a password and writes it for initdb, which `account` runs. One that is there stays: it may be that of a cluster whose
    /// volume is not mounted.
    pub(super) fn write_password(&self, account: &Account) -> Result<(), Error> {
        let path = self.password();
        if self.known_password()?.is_none() {
            let password = draw_password().map_err(Error::io("read", Path::new("/dev/urandom")))?;
            replace(&path, &password)?;
        }
        account.own(&path).map_err(Error::io("hand over", &path))
    }

    fn known_password(&self) -> Result<Option<String>, Error> {
        let path = self.password();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", &path)(source)),
        };
        let usable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        Ok(usable.then_some(text))
    }

    /// Reads the password, and writes it for psql.
    pub(super) fn read_password(&self) -> Result<String, Error> {
        let Some(text) = self.known_password()? else {
            return Err(Error::PasswordMissing {
                path: self.password(),
            });
        };
        let line = format!("127.0.0.1:*:*:{NAME}:{text}\n");
        let passfile = self.passfile();
        if fs::read_to_string(&passfile).ok().as_deref() != Some(&line) {
            replace(&passfile, &line)?;
        }
        Ok(text)
    }
}

fn damaged(path: &Path, problem: &'static str) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        problem,
    }
}

/// Postgres writes its path into files that it reads by lines.
fn check_name(path: &Path) -> Result<(), Error> {
    if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        return Err(Error::UnusableName {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn draw_password() -> io::Result<String> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

/// Writes a file that only its owner may read, whatever was there.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("replace", path)(error));
        }
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_that_postgres_can_not_write_down_is_refused() {
        for name in ["new\nline", "carriage\rreturn", "tab\t"] {
            let path = env::temp_dir().join(name);

            let error = DataDir::open(&path, Missing::Create).unwrap_err();

            assert_eq!(error.code(), "POSTGRES_UNUSABLE_NAME");
            assert!(!path.exists());
        }
    }
}
