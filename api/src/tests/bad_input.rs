//! Bad input, answered without an engine: nothing of it gets that far.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{app::App, limits::REQUEST_BYTES_MAX, router::router};

/// A server whose engine never starts.
struct Server {
    base: String,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(App::default())).await });
        Self { base }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.request(method, format!("{}{path}", self.base))
    }

    fn workflows(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(
            method,
            &format!("/api/v1/namespaces/default/workflows{path}"),
        )
    }

    fn start_with(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.workflows(Method::POST, "")
            .header("content-type", "application/json")
            .body(body)
    }
}

/// Sends a request and returns its status and the error's code and message.
async fn refusal(request: RequestBuilder) -> (u16, String, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (status, text("code"), text("message"))
}

async fn code(request: RequestBuilder) -> (u16, String) {
    let (status, code, _) = refusal(request).await;
    (status, code)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_process_is_up_before_it_is_ready() {
    let server = Server::start().await;
    let health = server
        .request(Method::GET, "/healthz")
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    assert_eq!(
        code(server.request(Method::GET, "/readyz")).await,
        is(503, "STARTING")
    );
    let start = server
        .start_with(r#"{"workflowType":"hello"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(start.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.headers()["retry-after"], "1");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_named() {
    let server = Server::start().await;
    assert_eq!(
        code(server.request(Method::GET, "/")).await,
        is(404, "ROUTE_NOT_FOUND")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "/w/nothing")).await,
        is(404, "ROUTE_NOT_FOUND")
    );
    assert_eq!(
        code(server.workflows(Method::PUT, "/w")).await,
        is(405, "METHOD_NOT_ALLOWED")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "/w/signal")).await,
        is(405, "METHOD_NOT_ALLOWED")
    );
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_with_what_to_change() {
    let server = Server::start().await;
    for (body, part) in [
        ("", "workflowType"),
        ("nonsense", "expected"),
        ("[]", "expected an object"),
        (r#"  ["t"]"#, "expected an object"),
        ("{}", "missing field `workflowType`"),
        (r#"{"workflowType":"t""#, "EOF"),
        (r#"{"workflowType":"t"} {}"#, "trailing"),
        (
            r#"{"workflowType":"t","workflowType":"t"}"#,
            "duplicate field",
        ),
        (
            r#"{"workflowType":"t","taskqueue":"q"}"#,
            "unknown field `taskqueue`",
        ),
        (
            r#"{"workflowType":"t","workflowRunTimeout":"soon"}"#,
            "`soon` is no duration",
        ),
        (
            r#"{"workflowType":"t","workflowRunTimeout":30}"#,
            "invalid type",
        ),
        (
            r#"{"workflowType":"t","workflowIdReusePolicy":"Maybe"}"#,
            "unknown variant",
        ),
        (
            r#"{"workflowType":"t","retryPolicy":{"attempts":3}}"#,
            "unknown field `attempts`",
        ),
        (
            r#"{"workflowType":"t","input":1,"inputs":[2]}"#,
            "either `input` or `inputs`",
        ),
    ] {
        let (status, code, message) = refusal(server.start_with(body)).await;
        assert_eq!(
            (status, code.as_str()),
            (400, "INVALID_BODY"),
            "{body}: {message}"
        );
        assert!(message.contains(part), "{body}: {message}");
    }
    let not_utf8: &[u8] = b"{\"workflowType\":\"\xff\"}";
    assert_eq!(
        code(server.start_with(not_utf8)).await,
        is(400, "INVALID_BODY")
    );
}

#[tokio::test]
async fn half_a_character_in_a_value_is_refused_wherever_values_are_taken() {
    let server = Server::start().await;
    for half in [
        r#""\ud800""#,
        r#""\uDFFF""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ud83d\ude00""#,
        r#""\\\ud83d""#,
        r#"[{"a":"b\udc00"}]"#,
        r#"{"\ud800":1}"#,
    ] {
        for (path, body) in [
            ("", format!(r#"{{"workflowType":"t","input":{half}}}"#)),
            ("", format!(r#"{{"workflowType":"t","inputs":[1,{half}]}}"#)),
            (
                "",
                format!(r#"{{"workflowType":"t","memo":{{"a":{half}}}}}"#),
            ),
            (
                "",
                format!(r#"{{"workflowType":"t","searchAttributes":{{"a":{half}}}}}"#),
            ),
            (
                "/w/signal",
                format!(r#"{{"signalName":"s","input":{half}}}"#),
            ),
            (
                "/w/signal",
                format!(r#"{{"signalName":"s","inputs":[{half}]}}"#),
            ),
            ("/w/terminate", format!(r#"{{"details":{half}}}"#)),
        ] {
            let request = server
                .workflows(Method::POST, path)
                .header("content-type", "application/json");
            let (status, code, message) = refusal(request.body(body.clone())).await;
            assert_eq!(
                (status, code.as_str()),
                (400, "INVALID_BODY"),
                "{body}: {message}"
            );
            assert!(
                message.contains("half of a surrogate pair") && message.contains("column"),
                "{body}: {message}"
            );
        }
    }
}

#[tokio::test]
async fn values_that_some_reader_can_read_are_taken() {
    let server = Server::start().await;
    for value in [
        r#""\ud83d\ude00""#.to_owned(),
        r#""\\ud800""#.to_owned(),
        r#"{"\uD83D\uDE00":"\u0000"}"#.to_owned(),
        "1".repeat(400),
        "1e400".to_owned(),
        "[".repeat(200) + &"]".repeat(200),
    ] {
        let body = format!(r#"{{"workflowType":"t","input":{value}}}"#);
        assert_eq!(
            code(server.start_with(body)).await,
            is(503, "STARTING"),
            "{value}"
        );
    }
}

#[tokio::test]
async fn ids_that_are_not_legal_are_refused() {
    let server = Server::start().await;
    let long = "x".repeat(1001);
    for body in [
        r#"{"workflowType":""}"#.to_owned(),
        r#"{"workflowType":"t","workflowId":""}"#.to_owned(),
        r#"{"workflowType":"t","workflowId":"a\nb"}"#.to_owned(),
        r#"{"workflowType":"t","taskQueue":""}"#.to_owned(),
        r#"{"workflowType":"t","requestId":"\u0000"}"#.to_owned(),
        format!(r#"{{"workflowType":"t","workflowId":"{long}"}}"#),
    ] {
        assert_eq!(
            code(server.start_with(body.clone())).await,
            is(400, "INVALID_ID"),
            "{body}"
        );
    }
    assert_eq!(
        code(server.workflows(Method::GET, &format!("/{long}"))).await,
        is(400, "INVALID_ID")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "//result")).await,
        is(400, "INVALID_ID")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "/a%00b")).await,
        is(400, "INVALID_ID")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "/%ff")).await,
        is(400, "INVALID_PATH")
    );
    assert_eq!(
        code(server.workflows(Method::GET, "/w?runId=nonsense")).await,
        is(400, "INVALID_RUN_ID")
    );
    let signal = server
        .workflows(Method::POST, "/w/signal")
        .header("content-type", "application/json");
    assert_eq!(
        code(signal.body(r#"{"signalName":""}"#)).await,
        is(400, "INVALID_ID")
    );
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    for query in [
        "?nothing=1",
        "?status=running",
        "?pageSize=0",
        "?pageSize=1001",
        "?pageSize=many",
        "?cursor=nonsense",
        "?query=Amount%20%3D%201&type=order",
        "?workflowId=%ED%A0%80",
    ] {
        assert_eq!(
            code(server.workflows(Method::GET, query)).await,
            is(400, "INVALID_QUERY"),
            "{query}"
        );
    }
    for path in [
        "/w/result?wait=soon",
        "/w/result?wait=21s",
        "/w/result?waits=1s",
        "/w/history?after=x",
        "/w/history?pageSize=0",
        "/w/history?pageSize=1001",
        "/w?run=1",
    ] {
        assert_eq!(
            code(server.workflows(Method::GET, path)).await,
            is(400, "INVALID_QUERY"),
            "{path}"
        );
    }
    let (_, _, message) = refusal(server.workflows(Method::GET, "/w/result?wait=21s")).await;
    assert!(message.contains("the longest wait is 20s"), "{message}");
}

#[tokio::test]
async fn a_body_must_be_declared_as_json() {
    let server = Server::start().await;
    let body = r#"{"workflowType":"t"}"#;
    let bare = server.workflows(Method::POST, "").body(body);
    assert_eq!(code(bare).await, is(415, "UNSUPPORTED_MEDIA_TYPE"));
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let request = server
            .workflows(Method::POST, "")
            .header("content-type", content_type)
            .body(body);
        assert_eq!(
            code(request).await,
            is(415, "UNSUPPORTED_MEDIA_TYPE"),
            "{content_type}"
        );
    }
    let request = server
        .workflows(Method::POST, "")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(body);
    assert_eq!(code(request).await, is(503, "STARTING"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start().await;
    let large = format!(
        r#"{{"workflowType":"t","input":"{}"}}"#,
        "x".repeat(REQUEST_BYTES_MAX)
    );
    assert_eq!(
        code(server.start_with(large.clone())).await,
        is(413, "REQUEST_TOO_LARGE")
    );
    let below = format!(
        r#"{{"workflowType":"t","input":"{}"}}"#,
        "x".repeat(REQUEST_BYTES_MAX - 100)
    );
    assert_eq!(code(server.start_with(below)).await, is(503, "STARTING"));
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let server = Server::start().await;
    let post = || server.workflows(Method::POST, "/w/terminate");
    assert_eq!(
        code(post().header("origin", "http://evil.example")).await,
        is(403, "CROSS_ORIGIN")
    );
    assert_eq!(
        code(post().header("origin", "null")).await,
        is(403, "CROSS_ORIGIN")
    );
    assert_eq!(
        code(post().header("origin", &server.base)).await,
        is(503, "STARTING")
    );
    assert_eq!(code(post()).await, is(503, "STARTING"));
}

#[tokio::test]
async fn what_changes_search_attributes_and_lists_takes_no_page_of_another_origin_and_no_unknown_field()
 {
    let server = Server::start().await;
    let attributes = "/api/v1/namespaces/default/search-attributes";
    let one = &format!("{attributes}/A");
    let rebuild = "/api/v1/visibility/rebuild";
    for (method, path, body) in [
        (
            Method::POST,
            attributes,
            r#"{"name":"A","type":"Int","x":1}"#,
        ),
        (Method::POST, attributes, r#"{"name":"A","type":"Number"}"#),
        (Method::POST, attributes, r#"{"name":"A"}"#),
        (Method::DELETE, one, r#"{"x":1}"#),
        (Method::POST, rebuild, r#"{"x":1}"#),
    ] {
        let request = || {
            let request = server.request(method.clone(), path);
            request
                .header("content-type", "application/json")
                .body(body)
        };
        assert_eq!(code(request()).await, is(400, "INVALID_BODY"), "{body}");
        let from_a_page = request().header("origin", "http://evil.example");
        assert_eq!(code(from_a_page).await, is(403, "CROSS_ORIGIN"), "{path}");
    }
    for (method, path) in [
        (Method::GET, attributes),
        (Method::DELETE, one),
        (Method::POST, rebuild),
    ] {
        let request = server.request(method, path);
        assert_eq!(code(request).await, is(503, "STARTING"), "{path}");
    }
}

#[tokio::test]
async fn names_that_nothing_can_have_are_refused_in_a_list() {
    let server = Server::start().await;
    for query in ["type=%00", "workflowId=a%00b", "type=", "workflowId=%C2%85"] {
        let list = server.workflows(Method::GET, &format!("?{query}"));
        assert_eq!(code(list).await, is(400, "INVALID_ID"), "{query}");
    }
}

#[tokio::test]
async fn name_that_is_not_ours_is_refused_on_every_route() {
    let server = Server::start().await;
    let list = "/api/v1/namespaces/default/workflows";
    for (method, path) in [
        (Method::GET, "/healthz"),
        (Method::GET, "/readyz"),
        (Method::GET, list),
        (Method::POST, list),
        (
            Method::DELETE,
            "/api/v1/namespaces/default/search-attributes/A",
        ),
        (Method::POST, "/api/v1/visibility/rebuild"),
        (Method::POST, "/internal/v1/deliver"),
        (Method::GET, "/nothing"),
        (Method::DELETE, "/healthz"),
    ] {
        let request = server
            .request(method, path)
            .header("host", "rebound.example:8000");
        let (status, code, message) = refusal(request).await;

        assert_eq!((status, code.as_str()), (403, "HOST_NOT_ALLOWED"), "{path}");
        assert!(message.contains("`rebound.example`"), "{message}");
    }
    let healthy = server
        .request(Method::GET, "/healthz")
        .header("host", "localhost:1");
    assert_eq!(healthy.send().await.unwrap().status(), StatusCode::OK);
}
