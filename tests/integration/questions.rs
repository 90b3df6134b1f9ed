//! What docs/audit.md says that its questions answer on the demo's data is what they answer.

use tokio::process::Command;
use tokio_postgres::{SimpleColumn, SimpleQueryMessage};
use worker::Worker;

use crate::{demo::Folder, sealed::seal, support::Server};

const PAGE: &str = include_str!("../../docs/audit.md");

/// Returns each query of the questions with the answer below it.
fn questions() -> Vec<(&'static str, &'static str)> {
    let (_, questions) = PAGE.split_once("## Twenty questions").unwrap();
    let (questions, _) = questions.split_once("## What must always hold").unwrap();
    (questions.split("```sql\n").skip(1))
        .map(|rest| {
            let (query, rest) = rest.split_once("```").unwrap();
            let answer = rest.trim_start().strip_prefix("```text\n").expect(query);
            (query, answer.split_once("```").unwrap().0)
        })
        .collect()
}

/// How the page names the demo's workflow.
const WORKFLOW: &str = "index-f643…";

/// How many characters count of a value that the page has cut off.
const SHOWN: usize = 10;

/// Says whether a value is what the page has: to the letter, or up to the first thing that another run has otherwise: a number, what is behind a path, and
/// most of what is cut.
fn is_as_shown(value: &str, shown: &str) -> bool {
    let (name, rest) = match shown.strip_prefix(WORKFLOW) {
        Some(rest) => (WORKFLOW, rest),
        None => ("", shown),
    };
    let Some(other) = rest.find(|c: char| c.is_ascii_digit() || "/…+".contains(c)) else {
        return value == shown;
    };
    let same = match (rest[other..].starts_with('/'), rest.ends_with('…')) {
        (_, true) => other.min(SHOWN),
        (true, _) => other + 1,
        _ => other,
    };
    let after = value.strip_prefix(name);
    !value.is_empty() && after.is_some_and(|after| after.starts_with(&rest[..same]))
}

#[test]
fn a_value_is_as_shown_but_for_numbers_and_paths() {
    assert!(is_as_shown("Completed", "Completed"));
    assert!(!is_as_shown("Failed", "Completed"));
    assert!(!is_as_shown("", "00:00:01"));
    assert!(is_as_shown("00:00:02", "00:00:01"));
    assert!(is_as_shown(
        r#"{"input": [{"folder": "/b"#,
        r#"{"input": [{"folder": "/w…"#
    ));
    assert!(!is_as_shown(
        r#"{"output": [{"folder": "/b"#,
        r#"{"input": [{"folder": "/w…"#
    ));
    assert!(is_as_shown("index-f643…/3-aa", "index-f643…/1-349b0161"));
    assert!(!is_as_shown("index-f643…", "index-f643…/1-349b0161"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_questions_have_the_answers_of_the_page_on_the_demo_s_data() {
    let mut server = Server::start_without_worker().await;
    server.run(worker::workflows::register(Worker::new("default")));
    let folder = Folder::new();
    let demo = Command::new(env!("CARGO_BIN_EXE_node"))
        .arg("demo")
        .arg(&folder.0)
        .args(["--address", &server.address])
        .output()
        .await
        .unwrap();
    assert!(demo.status.success(), "{demo:?}");
    let postgres = server.connect().await;
    let workflow = "SELECT workflow_id FROM execution WHERE workflow_type = 'index_folder'";
    let workflow: String = postgres.query_one(workflow, &[]).await.unwrap().get(0);
    let child = "SELECT workflow_id FROM execution WHERE workflow_type = 'index_batch' ORDER BY workflow_id DESC LIMIT 1";
    let child: String = postgres.query_one(child, &[]).await.unwrap().get(0);
    let deleted = Command::new(env!("CARGO_BIN_EXE_node"))
        .args(["workflow", "delete", &child, "--address", &server.address])
        .output()
        .await
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    seal(&server, &folder.0.join("seal.key")).await;
    let name = folder.0.file_name().unwrap().to_str().unwrap().to_owned();
    let questions = questions();
    assert_eq!(questions.len(), 22, "twenty questions, two of them twice");
    for (query, answer) in questions {
        let query = (query
            .replace("order-17", &workflow)
            .replace("mara@desk", "demo"))
        .replace("2026-11-23 00:00Z", "yesterday")
        .replace("2026-11-24 00:00Z", "tomorrow");
        let said = postgres.simple_query(&query).await.expect(&query);
        let rows: Vec<_> = (said.iter())
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        let Some(first) = rows.first() else {
            assert_eq!(answer, "(no rows)\n", "{query}");
            continue;
        };
        let columns: Vec<&str> = first.columns().iter().map(SimpleColumn::name).collect();
        let values: Vec<Vec<String>> = (rows.iter())
            .map(|row| {
                let value = |n| {
                    let value = row.get(n).unwrap_or_default();
                    value.replace(&workflow, WORKFLOW).replace(&name, "docs")
                };
                (0..columns.len()).map(value).collect()
            })
            .collect();
        let mut lines = answer
            .lines()
            .map(|line| line.split(" |").map(str::trim).collect::<Vec<_>>());
        assert_eq!(columns, lines.next().unwrap(), "{query}");
        for shown in lines.filter(|shown| shown.len() == columns.len()) {
            let is_shown = |row: &Vec<String>| {
                row.iter()
                    .zip(&shown)
                    .all(|(value, shown)| is_as_shown(value.trim(), shown))
            };
            assert!(
                values.iter().any(is_shown),
                "{query}{shown:?} is none of {values:?}"
            );
        }
    }
    drop(postgres);
    server.stop().await;
}
