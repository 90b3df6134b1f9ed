//! Where the machine keeps its Postgres binaries.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// The oldest major version of Postgres that the engine supports.
pub(super) const MAJOR_MIN: u32 = 15;

/// The newest major version that has a folder in the cache of `./run`.
const MAJOR_CACHED: u32 = 18;

/// Returns the folder that holds `initdb` and `postgres`: the given one, else `COREASON_POSTGRES`, else one on `PATH`, else
/// the newest of the distribution's version folders, else the one that `./run` unpacked.
///
/// # Errors
/// `POSTGRES_NOT_FOUND` when there is none, `POSTGRES_WRONG_BINARIES` when a folder was named and holds none.
pub fn find_binaries(given: Option<&Path>) -> Result<PathBuf, Error> {
    find(given, None).map(|binaries| binaries.dir)
}

/// A folder with a Postgres of a known version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// Finds binaries as [`find_binaries`] does. Where the choice is ours, only those of the `wanted` major version count,
/// because a data directory opens only with the version that wrote it.
pub(super) fn find(given: Option<&Path>, wanted: Option<u32>) -> Result<Binaries, Error> {
    let named = given
        .map(Path::to_owned)
        .or_else(|| env::var_os("COREASON_POSTGRES").map(PathBuf::from));
    if let Some(dir) = named {
        return inspect(&dir).map_err(|reason| Error::WrongBinaries { path: dir, reason });
    }
    candidates()
        .into_iter()
        .filter_map(|dir| inspect(&dir).ok())
        .find(|binaries| wanted.is_none_or(|major| major == binaries.major))
        .ok_or(Error::NotFound)
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs = on_path(&path);
    dirs.extend(distribution(Path::new("/usr/lib/postgresql")));
    dirs.extend(cache().map(|cache| cache.join(format!("postgres-{MAJOR_CACHED}")).join("bin")));
    dirs
}

/// Links are followed, because Postgres finds its libraries and share files beside the real binary.
fn on_path(path: &OsStr) -> Vec<PathBuf> {
    env::split_paths(path)
        .filter_map(|dir| fs::canonicalize(dir.join("initdb")).ok())
        .filter_map(|initdb| initdb.parent().map(Path::to_owned))
        .collect()
}

/// The `bin` folders of a distribution that keeps a folder per major version, newest first.
fn distribution(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut majors: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors
        .into_iter()
        .map(|major| root.join(major.to_string()).join("bin"))
        .collect()
}

/// The cache directory of `./run`, by the same rule as `scripts/setup.sh`.
fn cache() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("COREASON_CACHE") {
        return Some(PathBuf::from(dir));
    }
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/coreason-runtime"));
    }
    env::var_os("HOME").map(|home| Path::new(&home).join(".cache/coreason-runtime"))
}

/// Says which Postgres a folder holds, or why it holds none that can be used.
fn inspect(dir: &Path) -> Result<Binaries, String> {
    if !dir.join("initdb").is_file() {
        return Err("no `initdb` there".to_owned());
    }
    let output = Command::new(dir.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|error| format!("`postgres --version` does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let major = major_version(&text).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!(
            "`postgres --version` answers {:?} {:?}",
            text.trim(),
            complaint.trim()
        )
    })?;
    if major < MAJOR_MIN {
        return Err(format!("it is version {major}"));
    }
    Ok(Binaries {
        dir: dir.to_owned(),
        major,
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` and its like; a beta says `19beta1`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split("(PostgreSQL) ").nth(1)?;
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_every_known_spelling() {
        assert_eq!(major_version("postgres (PostgreSQL) 18.4\n"), Some(18));
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_version("bash 5.2"), None);
    }

    #[test]
    fn folder_without_postgres_is_refused_with_advice() {
        let error = find_binaries(Some(Path::new("/usr/share"))).unwrap_err();

        assert_eq!(error.code(), "POSTGRES_WRONG_BINARIES");
        assert_eq!(
            error.to_string(),
            "/usr/share holds no usable Postgres binaries (no `initdb` there); name the folder that holds `initdb` and \
             `postgres` of version 15 or newer, such as /usr/lib/postgresql/15/bin"
        );
    }

    #[test]
    fn missing_postgres_is_answered_with_what_to_install() {
        assert!(
            Error::NotFound
                .to_string()
                .contains("apt-get install postgresql")
        );
    }
}
