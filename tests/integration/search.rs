//! What users search for: attributes that a namespace has declared, queries, and orders.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    command_line::{asks, workflow},
    support::{
        Client, Database, Node, Server,
        client::{code, ids},
        remove, scratch,
    },
};

/// An attribute of each type.
const DECLARED: [(&str, &str); 7] = [
    ("Amount", "Int"),
    ("CustomerId", "Keyword"),
    ("Due", "Datetime"),
    ("Note", "Text"),
    ("Paid", "Bool"),
    ("Score", "Double"),
    ("Tags", "KeywordList"),
];

/// Starts runs of `patient` that are open, with all attributes, without those that are absent here, and with none.
async fn orders(server: &Server) {
    let attributes = [
        (
            "order-1",
            json!({
                "CustomerId": "anna", "Note": "Late delivery, fragile", "Amount": 1, "Score": 0.5, "Paid": true,
                "Due": "2026-01-01T00:00:00Z", "Tags": ["eu", "vip"]
            }),
        ),
        (
            "order-2",
            json!({
                "CustomerId": "anton", "Note": "on time", "Amount": 20, "Score": 1.5, "Paid": false,
                "Due": "2026-02-01T01:00:00+01:00", "Tags": ["eu"]
            }),
        ),
        (
            "order-3",
            json!({"CustomerId": "it's \"bert\" \\ é", "Amount": 300, "Tags": ["us"]}),
        ),
        ("order-4", json!({})),
    ];
    for (id, attributes) in attributes {
        let body =
            json!({"workflowType": "patient", "workflowId": id, "searchAttributes": attributes});
        let (status, started) = server.client.post("", body).await;
        assert_eq!(status, 201, "{started}");
    }
}

async fn with_orders() -> Server {
    let server = Server::start().await;
    server.client.declare(&DECLARED).await;
    orders(&server).await;
    server
}

/// Returns the workflow ids that a query finds, in its order.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let (status, page) = server.client.list(&[("query", query)]).await;
    assert_eq!(status, 200, "{query}: {page}");
    ids(&page).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_namespace_has_what_was_declared_until_that_is_taken_back() {
    let server = Server::start_without_worker().await;
    server.client.declare(&DECLARED).await;
    let ask = async |method, path: &str, body| {
        let path = format!("/search-attributes{path}");
        server.client.ask(method, &path, body).await
    };
    let all = DECLARED.map(|(name, ty)| json!({"name": name, "type": ty}));
    assert_eq!(
        ask(Method::GET, "", json!({})).await,
        (200, json!({"searchAttributes": all}))
    );

    let again = json!({"name": "Amount", "type": "int"});
    let (status, declared) = ask(Method::POST, "", again).await;
    let was_there = json!({"name": "Amount", "type": "Int", "declared": false});
    assert_eq!((status, declared), (200, was_there));

    for (body, refused) in [
        (
            json!({"name": "Amount", "type": "Double"}),
            (409, "SEARCH_ATTRIBUTE_EXISTS"),
        ),
        (
            json!({"name": "StartTime", "type": "Datetime"}),
            (400, "SEARCH_ATTRIBUTE_INVALID"),
        ),
        (
            json!({"name": "7up", "type": "Int"}),
            (400, "SEARCH_ATTRIBUTE_INVALID"),
        ),
        (
            json!({"name": "A", "type": "Number"}),
            (400, "INVALID_BODY"),
        ),
        (json!({"name": "A"}), (400, "INVALID_BODY")),
    ] {
        assert_eq!(code(&ask(Method::POST, "", body).await), refused);
    }

    assert_eq!(
        ask(Method::DELETE, "/Amount", json!({})).await,
        (200, json!({}))
    );
    let gone = ask(Method::DELETE, "/Amount", json!({})).await;
    assert_eq!(code(&gone), (404, "SEARCH_ATTRIBUTE_NOT_FOUND"));
    assert_eq!(
        gone.1["error"]["message"],
        "the namespace has no search attribute Amount"
    );
    let (_, left) = ask(Method::GET, "", json!({})).await;
    assert_eq!(left["searchAttributes"].as_array().unwrap().len(), 6);
    server.stop().await;
}

