//! `coreason stop`: ends what runs on a data directory, whether somebody waits for it or a crash has left it.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{
    Error, Missing,
    cluster::shut_down,
    data_dir::DataDir,
    lock::{Lock, Running, pause},
    process::{holders_of, send},
};

/// How long its users may take to stop: longer than a server's own bound.
const USERS_MAX: Duration = Duration::from_mins(2);

/// How long processes of a Postgres that was not found may take to end.
const REMAINS_END: Duration = Duration::from_secs(2);

/// What was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stopped {
    /// The processes that used the data directory.
    pub users: Vec<u32>,
    /// The postmaster that ran without any.
    pub postmaster: Option<u32>,
}

/// Asks the processes that use a data directory to stop and waits until they have, which stops its Postgres; then stops one that
/// none of them has stopped, as after a crash.
///
/// # Errors
/// `NO_DATABASE` where there is none, `POSTGRES_STILL_USED` when a process does not stop.
pub async fn stop(data_dir: &Path) -> Result<Stopped, Error> {
    let data_dir = DataDir::open(data_dir, Missing::Refuse)?;
    let lock = Lock::open(data_dir.path())?;
    let mut stopped = Stopped::default();
    let give_up_at = Instant::now() + USERS_MAX;
    while !lock.is_alone()? {
        // Those elsewhere can't be seen, nor stopped.
        lock.check_here()?;
        let users = holders_of(lock.path());
        for &pid in &users {
            if !stopped.users.contains(&pid) {
                send(pid, Signal::SIGTERM).map_err(Error::io("stop the user of", lock.path()))?;
                stopped.users.push(pid);
            }
        }
        if Instant::now() >= give_up_at {
            return Err(Error::StillUsed {
                path: lock.path().to_owned(),
                pids: users,
            });
        }
        pause().await;
    }
    // Nobody begins to use it as long as this has the lock alone. What the file says is of users that are gone, before a reboot
    // for example; a Postgres that they left elsewhere shows in its own lock.
    stopped.postmaster = shut_down(&data_dir.pgdata()).await?;
    if stopped.postmaster.is_none() {
        Running::take(data_dir.path(), REMAINS_END).await?;
    }
    Ok(stopped)
}
