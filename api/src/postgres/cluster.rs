//! A cluster on disk: initialised once, configured at each start, and the command that starts its postmaster.

use std::env;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::account::Account;
use super::binaries::{self, Binaries};
use super::log::Log;
use super::postmaster::{Postmaster, clear_remains};
use super::settings::{self, Machine, Offered};
use super::{Error, Options};

/// The superuser of the cluster, and the name of the engine's database.
const NAME: &str = "coreason";

/// How often the lock of the data directory is tried.
const LOCK_POLL: Duration = Duration::from_millis(50);

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

/// An initialised cluster, held by a shared lock against a shutdown by another process.
#[derive(Debug)]
pub(super) struct Cluster {
    pgdata: PathBuf,
    pub(super) binaries: Binaries,
    account: Account,
    password: String,
    pub(super) log: Log,
    lock: File,
}

impl Cluster {
    /// Opens the cluster of a data directory and initialises it when there is none.
    pub(super) async fn open(options: &Options) -> Result<Self, Error> {
        let data_dir = make_data_dir(&options.data_dir)?;
        let pgdata = data_dir.join("pgdata");
        let account = Account::choose(&pgdata)?;
        account.check_reach(&data_dir)?;
        let lock_path = data_dir.join("postgres.lock");
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        let log = Log::new(&data_dir);

        let mut new = Self {
            binaries: choose_binaries(options, &data_dir, &account)?,
            pgdata,
            account,
            password: String::new(),
            log,
            lock,
        };
        new.share(&data_dir).await?;
        Ok(new)
    }

    /// Takes the shared lock. Whoever first has the lock alone initialises; nobody shares it before that is done.
    async fn share(&mut self, data_dir: &Path) -> Result<(), Error> {
        let password_path = data_dir.join("password");
        loop {
            if self.is_alone()? && !self.pgdata.exists() {
                self.initialise(data_dir, &password_path).await?;
            }
            match self.lock.try_lock_shared() {
                Ok(()) if self.pgdata.exists() => break,
                Ok(()) | Err(TryLockError::WouldBlock) => sleep(LOCK_POLL).await,
                Err(TryLockError::Error(source)) => return Err(self.lock_error(source)),
            }
        }
        self.password = read_password(&password_path)?;
        Ok(())
    }

