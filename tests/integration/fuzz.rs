//! Requests that lie: whatever comes in, the answer is what was asked for or a refusal with a code; the engine lives on, and
//! what it recorded folds, exports, reads in SQL and audits as ever.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Uri},
};
use engine::audit;
use fuzz::{Dice, json::Json, text};
use serde::Deserialize;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::support::{Server, client::code};

/// Longer than any answer takes that is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer is waited for that may wait.
const WAIT: Duration = Duration::from_millis(50);

const STARTS: [&str; 8] = [
    r#"{"workflowType":"echo","workflowId":"w-1","input":{"a":[1,2.50,"three",null]}}"#,
    r#"{"workflowType":"greet","workflowId":"w-2","inputs":["world"],"requestId":"r-1","identity":"me"}"#,
    r#"{"workflowType":"approval","workflowId":"w-3","workflowIdConflictPolicy":"UseExisting"}"#,
    r#"{"workflowType":"approval","workflowIdReusePolicy":"RejectDuplicate","workflowExecutionTimeout":"1h","workflowRunTimeout":"30m"}"#,
    r#"{"workflowType":"patient","workflowId":"w-4","startDelay":"1h","workflowTaskTimeout":"10s"}"#,
    r#"{"workflowType":"refusal","retryPolicy":{"initialInterval":"1s","backoffCoefficient":1.5,"maximumInterval":"1m","maximumAttempts":2,"nonRetryableErrorTypes":["CardDeclined"]}}"#,
    r#"{"workflowType":"echo","taskQueue":"nobody","memo":{"who":"me","n":1},"searchAttributes":{"City":"Bern","Age":7}}"#,
    r#"{"workflowType":"nobody-has-it","workflowId":"w-5","workflowIdConflictPolicy":"TerminateExisting","workflowIdReusePolicy":"AllowDuplicate"}"#,
];

/// A verb below a workflow, with a body that it takes.
const VERBS: [(&str, &str); 4] = [
    (
        "/signal",
        r#"{"signalName":"approve","input":"yes","requestId":"s-1","identity":"me"}"#,
    ),
    (
        "/signal",
        r#"{"signalName":"hello","inputs":[{"deep":[[[]]]},2]}"#,
    ),
    (
        "/cancel",
        r#"{"reason":"enough","requestId":"c-1","identity":"me"}"#,
    ),
    (
        "/terminate",
        r#"{"reason":"enough","details":{"a":1},"identity":"me"}"#,
    ),
];

const READS: [&str; 3] = ["", "/history", "/result"];

const QUERY: [(&str, &str); 17] = [
    ("runId", "018f0000-0000-7000-8000-000000000001"),
    ("wait", "1ms"),
    ("wait", "0s"),
    ("after", "1"),
    ("after", "-9223372036854775808"),
    ("after", "9223372036854775807"),
    ("pageSize", "10"),
    ("pageSize", "1"),
    ("type", "echo"),
    ("status", "Running"),
    ("query", "City%20%3D%20%27Bern%27%20AND%20Age%20%3E%205"),
    (
        "query",
        "WorkflowType%20IN%20(%27echo%27)%20ORDER%20BY%20CloseTime",
    ),
    (
        "query",
        "NOT%20(RunId%20STARTS_WITH%20%270%27)%20ORDER%20BY%20Age%20DESC",
    ),
    ("workflowId", "w-1"),
    ("cursor", "018f0000-0000-7000-8000-000000000001"),
    ("cursor", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("cursor", "00000000-0000-0000-0000-000000000000"),
];

/// What is read of an answer. Not all of it: the values of users come back as they were, numbers beyond any type among them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(skip)]
    status: u16,
    workflow_id: Option<String>,
    #[serde(default)]
    events: Vec<Event>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_id: String,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

/// One request, as text for the message of a failure.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    path: String,
    body: String,
}

