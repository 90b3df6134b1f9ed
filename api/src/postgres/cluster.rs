//! A cluster on disk: initialised once, configured at each start, and the command that starts its postmaster.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio_postgres::{NoTls, error::SqlState};

use super::{
    Error, Missing, Options,
    account::Account,
    binaries::{self, Binaries},
    complaint::Complaint,
    data_dir::{DataDir, NAME, replace},
    lock::{Lock, Running, Turn, pause},
    log::Log,
    postmaster::{Ended, Postmaster, clear_remains},
    process::{initialisers_of, postmasters_of, send},
    settings::{self, Machine, Offered},
};

/// How long a fast shutdown may take before an immediate one follows, which costs the next start a recovery.
pub(super) const SHUTDOWN_MAX: Duration = Duration::from_mins(1);

/// How long the processes of a Postgres that is gone, and that can't be seen from here, may take to end.
const REMAINS_END: Duration = Duration::from_secs(30);

/// What a folder is called in which a cluster is being initialised, up to a random end.
const HALF_MADE: &str = "pgdata.new";

/// Who may log in: the superuser with the password, from this machine.
const CLIENTS: &str = "# Written by coreason at each start.\n\
                       host all all 127.0.0.1/32 scram-sha-256\n";

/// An initialised cluster, held by a shared lock against a shutdown by another process. Shuts Postgres down when it is dropped
/// and no other process uses it, without waiting.
#[derive(Debug)]
pub(super) struct Cluster {
    data_dir: DataDir,
    pgdata: PathBuf,
    missing: Missing,
    pub(super) binaries: Binaries,
    account: Account,
    password: String,
    pub(super) log: Log,
    leave: Leave,
}