    /// Whether no other process uses this cluster; if so, the lock keeps others out from now on.
    pub(super) fn is_alone(&self) -> Result<bool, Error> {
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(self.lock_error(source)),
        }
    }

    fn lock_error(&self, source: io::Error) -> Error {
        Error::Io {
            doing: "lock",
            path: self.pgdata.with_file_name("postgres.lock"),
            source,
        }
    }

    /// Runs initdb beside the final place and renames, so that a crash in between leaves nothing half made.
    async fn initialise(&self, data_dir: &Path, password_path: &Path) -> Result<(), Error> {
        let new = data_dir.join("pgdata.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(Error::io("remove", &new))?;
        }
        tracing::info!(data_dir = %data_dir.display(), postgres = self.binaries.major, "initialising Postgres");
        write_password(password_path).map_err(Error::io("write", password_path))?;
        self.account
            .own(password_path)
            .map_err(Error::io("hand over", password_path))?;
        fs::create_dir(&new).map_err(Error::io("create", &new))?;
        fs::set_permissions(&new, Permissions::from_mode(0o700))
            .map_err(Error::io("close", &new))?;
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
            .arg(format!("--pwfile={}", password_path.display()))
            .arg("--pgdata")
            .arg(&new);
        let output = self.output(initdb, "initdb").await?;
        if !output.status.success() {
            return Err(Error::Initdb {
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        let conf = new.join("postgresql.conf");
        append(&conf, "\ninclude_if_exists = 'coreason.conf'\n")
            .map_err(Error::io("write", &conf))?;
        fs::rename(&new, &self.pgdata).map_err(Error::io("rename", &new))?;
        // Commits are only as durable as the name of the folder they lie in.
        File::open(data_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io("sync", data_dir))
    }

    /// Adopts the running postmaster of this cluster, whatever its port, or starts one on the given port.
    pub(super) async fn launch(&self, port: u16) -> Result<Postmaster, Error> {
        if let Some(running) = Postmaster::running(&self.pgdata) {
            tracing::info!(
                pid = running.pid(),
                port = running.port(),
                "adopting the Postgres that runs already"
            );
            return Ok(running);
        }
        clear_remains(&self.pgdata)
            .map_err(Error::io("clear the remains of a crash in", &self.pgdata))?;
        self.configure().await?;
        let log = self
            .log
            .open()
            .map_err(Error::io("open", self.log.path()))?;
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(&self.pgdata);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
        ] {
            postgres.arg("-c").arg(setting);
        }
        // A group of its own, so that Ctrl-C in the terminal reaches us alone and we stop it in order.
        postgres
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        tokio::process::Command::from(postgres)
            .spawn()
            .and_then(|child| Postmaster::started(child, port, &self.pgdata))
            .map_err(Error::io("run", &self.binaries.dir.join("postgres")))
    }

    async fn configure(&self) -> Result<(), Error> {
        let mut describe = self.command("postgres");
        describe.arg("--describe-config");
        let described = self.output(describe, "postgres").await?;
        // Asking for one setting's value makes Postgres check it without starting.
        let mut probe = self.command("postgres");
        probe.arg("-D").arg(&self.pgdata).args([
            "-c",
            "wal_compression=lz4",
            "-C",
            "wal_compression",
        ]);
        let probed = self.output(probe, "postgres").await?;
        let offered = Offered {
            names: settings::names(&String::from_utf8_lossy(&described.stdout)),
            lz4: probed.status.success(),
        };

        let conf = self.pgdata.join("coreason.conf");
        fs::write(
            &conf,
            settings::render(Machine::look(&self.pgdata), &offered),
        )
        .map_err(Error::io("write", &conf))?;
        self.account
            .own(&conf)
            .map_err(Error::io("hand over", &conf))
    }

    /// Logs in and creates the engine's database when it is missing.
    pub(super) async fn create_database(&self, port: u16) -> Result<(), Error> {
        let failed = |source| Error::Connect { port, source };
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
            if known.is_some() {
                Ok(())
            } else {
                client
                    .batch_execute(&format!("CREATE DATABASE {NAME}"))
                    .await
            }
        };
        // The connection ends when `create` drops its client; its own error shows in `create` too.
        let (created, _) = tokio::join!(create, connection);
        // Another process may have created it in between, which shows in either of two ways.
        let known = [SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION];
        match created {
            Err(error) if error.code().is_some_and(|code| known.contains(code)) => Ok(()),
            other => other.map_err(failed),
        }
    }

    pub(super) fn url(&self, port: u16) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{port}/{NAME}",
            self.password
        )
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
            .output()
            .await
            .map_err(Error::io("run", &self.binaries.dir.join(name)))
    }
}

/// Makes the folder, which root leaves open for the account that runs Postgres; the cluster inside is closed to others.
fn make_data_dir(path: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(path).map_err(Error::io("create", path))?;
    fs::canonicalize(path).map_err(Error::io("resolve", path))
}

/// Chooses binaries of the version that wrote the cluster, if there is one.
fn choose_binaries(
    options: &Options,
    data_dir: &Path,
    account: &Account,
) -> Result<Binaries, Error> {
    let pgdata = data_dir.join("pgdata");
    let written_by = fs::read_to_string(pgdata.join("PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let wrong_version = |major| Error::WrongVersion {
        path: pgdata.clone(),
        major,
    };
    let mut found = binaries::find(options.bin_dir.as_deref(), written_by, data_dir).map_err(
        |error| match (written_by, error) {
            (Some(major), Error::NotFound) => wrong_version(major),
            (_, error) => error,
        },
    )?;
    if let Some(major) = written_by.filter(|&major| major != found.major) {
        return Err(wrong_version(major));
    }
    found.dir = fs::canonicalize(&found.dir).map_err(Error::io("resolve", &found.dir))?;
    account.check_reach(&found.dir)?;
    Ok(found)
}

fn write_password(path: &Path) -> io::Result<()> {
    let mut random = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let password = format!("{:032x}", u128::from_ne_bytes(random));
    if path.exists() {
        fs::remove_file(path)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()
}

fn read_password(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::PasswordMissing {
                path: path.to_owned(),
            },
            _ => Error::Io {
                doing: "read",
                path: path.to_owned(),
                source,
            },
        })
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
