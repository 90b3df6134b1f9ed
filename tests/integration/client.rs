//! The client in Rust, through a socket and in the engine's process.

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
};

use coreason::{
    Client,
    client::{Error, NoResult},
    prelude::*,
};
use history::{
    FailureInfo,
    failure::{RetryState, TimeoutType},
};
use serde::{Deserialize, Serialize};

use crate::support::Server;

#[signal]
struct Go {
    word: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Short {
    of: u32,
}

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "too short by {}", self.of)
    }
}

impl std::error::Error for Short {}
impl UserError for Short {}

#[workflow]
async fn join_texts(_: Workflow, a: String, b: Option<u32>) -> Result<String> {
    Ok(format!("{a} {b:?}"))
}

#[workflow]
async fn waits(wf: Workflow) -> Result<String> {
    Ok(wf.signals::<Go>().recv().await?.word)
}

#[workflow]
async fn measures(_: Workflow, length: u32) -> Result<u32, Short> {
    if length < 5 {
        return Err(Short { of: 5 - length });
    }
    Ok(length)
}

#[workflow]
async fn counts_down(wf: Workflow, n: u32) -> Result<String> {
    if n == 0 {
        return Ok("done".to_owned());
    }
    wf.continue_as_new(counts_down, n - 1).await
}

#[activity(start_to_close = "20ms", retry(max_attempts = 1))]
async fn dawdles() -> Result<(), Short> {
    std::future::pending().await
}

#[workflow]
async fn hurries(wf: Workflow) -> Result<()> {
    Ok(wf.call(dawdles, ()).await?)
}

#[workflow]
async fn says_canceled(_: Workflow) -> Result<()> {
    Err(coreason::prelude::Error::new("no").of_kind("Canceled"))
}

/// What JSON can't say.
struct Unsayable;

impl Serialize for Unsayable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("there are no words for it"))
    }
}

async fn server() -> Server {
    let mut server = Server::start_without_worker().await;
    server.run(
        Worker::new("default")
            .workflow(join_texts)
            .workflow(waits)
            .workflow(measures)
            .workflow(counts_down)
            .workflow(hurries)
            .workflow(says_canceled)
            .activity(dawdles),
    );
    server
}

