//! The REST API from outside.

use std::time::Duration;

use history::{InvalidId, Namespace, WorkflowId};
use reqwest::{Method, Url};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    answer::{Answer, answer},
    error::{Error, Refusal},
    notice::say,
};

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an answer may take: the longest wait of a request, and time for the work.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// How long it tries again before it says so.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// How long a patient client waits before it tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A server and a namespace on it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: Url,
    /// What it speaks of; the server as a whole if none.
    namespace: Option<String>,
    /// With what may pass.
    patience: Duration,
    /// With a server that has done nothing yet.
    start: Duration,
    /// Whether it says on stderr that it tries again, and whether in JSON.
    tells: Option<bool>,
}

impl Client {
    /// Returns a client of a server.
    pub(crate) fn new(address: &str, namespace: &str) -> Result<Self, Error> {
        let unusable = |problem: String| {
            Error::Address(format!("`{address}` is no address of a server: {problem}"))
        };
        let url = match Url::parse(address) {
            Ok(url) if url.scheme() == "http" => url,
            Ok(url) if url.scheme() == "https" => {
                let problem = "coreason speaks no TLS; write it as http://host:port";
                return Err(unusable(problem.to_owned()));
            }
            _ => return Err(unusable("write it as http://host:port".to_owned())),
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .no_proxy()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            http,
            address: url,
            namespace: Some(namespace.to_owned()),
            patience: Duration::ZERO,
            start: Duration::ZERO,
            tells: None,
        })
    }

    /// Returns a client that speaks of the server as a whole.
    #[must_use]
    pub(crate) fn of_all_namespaces(self) -> Self {
        Self {
            namespace: None,
            ..self
        }
    }

    /// Returns a client that goes on trying for that long while the server is away or starting.
    #[must_use]
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Returns a client that goes on trying for that long while a server that answers is starting, or has no owner for the workflow.
    #[must_use]
    pub(crate) fn waits_for_start(mut self, patience: Duration) -> Self {
        self.start = patience;
        self
    }

    /// Returns a client that tries once.
    #[must_use]
    pub(crate) fn hasty(self) -> Self {
        Self {
            patience: Duration::ZERO,
            start: Duration::ZERO,
            tells: None,
            ..self
        }
    }

    /// Returns a client that says so on stderr when it has to try again for longer than a moment, in JSON or not.
    #[must_use]
    pub(crate) fn tells(mut self, json: bool) -> Self {
        self.tells = Some(json);
        self
    }

    /// Reads.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, Error> {
        self.send(Method::GET, path, query, None::<&()>, may_pass)
            .await
    }

    /// Changes something, again and again while that may pass: the body has a request id.
    pub(crate) async fn post<B: Serialize + Sync>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &B,
    ) -> Result<Answer, Error> {
        self.send(Method::POST, path, query, Some(body), may_pass)
            .await
    }

    /// Changes something whose repetition would be refused: again only if it had no effect for sure.
    pub(crate) async fn post_once<B: Serialize + Sync>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &B,
    ) -> Result<Answer, Error> {
        self.send(Method::POST, path, query, Some(body), is_early)
            .await
    }

    /// Takes something away, whose repetition would be refused.
    pub(crate) async fn delete(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Answer, Error> {
        self.send(Method::DELETE, path, query, None::<&()>, is_early)
            .await
    }

    fn patience_with(&self, error: &Error, may_repeat: fn(&Error) -> bool) -> Duration {
        let passing = if may_repeat(error) {
            self.patience
        } else {
            Duration::ZERO
        };
        let early = if is_early(error) {
            self.start
        } else {
            Duration::ZERO
        };
        passing.max(early)
    }

    async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&B>,
        may_repeat: fn(&Error) -> bool,
    ) -> Result<Answer, Error> {
        let mut failing_since = None;
        let mut lost = None;
        let mut is_said = self.tells.is_none();
        names(self.namespace.as_deref(), path)?;
        loop {
            let ask = |address: Url| {
                let url = url(&address, self.namespace.as_deref(), path);
                let mut request = self.http.request(method.clone(), url).query(query);
                if let Some(body) = body {
                    request = request.json(body);
                }
                answer(request, address)
            };
            let mut error = match ask(self.address.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.of(path),
            };
            if let Some(owner) = owner_elsewhere(&error, &self.address) {
                match ask(owner).await {
                    Ok(answer) => return Ok(answer),
                    // It has just ended: what the first one said is still true.
                    Err(Error::Unreachable { .. }) => {}
                    // It may have done it before it ended.
                    Err(unanswered @ Error::Unanswered { .. }) if may_repeat(&unanswered) => {
                        lost = Some(unanswered);
                    }
                    Err(other) => error = other.of(path),
                }
            }
            let now = Instant::now();
            let failing = now - *failing_since.get_or_insert(now);
            if failing >= self.patience_with(&error, may_repeat) {
                // That nothing was done this time does not say that nothing was.
                let is_undone = matches!(error, Error::Unreachable { .. })
                    || crate::error::is_undone(error.code());
                return Err(lost.filter(|_| is_undone).unwrap_or(error));
            }
            if failing >= SAY_AFTER && !is_said {
                is_said = true;
                let message = format!("{error} [{}]", error.code());
                say("still trying", &message, self.tells == Some(true));
            }
            sleep(AGAIN_AFTER).await;
        }
    }
}

