//! The example programs, run as their readers would run them.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::Server;

/// An example program, as a module: its `main` is not called here.
macro_rules! example {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[expect(dead_code, reason = "a program's main")]
        mod $name;
    };
}

example!(hello, "../../api/examples/hello.rs");
example!(fan_out, "../../api/examples/fan_out.rs");
example!(saga, "../../api/examples/saga.rs");
example!(approval, "../../api/examples/approval.rs");
example!(child_workflows, "../../api/examples/child_workflows.rs");

/// Runs a workflow of an example and returns its result.
async fn run(worker: worker::Worker, workflow_type: &str, task_queue: &str, input: Value) -> Value {
    let mut server = Server::start_without_worker().await;
    server.run(worker);
    let body = json!({"workflowType": workflow_type, "taskQueue": task_queue, "input": input});
    let (status, outcome) = server.client.post("?wait=20s", body).await;
    assert!(status < 300, "{outcome}");
    server.stop().await;
    outcome["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_greets() {
    assert_eq!(
        run(hello::worker(), "hello", "hello", json!("world")).await,
        json!("Hello, world!")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fan_out_adds_up_what_its_activities_count() {
    let texts: Vec<String> = (0..40).map(|n| "word ".repeat(n)).collect();
    assert_eq!(
        run(fan_out::worker(), "count_words", "fan-out", json!(texts)).await,
        json!(780)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn saga_undoes_in_reverse_when_a_step_fails() {
    let booked = ["flight booked", "hotel booked", "car booked"];
    let undone = [
        "no bank pays for Atlantis",
        "car canceled",
        "hotel canceled",
        "flight canceled",
    ];
    assert_eq!(
        run(saga::worker(), "book_trip", "saga", json!("Paris")).await,
        json!(booked)
    );
    assert_eq!(
        run(saga::worker(), "book_trip", "saga", json!("Atlantis")).await,
        json!([&booked[..], &undone[..]].concat())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_waits_for_the_signal() {
    let mut server = Server::start_without_worker().await;
    server.run(approval::worker());
    let body = json!({"workflowType": "expense", "workflowId": "lunch", "taskQueue": "approval", "input": 42});
    server.client.post("", body).await;
    let signal = json!({"signalName": "decide", "input": {"by": "Ada", "approved": true}});
    let (status, answer) = server.client.post("/lunch/signal", signal).await;
    assert!(status < 300, "{answer}");
    assert_eq!(
        server.client.result("lunch").await["result"],
        json!("42 approved by Ada")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn child_workflows_return_to_their_parent() {
    let shipped = run(
        child_workflows::worker(),
        "ship_order",
        "child-workflows",
        json!(["book", "pen"]),
    )
    .await;
    assert_eq!(shipped, json!(["book in a box", "pen in a box"]));
}

#[test]
fn the_lines_of_the_readme_add_this_checkout_to_a_new_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("worker/README.md")).unwrap();
    let lines = readme.split("```sh\n").nth(1).unwrap();
    let lines = lines.split("```").next().unwrap();
    let beside = std::env::temp_dir().join(format!("coreason-readme-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&beside).unwrap();
    symlink(
        root.canonicalize().unwrap(),
        beside.join("coreason-runtime"),
    )
    .unwrap();
    let status = Command::new("sh")
        .args(["-ec", lines])
        .current_dir(&beside)
        .env("CARGO_NET_OFFLINE", "true")
        .status()
        .unwrap();
    assert!(status.success());
    let program = fs::read_to_string(beside.join("shop/Cargo.toml")).unwrap();
    assert!(program.contains("coreason = {"), "{program}");
    fs::remove_dir_all(&beside).unwrap();
}
