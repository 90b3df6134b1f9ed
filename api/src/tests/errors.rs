use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use engine::store;
use history::{
    Namespace, RunId, SearchAttributeType, WorkflowId, decide::Rejection,
    search_attribute::BadSearchAttributes,
};
use serde_json::json;

use crate::error::Error;

fn status_of(error: impl Into<Error>) -> u16 {
    error.into().status().as_u16()
}

#[test]
fn what_the_caller_did_is_a_4xx_and_what_we_did_a_5xx() {
    let id = WorkflowId::known("w");
    let run_id = RunId(uuid::Uuid::nil());
    let rejected = |rejection| engine::Error::Rejected(rejection);
    for (error, status) in [
        (rejected(Rejection::WorkflowClosed), 409),
        (
            rejected(Rejection::WorkflowAlreadyStarted {
                workflow_id: id.clone(),
                run_id,
            }),
            409,
        ),
        (
            rejected(Rejection::InvalidArgument {
                field: "input",
                problem: "x".to_owned(),
            }),
            400,
        ),
        (engine::Error::NamespaceNotFound(Namespace::known("n")), 404),
        (
            engine::Error::WorkflowNotFound {
                workflow_id: id,
                run_id: None,
            },
            404,
        ),
        (engine::Error::NotOwner { owner: None }, 503),
        (engine::Error::DatabaseAway("refused".into()), 503),
        (engine::Error::NotAMember, 403),
        (engine::Error::Unavailable("x"), 503),
        (engine::Error::Locked, 503),
        (
            engine::Error::HistoryCorrupt {
                workflow_id: WorkflowId::known("w"),
                row: "run x row 3".to_owned(),
                problem: "its hash is another".to_owned(),
            },
            500,
        ),
        (
            engine::Error::CorruptRow {
                workflow_id: WorkflowId::known("w"),
                table: "attempt",
                row: "run x".to_owned(),
                problem: "it has the stored form 2".to_owned(),
            },
            500,
        ),
        (engine::Error::DataRefused("x".to_owned()), 400),
        (
            engine::Error::TooLarge {
                what: "input",
                bytes: 3,
                bytes_max: 2,
            },
            413,
        ),
        (
            BadSearchAttributes::Unknown("Amount".to_owned()).into(),
            404,
        ),
        (BadSearchAttributes::TooMany(101).into(), 400),
        (
            engine::Error::SearchAttributeName("7up".to_owned(), "x"),
            400,
        ),
        (
            engine::Error::SearchAttributeExists {
                name: "Amount".to_owned(),
                before: SearchAttributeType::Int,
            },
            409,
        ),
        (engine::Error::TooManySearchAttributes, 409),
        (engine::Error::ListOrder("HistoryLength".to_owned()), 400),
        (engine::Error::ListCursor, 400),
        (engine::Error::ListBuilding, 503),
        (engine::Error::Store(store::Error::NewerSchema(9)), 500),
        (engine::Error::Store(store::Error::OtherSchema(3)), 500),
    ] {
        let shown = format!("{error:?}");
        assert_eq!(status_of(error), status, "{shown}");
    }
}

#[test]
fn the_envelope_names_what_helps() {
    let elsewhere = Error::from(engine::Error::NotOwner {
        owner: Some("http://127.0.0.1:8000".to_owned()),
    });
    assert_eq!(
        serde_json::to_value(elsewhere.envelope()).unwrap(),
        json!({"error": {
            "code": "NOT_OWNER",
            "message": "this process does not own the workflow's shard; the owner is http://127.0.0.1:8000",
            "advice": "send the same request to the owner, or again in a moment",
            "owner": "http://127.0.0.1:8000",
        }})
    );
    let run_id = RunId(uuid::Uuid::nil());
    let started = Rejection::WorkflowAlreadyStarted {
        workflow_id: WorkflowId::known("w"),
        run_id,
    };
    let envelope =
        serde_json::to_value(Error::from(engine::Error::from(started)).envelope()).unwrap();
    assert_eq!(envelope["error"]["runId"], json!(run_id));
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns all codes: what every `fn code` of the checkout's sources names, and what is logged as `code`.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["api/src", "engine/src", "history/src", "worker/src"]
        .map(|at| checkout().join(at))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                codes.extend(codes_of(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    codes
}

/// Returns what the functions called `code` in a source file name.
fn codes_of(source: &str) -> Vec<String> {
    let functions = source
        .split("fn code(&self) -> &")
        .skip(1)
        .map(|rest| rest.split("\n    }").next().unwrap_or(rest));
    let quoted = |function: &str| {
        function
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let logged = source
        .split("code = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned);
    let is_code =
        |text: &String| text.len() > 2 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    functions
        .flat_map(quoted)
        .chain(logged)
        .filter(is_code)
        .collect()
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<String> = fs::read_dir(checkout().join("docs/errors"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "README")
        .collect();
    let codes = codes();
    assert!(codes.len() > 30, "the sources were searched: {codes:?}");
    let missing: Vec<_> = codes.difference(&pages).collect();
    let stale: Vec<_> = pages.difference(&codes).collect();
    assert!(
        missing.is_empty(),
        "write docs/errors/<CODE>.md for {missing:?}"
    );
    assert!(
        stale.is_empty(),
        "no error has the code of docs/errors pages {stale:?}"
    );
}

#[test]
fn the_list_of_pages_has_them_all() {
    let list = fs::read_to_string(checkout().join("docs/errors/README.md")).unwrap();
    for code in codes() {
        let line = format!("| [{code}]({code}.md) |");
        assert!(list.contains(&line), "docs/errors/README.md has no {code}");
    }
}

#[test]
fn every_page_says_what_how_to_fix_and_why() {
    for code in codes() {
        let page = fs::read_to_string(checkout().join(format!("docs/errors/{code}.md"))).unwrap();
        for part in [
            format!("# {code}\n"),
            "\n## Fix\n".to_owned(),
            "\n## Common causes\n".to_owned(),
        ] {
            assert!(
                page.contains(&part),
                "docs/errors/{code}.md has no {part:?}"
            );
        }
    }
}
