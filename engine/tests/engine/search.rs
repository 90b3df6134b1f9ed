//! Lists of runs on a real Postgres: what a query finds, in which order, and when.

use std::{collections::BTreeMap, time::Duration};

use engine::{Config, Engine, Error, ListCursor, ListRequest, Summary};
use fastrand::Rng;
use history::{
    Command, Namespace, Payload, SearchAttributeType as Type, decide::StartWorkflow,
    event::SearchAttributes,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::*;

const DECLARED: [(&str, Type); 7] = [
    ("Customer", Type::Keyword),
    ("Tags", Type::KeywordList),
    ("Note", Type::Text),
    ("Count", Type::Int),
    ("Amount", Type::Double),
    ("Paid", Type::Bool),
    ("DueAt", Type::Datetime),
];

async fn declare_all(engine: &Engine) {
    for (name, ty) in DECLARED {
        let new = engine
            .declare_search_attribute(&namespace(), name, ty)
            .await;
        assert!(new.unwrap(), "{name}");
    }
}

fn attributes(values: &Value) -> SearchAttributes {
    let values = values.as_object().unwrap().iter();
    values
        .map(|(name, value)| (name.clone(), Payload::json(value).unwrap()))
        .collect()
}

fn start_with(workflow_type: &str, id: &str, values: &Value) -> StartWorkflow {
    StartWorkflow {
        search_attributes: attributes(values),
        ..start(workflow_type, id)
    }
}

fn request(query: &str) -> ListRequest {
    ListRequest {
        query: query.to_owned(),
        page_size: 1000,
        cursor: None,
    }
}

async fn list(engine: &Engine, query: &str) -> Vec<Summary> {
    let page = engine.list(&namespace(), &request(query)).await;
    page.expect(query).runs
}

/// Returns the ids of what a query finds, in order.
async fn found(engine: &Engine, query: &str) -> Vec<String> {
    let runs = list(engine, query).await;
    runs.iter().map(|run| run.workflow_id.to_string()).collect()
}

async fn refused(engine: &Engine, query: &str) -> Error {
    let listed = engine.list(&namespace(), &request(query)).await;
    listed.expect_err(query)
}

/// Workflow code that has nothing to do but what its type says: to end, or to wait.
fn code() -> Script {
    std::sync::Arc::new(|workflow_type, events| {
        let is_first = count(events, |kind| kind.name() == "WorkflowTaskCompleted") == 0;
        match workflow_type.as_str() {
            "done" => vec![complete("so it is")],
            "upsert" if is_first => vec![
                Command::UpsertWorkflowSearchAttributes {
                    search_attributes: attributes(
                        &json!({"Customer": "second", "Count": 7, "Paid": null}),
                    ),
                },
                Command::ModifyWorkflowProperties {
                    upserted_memo: attributes(&json!({"stage": "packed"})),
                },
            ],
            "repeat" => vec![Command::UpsertWorkflowSearchAttributes {
                search_attributes: attributes(&json!({"Customer": "same"})),
            }],
            "unknown" => vec![Command::UpsertWorkflowSearchAttributes {
                search_attributes: attributes(&json!({"Nobody": 1})),
            }],
            _ => Vec::new(),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_list_that_is_asked_for_next() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, code(), echo());
    for n in 0..20 {
        let id = format!("w-{n}");
        engine
            .start_workflow(&namespace(), start("wait", &id))
            .await
            .unwrap();
        let query = format!("WorkflowId = '{id}' AND ExecutionStatus = 'Running'");
        assert_eq!(found(&engine, &query).await, [id.as_str()]);
        let terminate = history::decide::Terminate {
            reason: "enough".to_owned(),
            details: history::Payloads::default(),
            identity: None,
        };
        engine.terminate(&address(&id), terminate).await.unwrap();
        let query = format!("WorkflowId = '{id}' AND ExecutionStatus = 'Terminated'");
        assert_eq!(found(&engine, &query).await, [id.as_str()]);
    }
    let newest_first = found(&engine, "").await;
    assert_eq!((newest_first.len(), newest_first[0].as_str()), (20, "w-19"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_member_has_acknowledged_is_in_the_list_of_another() {
    let url = database().await;
    let one = owner(&url).await;
    let other = Engine::open(Config::new(&*url, "http://127.0.0.1:2"))
        .await
        .unwrap();
    timeout(PATIENCE, other.owning()).await.unwrap();
    let mut owners = [0; 2];
    for n in 0..20 {
        let id = format!("w-{n}");
        let engines = [&one, &other];
        let mut owner = 0;
        while let Err(error) = engines[owner]
            .start_workflow(&namespace(), start("wait", &id))
            .await
        {
            assert!(matches!(error, Error::NotOwner { .. }), "{error}");
            owner += 1;
        }
        owners[owner] += 1;
        for engine in engines {
            let query = format!("WorkflowId = '{id}'");
            assert_eq!(found(engine, &query).await, [id.as_str()]);
        }
    }
    assert!(owners.iter().all(|owned| *owned > 0), "{owners:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workflow_code_changes_what_its_run_is_found_by() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    let first = json!({"Customer": "first", "Paid": true, "Tags": ["a", "b"]});
    let mut request = start_with("upsert", "w", &first);
    request.memo = attributes(&json!({"stage": "new", "of": "spring"}));
    engine.start_workflow(&namespace(), request).await.unwrap();
    until(
        &url,
        "EXISTS (SELECT FROM execution WHERE memo LIKE '%packed%')",
    )
    .await;

    for (query, finds) in [
        ("Customer = 'first'", false),
        ("Customer = 'second'", true),
        ("Count = 7", true),
        ("Paid IS NULL", true),
        ("Tags = 'b'", true),
    ] {
        assert_eq!(!found(&engine, query).await.is_empty(), finds, "{query}");
    }
    let run = &list(&engine, "").await[0];
    assert_eq!(
        run.memo,
        attributes(&json!({"stage": "packed", "of": "spring"}))
    );
    let values: Value = serde_json::from_str(run.search_attributes.as_deref().unwrap()).unwrap();
    assert_eq!(
        values,
        json!({"Customer": "second", "Count": 7, "Tags": ["a", "b"]})
    );
    // The next owner knows the same.
    engine.close().await;
    let next = owner(&url).await;
    let described = next.describe(&address("w")).await.unwrap();
    assert_eq!(described.memo, run.memo);
    assert_eq!(found(&next, "Customer = 'second'").await, ["w"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_code_says_again_is_found_by_an_attribute_that_was_declared_anew() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    let upserts = |times: u32| {
        format!("(SELECT count(*) FROM history WHERE records LIKE '%UpsertWorkflow%') = {times}")
    };
    engine
        .start_workflow(&namespace(), start("repeat", "w"))
        .await
        .unwrap();
    until(&url, &upserts(1)).await;
    assert_eq!(found(&engine, "Customer = 'same'").await, ["w"]);
    engine
        .delete_search_attribute(&namespace(), "Customer")
        .await
        .unwrap();
    let new = engine
        .declare_search_attribute(&namespace(), "Customer", Type::Keyword)
        .await;
    assert!(new.unwrap());
    assert!(found(&engine, "Customer = 'same'").await.is_empty());

    engine.signal(&address("w"), signal("again")).await.unwrap();
    until(&url, &upserts(2)).await;

    assert_eq!(found(&engine, "Customer = 'same'").await, ["w"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_declared_is_refused_where_it_comes_from() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    for (values, code) in [
        (json!({"Nobody": 1}), "SEARCH_ATTRIBUTE_NOT_FOUND"),
        (json!({"Count": "1"}), "SEARCH_ATTRIBUTE_INVALID"),
    ] {
        let request = start_with("done", "refused", &values);
        let error = engine
            .start_workflow(&namespace(), request)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    // In workflow code it fails the task, which is tried again: until somebody declares it.
    engine
        .start_workflow(&namespace(), start("unknown", "w"))
        .await
        .unwrap();
    let failed = async {
        loop {
            let described = engine.describe(&address("w")).await.unwrap();
            let task = described.pending_workflow_task;
            if let Some(failure) = task.and_then(|task| task.failing) {
                return failure;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let failure = timeout(PATIENCE, failed).await.unwrap();
    let said = format!("{failure:?}");
    assert!(said.contains("no search attribute Nobody"), "{said}");
    // By another process, so that this one has to find out.
    execute(
        &url,
        "INSERT INTO search_attribute (namespace, name, type) VALUES (1, 'Nobody', 3)",
    )
    .await;
    until(
        &url,
        "EXISTS (SELECT FROM execution WHERE search_attributes ? 'Nobody')",
    )
    .await;
    assert_eq!(found(&engine, "Nobody = 1").await, ["w"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_attribute_is_declared_once_with_one_type_and_taken_back() {
    let url = database().await;
    let engine = owner(&url).await;
    let space = namespace();
    let declare = |name: &'static str, ty| engine.declare_search_attribute(&space, name, ty);
    assert!(declare("Customer", Type::Keyword).await.unwrap());
    assert!(
        !declare("Customer", Type::Keyword).await.unwrap(),
        "it is there"
    );
    for (name, code) in [
        ("Customer", "SEARCH_ATTRIBUTE_EXISTS"),
        ("WorkflowId", "SEARCH_ATTRIBUTE_INVALID"),
        ("", "SEARCH_ATTRIBUTE_INVALID"),
        ("with space", "SEARCH_ATTRIBUTE_INVALID"),
        ("1st", "SEARCH_ATTRIBUTE_INVALID"),
    ] {
        let error = declare(name, Type::Int).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
    }
    let all = engine.search_attributes(&space).await.unwrap();
    assert_eq!(
        all,
        BTreeMap::from([("Customer".to_owned(), Type::Keyword)])
    );
    let elsewhere = Namespace::known("elsewhere");
    let error = engine.search_attributes(&elsewhere).await.unwrap_err();
    assert_eq!(error.code(), "NAMESPACE_NOT_FOUND");

    engine
        .delete_search_attribute(&space, "Customer")
        .await
        .unwrap();
    let error = engine.delete_search_attribute(&space, "Customer").await;
    assert_eq!(error.unwrap_err().code(), "SEARCH_ATTRIBUTE_NOT_FOUND");
    let error = refused(&engine, "Customer = 'a'").await;
    assert_eq!(error.code(), "INVALID_QUERY");
    assert!(
        declare("Customer", Type::Int).await.unwrap(),
        "of another type now"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_is_refused_with_what_to_change() {
    let url = database().await;
    let engine = owner(&url).await;
    for (query, says) in [
        ("Customer = 'a'", "Customer"),
        ("WorkflowId == 'a'", "="),
        ("ORDER BY HistoryLength", "HistoryLength"),
        ("StartTime > 'yesterday'", "yesterday"),
    ] {
        let error = refused(&engine, query).await;
        assert_eq!(error.code(), "INVALID_QUERY");
        assert!(error.to_string().contains(says), "{error}");
    }
    work(&engine, code(), echo());
    for id in ["a", "b"] {
        engine
            .start_workflow(&namespace(), start("sequence", id))
            .await
            .unwrap();
    }
    let first = ListRequest {
        page_size: 1,
        ..request("ORDER BY CloseTime")
    };
    let next = engine.list(&namespace(), &first).await.unwrap().next;
    let next = next.unwrap().to_string();
    let (place, _) = next.rsplit_once('.').unwrap();
    // One that says something else than a time, and those of another list.
    for (cursor, query) in [
        (format!("{place}.eA"), "ORDER BY CloseTime"),
        (next.clone(), "ORDER BY CloseTime ASC"),
        (next.clone(), ""),
    ] {
        let forged = ListRequest {
            cursor: Some(cursor.parse().unwrap()),
            ..request(query)
        };
        let error = engine.list(&namespace(), &forged).await.unwrap_err();
        assert_eq!(error.code(), "INVALID_QUERY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_were_emptied_are_made_anew_with_all_that_there_is() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    for n in 0..30 {
        let values = json!({"Count": n, "Customer": format!("c{}", n % 3)});
        let workflow_type = if n % 2 == 0 { "done" } else { "wait" };
        let request = start_with(workflow_type, &format!("w-{n}"), &values);
        engine.start_workflow(&namespace(), request).await.unwrap();
    }
    until(
        &url,
        "(SELECT count(*) = 15 FROM execution WHERE closed_at IS NOT NULL)",
    )
    .await;
    let before = list(&engine, "").await;
    let tables = |url: String| async move {
        let mut all = Vec::new();
        for (table, order) in [
            ("visibility", "run_id"),
            ("visibility_attribute", "run_id, attribute"),
            ("workflow_count", "workflow_type, status"),
        ] {
            let sql = format!(
                "SELECT coalesce(string_agg(t::text, chr(10) ORDER BY {order}), '') FROM {table} t"
            );
            let row = connect(&url).await.query_one(&sql, &[]).await.unwrap();
            all.push(row.get::<_, String>(0));
        }
        all
    };
    let kept = tables(url.clone()).await;
    assert!(kept.iter().all(|table| !table.is_empty()));

    engine.rebuild_lists().await.unwrap();
    assert_eq!(ids(&list(&engine, "").await), ids(&before));
    assert_eq!(tables(url.clone()).await, kept);

    // So are they when the feed was deleted before it was read.
    engine.close().await;
    execute(
        &url,
        "UPDATE feed_consumer SET epochs = '{1}', slots = '{0}', batches = '{1}', epoch = 1;
         UPDATE feed SET at = at - interval '2 days'; TRUNCATE visibility;
         SELECT expire_feed(interval '1 minute', interval '1 day', 1000)",
    )
    .await;
    let next = owner(&url).await;
    assert_eq!(ids(&list(&next, "").await), ids(&before));
    assert_eq!(tables(url).await, kept);
}

fn ids(runs: &[Summary]) -> Vec<history::RunId> {
    runs.iter().map(|run| run.run_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_skip_nor_repeat_in_any_order() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    for n in 0..40 {
        let mut values = json!({"Count": n % 5});
        if n % 4 != 0 {
            values["Customer"] = json!(format!("it's {}", n % 7));
            values["DueAt"] = json!(format!("2026-02-{:02}T00:00:00Z", n % 9 + 1));
            values["Amount"] = json!(f64::from(n % 6) / 8.0);
            values["Paid"] = json!(n % 2 == 0);
        }
        let workflow_type = if n % 3 == 0 { "wait" } else { "done" };
        let request = start_with(workflow_type, &format!("w-{n}"), &values);
        engine.start_workflow(&namespace(), request).await.unwrap();
    }
    until(
        &url,
        "(SELECT count(*) = 14 FROM execution WHERE closed_at IS NULL)",
    )
    .await;
    for (by, all) in [
        ("StartTime", 40),
        ("CloseTime", 40),
        ("WorkflowId", 40),
        ("WorkflowType", 40),
        ("TaskQueue", 40),
        ("ExecutionStatus", 40),
        // Those that are open have none.
        ("ExecutionDuration", 26),
        ("Count", 40),
        ("Customer", 30),
        ("DueAt", 30),
        ("Amount", 30),
        ("Paid", 30),
    ] {
        for direction in ["ASC", "DESC"] {
            let query = format!("WorkflowId != 'none' ORDER BY {by} {direction}");
            let whole = ids(&list(&engine, &query).await);
            assert_eq!(whole.len(), all, "{query}");
            let (mut paged, mut cursor) = (Vec::new(), None::<ListCursor>);
            loop {
                let request = ListRequest {
                    page_size: 7,
                    cursor: cursor.map(|cursor| cursor.to_string().parse().unwrap()),
                    ..request(&query)
                };
                let page = engine.list(&namespace(), &request).await.unwrap();
                paged.extend(ids(&page.runs));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(paged, whole, "{query}");
        }
        let ascending = ids(&list(&engine, &format!("ORDER BY {by} ASC")).await);
        let mut descending = ids(&list(&engine, &format!("ORDER BY {by} DESC")).await);
        descending.reverse();
        assert_eq!(ascending, descending, "{by}");
    }
}

/// A run as a query sees it: what it has, by name.
type Facts = BTreeMap<&'static str, Value>;

/// A condition, and whether a run passes it: by other means than the engine's.
struct Asked {
    text: String,
    passes: Box<dyn Fn(&Facts) -> bool>,
}

/// Draws a condition on one attribute. One that is absent passes nothing but the question whether it is.
fn condition(rng: &mut Rng) -> Asked {
    let (name, values): (&'static str, Vec<Value>) = match rng.u32(0..8) {
        0 => (
            "Customer",
            vec![json!("a"), json!("ab"), json!("b'c"), json!("")],
        ),
        1 => ("Count", vec![json!(-1), json!(0), json!(3)]),
        2 => ("Amount", vec![json!(-0.5), json!(0.0), json!(0.1)]),
        3 => ("Paid", vec![json!(true), json!(false)]),
        4 => (
            "WorkflowType",
            vec![json!("done"), json!("wait"), json!("do")],
        ),
        5 => ("Tags", vec![json!("x"), json!("y"), json!("z")]),
        6 => (
            "Note",
            vec![json!("late"), json!("late delivery"), json!("no")],
        ),
        _ => (
            "WorkflowId",
            vec![json!("w-1"), json!("w-10"), json!("w-2")],
        ),
    };
    let written = |value: &Value| match value {
        Value::String(quoted) => format!("'{}'", quoted.replace('\'', "''")),
        other => other.to_string(),
    };
    let of = move |facts: &Facts| facts.get(name).cloned();
    let mut any = || values[rng.usize(0..values.len())].clone();
    let (one, other) = (any(), any());
    let has_no_order = matches!(name, "Tags" | "Note" | "Paid");
    let kinds = match name {
        "Note" | "Paid" => 4,
        "Tags" => 6,
        "Customer" | "WorkflowId" | "WorkflowType" => 14,
        _ => 12,
    };
    let test: Box<dyn Fn(&Value) -> bool>;
    let written_so;
    match rng.u32(0..kinds) {
        0 => {
            return Asked {
                text: format!("{name} IS NULL"),
                passes: Box::new(move |facts| of(facts).is_none()),
            };
        }
        1 => (written_so, test) = (format!("{name} IS NOT NULL"), Box::new(|_: &Value| true)),
        2 => {
            written_so = format!("{name} = {}", written(&one));
            test = Box::new(move |is| holds(is, &one));
        }
        3 => {
            written_so = format!("{name} != {}", written(&one));
            test = Box::new(move |is| !holds(is, &one));
        }
        4 => {
            written_so = format!("{name} IN ({}, {})", written(&one), written(&other));
            test = Box::new(move |is| holds(is, &one) || holds(is, &other));
        }
        5 => {
            written_so = format!("{name} NOT IN ({}, {})", written(&one), written(&other));
            test = Box::new(move |is| !holds(is, &one) && !holds(is, &other));
        }
        n @ 6..=9 => {
            assert!(!has_no_order);
            let (operator, accepts): (_, &'static [std::cmp::Ordering]) = match n {
                6 => ("<", &[std::cmp::Ordering::Less]),
                7 => ("<=", &[std::cmp::Ordering::Less, std::cmp::Ordering::Equal]),
                8 => (">", &[std::cmp::Ordering::Greater]),
                _ => (
                    ">=",
                    &[std::cmp::Ordering::Greater, std::cmp::Ordering::Equal],
                ),
            };
            written_so = format!("{name} {operator} {}", written(&one));
            test = Box::new(move |is| accepts.contains(&compare(is, &one)));
        }
        n @ 10..=11 => {
            let not = if n == 10 { "" } else { "NOT " };
            written_so = format!(
                "{name} {not}BETWEEN {} AND {}",
                written(&one),
                written(&other)
            );
            test = Box::new(move |is| {
                (compare(is, &one).is_ge() && compare(is, &other).is_le()) == (n == 10)
            });
        }
        n => {
            let not = if n == 12 { "" } else { "NOT " };
            written_so = format!("{name} {not}STARTS_WITH {}", written(&one));
            test = Box::new(move |is| {
                let (is, prefix) = (is.as_str().unwrap(), one.as_str().unwrap());
                is.starts_with(prefix) == (n == 12)
            });
        }
    }
    Asked {
        text: written_so,
        passes: Box::new(move |facts| of(facts).is_some_and(|is| test(&is))),
    }
}

/// Says whether a value is another one, has it, or has one of its words.
fn holds(is: &Value, asked: &Value) -> bool {
    match (is, asked) {
        (Value::Array(all), one) => all.contains(one),
        (Value::String(is), Value::String(asked)) if is.contains(' ') || is == "late" => {
            let words: Vec<&str> = is.split(' ').collect();
            asked.split(' ').any(|word| words.contains(&word))
        }
        (is, asked) => compare(is, asked).is_eq(),
    }
}

fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.as_bytes().cmp(other.as_bytes()),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (one, other) => one.as_f64().unwrap().total_cmp(&other.as_f64().unwrap()),
    }
}

/// Draws a filter of conditions.
fn filter(rng: &mut Rng, depth: u32) -> Asked {
    match rng.u32(0..if depth == 0 { 1 } else { 4 }) {
        1 => {
            let (one, other) = (filter(rng, depth - 1), filter(rng, depth - 1));
            Asked {
                text: format!("({} AND {})", one.text, other.text),
                passes: Box::new(move |facts| (one.passes)(facts) && (other.passes)(facts)),
            }
        }
        2 => {
            let (one, other) = (filter(rng, depth - 1), filter(rng, depth - 1));
            Asked {
                text: format!("({} OR {})", one.text, other.text),
                passes: Box::new(move |facts| (one.passes)(facts) || (other.passes)(facts)),
            }
        }
        _ => condition(rng),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_filters_find_what_passes_them() {
    let url = database().await;
    let engine = owner(&url).await;
    declare_all(&engine).await;
    work(&engine, code(), echo());
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut runs: BTreeMap<String, Facts> = BTreeMap::new();
    for n in 0..40 {
        let id = format!("w-{n}");
        let mut facts = Facts::new();
        for (name, of) in [
            (
                "Customer",
                vec![json!("a"), json!("ab"), json!("b'c"), json!("é")],
            ),
            ("Count", vec![json!(-1), json!(0), json!(3), json!(4)]),
            (
                "Amount",
                vec![json!(-0.5), json!(0.0), json!(0.1), json!(1e300)],
            ),
            ("Paid", vec![json!(true), json!(false)]),
            (
                "Tags",
                vec![json!(["x"]), json!(["x", "y"]), json!(["z", "y", "z"])],
            ),
            (
                "Note",
                vec![json!("late"), json!("late delivery"), json!("on time")],
            ),
        ] {
            if rng.u32(0..4) > 0 {
                facts.insert(name, of[rng.usize(0..of.len())].clone());
            }
        }
        let workflow_type = if rng.bool() { "done" } else { "wait" };
        let values = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let request = start_with(workflow_type, &id, &Value::Object(values.collect()));
        engine.start_workflow(&namespace(), request).await.unwrap();
        facts.insert("WorkflowType", json!(workflow_type));
        facts.insert("WorkflowId", json!(id));
        runs.insert(id, facts);
    }
    for _ in 0..400 {
        let Asked { text, passes } = filter(&mut rng, 3);
        let mut expected: Vec<&String> = (runs.iter())
            .filter(|(_, facts)| passes(facts))
            .map(|(id, _)| id)
            .collect();
        let mut found = found(&engine, &text).await;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected,
            "seed {seed}: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_durations_and_ancestors_are_compared_as_they_are_written() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, code(), echo());
    let mut delayed = start("done", "delayed");
    delayed.start_delay = history::Millis::seconds(3600);
    engine.start_workflow(&namespace(), delayed).await.unwrap();
    for id in ["one", "two"] {
        engine
            .start_workflow(&namespace(), start("done", id))
            .await
            .unwrap();
        end(&engine, id).await;
    }
    let runs = list(&engine, "").await;
    let one = runs
        .iter()
        .find(|run| run.workflow_id.as_str() == "one")
        .unwrap();
    let utc = |at| history::rfc3339::Utc(at).to_string();
    let (started, closed) = (utc(one.started_at), utc(one.closed_at.unwrap()));
    let nanos = (one.closed_at.unwrap().0 - one.started_at.0) * 1000;
    let run_id = one.run_id;
    for (query, finds) in [
        (format!("StartTime = '{started}'"), vec!["one"]),
        (format!("StartTime > '{started}'"), vec!["two"]),
        (
            format!("StartTime BETWEEN '{started}' AND '{started}'"),
            vec!["one"],
        ),
        (format!("CloseTime <= '{closed}'"), vec!["one"]),
        ("CloseTime IS NULL".to_owned(), vec!["delayed"]),
        (format!("NOT CloseTime <= '{closed}'"), vec!["two"]),
        (
            format!("ExecutionTime > '{closed}' AND ExecutionStatus = 'Running'"),
            vec!["delayed"],
        ),
        (
            format!("ExecutionDuration = {nanos} AND WorkflowId = 'one'"),
            vec!["one"],
        ),
        (
            format!("ExecutionDuration < {} AND WorkflowId = 'one'", nanos + 1),
            vec!["one"],
        ),
        (
            format!("ExecutionDuration > {} AND WorkflowId = 'one'", nanos - 1),
            vec!["one"],
        ),
        (
            format!("ExecutionDuration = {} AND WorkflowId = 'one'", nanos + 1),
            vec![],
        ),
        ("ExecutionDuration < '1h'".to_owned(), vec!["two", "one"]),
        ("ExecutionDuration IS NULL".to_owned(), vec!["delayed"]),
        (format!("RunId = '{run_id}'"), vec!["one"]),
        ("RunId = 'no uuid'".to_owned(), vec![]),
        (
            format!("RunId STARTS_WITH '{}'", &run_id.to_string()[..36]),
            vec!["one"],
        ),
        ("ParentRunId NOT IN ('no uuid')".to_owned(), vec![]),
        ("RootWorkflowId = 'one'".to_owned(), vec!["one"]),
        (format!("RootRunId = '{run_id}'"), vec!["one"]),
        (
            "ParentWorkflowId IS NULL AND HistoryLength > 2".to_owned(),
            vec!["two", "one"],
        ),
        ("HistorySizeBytes > 100".to_owned(), vec!["two", "one"]),
        (
            "WorkflowId STARTS_WITH 't' OR TaskQueue = 'other'".to_owned(),
            vec!["two"],
        ),
    ] {
        assert_eq!(found(&engine, &query).await, finds, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_the_runs_whatever_happens_to_them() {
    let url = database().await;
    let engine = owner(&url).await;
    let working = work(&engine, code(), echo());
    assert_eq!(engine.count(&namespace(), "").await.unwrap(), 0);
    assert_eq!(engine.counts(&namespace()).await.unwrap(), []);
    for n in 0..30 {
        let workflow_type = if n % 3 == 0 { "wait" } else { "done" };
        let request = start(workflow_type, &format!("w-{n}"));
        engine.start_workflow(&namespace(), request).await.unwrap();
        if n % 10 == 5 {
            // Each is what it was when it was asked.
            assert_eq!(
                engine.count(&namespace(), "").await.unwrap(),
                i64::from(n) + 1
            );
        }
    }
    until(
        &url,
        "(SELECT count(*) = 10 FROM execution WHERE closed_at IS NULL)",
    )
    .await;
    let counted = |counts: &[engine::WorkflowCount]| -> Vec<(String, &'static str, i64, i64)> {
        let of = |count: &engine::WorkflowCount| {
            let name = count.workflow_type.to_string();
            (name, count.status.as_str(), count.runs, count.lately.minute)
        };
        counts.iter().map(of).collect()
    };
    let counts = engine.counts(&namespace()).await.unwrap();
    // Those that are done began as well: the rate of `Running` says so.
    let expected = [
        ("done", "Running", 0, 20),
        ("done", "Completed", 20, 20),
        ("wait", "Running", 10, 10),
    ];
    let expected =
        expected.map(|(name, status, runs, lately)| (name.to_owned(), status, runs, lately));
    assert_eq!(counted(&counts), expected);
    assert_eq!(
        engine
            .count(&namespace(), "ExecutionStatus = 'Completed'")
            .await
            .unwrap(),
        20
    );
    // A takeover counts nothing twice, and making all anew counts the same.
    engine.close().await;
    working.abort();
    let next = owner(&url).await;
    assert_eq!(counted(&next.counts(&namespace()).await.unwrap()), expected);
    next.rebuild_lists().await.unwrap();
    assert_eq!(counted(&next.counts(&namespace()).await.unwrap()), expected);
}