impl Asked {
    fn some(dice: &mut Dice) -> Self {
        let workflows = format!("/api/v1/namespaces/{}/workflows", namespace(dice));
        match dice.below(10) {
            0..=3 => Self {
                method: "POST",
                path: workflows + &query(dice, &["wait"]),
                body: start_body(dice),
            },
            4..=6 => {
                let (verb, taken) = dice.pick(&VERBS);
                let id = workflow_id(dice);
                Self {
                    method: "POST",
                    path: format!("{workflows}/{id}{verb}{}", query(dice, &["runId"])),
                    body: body(dice, taken),
                }
            }
            7 => Self {
                method: "GET",
                path: workflows
                    + &query(
                        dice,
                        &[
                            "query",
                            "type",
                            "status",
                            "workflowId",
                            "cursor",
                            "pageSize",
                        ],
                    ),
                body: String::new(),
            },
            _ => {
                let id = workflow_id(dice);
                let read = dice.pick(&READS);
                let keys = ["runId", "wait", "after", "pageSize"];
                Self {
                    method: "GET",
                    path: format!("{workflows}/{id}{read}{}", query(dice, &keys)),
                    body: String::new(),
                }
            }
        }
    }

    /// Returns the request, unless HTTP itself has no such path.
    fn request(&self) -> Option<Request<Body>> {
        let uri: Uri = self.path.parse().ok()?;
        Request::builder()
            .method(self.method)
            .uri(uri)
            .header("content-type", "application/json")
            .body(Body::from(self.body.clone()))
            .ok()
    }
}

fn namespace(dice: &mut Dice) -> String {
    if dice.one_in(20) {
        segment(dice, "default")
    } else {
        "default".to_owned()
    }
}

fn workflow_id(dice: &mut Dice) -> String {
    let known = dice.pick(&["w-1", "w-2", "w-3", "w-4", "w-5"]);
    if dice.one_in(4) {
        segment(dice, known)
    } else {
        known.to_owned()
    }
}

/// Returns a part of a path or query like another one, percent-encoded well or badly.
fn segment(dice: &mut Dice, like: &str) -> String {
    let text = text::mutated(dice, like);
    match dice.below(8) {
        0 => text,
        1 => encoded(&text) + dice.pick(&["%", "%f", "%ff", "%00", "%zz", "%2f..%2f", "%c3%28"]),
        _ => encoded(&text),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => text + &char::from(byte).to_string(),
        _ => format!("{text}%{byte:02X}"),
    })
}

fn query(dice: &mut Dice, taken: &[&str]) -> String {
    let mut pairs = Vec::new();
    for (key, value) in QUERY {
        if !(taken.contains(&key) && dice.one_in(5) || dice.one_in(80)) {
            continue;
        }
        let value = match dice.below(3) {
            0 => segment(dice, value),
            1 => encoded(dice.pick(&text::ODD)),
            _ => value.to_owned(),
        };
        pairs.push(format!("{key}={value}"));
    }
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

fn start_body(dice: &mut Dice) -> String {
    let taken = dice.pick(&STARTS);
    body(dice, taken)
}

fn body(dice: &mut Dice, taken: &str) -> String {
    match dice.below(8) {
        0 => taken.to_owned(),
        1 => text::mutated(dice, taken),
        _ => {
            let mut json = Json::read(taken).unwrap();
            for _ in 0..=dice.below(3) {
                json.mutate(dice);
            }
            json.to_string()
        }
    }
}

/// Sends a request, and again where the answer says that nothing was done and to do so: a start that meets another one whose
/// commit finds the id in use. Returns the answer, unless the request may wait for longer than a test should.
async fn send(router: &Router, asked: &Asked) -> Option<Answer> {
    let mut answer = send_once(router, asked).await?;
    for _ in 0..3 {
        if answer
            .error
            .as_ref()
            .is_none_or(|error| error.code != "UNAVAILABLE")
        {
            break;
        }
        answer = send_once(router, asked).await?;
    }
    Some(answer)
}

async fn send_once(router: &Router, asked: &Asked) -> Option<Answer> {
    let request = asked.request()?;
    let may_wait = asked.path.contains("wait");
    let answer = async {
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, body)
    };
    let Ok((status, body)) = timeout(if may_wait { WAIT } else { PATIENCE }, answer).await else {
        assert!(may_wait, "no answer to {}", short(asked));
        return None;
    };
    let read = serde_json::from_slice::<Answer>(&body);
    assert!(
        read.is_ok(),
        "{status} {body:?}: {read:?} to {}",
        short(asked)
    );
    Some(Answer {
        status,
        ..read.unwrap()
    })
}

