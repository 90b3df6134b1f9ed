//! Search attributes and memos that workflow code writes.

use history::{Command, event::WorkflowTaskFailedCause as Cause};
use serde::{Serialize, Serializer};
use serde_json::json;
use worker::{code::WorkflowCode, prelude::*};

use crate::support::{Script, facts};

#[workflow]
async fn child(_wf: Workflow) -> Result<()> {
    Ok(())
}

/// What JSON can't say.
struct Unsayable;

impl Serialize for Unsayable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("there are no words for it"))
    }
}

#[workflow(name = "w")]
async fn told(wf: Workflow, customer: String) -> Result<()> {
    wf.upsert_search_attributes([("CustomerId", &customer)]);
    wf.upsert_memo(vec![("step".to_owned(), json!({ "n": 1 }))]);
    wf.sleep(Duration::from_secs(1)).await?;
    wf.upsert_search_attributes([("CustomerId", None), ("Cents", Some(7))]);
    wf.upsert_memo([("step", ())]);
    Ok(())
}

#[workflow(name = "w")]
async fn silent(wf: Workflow, _: String) -> Result<()> {
    wf.sleep(Duration::from_secs(1)).await?;
    Ok(())
}

#[workflow(name = "w")]
async fn has_nothing_to_say(wf: Workflow, _: String) -> Result<()> {
    wf.upsert_search_attributes(Vec::<(String, String)>::new());
    wf.upsert_memo(Vec::<(String, String)>::new());
    Ok(())
}

#[workflow(name = "w")]
async fn says_the_unsayable(wf: Workflow, _: String) -> Result<()> {
    wf.upsert_memo([("step", Unsayable)]);
    Ok(())
}

#[workflow(name = "w")]
async fn describes_its_child(wf: Workflow, customer: String) -> Result<()> {
    wf.child(child, ())
        .memo("step", 1)
        .search_attribute("CustomerId", customer)
        .search_attribute("Cents", 7)
        .await
}

fn start<W: WorkflowCode>(workflow: fn() -> W) -> Script {
    let worker = Worker::new("q").workflow(workflow);
    Script::start(worker, "w", &[json!("c-7")])
}

#[tokio::test]
async fn what_code_says_of_its_run_is_asked_for_in_order_and_not_waited_for() {
    let mut run = start(told);
    assert_eq!(
        run.turn().await,
        [
            r#"UpsertWorkflowSearchAttributes {"CustomerId":"c-7"}"#,
            r#"ModifyWorkflowProperties {"step":{"n":1}}"#,
            "StartTimer #1 1000ms"
        ]
    );
    run.timer_fired("1");
    assert_eq!(
        run.turn().await,
        [
            r#"UpsertWorkflowSearchAttributes {"Cents":7,"CustomerId":null}"#,
            r#"ModifyWorkflowProperties {"step":null}"#,
            "CompleteWorkflowExecution null"
        ]
    );
    run.replays().await;
}

#[tokio::test]
async fn code_that_does_not_say_it_any_more_does_not_fit_its_history() {
    let mut run = start(told);
    run.turn().await;
    run.timer_fired("1");
    run.change_code(Worker::new("q").workflow(silent));
    let (cause, message) = run.failing_turn().await;
    assert_eq!(cause, Cause::NonDeterministicError);
    assert!(
        message.contains("UpsertWorkflowSearchAttributes"),
        "{message}"
    );
}

#[tokio::test]
async fn nothing_is_asked_for_where_there_is_nothing_to_say() {
    let mut run = start(has_nothing_to_say);
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution null"]);
    run.replays().await;
}

#[tokio::test]
async fn what_can_not_be_encoded_fails_the_task() {
    let mut run = start(says_the_unsayable);
    let (_, message) = run.failing_turn().await;
    assert!(message.contains("`memo`: "), "{message}");
    assert!(message.contains("there are no words for it"), "{message}");
}

#[tokio::test]
async fn a_child_starts_with_its_memo_and_its_search_attributes() {
    let mut run = start(describes_its_child);
    let commands = run.commands().await;
    let [Command::StartChildWorkflowExecution(child)] = commands.as_slice() else {
        panic!("no child in {commands:?}");
    };
    assert_eq!(facts(&child.memo), json!({ "step": 1 }));
    assert_eq!(
        facts(&child.search_attributes),
        json!({ "CustomerId": "c-7", "Cents": 7 })
    );
}