/// Refuses what no path can name, as the server does: a URL would leave it out and mean something else.
fn names(namespace: Option<&str>, path: &[&str]) -> Result<(), Error> {
    namespace
        .map(Namespace::new)
        .transpose()
        .map_err(refused_here)?;
    if let ["workflows", workflow_id, ..] = path {
        WorkflowId::new(workflow_id).map_err(refused_here)?;
    }
    Ok(())
}

fn refused_here(problem: InvalidId) -> Error {
    let refusal = crate::error::Error::from(problem);
    Error::Refused(Refusal {
        code: refusal.code().to_owned(),
        message: refusal.to_string(),
        advice: refusal.advice().map(str::to_owned),
        owner: None,
    })
}

fn url(address: &Url, namespace: Option<&str>, path: &[&str]) -> Url {
    let mut url = address.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        let of = namespace.map(|namespace| ["namespaces", namespace]);
        segments
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(of.into_iter().flatten())
            .extend(path);
    }
    url
}

/// Says whether the same request may work in a moment.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Unanswered { .. } => true,
        Error::Refused(refusal) => {
            matches!(
                refusal.code.as_str(),
                "STARTING"
                    | "NOT_OWNER"
                    | "UNAVAILABLE"
                    | "DATABASE_UNREACHABLE"
                    | "DATABASE_FAILED"
            )
        }
        _ => false,
    }
}

/// Says whether the server has done nothing, and may do it in a moment.
fn is_early(error: &Error) -> bool {
    matches!(error.code(), "STARTING" | "NOT_OWNER")
}

/// Returns the owner's address when another server is it.
fn owner_elsewhere(error: &Error, address: &Url) -> Option<Url> {
    let Error::Refused(Refusal {
        owner: Some(owner), ..
    }) = error
    else {
        return None;
    };
    Url::parse(owner).ok().filter(|owner| owner != address)
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        response::{IntoResponse as _, Response},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// It may have done it, and the one that says that nobody owns the shard does not know of that.
    #[tokio::test]
    async fn a_request_that_an_owner_did_not_answer_does_not_end_as_not_done() {
        let owner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner_address = format!("http://{}", owner.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut asked, _) = owner.accept().await.unwrap();
            let _ = asked.read(&mut [0; 1024]).await;
        });
        let not_owner = move || {
            let owner = Some(owner_address.clone());
            let refused: Response =
                crate::error::Error::from(engine::Error::NotOwner { owner }).into_response();
            async move { refused }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(not_owner);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Client::new(&address, "default").unwrap();
        let client = client.waits_for_start(2 * AGAIN_AFTER);

        let signal = client.post(&["workflows", "w", "signal"], &[], &()).await;

        let error = signal.unwrap_err();
        assert!(matches!(error, Error::Unanswered { .. }), "{error:?}");
    }

    /// The one that named the owner is gone itself then: that nothing reached it does not say that nothing reached the owner.
    #[tokio::test]
    async fn nor_does_it_when_nobody_can_be_reached_any_more() {
        let owner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner_address = format!("http://{}", owner.local_addr().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            drop(listener);
            let _ = first.read(&mut [0; 1024]).await;
            let body = serde_json::json!({"error": {"code": "NOT_OWNER", "message": "no", "owner": owner_address}});
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            first.write_all(answer.as_bytes()).await.unwrap();
            drop(first);
            let (mut asked, _) = owner.accept().await.unwrap();
            let _ = asked.read(&mut [0; 1024]).await;
        });
        let client = Client::new(&address, "default").unwrap();
        let client = client
            .waits_for_start(2 * AGAIN_AFTER)
            .patient(2 * AGAIN_AFTER);

        let signal = client.post(&["workflows", "w", "signal"], &[], &()).await;

        let error = signal.unwrap_err();
        assert!(matches!(error, Error::Unanswered { .. }), "{error:?}");
    }

    #[test]
    fn ids_are_percent_encoded_in_a_path() {
        let address = Url::parse("http://127.0.0.1:8000").unwrap();
        for (namespace, path, is) in [
            (
                Some("default"),
                ["workflows", "a/b ?#é", "result"].as_slice(),
                "/api/v1/namespaces/default/workflows/a%2Fb%20%3F%23%C3%A9/result",
            ),
            (
                None,
                ["visibility", "rebuild"].as_slice(),
                "/api/v1/visibility/rebuild",
            ),
        ] {
            assert_eq!(url(&address, namespace, path).path(), is);
        }
    }

    #[test]
    fn addresses_that_make_no_sense_are_usage_errors() {
        for (address, says) in [
            ("", "http://host:port"),
            ("localhost", "http://host:port"),
            ("127.0.0.1:8000", "http://host:port"),
            ("localhost:8000", "http://host:port"),
            ("ftp://x", "http://host:port"),
            ("https://x", "no TLS"),
        ] {
            let Err(Error::Address(problem)) = Client::new(address, "default") else {
                panic!("{address} is taken");
            };
            assert!(problem.contains(says), "{problem}");
        }
    }
}
