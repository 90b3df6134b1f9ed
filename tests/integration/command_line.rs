//! The command line against a server.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::support::Server;

/// Runs `coreason workflow` against a server.
pub(crate) async fn workflow(server: &Server, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .arg("workflow")
        .args(["--address", &server.address])
        .args(words);
    run(command).await
}

/// Runs `coreason audit check` on a database.
async fn check(database_url: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .args(["audit", "check", "--database-url", database_url])
        .args(words);
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

/// Starts a command that waits for ever, and returns the first line of its stderr that has this text.
async fn waits_and_says(server: &Server, words: &[&str], text: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node"));
    command
        .args(["workflow", "--address", &server.address])
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
        &server,
        start,
        "still waiting: workflow task failing since ",
    )
    .await;
    assert!(
        said.contains("invalid type: integer `5`, expected a string"),
        "{said}"
    );
    let said = waits_and_says(&server, &["result", "w", "--json"], "problem").await;
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