#[tokio::test]
async fn each_condition_finds_its_runs() {
    let server = with_orders().await;
    let body = json!({"workflowType": "echo", "workflowId": "closed", "input": 1});
    server.client.post("?wait=true", body).await;
    for (query, expected) in [
        ("", "closed order-4 order-3 order-2 order-1"),
        ("CustomerId = 'anna'", "order-1"),
        (r#"CustomerId = 'it''s "bert" \\ é'"#, "order-3"),
        ("CustomerId != 'anna'", "order-3 order-2"),
        ("CustomerId STARTS_WITH 'an'", "order-2 order-1"),
        ("CustomerId NOT STARTS_WITH 'an'", "order-3"),
        ("CustomerId IN ('anna', 'anton')", "order-2 order-1"),
        ("CustomerId NOT IN ('anna', 'anton')", "order-3"),
        ("CustomerId BETWEEN 'anna' AND 'anton'", "order-2 order-1"),
        ("CustomerId IS NULL", "closed order-4"),
        ("CustomerId IS NOT NULL", "order-3 order-2 order-1"),
        ("Note = 'LATE'", "order-1"),
        ("Note = 'fragile delivery'", "order-1"),
        ("Note != 'late'", "order-2"),
        ("Amount = 20", "order-2"),
        ("Amount > 20", "order-3"),
        ("Amount >= 20", "order-3 order-2"),
        ("Amount < 20", "order-1"),
        ("Amount <> 20", "order-3 order-1"),
        ("NOT Amount = 20", "order-3 order-1"),
        ("Amount NOT BETWEEN 2 AND 30", "order-3 order-1"),
        ("Score <= 0.5", "order-1"),
        ("Score > 5e-1", "order-2"),
        ("Paid = true", "order-1"),
        ("Paid != true", "order-2"),
        ("Due > '2026-01-01T00:00:00Z'", "order-2"),
        ("Due = '2026-02-01T00:00:00Z'", "order-2"),
        ("Tags = 'eu'", "order-2 order-1"),
        ("Tags != 'vip'", "order-3 order-2"),
        ("Tags IN ('vip', 'us')", "order-3 order-1"),
        ("Tags NOT IN ('vip', 'us')", "order-2"),
        ("Tags IS NULL", "closed order-4"),
        ("WorkflowType = 'patient' AND CustomerId IS NULL", "order-4"),
        (
            "WorkflowId STARTS_WITH 'order-'",
            "order-4 order-3 order-2 order-1",
        ),
        (
            "ExecutionStatus = 'Running' AND Amount < 50",
            "order-2 order-1",
        ),
        ("ExecutionStatus != 'Running'", "closed"),
        ("CloseTime IS NOT NULL", "closed"),
        ("CloseTime > '2026-01-01T00:00:00Z'", "closed"),
        ("ExecutionDuration < '1h'", "closed"),
        ("HistoryLength >= 5", "closed"),
        ("HistorySizeBytes > 0", "closed"),
        ("StartTime < '2026-01-01T00:00:00Z'", ""),
        ("TaskQueue = 'default' AND Amount = 1", "order-1"),
        ("ParentWorkflowId IS NOT NULL", ""),
        ("RootWorkflowId = 'order-1'", "order-1"),
        (
            "RootWorkflowId != 'order-1' AND Amount > 0",
            "order-3 order-2",
        ),
        ("RootWorkflowId IS NULL", ""),
        ("RootRunId IS NULL", ""),
        ("Paid = true OR Amount = 300", "order-3 order-1"),
        ("NOT (Paid = true OR Amount = 300)", "order-2"),
        ("(Amount = 1 OR Amount = 20) AND Tags = 'vip'", "order-1"),
    ] {
        assert_eq!(found(&server, query).await.join(" "), expected, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_any_order_neither_skip_nor_repeat() {
    let server = Server::start().await;
    server.client.declare(&DECLARED).await;
    for n in 0..9 {
        // Several of a kind, so that pages end among equals.
        let body = json!({
            "workflowType": "echo", "workflowId": format!("w{n}"), "input": n,
            "searchAttributes": {
                "Amount": n / 3 - 1, "Score": f64::from(n % 2) / 3.0, "Paid": n % 2 == 0, "CustomerId": format!("c' {}", n / 2),
                "Due": format!("2026-01-0{}T00:00:00.000001Z", n / 4 + 1),
            },
        });
        let (status, outcome) = server.client.post("?wait=true", body).await;
        assert_eq!(status, 200, "{outcome}");
    }
    for n in 0..3 {
        server.client.start("patient", &format!("open{n}")).await;
    }
    for (by, runs) in [
        ("StartTime", 12),
        ("CloseTime", 12),
        ("ExecutionStatus", 12),
        ("WorkflowType", 12),
        ("WorkflowId", 12),
        ("TaskQueue", 12),
        ("ExecutionDuration", 9),
        ("Amount", 9),
        ("Score", 9),
        ("Paid", 9),
        ("CustomerId", 9),
        ("Due", 9),
    ] {
        let ascending = in_pages(&server, &format!("ORDER BY {by}")).await;
        let mut descending = in_pages(&server, &format!("ORDER BY {by} DESC")).await;
        assert_eq!(
            ascending,
            found(&server, &format!("ORDER BY {by} ASC")).await
        );
        descending.reverse();
        assert_eq!(ascending, descending, "{by}");
        assert_eq!(ascending.len(), runs, "{by}");
    }
    let by_amount: Vec<String> = (0..9).map(|n| format!("w{n}")).collect();
    assert_eq!(found(&server, "ORDER BY Amount").await, by_amount);
    assert_eq!(
        in_pages(
            &server,
            "Amount >= 0 AND Paid = true ORDER BY CustomerId DESC"
        )
        .await,
        ["w8", "w6", "w4"]
    );
    server.stop().await;
}

/// Returns what a query finds, two a page.
async fn in_pages(server: &Server, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut parameters = vec![("query", query), ("pageSize", "2")];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (status, page) = server.client.list(&parameters).await;
        assert_eq!(status, 200, "{query}: {page}");
        found.extend(ids(&page).into_iter().map(str::to_owned));
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn what_code_says_of_its_run_is_found_at_once_and_what_it_takes_back_no_more() {
    let server = Server::start().await;
    server.client.declare(&DECLARED).await;
    let body = json!({
        "workflowType": "labels", "workflowId": "w", "input": {"Amount": 7, "Tags": ["eu"]},
        "memo": {"who": "me"}, "searchAttributes": {"CustomerId": "anna", "Amount": 1},
    });
    server.client.post("", body).await;
    while found(&server, "Amount = 7").await.is_empty() {}
    let (_, page) = server.client.list(&[("query", "Tags = 'eu'")]).await;
    let attributes = json!({"Amount": 7, "CustomerId": "anna", "Tags": ["eu"]});
    let memo = json!({"who": "me", "Amount": 7, "Tags": ["eu"]});
    assert_eq!(page["workflows"][0]["searchAttributes"], attributes);
    assert_eq!(page["workflows"][0]["memo"], memo);
    let (_, described) = server.client.get("/w").await;
    assert_eq!(described["searchAttributes"], attributes);
    assert_eq!(described["memo"], memo);

    let next = json!({"signalName": "labels", "input": {"Amount": null, "Tags": ["us"]}});
    server.client.post("/w/signal", next).await;
    server.client.result("w").await;

    // One that has no more than what it takes back.
    let body = json!({"workflowType": "labels", "workflowId": "bare", "input": {"Amount": 8}});
    server.client.post("", body).await;
    while found(&server, "Amount = 8").await.is_empty() {}
    let next = json!({"signalName": "labels", "input": {"Amount": null}});
    server.client.post("/bare/signal", next).await;
    server.client.result("bare").await;
    assert_eq!(found(&server, "Amount = 8").await, [""; 0]);
    let (_, page) = server.client.list(&[("workflowId", "bare")]).await;
    assert!(page["workflows"][0].get("memo").is_none(), "{page}");
    assert!(
        page["workflows"][0].get("searchAttributes").is_none(),
        "{page}"
    );
    for (query, expected) in [
        ("Amount = 7", vec![]),
        ("Amount IS NULL", vec!["bare", "w"]),
        ("Tags = 'eu'", vec![]),
        ("Tags = 'us' AND ExecutionStatus = 'Completed'", vec!["w"]),
    ] {
        assert_eq!(found(&server, query).await, expected, "{query}");
    }
    let (_, described) = server.client.get("/w").await;
    assert_eq!(
        described["searchAttributes"],
        json!({"CustomerId": "anna", "Tags": ["us"]})
    );
    assert_eq!(described["memo"], json!({"who": "me", "Tags": ["us"]}));
    server.check_audit().await;
    server.stop().await;
}

#[tokio::test]
async fn code_that_names_an_attribute_which_is_not_declared_is_told_so_and_goes_on_when_it_is() {
    let server = Server::start().await;
    let body = json!({"workflowType": "labels", "workflowId": "w", "input": {"Amount": 7}});
    server.client.post("", body).await;
    let problem = loop {
        let (_, described) = server.client.get("/w").await;
        if let Some(problem) = described["problems"][0]["message"].as_str() {
            break problem.to_owned();
        }
    };
    assert!(
        problem.contains("no search attribute Amount: declare it first, with its type"),
        "{problem}"
    );
    server.client.declare(&[("Amount", "Int")]).await;
    while found(&server, "Amount = 7").await.is_empty() {}
    server.stop().await;
}

#[tokio::test]
async fn queries_that_are_none_are_refused_with_a_sentence() {
    let server = with_orders().await;
    for (query, says) in [
        ("Colour = 'red'", "Colour"),
        ("Amount = 'red'", "Amount"),
        ("Amount STARTS_WITH '2'", "Amount"),
        ("CustomerId = anna", "put it in quotes"),
        ("CustomerId", "CustomerId"),
        (
            "Amount = 1 LIMIT 5",
            "the size of a page is given beside the query",
        ),
        (
            "ORDER BY Note",
            "runs have no order by the Text attribute `Note`",
        ),
        (
            "ORDER BY HistoryLength",
            "runs can't be ordered by HistoryLength",
        ),
    ] {
        let refused = server.client.list(&[("query", query)]).await;
        assert_eq!(code(&refused), (400, "INVALID_QUERY"), "{query}");
        let message = refused.1["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{query}: {message}");
    }
    for parameters in [
        [("query", "Amount = 1"), ("status", "Running")],
        [("query", "Amount = 1"), ("cursor", "1")],
        [
            ("query", "ORDER BY Amount"),
            // The text `x` is no number.
            ("cursor", "018f0000-0000-7000-8000-000000000001.eA"),
        ],
    ] {
        let refused = server.client.list(&parameters).await;
        assert_eq!(code(&refused), (400, "INVALID_QUERY"), "{parameters:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_start_with_attributes_that_do_not_fit_is_refused_and_starts_nothing() {
    let server = with_orders().await;
    let start = async |attributes: Value| {
        let body = json!({"workflowType": "echo", "workflowId": "w", "input": 1, "searchAttributes": attributes});
        server.client.post("", body).await
    };
    for (attributes, refused, says) in [
        (
            json!({"Colour": "red"}),
            (404, "SEARCH_ATTRIBUTE_NOT_FOUND"),
            "the namespace has no search attribute Colour: declare it first, with its type",
        ),
        (
            json!({"Amount": "7"}),
            (400, "SEARCH_ATTRIBUTE_INVALID"),
            "search attribute Amount is not an Int, a whole number of 64 bits",
        ),
        (
            json!({"Due": "tomorrow"}),
            (400, "SEARCH_ATTRIBUTE_INVALID"),
            "search attribute Due is not a Datetime, a string such as \"2026-02-03T04:05:06Z\"",
        ),
        (
            json!({"CustomerId": "x".repeat(3000)}),
            (400, "SEARCH_ATTRIBUTE_INVALID"),
            "search attribute CustomerId has 3002 bytes; the most is 2048",
        ),
    ] {
        let answer = start(attributes).await;
        assert_eq!(code(&answer), refused);
        assert_eq!(answer.1["error"]["message"], says);
    }
    assert_eq!(server.client.get("/w").await.0, 404);

    let path = "/search-attributes/Amount";
    let deleted = server.client.ask(Method::DELETE, path, json!({})).await;
    assert_eq!(deleted.0, 200);
    let answer = start(json!({"Amount": 7})).await;
    assert_eq!(code(&answer), (404, "SEARCH_ATTRIBUTE_NOT_FOUND"));
    let answer = server.client.list(&[("query", "Amount = 1")]).await;
    assert_eq!(code(&answer), (400, "INVALID_QUERY"));
    // It stays with the runs that have it.
    let (_, page) = server.client.list(&[("workflowId", "order-1")]).await;
    assert_eq!(page["workflows"][0]["searchAttributes"]["Amount"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_made_anew_are_the_same_and_refused_until_they_are() {
    let server = with_orders().await;
    let rebuild = format!("{}/api/v1/visibility/rebuild", server.address);
    let http = crate::support::client::http();
    let from_a_page = http.post(&rebuild).header("origin", "http://evil.example");
    assert_eq!(from_a_page.send().await.unwrap().status(), 403);

    let done = Arc::new(AtomicBool::new(false));
    let lists = (0..3).map(|_| {
        let (client, done) = (server.client.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let answer = client.list(&[("query", "Tags = 'eu'")]).await;
                if answer.0 == 200 {
                    assert_eq!(ids(&answer.1), ["order-2", "order-1"]);
                } else {
                    assert_eq!(code(&answer), (503, "LIST_BUILDING"));
                }
            }
        })
    });
    let lists: Vec<_> = lists.collect();
    for _ in 0..20 {
        let answer = http.post(&rebuild).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        while server.client.list(&[]).await.0 != 200 {}
    }
    done.store(true, Ordering::Relaxed);
    for list in lists {
        list.await.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_declares_all_take_and_find() {
    let (database, path) = (Database::create().await, scratch());
    let nodes = [(); 2].map(|()| Node::start(&database.url(), &path, "5s"));
    for node in &nodes {
        node.shares().await;
    }
    let [first, second] = nodes.each_ref().map(|node| &node.client);
    let start = async |client: &Client, id: String, attributes: Value| {
        let body = json!({
            "workflowType": "nobody", "taskQueue": "nobody", "workflowId": id, "searchAttributes": attributes,
        });
        client.post("", body).await
    };
    let count = async |client: &Client, query: &str| {
        let (status, page) = client.list(&[("query", query)]).await;
        assert_eq!(status, 200, "{page}");
        ids(&page).len()
    };

    first.declare(&[("Amount", "Int")]).await;
    for n in 0..16 {
        // The one that is asked next has not heard of it before it brings the lists up to date.
        let name = format!("Amount{n}");
        first.declare(&[(&name, "Int")]).await;
        let started = start(first, format!("w{n}"), json!({"Amount": 7, &name: 7})).await;
        assert_eq!(started.0, 201, "{started:?}");
        assert_eq!(count(second, "").await, n + 1);
        assert_eq!(count(second, &format!("{name} = 7")).await, 1, "{name}");
    }
    for client in [first, second] {
        assert_eq!(count(client, "Amount = 7").await, 16);
    }

    // Declared anew it is another attribute: at once to whoever was told, and to the others when they look again.
    let declared = "/search-attributes/Amount";
    let deleted = first.ask(Method::DELETE, declared, json!({})).await;
    assert_eq!(deleted.0, 200);
    first.declare(&[("Amount", "Keyword")]).await;
    tokio::time::sleep(engine::limits::NAMESPACES_KNOWN_FOR).await;
    for (n, client) in [(0, first), (1, second)] {
        let refused = start(client, format!("x{n}"), json!({"Amount": 7})).await;
        assert_eq!(code(&refused), (400, "SEARCH_ATTRIBUTE_INVALID"));
        let started = start(client, format!("x{n}"), json!({"Amount": "seven"})).await;
        assert_eq!(started.0, 201, "{started:?}");
    }
    for client in [first, second] {
        assert_eq!(count(client, "Amount = 'seven'").await, 2);
    }
    drop(nodes);
    remove(&path);
    database.remove().await;
}

#[tokio::test]
async fn runs_are_counted_by_type_queue_and_status_and_by_a_query() {
    let server = with_orders().await;
    let elsewhere =
        json!({"workflowType": "patient", "workflowId": "elsewhere", "taskQueue": "gpu"});
    assert_eq!(server.client.post("", elsewhere).await.0, 201);
    let terminated = server.client.post("/order-4/terminate", json!({})).await;
    assert_eq!(terminated.0, 200, "{}", terminated.1);
    let count = async |path: &str| server.client.ask(Method::GET, path, json!({})).await;

    let group = |queue: &str, status: &str, count: u32, lately: u32| {
        let lately = json!({"minute": lately, "fiveMinutes": lately, "hour": lately});
        json!({"workflowType": "patient", "taskQueue": queue, "status": status, "count": count, "lately": lately})
    };
    let groups = json!([
        group("default", "Running", 3, 4),
        group("default", "Terminated", 1, 1),
        group("gpu", "Running", 1, 1),
    ]);
    assert_eq!(
        count("/workflow-count").await,
        (200, json!({"count": 5, "groups": groups}))
    );
    assert_eq!(
        count("/workflow-count?query=TaskQueue='gpu'").await,
        (200, json!({"count": 1}))
    );
    let refused = count("/workflow-count?query=Colour=1").await;
    assert_eq!(code(&refused), (400, "INVALID_QUERY"));

    let (status, out, err) = workflow(&server, &["count"]).await;
    assert_eq!(status, 0, "{err}");
    let rows: Vec<Vec<&str>> = (out.lines().skip(1))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        ["Running", "patient", "default", "3", "4", "4", "4"],
        ["Terminated", "patient", "default", "1", "1", "1", "1"],
        ["Running", "patient", "gpu", "1", "1", "1", "1"],
    ];
    assert_eq!(rows, expected, "{out}");
    let of_query = workflow(&server, &["count", "--query", "TaskQueue = 'gpu'"]).await;
    assert_eq!(of_query, (0, "1\n".to_owned(), String::new()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_declares_starts_and_finds() {
    let server = Server::start().await;
    let attribute = async |words: &[&str]| asks("search-attribute", &server, words).await;
    let create = ["create", "--name", "Customer", "--type", "keyword"];
    let said = |text: &str| (0, text.to_owned(), String::new());
    assert_eq!(
        attribute(&create).await,
        said("declared Customer (Keyword)\n")
    );
    assert_eq!(
        attribute(&create).await,
        said("already declared: Customer (Keyword)\n")
    );
    assert_eq!(
        attribute(&["list"]).await,
        said("NAME      TYPE\nCustomer  Keyword\n")
    );

    let start = [
        "start",
        "--type",
        "patient",
        "--id",
        "w",
        "--memo",
        "who={\"name\":\"me\"}",
        "--search-attribute",
        "Customer=\"anna\"",
    ];
    assert_eq!(workflow(&server, &start).await.0, 0);
    workflow(&server, &["start", "--type", "patient", "--id", "other"]).await;
    let (status, out, err) = workflow(&server, &["list", "--query", "Customer = 'anna'"]).await;
    assert_eq!(status, 0, "{err}");
    let heading = out.lines().next().unwrap();
    assert!(
        heading.contains("SEARCH ATTRIBUTES") && heading.contains("MEMO"),
        "{out}"
    );
    assert!(
        out.contains(r#"Customer="anna""#)
            && out.contains(r#"who={"name":"me"}"#)
            && !out.contains("other"),
        "{out}"
    );
    let (_, out, _) = workflow(&server, &["describe", "w"]).await;
    assert!(out.contains("found by      Customer=\"anna\"\n"), "{out}");
    assert!(
        out.contains("memo          who={\"name\":\"me\"}\n"),
        "{out}"
    );

    let (status, _, err) = workflow(&server, &["list", "--query", "Colour = 1"]).await;
    assert!(status == 2 && err.contains("[INVALID_QUERY]"), "{err}");
    let both = ["list", "--query", "Customer = 'a'", "--status", "Running"];
    assert_eq!(workflow(&server, &both).await.0, 2);

    let delete = ["delete", "--name", "Customer"];
    assert_eq!(attribute(&delete).await, said("deleted Customer\n"));
    let (status, _, err) = attribute(&delete).await;
    assert!(
        status == 1 && err.contains("[SEARCH_ATTRIBUTE_NOT_FOUND]"),
        "{err}"
    );
    let (status, out, _) = attribute(&["list", "--json"]).await;
    assert_eq!((status, out.as_str()), (0, "{\"searchAttributes\":[]}\n"));

    let (status, out, _) = asks("visibility", &server, &["rebuild"]).await;
    assert_eq!(status, 0);
    assert!(out.starts_with("the lists are being made anew"), "{out}");
    server.stop().await;
}