/// Why a postmaster is not there.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// It ended, or the one that ran already did; this is what it said.
    Ended { adopted: bool, log: String },
    /// It could not be started.
    Error(Error),
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Cluster {
    /// Opens the cluster of a data directory and initialises it when there is none.
    pub(super) async fn open(options: &Options) -> Result<Self, Error> {
        if options.missing == Missing::Create && !options.data_dir.exists() {
            // Before a folder is made that nobody will use.
            binaries::named(options.bin_dir.as_deref())?;
        }
        let data_dir = DataDir::open(&options.data_dir, options.missing)?;
        let pgdata = data_dir.pgdata();
        let account = Account::choose(&pgdata)?;
        account.check_reach(data_dir.path())?;
        let mut new = Self {
            binaries: choose_binaries(options, &data_dir, &account)?,
            log: Log::new(data_dir.path()),
            leave: Leave {
                lock: Lock::open(data_dir.path())?,
                pgdata: pgdata.clone(),
            },
            data_dir,
            pgdata,
            missing: options.missing,
            account,
            password: String::new(),
        };
        new.share().await?;
        Ok(new)
    }

    /// Takes the shared lock. Whoever first has the lock alone initialises; nobody shares it before that is done.
    async fn share(&mut self) -> Result<(), Error> {
        let lock = &self.leave.lock;
        loop {
            if lock.is_alone()? {
                if self.data_dir.written_by()?.is_none() {
                    self.initialise().await?;
                }
                lock.say_here()?;
            }
            if lock.is_shared()? && self.data_dir.written_by()?.is_some() {
                break;
            }
            pause().await;
        }
        lock.check_here()?;
        self.password = self.data_dir.read_password()?;
        Ok(())
    }

    /// Returns what ends the use of this cluster from another thread.
    pub(super) fn leave(&self) -> Result<Leave, Error> {
        Ok(Leave {
            lock: self.leave.lock.another()?,
            pgdata: self.pgdata.clone(),
        })
    }

    /// Runs initdb in a folder of its own and renames it, so that a crash in between leaves nothing half made, and an initdb that
    /// outlives us is in nobody's way.
    async fn initialise(&self) -> Result<(), Error> {
        self.clear_half_made();
        let folder = self.data_dir.path();
        let new = folder.join(format!("{HALF_MADE}-{}", uuid::Uuid::new_v4().simple()));
        tracing::info!(data_dir = %folder.display(), postgres = self.binaries.major, "initialising Postgres");
        self.data_dir.write_password(&self.account)?;
        fs::create_dir(&new).map_err(Error::io("create", &new))?;
        close(&new)?;
        self.account
            .own(&new)
            .map_err(Error::io("hand over", &new))?;

        let mut initdb = self.command("initdb");
        initdb.args([
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--auth=scram-sha-256",
            "--no-instructions",
        ]);
        initdb
            .arg(format!("--username={NAME}"))
            .arg("--pwfile")
            .arg(self.data_dir.password())
            .arg("--pgdata")
            .arg(&new);
        let output = self.output(initdb, "initdb").await?;
        if !output.status.success() {
            self.clear_half_made();
            return Err(Error::Initdb {
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        fs::rename(&new, &self.pgdata).map_err(Error::io("rename", &new))?;
        // Commits are only as durable as the name of the folder they lie in.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io("sync", folder))
    }

    /// Removes what first starts that were killed have left, and ends what still works there. Nobody else may initialise.
    fn clear_half_made(&self) {
        let entries = fs::read_dir(self.data_dir.path()).into_iter().flatten();
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(HALF_MADE) {
                continue;
            }
            let path = entry.path();
            let removed = initialisers_of(&path)
                .into_iter()
                .try_for_each(|pid| send(pid, Signal::SIGKILL))
                .and_then(|()| fs::remove_dir_all(&path));
            // It is in nobody's way.
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "the remains of a start that was killed can't be removed");
            }
        }
    }

    /// Waits for the turn, adopts the running postmaster of this cluster, whatever its port, or starts one on the given port,
    /// and returns it when it accepts connections.
    pub(super) async fn start(
        &self,
        port: impl FnOnce() -> Result<u16, Error>,
    ) -> Result<Postmaster, NotStarted> {
        let _turn = Turn::wait(self.data_dir.path()).await?;
        let offset = self.log.len();
        let mut postmaster = self.launch(port).await?;
        match postmaster.ready().await {
            Ok(()) => Ok(postmaster),
            Err(Ended) => Err(NotStarted::Ended {
                adopted: postmaster.is_adopted(),
                log: self.log.since(offset),
            }),
        }
    }

    async fn launch(&self, port: impl FnOnce() -> Result<u16, Error>) -> Result<Postmaster, Error> {
        let found = Postmaster::find(&self.pgdata, SHUTDOWN_MAX).await;
        if let Some(running) = found.map_err(Error::io("look for the Postgres of", &self.pgdata))? {
            tracing::info!(
                pid = running.pid(),
                port = running.port(),
                "adopting the Postgres that runs already"
            );
            return Ok(running);
        }
        clear_remains(&self.pgdata)
            .await
            .map_err(Error::io("clear the remains of a crash in", &self.pgdata))?;
        let running = Running::take(self.data_dir.path(), REMAINS_END).await?;
        close(&self.pgdata)?;
        self.configure().await?;
        let log = self
            .log
            .open()
            .map_err(Error::io("open", self.log.path()))?;
        let port = port()?;
        let mut postgres = self.server();
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
        ] {
            postgres.arg("-c").arg(setting);
        }
        // A group of its own, so that Ctrl-C in the terminal reaches us alone and we stop it in order.
        // It reads nothing, but it and all its processes have the lock for as long as they live.
        postgres
            .stdin(running.into_file())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        tokio::process::Command::from(postgres)
            .spawn()
            .and_then(|child| Postmaster::started(child, port, &self.pgdata))
            .map_err(Error::io("run", &self.binaries.dir.join("postgres")))
    }

    /// The server, with files of settings that we write ourselves: those of initdb may be lost or damaged and nobody cares.
    fn server(&self) -> Command {
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(&self.pgdata);
        for (setting, path) in [
            ("config_file=", self.settings()),
            ("hba_file=", self.clients()),
        ] {
            let mut setting = OsString::from(setting);
            setting.push(path);
            postgres.arg("-c").arg(setting);
        }
        postgres
    }

    fn settings(&self) -> PathBuf {
        self.pgdata.join("coreason.conf")
    }

    fn clients(&self) -> PathBuf {
        self.pgdata.join("coreason_hba.conf")
    }

    async fn configure(&self) -> Result<(), Error> {
        self.write(&self.clients(), CLIENTS)?;
        // What is asked here reads it too.
        self.write(&self.settings(), "")?;
        let mut describe = self.command("postgres");
        describe.arg("--describe-config");
        let described = self.output(describe, "postgres").await?;
        // Asking for one setting's value makes Postgres check it without starting.
        let mut probe = self.server();
        probe.args(["-c", "wal_compression=lz4", "-C", "wal_compression"]);
        let probed = self.output(probe, "postgres").await?;
        let offered = Offered {
            names: settings::names(&String::from_utf8_lossy(&described.stdout)),
            lz4: probed.status.success(),
        };
        let text = settings::render(Machine::look(&self.pgdata), &offered);
        self.write(&self.settings(), &text)
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        replace(path, text)?;
        self.account.own(path).map_err(Error::io("hand over", path))
    }

    /// Logs in, and creates the engine's database when it is missing, if it may be made.
    pub(super) async fn ensure_database(&self, port: u16) -> Result<(), Error> {
        let failed = |source: tokio_postgres::Error| {
            if source.code() == Some(&SqlState::INVALID_PASSWORD) {
                return Error::PasswordMissing {
                    path: self.data_dir.password(),
                };
            }
            Error::Connect { port, source }
        };
        let (client, connection) = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(port)
            .user(NAME)
            .password(&self.password)
            .dbname("postgres")
            .connect(NoTls)
            .await
            .map_err(failed)?;
        let create = async move {
            let known = client
                .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&NAME])
                .await?;
            if known.is_none() && self.missing == Missing::Create {
                let create = format!("CREATE DATABASE {NAME}");
                client.batch_execute(&create).await?;
            }
            Ok::<_, tokio_postgres::Error>(known.is_some() || self.missing == Missing::Create)
        };
        // The connection ends when `create` drops its client; its own error shows in `create` too.
        let (created, _) = tokio::join!(create, connection);
        // Another process may have created it in between, which shows in either of two ways.
        let known = [SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION];
        match created {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NoDatabase {
                path: self.data_dir.path().to_owned(),
            }),
            Err(error) if error.code().is_some_and(|code| known.contains(code)) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn url(&self, port: u16) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{port}/{NAME}",
            self.password
        )
    }

    /// The same without the password, which libpq finds in a file.
    pub(super) fn url_with_passfile(&self, port: u16) -> String {
        let passfile = percent_encoded(&self.data_dir.passfile());
        format!("postgres://{NAME}@127.0.0.1:{port}/{NAME}?passfile={passfile}")
    }

    /// What to do about what Postgres complains of.
    pub(super) fn complaint(&self, log: &str) -> Error {
        Complaint::of(log).error(&self.pgdata, &self.account.name())
    }

    /// Shuts Postgres down, unless another process uses it: then it is left to that one.
    pub(super) async fn shut_down(self) -> Result<(), Error> {
        if !self.leave.lock.is_alone()? {
            tracing::info!("another process uses this Postgres; leaving it running");
            return Ok(());
        }
        shut_down(&self.pgdata).await.map(drop)
    }

    /// A command of this Postgres, run as its account, from a folder that everyone may enter.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.dir.join(name));
        command.current_dir("/").env("LC_ALL", "C");
        self.account.run(&mut command);
        command
    }

    async fn output(&self, mut command: Command, name: &str) -> Result<Output, Error> {
        command.stdin(Stdio::null());
        tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(Error::io("run", &self.binaries.dir.join(name)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.leave.now();
    }
}

/// The end of a cluster's use, without waiting.
#[derive(Debug)]
pub(super) struct Leave {
    lock: Lock,
    pgdata: PathBuf,
}

impl Leave {
    /// Tells Postgres to shut down, unless another process uses it. Says nothing to one that has ended.
    pub(super) fn now(&self) {
        if self.lock.is_alone().unwrap_or(false) {
            for pid in postmasters_of(&self.pgdata) {
                let _ = send(pid, Signal::SIGINT);
            }
        }
    }
}

/// Shuts down the postmaster of a cluster that nobody uses, and returns its process id if one ran.
pub(super) async fn shut_down(pgdata: &Path) -> Result<Option<u32>, Error> {
    let find = async {
        let Some(mut postmaster) = Postmaster::find(pgdata, SHUTDOWN_MAX).await? else {
            return Ok(None);
        };
        postmaster.shut_down(SHUTDOWN_MAX).await?;
        Ok(Some(postmaster.pid()))
    };
    find.await
        .map_err(Error::io("stop the Postgres of", pgdata))
}

/// Closes a folder to everyone else: Postgres refuses one that is open.
fn close(folder: &Path) -> Result<(), Error> {
    let found = fs::metadata(folder).map_err(Error::io("look at", folder))?;
    let open_to_others = found.permissions().mode() & 0o077;
    if open_to_others == 0 {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(Error::io("close", folder))
}

/// Chooses binaries of the version that wrote the cluster, if there is one.
fn choose_binaries(
    options: &Options,
    data_dir: &DataDir,
    account: &Account,
) -> Result<Binaries, Error> {
    let written_by = data_dir.written_by()?;
    let wrong_version = |major| Error::WrongVersion {
        path: data_dir.pgdata(),
        major,
    };
    let mut found = binaries::find(options.bin_dir.as_deref(), written_by, data_dir.path())
        .map_err(|error| match (written_by, error) {
            (Some(major), Error::NotFound) => wrong_version(major),
            (_, error) => error,
        })?;
    if let Some(major) = written_by.filter(|&major| major != found.major) {
        return Err(wrong_version(major));
    }
    found.dir = fs::canonicalize(&found.dir).map_err(Error::io("resolve", &found.dir))?;
    account.check_reach(&found.dir)?;
    Ok(found)
}

fn percent_encoded(path: &Path) -> String {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};

    let mut text = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // A string takes whatever is written.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_in_a_url_has_nothing_that_a_shell_or_libpq_would_read() {
        let path = Path::new("/it's a/50%/ü&x=1");

        assert_eq!(percent_encoded(path), "/it%27s%20a/50%25/%C3%BC%26x%3D1");
    }
}
