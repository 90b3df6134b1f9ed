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
    seal(&server, &folder.0.join("seal.key")).await;
    let postgres = server.connect().await;
    let workflow = "SELECT workflow_id FROM execution WHERE workflow_type = 'index_folder'";
    let workflow: String = postgres.query_one(workflow, &[]).await.unwrap().get(0);
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
        let Some(row) = rows.first() else {
            assert_eq!(answer, "(no rows)\n", "{query}");
            continue;
        };
        let columns: Vec<&str> = row.columns().iter().map(SimpleColumn::name).collect();
        let head = answer.lines().next().unwrap().split('|').map(str::trim);
        assert_eq!(columns, head.collect::<Vec<_>>(), "{query}");
    }
    drop(postgres);
    server.stop().await;
}
