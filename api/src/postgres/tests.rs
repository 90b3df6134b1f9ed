//! Real servers in temporary folders, killed and brought back.

use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
            missing: Missing::Create,
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
        missing: Missing::Create,
        bin_dir: None,
        port: None,
    })
    .await
    .unwrap();
    fs::write(data_dir.join("held.new"), server.pid().to_string()).unwrap();
    fs::rename(data_dir.join("held.new"), data_dir.join("held")).unwrap();
    std::future::pending::<()>().await;
}

/// Starts a process that holds a server, and returns it with the postmaster's process id.
async fn holder(folder: &Folder) -> (Child, u32) {
    let holder = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "postgres::tests::process_that_holds_a_server_until_it_is_killed",
        ])
        .env("COREASON_TEST_HELD_DATA_DIR", &folder.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(|| folder.0.join("held").exists()).await;
    let held = fs::read_to_string(folder.0.join("held")).unwrap();
    (holder, held.parse().unwrap())
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    let mut polls = tokio::time::interval(Duration::from_millis(20));
    timeout(PATIENCE, async {
        while !so() {
            polls.tick().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn server_of_a_killed_process_is_adopted_and_supervised() {
    let folder = Folder::new("orphaned");
    let (mut holder, held) = holder(&folder).await;
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

impl Folder {
    fn pgdata(&self, file: &str) -> PathBuf {
        self.0.join("pgdata").join(file)
    }

    /// Whether a postmaster works here.
    fn runs(&self) -> bool {
        let pgdata = fs::canonicalize(&self.0).unwrap().join("pgdata");
        !process::postmasters_of(&pgdata).is_empty()
    }
}

/// Puts a file of nobody's in a place.
fn in_the_way(path: &Path) {
    let _ = fs::remove_file(path);
    fs::create_dir(path).unwrap();
}

#[tokio::test]
async fn remains_and_lost_files_of_settings_are_in_no_starts_way() {
    type Damage = fn(&Folder);
    let damages: [(&str, Damage); 12] = [
        ("an empty postmaster.pid", |f| {
            fs::write(f.pgdata("postmaster.pid"), "").unwrap();
        }),
        ("a postmaster.pid of zeros", |f| {
            fs::write(f.pgdata("postmaster.pid"), [0; 90]).unwrap();
        }),
        ("a postmaster.pid of garbage", |f| {
            fs::write(f.pgdata("postmaster.pid"), "garbage\n").unwrap();
        }),
        ("a stranger's number", |f| {
            fs::write(
                f.pgdata("postmaster.pid"),
                format!("{}\n", std::process::id()),
            )
            .unwrap();
        }),
        ("a folder as postmaster.pid", |f| {
            in_the_way(&f.pgdata("postmaster.pid"));
        }),
        ("a folder as postmaster.opts", |f| {
            in_the_way(&f.pgdata("postmaster.opts"));
        }),
        ("no postgresql.conf", |f| {
            fs::remove_file(f.pgdata("postgresql.conf")).unwrap();
        }),
        ("an empty pg_hba.conf", |f| {
            fs::write(f.pgdata("pg_hba.conf"), "").unwrap();
        }),
        ("no pg_ident.conf", |f| {
            fs::remove_file(f.pgdata("pg_ident.conf")).unwrap();
        }),
        ("a damaged coreason.conf", |f| {
            fs::write(f.pgdata("coreason.conf"), "\0fsync = off").unwrap();
        }),
        ("an open folder", |f| {
            fs::set_permissions(f.pgdata(""), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("garbage as lock and passfile", |f| {
            fs::write(f.0.join("postgres.lock"), "\0garbage").unwrap();
            fs::write(f.0.join("pgpass"), "garbage").unwrap();
        }),
    ];
    let folder = Folder::new("remains");
    let server = Server::start(folder.options()).await.unwrap();
    execute(
        server.url(),
        "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')",
    )
    .await;
    server.stop().await.unwrap();

    for (name, damage) in damages {
        damage(&folder);

        let server = Server::start(folder.options()).await;

        let server = server.unwrap_or_else(|error| panic!("{name}: {error}"));
        let kept = ask(server.url(), "SELECT word FROM kept").await.unwrap();
        assert_eq!(kept, "still here", "{name}");
        assert_eq!(
            ask(server.url(), "SHOW fsync").await.unwrap(),
            "on",
            "{name}"
        );
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn damage_is_named_with_what_to_do_and_nothing_is_lost() {
    const BACKUP: &str = "from a backup";
    let damages: [(&str, &str, &str, &str); 9] = [
        ("pgdata/PG_VERSION", "", "POSTGRES_DAMAGED", BACKUP),
        ("pgdata/PG_VERSION", "1", "POSTGRES_DAMAGED", BACKUP),
        ("pgdata/PG_VERSION", "\0\0\0", "POSTGRES_DAMAGED", BACKUP),
        (
            "pgdata/global/pg_control",
            "",
            "POSTGRES_START_FAILED",
            BACKUP,
        ),
        (
            "pgdata/global/pg_control",
            "garbage",
            "POSTGRES_START_FAILED",
            BACKUP,
        ),
        (
            "pgdata/postgresql.auto.conf",
            "garbage\n",
            "POSTGRES_START_FAILED",
            "ALTER SYSTEM",
        ),
        ("password", "", "POSTGRES_PASSWORD_MISSING", BACKUP),
        ("password", "guess", "POSTGRES_PASSWORD_MISSING", BACKUP),
        (
            "password",
            "\0\u{fffd}",
            "POSTGRES_PASSWORD_MISSING",
            BACKUP,
        ),
    ];
    let folder = Folder::new("damaged");
    Server::start(folder.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();

    for (file, text, code, advice) in damages {
        let path = folder.0.join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();

        let error = Server::start(folder.options()).await.unwrap_err();

        assert_eq!(error.code(), code, "{file} {text:?}: {error}");
        assert!(
            error.to_string().contains(advice),
            "{file} {text:?}: {error}"
        );
        fs::write(&path, whole).unwrap();
    }
    for file in [
        "password",
        "pgdata/PG_VERSION",
        "postgres.lock",
        "start.lock",
        "pgdata",
    ] {
        let (path, aside) = (folder.0.join(file), folder.0.join("aside"));
        fs::rename(&path, &aside).unwrap();
        if file == "pgdata" {
            fs::write(&path, "a file").unwrap();
        } else {
            fs::create_dir(&path).unwrap();
        }

        let error = Server::start(folder.options()).await.unwrap_err();

        assert!(
            error.to_string().contains(';'),
            "{file} as a folder has no advice: {error}"
        );
        fs::remove_dir(&path)
            .or_else(|_| fs::remove_file(&path))
            .unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    Server::start(folder.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn folder_that_is_empty_gets_a_cluster_and_one_with_other_files_does_not() {
    let folder = Folder::new("foreign");
    fs::create_dir(folder.pgdata("")).unwrap();
    fs::write(folder.pgdata("diary"), "dear").unwrap();

    let error = Server::start(folder.options()).await.unwrap_err();

    assert_eq!(error.code(), "POSTGRES_DAMAGED");
    assert_eq!(fs::read_to_string(folder.pgdata("diary")).unwrap(), "dear");
    fs::remove_file(folder.pgdata("diary")).unwrap();
    Server::start(folder.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn path_may_have_any_characters_but_control_characters() {
    let folder = Folder::new("names");
    let odd = std::ffi::OsStr::from_bytes(b"it's 50% \"odd\" \\ \xff \xc3\xbc #$&");
    let options = Options {
        data_dir: folder.0.join(odd),
        ..folder.options()
    };

    let server = Server::start(options.clone()).await.unwrap();
    let second = Server::start(options).await.unwrap();

    assert_eq!(server.pid(), second.pid());
    second.stop().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn first_start_that_was_killed_half_way_is_in_no_starts_way() {
    let folder = Folder::new("half");
    let half = |folder: &Folder| {
        let names = fs::read_dir(&folder.0).unwrap().flatten();
        names
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with("pgdata.new")
            })
            .count()
    };
    {
        let starting = Server::start(folder.options());
        tokio::pin!(starting);
        tokio::select! {
            _ = &mut starting => panic!("initdb takes longer than this"),
            () = until(|| half(&folder) > 0) => {}
        }
    }
    // And one whose initdb goes on, as nobody has ended it.
    let orphaned = fs::canonicalize(&folder.0)
        .unwrap()
        .join("pgdata.new-orphaned");
    fs::create_dir(&orphaned).unwrap();
    let named = |name: &str| {
        let sleep = format!("exec -a {name} sleep 600");
        let mut command = Command::new("bash");
        command.arg("-c").arg(sleep).current_dir(&orphaned);
        command.spawn().unwrap()
    };
    let mut orphan = named("/bin/initdb");
    // Somebody who only looks.
    let mut stranger = named("less");
    let line = |child: &Child| fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    until(|| {
        [&orphan, &stranger]
            .iter()
            .all(|child| line(child).ends_with(b"\x00600\x00"))
    })
    .await;

    let server = Server::start(folder.options()).await.unwrap();

    assert_eq!(half(&folder), 0);
    assert!(!orphan.wait().unwrap().success(), "it was ended");
    assert_eq!(stranger.try_wait().unwrap(), None, "it was not");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn start_that_is_stopped_leaves_nothing_running() {
    let folder = Folder::new("stopped");
    Server::start(folder.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();

    let stopped = until(|| folder.runs());
    let server = Server::start_unless(folder.options(), stopped)
        .await
        .unwrap();

    // It may have been ready before anybody saw that it runs.
    if let Some(server) = server {
        server.stop().await.unwrap();
    }
    assert!(!folder.runs());
}

#[tokio::test]
async fn server_that_is_dropped_shuts_postgres_down() {
    let folder = Folder::new("dropped");
    let server = Server::start(folder.options()).await.unwrap();

    drop(server);

    until(|| !folder.runs()).await;
}

#[tokio::test]
async fn stop_ends_what_a_crash_has_left_and_what_still_uses_it() {
    let folder = Folder::new("stop");
    let (mut crashed, left) = holder(&folder).await;
    crashed.kill().unwrap();
    crashed.wait().unwrap();

    let stopped = stop(&folder.0).await.unwrap();

    let of = |users, postmaster| Stopped { users, postmaster };
    assert_eq!(stopped, of(vec![], Some(left)));
    assert!(!folder.runs());
    assert_eq!(stop(&folder.0).await.unwrap(), Stopped::default());

    fs::remove_file(folder.0.join("held")).unwrap();
    let (mut user, _) = holder(&folder).await;
    let id = user.id();
    let (stopped, _) = tokio::join!(stop(&folder.0), async {
        tokio::task::spawn_blocking(move || user.wait()).await
    });
    assert_eq!(stopped.unwrap().users, [id]);
    assert!(!folder.runs());
}

#[tokio::test]
async fn what_only_reads_or_stops_makes_no_database() {
    let folder = Folder::new("typing-error");
    let options = Options {
        data_dir: folder.0.join("typing/error"),
        missing: Missing::Refuse,
        ..folder.options()
    };

    let started = Server::start(options).await.unwrap_err();
    let stopped = stop(&folder.0.join("typing/error")).await.unwrap_err();

    assert_eq!(
        (started.code(), stopped.code()),
        ("NO_DATABASE", "NO_DATABASE")
    );
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[tokio::test]
async fn password_is_in_a_file_for_psql_and_not_in_the_url_for_humans() {
    let folder = Folder::new("passfile");
    let server = Server::start(folder.options()).await.unwrap();
    let password = fs::read_to_string(folder.0.join("password")).unwrap();

    assert!(!server.url_with_passfile().contains(&password));
    let mode = fs::metadata(folder.0.join("pgpass"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Where there is one: the packed Postgres has none.
    let psql = Command::new("psql")
        .args(["-XAtc", "SELECT 'in'", server.url_with_passfile()])
        .output();
    if let Ok(psql) = psql {
        assert_eq!(String::from_utf8_lossy(&psql.stdout), "in\n", "{psql:?}");
    }
    // What is printed for people is taken from them.
    engine::Engine::reach(server.url_with_passfile())
        .await
        .unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn postgres_itself_keeps_a_second_one_away_that_does_not_see_it() {
    let folder = Folder::new("unseen");
    let server = Server::start(folder.options()).await.unwrap();
    let lock = || fs::File::open(folder.0.join("running.lock")).unwrap();

    assert!(lock().try_lock().is_err(), "Postgres has it");

    server.stop().await.unwrap();
    until(|| lock().try_lock().is_ok()).await;
}

#[tokio::test]
async fn stop_works_after_a_reboot_and_refuses_what_runs_elsewhere() {
    let folder = Folder::new("rebooted");
    Server::start(folder.options())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    // What the users wrote before the machine went down.
    let said = "users run in another-boot pid:[4026531836]\n";
    fs::write(folder.0.join("postgres.lock"), said).unwrap();

    assert_eq!(stop(&folder.0).await.unwrap(), Stopped::default());

    let elsewhere = fs::File::open(folder.0.join("running.lock")).unwrap();
    elsewhere.lock().unwrap();
    let refused = stop(&folder.0).await.unwrap_err();
    assert_eq!(refused.code(), "POSTGRES_USED_ELSEWHERE");
}

#[tokio::test]
async fn first_start_keeps_the_password_of_a_cluster_that_is_not_mounted() {
    let folder = Folder::new("unmounted");
    fs::write(folder.0.join("password"), "ofAnotherCluster1\n").unwrap();

    let server = Server::start(folder.options()).await.unwrap();

    let password = fs::read_to_string(folder.0.join("password")).unwrap();
    assert_eq!(password, "ofAnotherCluster1\n");
    assert_eq!(ask(server.url(), "SELECT 'in'").await.unwrap(), "in");
    server.stop().await.unwrap();
}
