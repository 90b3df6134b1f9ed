//! The command line against a server.

use std::{
    collections::HashMap,
    process::{Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Json, Router,
    http::{StatusCode, Uri},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::support::{Database, Server};

/// Runs `coreason workflow` against a server.
pub(crate) async fn workflow(server: &Server, words: &[&str]) -> (i32, String, String) {
    asks("workflow", server, words).await
}

/// Runs a command against a server that asks it something.
pub(crate) async fn asks(command: &str, server: &Server, words: &[&str]) -> (i32, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_node"));
    program
        .arg(command)
        .args(["--address", &server.address])
        .args(words);
    run(program).await
}

/// Runs `coreason audit check` on a database.
async fn check(database_url: &str, words: &[&str]) -> (i32, String, String) {
    audit("check", database_url, words).await
}

pub(crate) async fn audit(verb: &str, database_url: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .args(["audit", verb, "--database-url", database_url])
        .args(words);
    run(command).await
}

/// Runs `coreason audit verify` on no database.
pub(crate) async fn audit_offline(words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command.args(["audit", "verify"]).args(words);
    run(command).await
}

async fn run(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_a_run_that_is_not_there_proves_nothing() {
    let server = Server::start().await;
    let unknown = "01a205b3-d7b0-7000-aa45-04e0e5517f43";

    let (code, out, err) = audit("verify", &server.database_url(), &["--run-id", unknown]).await;

    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        err.contains(unknown) && err.contains("[WORKFLOW_NOT_FOUND]"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_a_run_whose_rows_are_all_gone_says_so() {
    let server = Server::start().await;
    let url = server.database_url();
    let run_id = server.client.start("refusal", "w").await;
    server.client.result("w").await;
    let (database, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let delete = format!("DELETE FROM history WHERE run_id = '{run_id}'");
    database.batch_execute(&delete).await.unwrap();

    let (code, out, err) = audit("verify", &url, &["--run-id", &run_id]).await;

    assert_eq!(code, 1, "{err}");
    assert!(
        out.starts_with("RUN_WITHOUT_HISTORY ") && out.contains(&run_id),
        "{out}"
    );
    assert!(err.contains("[AUDIT_FAILED]"), "{err}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verbs_work_and_say_so() {
    let server = Server::start().await;

    let (code, out, err) = workflow(
        &server,
        &["start", "--type", "greet", "--input", "\"world\"", "--wait"],
    )
    .await;
    assert_eq!((code, out.as_str()), (0, "\"Hello, world!\"\n"));
    assert!(
        err.starts_with("started ") && err.contains(" (run "),
        "{err}"
    );

    let (code, out, _) = workflow(&server, &["start", "--type", "approval", "--id", "w"]).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("started w (run "), "{out}");

    let (code, out, _) = workflow(&server, &["list", "--status", "running"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("approval") && !out.contains("greet"), "{out}");

    let (code, out, _) = workflow(&server, &["describe", "w"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("status        Running"), "{out}");

    let (code, out, _) = workflow(
        &server,
        &["signal", "w", "--name", "approve", "--input", "\"yes\""],
    )
    .await;
    assert_eq!((code, out.as_str()), (0, "signaled w\n"));

    let (code, out, _) = workflow(&server, &["result", "w", "--json"]).await;
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<Value>(&out).unwrap()["result"],
        "yes"
    );

    let (code, out, _) = workflow(&server, &["show", "w", "--follow"]).await;
    assert_eq!(code, 0);
    assert!(
        out.contains("WorkflowExecutionSignaled") && out.contains("signalName=approve"),
        "{out}"
    );

    let (code, out, _) = workflow(&server, &["show", "w"]).await;
    assert_eq!((code, out.lines().count()), (0, 3), "{out}");
    assert!(out.contains("  signal    approve   Received "), "{out}");

    let (code, out, _) = workflow(&server, &["show", "w", "--events"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("  WorkflowTaskCompleted"), "{out}");

    let (code, out, _) = workflow(&server, &["show", "w", "--json"]).await;
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<Value>(&out).unwrap()["events"].is_array());

    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_followed_into_the_runs_that_follow() {
    let server = Server::start().await;
    let body = serde_json::json!({"workflowType": "relay", "workflowId": "w", "input": 2});
    let run_id = server.client.post("", body).await.1["runId"].clone();
    // Nobody has read the second one when the first run ends.
    for message in ["\"a\"", "\"b\""] {
        let words = ["signal", "w", "--name", "approve", "--input", message];
        assert_eq!(workflow(&server, &words).await.0, 0);
    }
    for words in [
        &[
            "show",
            "w",
            "--follow",
            "--run-id",
            run_id.as_str().unwrap(),
        ] as &[&str],
        &[
            "show",
            "w",
            "--follow",
            "--json",
            "--run-id",
            run_id.as_str().unwrap(),
        ],
    ] {
        let (code, out, _) = workflow(&server, words).await;
        assert_eq!(code, 0);
        let goes_on = out
            .lines()
            .filter(|line| line.starts_with("goes on in run "));
        let is_json = words.contains(&"--json");
        assert_eq!(goes_on.count(), usize::from(!is_json), "{out}");
        let last = out.lines().last().unwrap();
        assert!(
            last.contains(if is_json {
                "EXECUTION_COMPLETED"
            } else {
                "ExecutionCompleted"
            }),
            "{out}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_misuse_have_their_own_exit_status() {
    let server = Server::start().await;

    let (code, out, err) = workflow(&server, &["start", "--type", "refusal", "--wait"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains(
            "ended as Failed: the card was declined (CardDeclined) [WORKFLOW_DID_NOT_COMPLETE]"
        ),
        "{err}"
    );

    let (code, _, err) = workflow(&server, &["result", "nobody"]).await;
    assert_eq!(code, 1);
    assert!(
        err.starts_with("error: there is no workflow nobody [WORKFLOW_NOT_FOUND]; "),
        "{err}"
    );
    assert_eq!(err.lines().count(), 1, "{err}");

    let (code, out, err) = workflow(&server, &["result", "nobody", "--json"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let refused: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(refused["error"]["code"], "WORKFLOW_NOT_FOUND");
    assert!(refused["error"]["advice"].is_string());
    let (code, _, err) = workflow(&server, &["list", "--json", "--status", "opn"]).await;
    let refused: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(
        (code, &refused["error"]["code"]),
        (2, &Value::from("USAGE"))
    );

    for words in [
        &["start"] as &[&str],
        &["start", "--type", "t", "--input", "nonsense"],
        &["list", "--status", "open"],
    ] {
        let (code, _, err) = workflow(&server, words).await;
        assert_eq!(code, 2, "{words:?}: {err}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_check_tells_a_sound_database_from_a_broken_one_and_from_none() {
    let server = Server::start().await;
    let url = server.database_url();
    server.client.start("refusal", "w").await;
    server.client.result("w").await;

    let (code, out, err) = check(&url, &[]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("\nTIMER_EARLY             0 "), "{out}");

    let (database, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    database
        .batch_execute("UPDATE execution SET status = 5")
        .await
        .unwrap();
    let (code, out, err) = check(&url, &[]).await;
    assert_eq!(code, 1);
    assert!(
        out.contains("\nEXECUTION_DISAGREES     1 ") && out.contains("\n  default/w run "),
        "{out}"
    );
    assert!(err.contains("[AUDIT_FAILED]"), "{err}");

    let (code, out, _) = check(&url, &["--json", "--since", "yesterday"]).await;
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["problems"]), (1, &Value::from(1)), "{out}");
    let (code, _, _) = check(&url, &["--since", "tomorrow"]).await;
    assert_eq!(code, 0);

    let (code, _, err) = check(&url, &["--since", "then"]).await;
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = check("no address", &[]).await;
    assert_eq!(code, 3, "{err}");
    server.stop().await;
}

/// An address, what the environment says, and what the error tells if the login is refused.
type Login<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_found_where_libpq_finds_it() {
    let server = Server::start().await;
    // postgres://USER:PASSWORD@SERVER/NAME
    let whole = server.database_url();
    let (account, place) = whole.rsplit_once('@').unwrap();
    let (user, password) = account.rsplit_once(':').unwrap();
    let url = format!("{user}@{place}");
    let home = std::env::temp_dir().join(format!("home-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&home).unwrap();
    let file = |name: &str, password: &str, mode: u32| {
        let file = home.join(name);
        std::fs::write(&file, format!("127.0.0.1:*:*:*:{password}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&file, mode).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (good, open) = (file("good", password, 0o600), file("open", password, 0o644));
    let bad = file("bad", "wrong", 0o600);
    let check = async |url: &str, environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command
            .args(["audit", "check", "--database-url", url])
            .env("HOME", &home)
            .env_remove("PGPASSWORD")
            .env_remove("PGPASSFILE")
            .envs(environment.iter().copied());
        let (code, _, err) = run(command).await;
        (code, err)
    };
    let with = |file: &str| format!("{url}?passfile={file}");

    let (with_good, with_bad) = (with(&good), with(&bad));
    let of_bad = format!("that of the file {bad}");
    let logins: [Login<'_>; 10] = [
        (&url, &[("PGPASSWORD", password)], None),
        (&url, &[("PGPASSFILE", &good)], None),
        (&with_good, &[("PGPASSFILE", &bad)], None),
        (&with_bad, &[("PGPASSWORD", password)], None),
        (&whole, &[("PGPASSWORD", "wrong")], None),
        (&url, &[], Some("asks for a password, and none is in")),
        (&url, &[("PGPASSWORD", "wrong")], Some("that of PGPASSWORD")),
        (&with_bad, &[("PGPASSFILE", &good)], Some(&of_bad)),
        (&with(&open), &[], Some("chmod 600")),
        (&with("/nowhere"), &[], Some("/nowhere is not read")),
    ];
    for (url, environment, refused) in logins {
        let (code, err) = check(url, environment).await;
        match refused {
            None => assert_eq!((code, err.as_str()), (0, ""), "{environment:?}"),
            Some(text) => {
                assert_eq!(code, 3, "{err}");
                assert!(err.contains("[DATABASE_REFUSED]"), "{err}");
                assert!(err.contains(text), "{text}: {err}");
            }
        }
    }
    file(".pgpass", password, 0o600);
    let (code, err) = check(&url, &[]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    std::fs::remove_dir_all(&home).unwrap();
    server.stop().await;
}

/// Starts a command that waits for ever, and returns the first line of its stderr that has this text.
async fn waits_and_says(address: &str, words: &[&str], text: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .args(["workflow", "--address", address])
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.contains(text) {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_a_stuck_run_says_why() {
    let server = Server::start().await;
    let start = &[
        "start", "--id", "w", "--type", "greet", "--input", "5", "--wait",
    ];
    let said = waits_and_says(
        &server.address,
        start,
        "still waiting: workflow task failing since ",
    )
    .await;
    assert!(
        said.contains("invalid type: integer `5`, expected a string"),
        "{said}"
    );
    let follow = &["show", "w", "--follow"];
    waits_and_says(
        &server.address,
        follow,
        "still waiting: workflow task failing",
    )
    .await;
    let said = waits_and_says(&server.address, &["result", "w", "--json"], "problem").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(
        said["problem"].as_str().unwrap().contains("invalid type"),
        "{said}"
    );

    let (_, out, _) = workflow(&server, &["describe", "w"]).await;
    assert!(
        out.contains("\nproblem       workflow task failing since "),
        "{out}"
    );
    // That its first attempt failed is an event, which a list does not read.
    let listed = loop {
        let (_, out, _) = workflow(&server, &["list"]).await;
        if out.contains("workflow task failed at ") {
            break out;
        }
    };
    assert!(listed.contains("  PROBLEM\n"), "{listed}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_a_parent_names_the_child_and_what_it_waits_for() {
    let server = Server::start().await;
    let start = &[
        "start", "--id", "p", "--type", "parent", "--input", "\"c\"", "--wait",
    ];
    waits_and_says(
        &server.address,
        start,
        "still waiting: it waits for child c, ",
    )
    .await;
    let said = waits_and_says(&server.address, &["result", "p"], "child c: workflow task").await;
    assert!(said.contains("no more chairs"), "{said}");
    server.stop().await;
}

/// Children that do not answer, or not in time, and a run that can't be described, keep nobody from the result.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_what_is_waited_for_neither_holds_a_wait_up_nor_ends_it() {
    let asked = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let count = asked.clone();
    let answer = move |uri: Uri| {
        let id = uri.path().rsplit("/workflows/").next().unwrap().to_owned();
        let times = {
            let mut count = count.lock().unwrap();
            let times = count.entry(id.clone()).or_default();
            *times += 1;
            *times
        };
        async move {
            let refused = |code: &str| json!({"error": {"code": code, "message": "no"}});
            match (id.as_str(), times) {
                ("w/result", 1 | 2) => {
                    let problem = json!({"about": "a", "reason": "b", "message": "nobody works"});
                    let open = json!({
                        "workflowId": "w", "runId": "r", "status": "Running", "problems": [problem],
                    });
                    (StatusCode::ACCEPTED, Json(open))
                }
                ("w/result", _) => {
                    let done = json!({"workflowId": "w", "status": "Completed", "result": 5});
                    (StatusCode::OK, Json(done))
                }
                ("w", 1) => {
                    let child = |id: &str| json!({"workflowId": id});
                    let children = ["away", "slow", "late"].map(child);
                    (StatusCode::OK, Json(json!({"pendingChildren": children})))
                }
                ("w", _) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Json(refused("HISTORY_CORRUPT")),
                ),
                ("away", _) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    Json(refused("UNAVAILABLE")),
                ),
                ("late", _) => {
                    let problem = json!({"about": "a", "reason": "b", "message": "it is stuck"});
                    (StatusCode::OK, Json(json!({"problems": [problem]})))
                }
                _ => std::future::pending().await,
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command.args(["workflow", "--address", &address, "result", "w"]);
    let (code, out, err) = run(command).await;

    assert_eq!((code, out.as_str()), (0, "5\n"), "{err}");
    assert_eq!(
        err,
        "still waiting: nobody works\nstill waiting: it waits for child away and 2 others, still open\n\
         still waiting: child late: it is stuck\n"
    );
    let asked = asked.lock().unwrap();
    let times = |id: &str| asked.get(id).copied().unwrap_or_default();
    assert_eq!((times("w/result"), times("w")), (3, 2), "{asked:?}");
    // Each once; the slow one takes nothing from the last.
    assert_eq!(
        (times("away"), times("slow"), times("late")),
        (1, 1, 1),
        "{asked:?}"
    );
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for_and_one_that_starts_by_every_verb() {
    let address = "http://127.0.0.1:1";
    let said = waits_and_says(address, &["result", "w"], "still trying: ").await;
    assert!(said.contains("[UNREACHABLE]"), "{said}");

    let asked = Arc::new(AtomicU32::new(0));
    let answer = move || {
        let starts = asked.fetch_add(1, Ordering::Relaxed) < 40;
        let starting = json!({"error": {"code": "STARTING", "message": "the engine starts"}});
        async move {
            if starts {
                (StatusCode::SERVICE_UNAVAILABLE, Json(starting))
            } else {
                (StatusCode::OK, Json(json!({"workflows": []})))
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command.args(["workflow", "--address", &address, "list"]);
    let (code, out, err) = run(command).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("STATUS"), "{out}");
    assert_eq!(err, "still trying: the engine starts [STARTING]\n");
    serving.abort();
}

/// Its heir would refuse a terminate because of the first try; a signal has an id by which it is known.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_was_sent_and_did_not_answer_is_sent_again_only_with_a_request_id() {
    for (words, owner_is_there, code, asked) in [
        (&["terminate", "w"] as &[&str], true, 1, 1),
        (&["terminate", "w"], false, 0, 2),
        (&["cancel", "w"], true, 0, 2),
        (&["signal", "w", "--name", "s"], true, 0, 2),
        (&["start", "--id", "w", "--type", "t"], true, 0, 2),
    ] {
        let owner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner_address = format!("http://{}", owner.local_addr().unwrap());
        // One that is not there takes no connection; the other takes a request and dies.
        let owner = owner_is_there.then_some(owner);
        let dying = tokio::spawn(async move {
            if let Some(owner) = owner {
                let (mut asked, _) = owner.accept().await.unwrap();
                let _ = asked.read(&mut [0; 1024]).await;
            }
        });
        let came = Arc::new(AtomicU32::new(0));
        let count = came.clone();
        let answer = move || {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let refused =
                json!({"error": {"code": "NOT_OWNER", "message": "no", "owner": owner_address}});
            let done = json!({"workflowId": "w", "runId": "r", "started": true});
            async move {
                if first {
                    (StatusCode::SERVICE_UNAVAILABLE, Json(refused))
                } else {
                    (StatusCode::OK, Json(done))
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command
            .args(["workflow", "--address", &address])
            .args(words);
        let (ended, _, err) = run(command).await;

        assert_eq!(ended, code, "{words:?}: {err}");
        assert_eq!(came.load(Ordering::Relaxed), asked, "{words:?}: {err}");
        assert_eq!(
            err.contains("gave no answer"),
            code == 1,
            "{words:?}: {err}"
        );
        dying.await.unwrap();
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_says_how_a_run_ended_and_which_signals_nobody_reads() {
    let server = Server::start().await;
    for (words, says) in [
        (
            &["--type", "greet", "--input", "\"you\""] as &[&str],
            "result        \"Hello, you!\"",
        ),
        (
            &["--type", "refusal"],
            "failure       the card was declined (CardDeclined)",
        ),
    ] {
        let start = [&["start", "--id", "w", "--wait"], words].concat();
        workflow(&server, &start).await;
        let (_, out, _) = workflow(&server, &["describe", "w"]).await;
        assert!(out.contains(says), "{out}");
    }

    workflow(&server, &["start", "--id", "a", "--type", "approval"]).await;
    workflow(&server, &["signal", "a", "--name", "aprove"]).await;
    let since = std::time::Instant::now();
    let out = loop {
        let (_, out, _) = workflow(&server, &["describe", "a"]).await;
        if out.contains("UNREAD SIGNAL") {
            break out;
        }
        assert!(since.elapsed() < crate::support::PATIENCE, "{out}");
    };
    let line = out.lines().last().unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..2], ["aprove", "1"], "{out}");
    assert!(
        cells[2].starts_with("20") && cells[2].ends_with('Z'),
        "{out}"
    );

    workflow(&server, &["cancel", "a", "--reason", "customer called"]).await;
    let (code, _, err) = workflow(&server, &["result", "a"]).await;
    assert_eq!(code, 1);
    assert!(
        err.contains("ended as Canceled: customer called ["),
        "{err}"
    );
    let (_, out, _) = workflow(&server, &["describe", "a"]).await;
    assert!(out.contains("failure       customer called"), "{out}");
    let (_, _, err) = workflow(&server, &["terminate", "a"]).await;
    assert!(
        err.contains("workflow a: ") && err.contains("[WORKFLOW_CLOSED]"),
        "{err}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_is_shown_though_the_result_can_t_be_read() {
    let answer = |uri: Uri| async move {
        if uri.path().ends_with("/result") {
            let refused = json!({"error": {"code": "DATABASE_FAILED", "message": "no"}});
            return (StatusCode::SERVICE_UNAVAILABLE, Json(refused));
        }
        let status = uri.path().rsplit('/').next();
        let run = json!({
            "workflowId": status, "runId": "r", "workflowType": "t", "taskQueue": "q", "status": status,
            "startedAt": "then", "closedAt": "now", "historyLength": 5, "historyBytes": 7, "cancelRequested": false,
            "pendingActivities": [], "pendingTimers": [], "pendingChildren": [],
        });
        (StatusCode::OK, Json(run))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    for (status, says) in [
        (
            "Completed",
            "result        can't be read: no [DATABASE_FAILED]\n",
        ),
        (
            "Failed",
            "failure       can't be read: no [DATABASE_FAILED]\n",
        ),
        // It has neither.
        ("ContinuedAsNew", ""),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command.args(["workflow", "--address", &address, "describe", status]);
        let (code, out, err) = run(command).await;

        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains(&format!("status        {status}\n")), "{out}");
        assert!(out.contains(says), "{out}");
        assert_eq!(out.contains("can't be read"), !says.is_empty(), "{out}");
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_comes_from_the_line_a_file_or_stdin_and_one_that_is_missing_is_missed() {
    let server = Server::start().await;
    let file = std::env::temp_dir().join(format!("input-{}.json", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, "\"file\"\n").unwrap();
    let at_file = format!("@{}", file.display());
    for (input, greeted) in [
        ("\"line\"", "line"),
        (at_file.as_str(), "file"),
        ("-", "stdin"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command
            .args(["workflow", "--address", &server.address, "start", "--wait"])
            .args(["--type", "greet", "--input", input])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who reads a file or the line has ended without it.
        let _ = stdin.write_all(b"\"stdin\"").await;
        drop(stdin);
        let out = child.wait_with_output().await.unwrap().stdout;
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("\"Hello, {greeted}!\"\n")
        );
    }
    std::fs::remove_file(file).unwrap();

    let start = &["start", "--id", "w", "--type", "takes_order", "--wait"];
    let text = "still waiting: ";
    let said = waits_and_says(&server.address, start, text).await;
    assert!(
        said.contains("takes an argument, and none was given"),
        "{said}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_no_server_can_make_right_have_status_2() {
    let server = Server::start().await;
    for (words, says) in [
        (&["list", "--limit", "0"] as &[&str], "--limit"),
        (
            &["start", "--type", "t", "--input", "-", "--input", "-"],
            "stdin can be read for one argument only",
        ),
        (
            &["signal", "w", "--name", "s", "--input", "-", "--input", "-"],
            "stdin can be read for one argument only",
        ),
        (&["describe", "w", "--run-id", "banana"], "[INVALID_RUN_ID]"),
        (&["start", "--type", "greet", "--id", ""], "[INVALID_ID]"),
        (
            &["start", "--type", "greet", "--input", "@/nowhere"],
            "/nowhere",
        ),
    ] {
        let (code, _, err) = workflow(&server, words).await;
        assert_eq!(code, 2, "{words:?}: {err}");
        assert!(err.contains(says), "{words:?}: {err}");
    }
    let url = server.database_url();
    for (words, status, says) in [
        (["--lease", "1ms"], 2, "--lease"),
        (["--namespace", "nowhere"], 1, "[NAMESPACE_NOT_FOUND]"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--database-url", &url])
            .args(words);
        let (code, out, err) = run(command).await;
        assert_eq!((code, out.as_str()), (status, ""), "{words:?}: {err}");
        assert!(err.contains(says), "{words:?}: {err}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_says_which_database_it_uses_and_not_the_password() {
    let database = Database::create().await;
    let url = database.url();
    // postgres://USER:PASSWORD@SERVER/NAME
    let (account, place) = url.rsplit_once('@').unwrap();
    let (_, password) = account.rsplit_once(':').unwrap();
    let (address, name) = place.split_once('/').unwrap();
    let mut dev = Command::new(env!("CARGO_BIN_EXE_node"))
        .args(["dev", "--listen", "127.0.0.1:0"])
        .env("DATABASE_URL", &url)
        .env("COREASON_DATA_DIR", "")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut printed = String::new();
    while !printed.contains("Ctrl-C") {
        printed.push_str(&lines.next_line().await.unwrap().unwrap());
        printed.push('\n');
    }

    assert!(
        printed.contains(&format!("\n  database  {name} on {address}, as ")),
        "{printed}"
    );
    assert!(!printed.contains(password), "{printed}");
    dev.kill().await.unwrap();
    database.remove().await;
}
