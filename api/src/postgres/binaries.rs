//! Where the machine keeps its Postgres binaries.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, version::MAJOR_MIN};

/// The newest major version that has a folder in the cache of `./run`.
const MAJOR_CACHED: u32 = 18;

/// A folder with a Postgres of a known version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    /// As `postgres --version` says it, such as `15.18`.
    pub(super) version: String,
    pub(super) major: u32,
}

/// Finds the folder that holds `initdb` and `postgres`: the given one, else `COREASON_POSTGRES`, else the one packed in this
/// program, else one on `PATH`, else the newest of the distribution's version folders, else the one that `./run` unpacked.
///
/// The packed one comes before the machine's own, because a program that has one is to be the same on every machine, and no
/// upgrade of the distribution takes away the version that the data needs. Where the choice is ours, only those of the
/// `wanted` major version count: a data directory opens only with the version that wrote it.
///
/// # Errors
/// `POSTGRES_NOT_FOUND` when there is none, `POSTGRES_WRONG_BINARIES` when a folder was named and holds none,
/// `POSTGRES_NOT_UNPACKED` when the packed one could not be unpacked or does not run.
pub(super) fn find(
    given: Option<&Path>,
    wanted: Option<u32>,
    data_dir: &Path,
) -> Result<Binaries, Error> {
    if let Some(named) = named(given)? {
        return Ok(named);
    }
    if let Some(packed) = packed(wanted, data_dir)? {
        return Ok(packed);
    }
    candidates()
        .into_iter()
        .filter_map(|dir| inspect(&dir).ok())
        .find(|binaries| wanted.is_none_or(|major| major == binaries.major))
        .ok_or(Error::NotFound)
}

/// Returns those of the folder that was named, if one was.
pub(super) fn named(given: Option<&Path>) -> Result<Option<Binaries>, Error> {
    let dir = given
        .map(Path::to_owned)
        .or_else(|| folder_in("COREASON_POSTGRES"));
    dir.map(|dir| inspect(&dir).map_err(|reason| Error::WrongBinaries { path: dir, reason }))
        .transpose()
}

/// Returns the Postgres in this program, unpacked, if it has one of the wanted version: below `COREASON_CACHE` where that is
/// set, else in the data directory, which is the one folder that must be there and writable anyway.
#[cfg(feature = "packed-postgres")]
fn packed(wanted: Option<u32>, data_dir: &Path) -> Result<Option<Binaries>, Error> {
    use super::packed::IN_THIS_PROGRAM;

    if wanted.is_some_and(|major| major_version(IN_THIS_PROGRAM.version) != Some(major)) {
        return Ok(None);
    }
    let parent = folder_in("COREASON_CACHE").unwrap_or_else(|| data_dir.to_owned());
    let home = IN_THIS_PROGRAM.unpacked(&parent)?;
    inspect(&home.join("bin"))
        .map(Some)
        .map_err(|reason| Error::NotUnpacked { path: home, reason })
}

#[cfg(not(feature = "packed-postgres"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
fn packed(_: Option<u32>, _: &Path) -> Result<Option<Binaries>, Error> {
    Ok(None)
}

/// The folder that a variable of the environment names; an empty one names none.
fn folder_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
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
    if let Some(dir) = folder_in("COREASON_CACHE") {
        return Some(dir);
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
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "`postgres --version` may not run: {error}; is the file system mounted `noexec`?"
            ),
            _ => format!("`postgres --version` does not run: {error}"),
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = version(&text).and_then(|version| Some((version, major_version(version)?)));
    let (version, major) = version.ok_or_else(|| {
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
        version: version.to_owned(),
        major,
    })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` and its like as `15.18`.
fn version(text: &str) -> Option<&str> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    version.split_whitespace().next()
}

/// Reads `15.18` and its like; a beta is `19beta1`.
fn major_version(version: &str) -> Option<u32> {
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
        for (text, read, major) in [
            ("postgres (PostgreSQL) 18.4\n", "18.4", 18),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                "15.18",
                15,
            ),
            ("postgres (PostgreSQL) 19beta1\n", "19beta1", 19),
        ] {
            assert_eq!(version(text), Some(read));
            assert_eq!(major_version(read), Some(major));
        }
        assert_eq!(version("bash 5.2"), None);
        assert_eq!(major_version("devel"), None);
    }

    #[test]
    fn folder_without_postgres_is_refused_with_advice() {
        let error = find(Some(Path::new("/usr/share")), None, Path::new("/nowhere")).unwrap_err();

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
