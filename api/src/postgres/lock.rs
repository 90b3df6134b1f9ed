//! Who uses a data directory: a lock on a file in it, shared by its users, and another one for the time of a start.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::Error;

/// How often a lock is tried.
const POLL: Duration = Duration::from_millis(50);

/// After how long a wait is worth a line in the log.
const SAY_WAITING_AFTER: Duration = Duration::from_secs(2);

/// The lock of a data directory's users. Whoever has it alone may initialise the cluster or stop it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    pub(super) fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("postgres.lock");
        let file = open(&path)?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle on the same lock: it is let go with the last of them.
    pub(super) fn another(&self) -> Result<Self, Error> {
        let file = self
            .file
            .try_clone()
            .map_err(Error::io("open", &self.path))?;
        Ok(Self {
            path: self.path.clone(),
            file,
        })
    }

    /// Whether no other process uses the data directory; if so, the lock keeps others out from now on. If not, it is lost.
    pub(super) fn is_alone(&self) -> Result<bool, Error> {
        self.taken(self.file.try_lock())
    }

    /// Takes the lock with others, unless somebody has it alone.
    pub(super) fn is_shared(&self) -> Result<bool, Error> {
        self.taken(self.file.try_lock_shared())
    }

    fn taken(&self, tried: Result<(), TryLockError>) -> Result<bool, Error> {
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &self.path)(source)),
        }
    }

    /// Says where its users run, for those who come later.
    pub(super) fn say_here(&self) -> Result<(), Error> {
        let mut file = &self.file;
        let write = |file: &mut &File| {
            file.set_len(0)?;
            file.write_all(here().as_bytes())
        };
        write(&mut file).map_err(Error::io("write", &self.path))
    }

    /// Refuses where its users run on another machine, or in another container: their Postgres can't be seen from here, and a
    /// second one on the same files would destroy them.
    pub(super) fn check_here(&self) -> Result<(), Error> {
        let mut said = String::new();
        let mut file = &self.file;
        let read = |file: &mut &File, said: &mut String| {
            file.rewind()?;
            file.read_to_string(said)
        };
        // Whatever else the file says is from nobody.
        let known = read(&mut file, &mut said).is_ok() && said.starts_with(HERE);
        if known && said != here() {
            return Err(Error::UsedElsewhere {
                path: self.path.clone(),
            });
        }
        Ok(())
    }
}

/// What a line that names a place begins with.
const HERE: &str = "users run in ";

/// Names the kernel that runs this process, and the processes that it sees.
fn here() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let processes = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{HERE}{} {}\n", boot.trim(), processes.display())
}

/// The turn to look for the postmaster of a data directory, and to start one: as long as this lives, nobody else does.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Turn {
    pub(super) async fn wait(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("start.lock");
        let file = open(&path)?;
        let mut say_at = Some(Instant::now() + SAY_WAITING_AFTER);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => sleep(POLL).await,
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
            if say_at.take_if(|at| Instant::now() >= *at).is_some() {
                tracing::info!("another process is starting this Postgres; waiting for it");
            }
        }
    }
}

/// The lock of a running Postgres: its processes inherit it, so that it is theirs until the last has ended, wherever it runs and
/// whoever may see it.
#[derive(Debug)]
pub(super) struct Running(File);

impl Running {
    /// Takes the lock, for a Postgres that is about to start for example, or refuses: one that can't be seen from here, in another
    /// container for example, still works on the cluster, and two would destroy it. What ends just now gets `patience`.
    pub(super) async fn take(data_dir: &Path, patience: Duration) -> Result<Self, Error> {
        let path = data_dir.join("running.lock");
        let file = open(&path)?;
        let give_up_at = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => pause().await,
                Err(TryLockError::WouldBlock) => return Err(Error::UsedElsewhere { path }),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
    }

    pub(super) fn into_file(self) -> File {
        self.0
    }
}

/// Waits until a lock may be tried again.
pub(super) async fn pause() {
    sleep(POLL).await;
}

fn open(path: &Path) -> Result<File, Error> {
    let open: io::Result<File> = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path);
    open.map_err(Error::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_in_another_container_are_found_by_what_they_wrote() {
        let folder = std::env::temp_dir().join(format!("coreason-lock-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let lock = Lock::open(&folder).unwrap();
        lock.say_here().unwrap();
        lock.check_here().unwrap();

        for (said, refused) in [
            ("", false),
            ("garbage\0", false),
            ("users run in another-boot pid:[4026531836]\n", true),
        ] {
            fs::write(lock.path(), said).unwrap();

            let checked = lock.check_here();

            assert_eq!(checked.is_err(), refused, "{said:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
