//! Real servers in temporary folders, killed and brought back.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::*;

/// Longer than any start here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A data directory that its test removes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("coreason-postgres-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn options(&self) -> Options {
        Options {
            data_dir: self.0.clone(),
            bin_dir: None,
            port: None,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn ask(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

fn kill_9(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

async fn next_running(server: &Server) -> u32 {
    let mut states = server.watch();
    let died = server.pid();
    let found = timeout(
        PATIENCE,
        states.wait_for(|state| matches!(state, State::Running { pid } if *pid != died)),
    );
    let state = *found.await.unwrap().unwrap();
    let State::Running { pid } = state else {
        panic!("{state:?}")
    };
    pid
}

#[tokio::test]
async fn fresh_server_is_durable_and_listens_on_loopback_only() {
    let folder = Folder::new("fresh");
    let server = Server::start(folder.options()).await.unwrap();

    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("jit", "off"),
        ("max_connections", "100"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("server_encoding", "UTF8"),
    ] {
        let answer = ask(
            server.url(),
            &format!("SELECT current_setting('{setting}')"),
        )
        .await
        .unwrap();
        assert_eq!(answer, value, "{setting}");
    }
    assert_eq!(
        ask(server.url(), "SELECT current_database()::text")
            .await
            .unwrap(),
        "coreason"
    );
    server.stop().await.unwrap();
    assert!(!folder.0.join("pgdata/postmaster.pid").exists());
}

#[tokio::test]
async fn wrong_password_is_refused() {
    let folder = Folder::new("password");
    let server = Server::start(folder.options()).await.unwrap();
    let password = fs::read_to_string(folder.0.join("password")).unwrap();

    let stranger = ask(&server.url().replace(&password, "guess"), "SELECT 'in'").await;

    assert_eq!(stranger.unwrap_err().code().unwrap().code(), "28P01");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn killed_postmaster_comes_back_on_the_same_port_with_its_data() {
    let folder = Folder::new("killed");
    let server = Server::start(folder.options()).await.unwrap();
    execute(
        server.url(),
        "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')",
    )
    .await;
    let killed = server.pid();

    kill_9(killed);
    let pid = next_running(&server).await;

    assert_ne!(pid, killed);
    assert_eq!(
        ask(server.url(), "SELECT word FROM kept").await.unwrap(),
        "still here"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn backend_that_is_busy_when_its_postmaster_dies_does_not_hold_up_the_restart() {
    let folder = Folder::new("busy");
    let server = Server::start(folder.options()).await.unwrap();
    let url = server.url().to_owned();
    let spin = "DO $$ BEGIN LOOP END LOOP; END $$";
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let busy = tokio::spawn(async move { client.batch_execute(spin).await });
    let seen = format!(
        "SELECT count(*)::text FROM pg_stat_activity WHERE query = '{}'",
        spin.replace('\'', "''")
    );
    timeout(PATIENCE, async {
        while ask(&url, &seen).await.unwrap() == "0" {}
    })
    .await
    .unwrap();

    kill_9(server.pid());
    next_running(&server).await;

    busy.await.unwrap().unwrap_err();
    assert_eq!(ask(&url, "SELECT 'open'").await.unwrap(), "open");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn second_user_of_a_data_directory_adopts_the_server_and_the_last_one_stops_it() {
    let folder = Folder::new("shared");
    let first = Server::start(folder.options()).await.unwrap();
    let second = Server::start(folder.options()).await.unwrap();

    assert_eq!(second.pid(), first.pid());
    assert_eq!(second.url(), first.url());
    first.stop().await.unwrap();
    assert_eq!(ask(second.url(), "SELECT 'open'").await.unwrap(), "open");
    let url = second.url().to_owned();
    second.stop().await.unwrap();
    assert!(ask(&url, "SELECT 'open'").await.is_err());
}

#[tokio::test]
async fn parallel_first_starts_agree_on_one_server() {
    let folder = Folder::new("parallel");

    let (first, second) = tokio::join!(
        Server::start(folder.options()),
        Server::start(folder.options())
    );
    let (first, second) = (first.unwrap(), second.unwrap());

    assert_eq!(first.pid(), second.pid());
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

/// What the killed process of the next test does; by itself it does nothing.
#[tokio::test]
async fn process_that_holds_a_server_until_it_is_killed() {
    let Some(data_dir) = env::var_os("COREASON_TEST_HELD_DATA_DIR").map(PathBuf::from) else {
        return;
    };
    let server = Server::start(Options {
        data_dir: data_dir.clone(),
        bin_dir: None,
        port: None,
    })
    .await
    .unwrap();
    fs::write(data_dir.join("held.new"), server.pid().to_string()).unwrap();
    fs::rename(data_dir.join("held.new"), data_dir.join("held")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn server_of_a_killed_process_is_adopted_and_supervised() {
    let folder = Folder::new("orphaned");
    let mut holder = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::tests::process_that_holds_a_server_until_it_is_killed",
        ])
        .env("COREASON_TEST_HELD_DATA_DIR", &folder.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    timeout(PATIENCE, async {
        while !folder.0.join("held").exists() {
            polls.tick().await;
        }
    })
    .await
    .unwrap();
    let held: u32 = fs::read_to_string(folder.0.join("held"))
        .unwrap()
        .parse()
        .unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();

    let server = Server::start(folder.options()).await.unwrap();
    assert_eq!(server.pid(), held);
    kill_9(held);
    next_running(&server).await;
    assert_eq!(ask(server.url(), "SELECT 'open'").await.unwrap(), "open");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_is_refused_with_what_to_install() {
    let folder = Folder::new("version");
    fs::create_dir(folder.0.join("pgdata")).unwrap();
    fs::write(folder.0.join("pgdata/PG_VERSION"), "9\n").unwrap();

    let error = Server::start(folder.options()).await.unwrap_err();

    assert_eq!(error.code(), "POSTGRES_WRONG_VERSION");
    assert!(error.to_string().contains("postgresql-9"), "{error}");
}

#[tokio::test]
async fn wrong_folder_of_binaries_is_refused_before_anything_is_made() {
    let folder = Folder::new("binaries");
    let options = Options {
        bin_dir: Some(PathBuf::from("/usr/share")),
        ..folder.options()
    };

    let error = Server::start(options).await.unwrap_err();

    assert_eq!(error.code(), "POSTGRES_WRONG_BINARIES");
    assert!(!folder.0.join("pgdata").exists());
}

#[tokio::test]
async fn given_port_that_is_taken_is_reported() {
    let folder = Folder::new("taken");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    let error = Server::start(Options {
        port: Some(port),
        ..folder.options()
    })
    .await
    .unwrap_err();

    assert_eq!(error.code(), "POSTGRES_START_FAILED");
    assert!(
        error.to_string().contains("Address already in use"),
        "{error}"
    );
}

#[tokio::test]
async fn folder_closed_to_the_user_of_postgres_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = Folder::new("closed");
    let closed = folder.0.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let options = Options {
        data_dir: closed.join("data"),
        ..folder.options()
    };

    let error = Server::start(options).await.unwrap_err();

    assert_eq!(error.code(), "POSTGRES_CLOSED_FOLDER");
    let advice = format!("open it with `chmod o+x {}`", closed.display());
    assert!(error.to_string().ends_with(&advice), "{error}");
}
