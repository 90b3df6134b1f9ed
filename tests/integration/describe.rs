//! The state of a run, over HTTP.

use serde_json::{Value, json};

use coreason::prelude::*;

use crate::support::Server;

#[signal]
struct Approve {
    by: String,
}

#[workflow]
async fn approval(wf: Workflow) -> Result<String> {
    Ok(wf.signals::<Approve>().recv().await?.by)
}

#[tokio::test]
async fn a_description_says_what_a_run_waits_for() {
    let server = Server::start().await;
    let body = json!({"workflowType": "patient", "workflowId": "w", "memo": {"who": "Ann"}});
    server.client.post("", body).await;
    let (_, page) = server.client.get("/w/history?after=4&wait=true").await;
    assert_eq!(
        page["events"][0]["eventType"], "EVENT_TYPE_TIMER_STARTED",
        "{page}"
    );

    let (status, description) = server.client.get("/w").await;
    assert_eq!(status, 200, "{description}");
    assert_eq!(description["status"], "Running");
    assert_eq!(description["workflowType"], "patient");
    assert_eq!(description["memo"]["who"], "Ann");
    assert_eq!(description["historyLength"], 5);
    assert_eq!(description["pendingTimers"].as_array().unwrap().len(), 1);
    assert_eq!(description["pendingActivities"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_signal_that_nobody_reads_and_one_that_does_not_fit_are_shown_with_the_reason() {
    let mut server = Server::start_without_worker().await;
    server.run(Worker::new("default").workflow(approval));
    server.client.start("approval", "w").await;
    for (name, input) in [("approve", json!({"by": 5})), ("other", json!(1))] {
        let body = json!({"signalName": name, "input": input});
        assert_eq!(server.client.post("/w/signal", body).await.0, 200);
    }
    let unread = loop {
        let (_, description) = server.client.get("/w").await;
        match description["unreadSignals"].as_array() {
            Some(unread) if unread.len() == 2 => break unread.clone(),
            _ => {}
        }
    };
    assert_eq!(unread[0]["signalName"], "approve");
    assert_eq!(
        (&unread[0]["count"], &unread[0]["misfits"]),
        (&json!(1), &json!(1))
    );
    let problem = unread[0]["problem"].as_str().unwrap();
    assert!(problem.contains("invalid type: integer"), "{problem}");
    assert_eq!(unread[0]["firstMisfitEventId"], unread[0]["firstEventId"]);
    for unread in &unread {
        let before = unread["firstEventId"].as_i64().unwrap() - 1;
        let path = format!("/w/history?pageSize=1&after={before}");
        let (_, page) = server.client.get(&path).await;
        assert_eq!(unread["firstEventAt"], page["events"][0]["eventTime"]);
    }
    assert_eq!(unread[1]["signalName"], "other");
    assert_eq!(
        (&unread[1]["count"], &unread[1]["misfits"]),
        (&json!(1), &json!(0))
    );

    let body = json!({"signalName": "approve", "input": {"by": "ann"}});
    server.client.post("/w/signal", body).await;
    assert_eq!(server.client.result("w").await["result"], "ann");
    server.stop().await;
}

/// Starts a workflow that gets stuck, and waits until it is.
async fn stuck(server: &Server, id: &str, body: Value) -> Value {
    let (status, started) = server.client.post("", body).await;
    assert_eq!(status, 201, "{started}");
    loop {
        let (_, run) = server.client.get(&format!("/{id}")).await;
        if run["problems"] != json!([]) {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

fn message(answer: &Value) -> &str {
    answer["problems"][0]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_stuck_run_says_why_wherever_it_is_asked_about() {
    let server = Server::start().await;
    for (workflow_type, reason) in [
        (
            "greet",
            "the input of workflow `greet` can't be read: argument 1 is not what the code takes: payload is not of the expected shape: invalid type: integer `5`",
        ),
        ("nobody", "this worker has no workflow `nobody`; it has "),
        ("stumbles", "no more chairs"),
    ] {
        let start = json!({
            "workflowType": workflow_type, "workflowId": workflow_type, "input": 5, "workflowIdConflictPolicy": "UseExisting",
        });
        let run = stuck(&server, workflow_type, start.clone()).await;
        let attempt = run["pendingWorkflowTask"]["attempt"].as_u64();
        assert!(attempt >= Some(2), "{run}");

        let (_, waited) = server.client.post("?wait=10ms", start).await;
        let (_, result) = server.client.get(&format!("/{workflow_type}/result")).await;
        for answer in [&run, &waited, &result] {
            let message = message(answer);
            assert!(
                message.starts_with("workflow task failing since ") && message.contains(reason),
                "{message}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_failing_activity_is_a_problem_of_its_run() {
    let server = Server::start().await;
    let start = json!({"workflowType": "persistent", "workflowId": "w"});
    let run = stuck(&server, "w", start).await;
    let message = message(&run);
    assert!(
        message.starts_with("activity `declined` (1) failing since ")
            && message.contains(", attempt 2 next in ")
            && message.ends_with(": the card was declined"),
        "{message}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_task_queue_that_nobody_polls_is_a_problem_of_its_runs() {
    let server = Server::start_without_worker().await;
    let run = stuck(
        &server,
        "w",
        json!({"workflowType": "greet", "workflowId": "w"}),
    )
    .await;
    let message = message(&run);
    assert!(
        message.starts_with(
            "no worker has polled task queue `default` for workflow tasks in the last "
        ),
        "{message}"
    );
    server.stop().await;
}

#[activity]
async fn elsewhere() -> Result<()> {
    Ok(())
}

/// Calls an activity that its worker does not have.
#[workflow]
async fn calls_elsewhere(wf: Workflow) -> Result<()> {
    wf.call(elsewhere, ()).await
}

#[tokio::test]
async fn a_worker_without_activities_is_not_taken_for_nobody() {
    let mut server = Server::start_without_worker().await;
    server.run(Worker::new("default").workflow(calls_elsewhere));
    let start = json!({"workflowType": "calls_elsewhere", "workflowId": "w"});
    let run = stuck(&server, "w", start).await;
    let message = message(&run);
    assert!(
        message.starts_with("the workers of task queue `default` have taken no activities for ")
            && message.ends_with(", and its activity `elsewhere` (1) waits for one that does"),
        "{message}"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_fails_is_described_in_fields_as_well() {
    let server = Server::start().await;
    let run = stuck(
        &server,
        "t",
        json!({"workflowType": "stumbles", "workflowId": "t"}),
    )
    .await;
    let task = &run["pendingWorkflowTask"];
    assert_eq!(task["cause"], "WorkflowWorkerUnhandledFailure", "{task}");
    let message = task["lastFailure"]["message"].as_str().unwrap();
    assert!(message.contains("no more chairs"), "{task}");
    for time in ["scheduledAt", "failingSince", "lastFailedAt"] {
        let time = &task[time];
        assert!(time.as_str() >= run["startedAt"].as_str(), "{task}");
    }

    let start = json!({"workflowType": "persistent", "workflowId": "a"});
    let run = stuck(&server, "a", start).await;
    let activity = &run["pendingActivities"][0];
    assert_eq!(activity["lastFailure"]["type"], "CardDeclined");
    assert_eq!(activity["taskQueue"], "default");
    for time in [&activity["failingSince"], &activity["lastFailedAt"]] {
        assert!(time.as_str() >= run["startedAt"].as_str(), "{activity}");
    }
    server.stop().await;
}
