//! The processes of a cluster, as `/proc` shows them.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// How the processes under a postmaster call themselves.
const BACKEND: &[u8] = b"postgres: ";

/// Sends a signal. A process that is gone already needs none.
pub(super) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    match signal::kill(process(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a process runs. A zombie, which waits for its parent to take note of its end, does not.
pub(super) fn is_alive(pid: u32) -> bool {
    signal::kill(process(pid), None) != Err(Errno::ESRCH) && !is_zombie(pid)
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its name, in brackets, may have any characters.
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// A number that is no process id becomes one that no process has.
fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// Whether the process is the postmaster of this cluster. A zombie is not.
///
/// Where it works is not told to everyone: root in a container may not be. Its command line is, and we start it with the
/// path of the cluster.
pub(super) fn is_postmaster_of(pid: u32, pgdata: &Path) -> bool {
    is_postmaster(&command_line(pid), works_in(pid), pgdata)
}

fn is_postmaster(line: &[u8], works_in: io::Result<PathBuf>, pgdata: &Path) -> bool {
    let mut words = line.split(|byte| *byte == 0);
    let program = Path::new(OsStr::from_bytes(words.next().unwrap_or_default()));
    if line.starts_with(BACKEND) || program.file_name() != Some(OsStr::new("postgres")) {
        return false;
    }
    match works_in {
        Ok(folder) => folder == pgdata,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            words.any(|word| word == pgdata.as_os_str().as_bytes())
        }
        Err(_) => false,
    }
}

/// The postmasters of this cluster: one at most, but for one that finds another there and ends.
pub(super) fn postmasters_of(pgdata: &Path) -> Vec<u32> {
    let mut pids = all();
    pids.retain(|&pid| is_postmaster_of(pid, pgdata));
    pids
}

/// The processes of this cluster that are no postmaster.
pub(super) fn backends_of(pgdata: &Path) -> Vec<u32> {
    let mut pids = all();
    pids.retain(|&pid| {
        command_line(pid).starts_with(BACKEND) && works_in(pid).is_ok_and(|at| at == pgdata)
    });
    pids
}

/// The processes that fill a folder with a new cluster: `initdb`, and the Postgres that it runs. Whoever else looks into the
/// folder is none.
pub(super) fn initialisers_of(folder: &Path) -> Vec<u32> {
    let named = folder.as_os_str().as_bytes();
    let mut pids = all();
    pids.retain(|&pid| {
        let line = command_line(pid);
        let mut words = line.split(|byte| *byte == 0);
        let program = Path::new(OsStr::from_bytes(words.next().unwrap_or_default())).file_name();
        let initialises = [Some(OsStr::new("initdb")), Some(OsStr::new("postgres"))];
        initialises.contains(&program)
            && (words.any(|word| word == named) || works_in(pid).is_ok_and(|at| at == folder))
    });
    pids
}

/// The processes that hold a lock on a file, without this one; those that this user may look at. Who has it open only, to read
/// it or to wait for its lock, is none.
pub(super) fn holders_of(file: &Path) -> Vec<u32> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let inode = fs::metadata(file).map(|found| found.ino());
    let lockers = inode.map_or_else(|_| Vec::new(), |inode| lockers(&locks, inode));
    let mut pids = all();
    pids.retain(|&pid| {
        pid != std::process::id()
            && has_open(pid, file)
            // A kernel that shows no locks at all is taken at its word for open files.
            && (lockers.is_empty() || lockers.contains(&pid))
    });
    pids
}

/// The processes that have a lock on the file of this number, as `/proc/locks` shows them: `1: FLOCK ADVISORY READ 4711 08:01:99 0 EOF`.
/// One that waits has an arrow. The device is not compared: file systems in layers show another one there.
fn lockers(locks: &str, inode: u64) -> Vec<u32> {
    let inode = inode.to_string();
    let holder = |line: &str| -> Option<u32> {
        let mut words = line.split_whitespace().skip(1);
        if words.next()? != "FLOCK" {
            return None;
        }
        let pid = words.nth(2)?.parse().ok()?;
        let file = words.next()?.rsplit(':').next()?;
        (file == inode).then_some(pid)
    };
    locks.lines().filter_map(holder).collect()
}

fn has_open(pid: u32, file: &Path) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    open.flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|path| path == file))
}

fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The words of its command line, each ended by a zero byte; nothing of one that is gone or a zombie.
fn command_line(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn works_in(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        // Nobody has taken note of its end, so its number is still its own.
        while !is_zombie(pid) {
            std::thread::yield_now();
        }
        assert!(!is_alive(pid));
        assert!(is_alive(std::process::id()));
        child.wait().unwrap();
    }

    #[test]
    fn who_has_a_lock_is_told_from_who_waits_and_from_locks_on_other_files() {
        let locks = "1: FLOCK  ADVISORY  READ 11 08:01:99 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 12 08:01:99 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 13 08:01:99 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 14 08:01:991 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 15 00:2f:99 0 EOF\n";
        assert_eq!(lockers(locks, 99), [11, 15]);
    }

    #[test]
    fn who_only_has_a_file_open_does_not_hold_its_lock() {
        let path = std::env::temp_dir().join(format!("coreason-open-{}", std::process::id()));
        let file = fs::File::create(&path).unwrap();
        let mut reader = Command::new("sleep")
            .arg("600")
            .stdin(fs::File::open(&path).unwrap())
            .spawn()
            .unwrap();
        file.lock_shared().unwrap();
        assert_eq!(holders_of(&path), Vec::<u32>::new());
        reader.kill().unwrap();
        reader.wait().unwrap();
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn postmaster_is_known_by_where_it_works_or_else_by_its_command_line() {
        let pgdata = Path::new("/d/pgdata");
        let ours = b"/bin/postgres\0-D\0/d/pgdata\0".as_slice();
        let here = || Ok(pgdata.to_owned());
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        let gone = || Err(io::ErrorKind::NotFound.into());

        assert!(is_postmaster(ours, here(), pgdata));
        assert!(is_postmaster(ours, denied(), pgdata));
        assert!(!is_postmaster(ours, gone(), pgdata));
        assert!(!is_postmaster(ours, Ok("/e/pgdata".into()), pgdata));
        assert!(!is_postmaster(b"/bin/postgres\0-D\0/e\0", denied(), pgdata));
        assert!(!is_postmaster(b"postgres: checkpointer \0", here(), pgdata));
        assert!(!is_postmaster(
            b"/bin/initdb\0-D\0/d/pgdata\0",
            here(),
            pgdata
        ));
        assert!(!is_postmaster(b"", here(), pgdata), "a zombie");
    }
}