fn short(asked: &Asked) -> String {
    format!("{asked:?}").chars().take(2000).collect()
}

/// Checks an answer, and returns the workflow id that it names if something was done.
fn check(asked: &Asked, answer: Answer, codes: &BTreeSet<String>) -> Option<String> {
    let status = answer.status;
    if (200..300).contains(&status) {
        return answer.workflow_id;
    }
    let told = || format!("{answer:?} to {}", short(asked));
    assert!((400..500).contains(&status), "{}", told());
    assert!(answer.error.is_some(), "no envelope: {}", told());
    let error = answer.error.as_ref().unwrap();
    assert!(codes.contains(&error.code), "{}", told());
    assert!(!error.message.is_empty(), "{}", told());
    None
}

/// The codes that have a page.
fn codes() -> BTreeSet<String> {
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors");
    std::fs::read_dir(pages)
        .unwrap()
        .filter_map(|page| Some(page.unwrap().path().file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn requests_that_lie_are_refused_and_cost_others_nothing() {
    let server = Server::start().await;
    let declared = [("City", "Keyword"), ("Age", "Int")];
    server.client.declare(&declared).await;
    let router = server.router();
    let codes = codes();
    let mut started = BTreeSet::new();
    let (mut taken, mut refused) = (0, 0);
    for mut dice in fuzz::cases(100) {
        for _ in 0..4 {
            let asked = Asked::some(&mut dice);
            let Some(answer) = send(&router, &asked).await else {
                continue;
            };
            let done = answer.status < 300;
            started.extend(check(&asked, answer, &codes));
            if done {
                taken += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");

    reads_well(&router, &started).await;
    let pool = audit::connect(&server.database_url()).await.unwrap();
    let report = audit::verify(&pool, audit::Scope::Everything)
        .await
        .unwrap();
    pool.close().await;
    assert!(report.is_sound(), "{:?}", report.findings);
    server.check_views().await;

    let server = server.restart().await;
    reads_well(&server.router(), &started).await;
    let body = serde_json::json!({"workflowType": "echo", "workflowId": "after-all", "input": 7});
    let answer = server.client.post("?wait=20s", body).await;
    assert_eq!(answer.1["result"], 7, "{answer:?}");
    let unknown = server.client.get("/never-started").await;
    assert_eq!(code(&unknown), (404, "WORKFLOW_NOT_FOUND"));
    server.stop().await;
}

/// Checks that every workflow can be described, and its history read to the end.
async fn reads_well(router: &Router, started: &BTreeSet<String>) {
    for id in started {
        let path = format!("/api/v1/namespaces/default/workflows/{}", encoded(id));
        let get = async |more: String| {
            let asked = Asked {
                method: "GET",
                path: format!("{path}{more}"),
                body: String::new(),
            };
            let answer = send(router, &asked).await.unwrap();
            assert_eq!(answer.status, 200, "{answer:?} to {}", short(&asked));
            answer
        };
        let described = get(String::new()).await;
        assert_eq!(described.workflow_id.as_deref(), Some(id.as_str()));
        let mut last = 0;
        loop {
            let page = get(format!("/history?after={last}&pageSize=1000")).await;
            for event in &page.events {
                last += 1;
                assert_eq!(event.event_id, last.to_string(), "of {id:?}");
            }
            if page.events.len() < 1000 {
                break;
            }
        }
        assert!(last >= 1, "{id:?} has a history");
    }
}