async fn story(client: Client) {
    let joined = client.execute(join_texts, ("a b".to_owned(), Some(3)));
    assert_eq!(joined.await.unwrap(), "a b Some(3)");
    let last = client.start(counts_down, 2).id("down / 2").result().await;
    assert_eq!(last.unwrap(), "done");

    let started = client.start(waits, ()).id("waits-1").await.unwrap();
    let found = client.handle(waits, "waits-1");
    let go = Go {
        word: "now".to_owned(),
    };
    found.signal(&go).await.unwrap();
    assert_eq!(started.result().await.unwrap(), "now");
    assert_eq!(found.result().await.unwrap(), "now");
    let refused = found.signal(&go).await.unwrap_err();
    assert_eq!(refused.code(), Some("WORKFLOW_CLOSED"));

    let first = client
        .start(waits, ())
        .id("waits-2")
        .request_id("one")
        .await;
    let again = client
        .start(waits, ())
        .id("waits-2")
        .request_id("one")
        .await;
    let first = first.unwrap();
    assert_eq!(first.run_id(), again.unwrap().run_id());
    let other = client.start(waits, ()).id("waits-2").await.unwrap_err();
    assert_eq!(other.code(), Some("WORKFLOW_ALREADY_STARTED"));
    first.cancel("no more").await.unwrap();
    let canceled = first.result().await.unwrap_err();
    assert!(
        matches!(&canceled, NoResult::Workflow(error) if error.is_canceled()
            && error.failure().cause.as_ref().unwrap().message == "no more"),
        "{canceled}"
    );
    let third = client.start(waits, ()).await.unwrap();
    third.terminate("enough").await.unwrap();
    assert!(matches!(third.result().await, Err(NoResult::Workflow(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_starts_signals_and_awaits_workflows_by_their_types() {
    let server = server().await;
    story(Client::connect(&server.address).unwrap()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_works_in_the_process_of_the_engine() {
    let server = server().await;
    story(Client::in_process(server.engine())).await;
    server.stop().await;
}

/// Nobody works, so that all of them stay to be counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_a_program_sends_again_with_its_request_id_counts_once() {
    let server = Server::start_without_worker().await;
    let client = Client::connect(&server.address).unwrap();
    let run = client.start(waits, ()).id("w").await.unwrap();
    let go = Go {
        word: "now".to_owned(),
    };
    for _ in 0..2 {
        run.signal(&go).request_id("payment 7").await.unwrap();
    }
    run.signal(&go).await.unwrap();
    run.signal_named("go", &go).await.unwrap();
    let (_, history) = server.client.get("/w/history").await;
    let events = history["events"].as_array().unwrap();
    let signaled = events
        .iter()
        .filter(|event| event["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED");
    assert_eq!(signaled.count(), 3, "{history}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_what_its_run_is_found_by_and_what_is_shown_with_it() {
    let server = server().await;
    let declared = [("CustomerId", "Keyword"), ("Amount", "Int")];
    server.client.declare(&declared).await;
    let client = Client::connect(&server.address).unwrap();
    let start = client.start(waits, ()).id("w").memo("note", Some("new"));
    let start = start.search_attribute("CustomerId", "anna");
    start.search_attribute("Amount", 7).await.unwrap();
    let query = [("query", "CustomerId = 'anna' AND Amount = 7")];
    let (_, page) = server.client.list(&query).await;
    assert_eq!(page["workflows"][0]["workflowId"], "w", "{page}");
    assert_eq!(page["workflows"][0]["memo"]["note"], "new");

    let unknown = client.start(waits, ()).search_attribute("Colour", "red");
    let refused = unknown.await.unwrap_err();
    assert_eq!(refused.code(), Some("SEARCH_ATTRIBUTE_NOT_FOUND"));
    let unsayable = client.start(waits, ()).id("none").memo("note", Unsayable);
    assert!(matches!(unsayable.await, Err(Error::Encode(_))));
    assert_eq!(server.client.get("/none").await.0, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_fails_gives_the_error_that_its_code_returned() {
    let server = server().await;
    let client = Client::connect(&server.address).unwrap();
    assert_eq!(client.execute(measures, 7).await.unwrap(), 7);
    match client.execute(measures, 3).await {
        Err(NoResult::Workflow(ChildError::Failed(short, _))) => assert_eq!(short, Short { of: 2 }),
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_inside_a_workflow_keeps_its_kind() {
    let server = server().await;
    let client = Client::connect(&server.address).unwrap();
    let Err(NoResult::Workflow(error)) = client.execute(hurries, ()).await else {
        panic!("its activity takes too long");
    };
    assert!(error.is_timeout(), "{error}");
    let chain = std::iter::successors(Some(error.failure()), |failure| failure.cause.as_deref());
    let kinds: Vec<&FailureInfo> = chain.map(|failure| &failure.info).collect();
    let [
        FailureInfo::ChildWorkflowExecution { .. },
        inner @ ..,
        FailureInfo::TimedOut {
            timeout_type: TimeoutType::StartToClose,
            ..
        },
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}");
    };
    let of_activity = inner.iter().any(|info| {
        matches!(info, FailureInfo::Activity { activity_type, activity_id, retry_state: RetryState::MaximumAttemptsReached, .. }
            if activity_type.as_str() == "dawdles" && activity_id.as_str() == "1")
    });
    assert!(of_activity, "{kinds:?}");

    // An error of that name is no cancellation.
    let Err(NoResult::Workflow(error)) = client.execute(says_canceled, ()).await else {
        panic!("it fails");
    };
    assert_eq!(
        (error.is_canceled(), error.kind()),
        (false, Some("Canceled"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_and_one_where_nobody_is_are_told_apart() {
    assert!(matches!(
        Client::connect("localhost"),
        Err(Error::Address(_))
    ));
    assert!(matches!(
        Client::connect("https://x"),
        Err(Error::Address(_))
    ));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = Client::connect(&format!("http://127.0.0.1:{port}")).unwrap();
    let lost = client.handle(waits, "w").terminate("why not").await;
    assert!(matches!(lost, Err(Error::Unreachable { .. })), "{lost:?}");
}

/// What is logged on a thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_result_from_coming_is_logged_where_it_is_waited_for() {
    let mut server = Server::start_without_worker().await;
    let client = Client::connect(&server.address).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let logging = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _logs_here = tracing::subscriber::set_default(logging.finish());

    let input = ("a".to_owned(), None);
    let executed = client.execute(join_texts, input).task_queue("texts");
    let mut executed = executed.into_future();
    let explained = async {
        while !log
            .text()
            .contains("no worker has polled task queue `texts`")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        done = &mut executed => panic!("{done:?}"),
        () = explained => {}
    }
    server.run(Worker::new("texts").workflow(join_texts));

    assert_eq!(executed.await.unwrap(), "a None");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_another_type_is_called_the_result() {
    #[workflow(name = "join_texts")]
    async fn join_numbers(_: Workflow, a: String, b: Option<u32>) -> Result<u32> {
        let _ = (a, b);
        Ok(0)
    }

    let server = server().await;
    let client = Client::connect(&server.address).unwrap();
    let input = ("a".to_owned(), None);
    let error = client.execute(join_numbers, input).await.unwrap_err();
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    assert!(
        said.starts_with("the result is not what the code takes: "),
        "{said}"
    );
    assert_eq!(said.matches("invalid type").count(), 1, "{said}");
    server.stop().await;
}
