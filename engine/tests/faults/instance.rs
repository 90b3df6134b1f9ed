//! A Postgres of a test's own, to be stopped, killed, put back to an earlier state, or run out of disk.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, geteuid},
};
use uuid::Uuid;

use crate::support::{PATIENCE, execute};

/// A server on loopback; it ends with the test.
pub(crate) struct Instance {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    postgres: Option<Child>,
    /// Mounted below the folder.
    mounts: Vec<PathBuf>,
}

impl Instance {
    /// Makes a cluster and starts it.
    pub(crate) async fn start() -> Self {
        let mut instance = Self::folder();
        instance.init(&[]);
        instance.run().await;
        instance
    }

    /// Makes a folder for a cluster.
    pub(crate) fn folder() -> Self {
        let dir = parent().join(format!("coreason-faults-{}", Uuid::new_v4().simple()));
        fs::create_dir(&dir).unwrap();
        own(&dir);
        Self {
            dir,
            port: free_port(),
            postgres: None,
            mounts: Vec::new(),
        }
    }

    /// Makes the cluster.
    pub(crate) fn init(&self, arguments: &[&str]) {
        let data = self.data();
        let done = self
            .command("initdb")
            .args(["--username", "postgres", "--auth", "trust", "--no-sync"])
            .args(["--encoding", "UTF8", "--locale", "C", "--pgdata"])
            .arg(data)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Starts the server, and waits until it answers. What a killed one left has to end first.
    pub(crate) async fn run(&mut self) {
        let answers = async {
            while tokio_postgres::connect(&self.url(), tokio_postgres::NoTls)
                .await
                .is_err()
            {
                let ended = match &mut self.postgres {
                    Some(postgres) => postgres.try_wait().unwrap().is_some(),
                    None => true,
                };
                if ended {
                    self.postgres = Some(self.spawn());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answers)
            .await
            .expect("the server starts");
    }

    fn spawn(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        self.command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "shared_buffers=16MB"])
            // In its folder, so that what a killed one leaves goes with it.
            .args(["-c", "dynamic_shared_memory_type=mmap"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Kills the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops the server without a word to its clients; the next start recovers.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGQUIT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut postgres) = self.postgres.take() {
            let pid = Pid::from_raw(i32::try_from(postgres.id()).unwrap());
            // It may have ended by itself.
            let _ = kill(pid, signal);
            postgres.wait().unwrap();
        }
    }

    /// Copies the data of the stopped server.
    pub(crate) fn keep(&self) {
        copy(&self.data(), &self.dir.join("kept"));
    }

    /// Puts the stopped server back to the copied state.
    pub(crate) fn put_back(&self) {
        fs::remove_dir_all(self.data()).unwrap();
        copy(&self.dir.join("kept"), &self.data());
    }

    /// Has the stopped server recover as a standby does that is promoted: what it holds stays, and is of another timeline.
    pub(crate) fn promote(&self) {
        use std::io::Write as _;
        let signal = self.data().join("recovery.signal");
        fs::write(&signal, "").unwrap();
        own(&signal);
        let settings = self.data().join("postgresql.auto.conf");
        let mut settings = fs::File::options().append(true).open(settings).unwrap();
        writeln!(settings, "restore_command = 'false'").unwrap();
    }

    /// Writes a file that only the server may read, and returns its path.
    pub(crate) fn own(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
        path.display().to_string()
    }

    /// Adds settings to those of the cluster, and says who may connect.
    pub(crate) fn settle(&self, settings: &str, rules: &str) {
        use std::io::Write as _;
        let file = self.data().join("postgresql.auto.conf");
        let mut file = fs::File::options().append(true).open(file).unwrap();
        writeln!(file, "{settings}").unwrap();
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
    }

    /// Copies the data of another stopped server, as a standby that gets nothing more from it.
    pub(crate) fn become_standby_of(&self, other: &Self) {
        copy(&other.data(), &self.data());
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "").unwrap();
        own(&signal);
    }

    /// Has the stopped standby take writes from its next start on, on the timeline that it has.
    pub(crate) fn end_recovery(&self) {
        fs::remove_file(self.data().join("standby.signal")).unwrap();
    }

    /// Mounts a disk of so many bytes; `None` where that is not allowed.
    pub(crate) fn small_disk(&mut self, name: &str, bytes: u64) -> Option<PathBuf> {
        let disk = self.dir.join(name);
        fs::create_dir(&disk).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&disk)
            .output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            return None;
        }
        self.mounts.push(disk.clone());
        own(&disk);
        Some(disk)
    }

    /// Returns the URL of the database that every cluster has.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Returns the URL of a database.
    pub(crate) fn url_of(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Creates a database and returns its URL.
    pub(crate) async fn database(&self, name: &str, with: &str) -> String {
        execute(&self.url(), &format!("CREATE DATABASE {name} {with}")).await;
        self.url_of(name)
    }

    #[expect(clippy::print_stderr, reason = "why a test failed may stand there")]
    fn show_log(&self) {
        let log = fs::read_to_string(self.dir.join("log"));
        eprintln!("{}", log.unwrap_or_default());
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A command of Postgres, run by the user who may.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binaries().join(name));
        command.current_dir(&self.dir).env("LC_ALL", "C");
        if let Some(user) = unprivileged() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            self.show_log();
        }
        for disk in &self.mounts {
            let _ = Command::new("umount").arg("--lazy").arg(disk).status();
        }
        // What is left over lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Returns the folder for clusters: in memory where there is room, because a recovery flushes every file, and who is
/// killed here is a process and not the machine.
fn parent() -> PathBuf {
    const ROOM: u64 = 1 << 30;
    let memory = Path::new("/dev/shm");
    let room = nix::sys::statvfs::statvfs(memory)
        .is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() > ROOM);
    if room {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Postgres refuses to run as root.
fn unprivileged() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).ok().flatten();
    Some(named("postgres").or_else(|| named("nobody")).unwrap())
}

fn own(path: &Path) {
    if let Some(user) = unprivileged() {
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// Copies a folder with its owners and rights.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

/// Returns the folder of Postgres's binaries: `COREASON_POSTGRES`, one on `PATH`, or Debian's newest.
fn binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("COREASON_POSTGRES") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    std::env::split_paths(&path)
        .filter_map(|folder| {
            Some(
                fs::canonicalize(folder.join("initdb"))
                    .ok()?
                    .parent()?
                    .to_owned(),
            )
        })
        .chain(debian.into_iter().rev())
        .find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
        .expect("a Postgres is installed, or COREASON_POSTGRES names its binaries")
}

/// Returns a port below those that the kernel gives to outgoing connections, so that it stays free while the server is down.
fn free_port() -> u16 {
    loop {
        let [high, low, ..] = *Uuid::new_v4().as_bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 6000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
