//! Requests about the workflows of a namespace, sent until they are answered.

use std::time::Duration;

use axum::http::Method;
use history::{InvalidId, WorkflowId};
use reqwest::Url;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

use super::{
    Error,
    door::{Answer, Door},
};
use crate::{limits::CLIENT_PATIENCE, patience::Patience};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Where requests go, and about which namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    pub(super) door: Door,
    pub(super) namespace: String,
}

impl Requests {
    /// Refuses an id that no path can name, as the server does: a URL would leave it out and mean something else.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        if let [workflow_id, ..] = path {
            WorkflowId::new(workflow_id).map_err(refused_here)?;
        }
        let mut url = self.door.address();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["api", "v1", "namespaces", &self.namespace, "workflows"])
                .extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Reads, again and again while that may pass.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let url = self.url(path, query)?;
        self.patiently(patience(), Method::GET, url, &[], Error::may_pass)
            .await
    }

    /// Changes something, again and again while that may pass: what changes something names its request.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let (url, body) = (self.url(path, &[])?, written(body)?);
        self.patiently(patience(), Method::POST, url, &body, Error::may_pass)
            .await
    }

    /// Changes something whose repetition would be refused: again only if it had no effect for sure.
    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let (url, body) = (self.url(path, &[])?, written(body)?);
        let may_pass = Error::was_before_its_time;
        self.patiently(patience(), Method::POST, url, &body, may_pass)
            .await
    }

    async fn patiently<T: DeserializeOwned>(
        &self,
        mut patience: Patience,
        method: Method,
        url: Url,
        body: &[u8],
        may_pass: fn(&Error) -> bool,
    ) -> Result<T, Error> {
        let mut unsure = None;
        loop {
            let sent = self.door.send(method.clone(), url.clone(), body).await;
            let error = match sent.and_then(Answer::read) {
                Err(error) => error,
                answer => return answer,
            };
            let is_undone = error.is_undone();
            if !may_pass(&error) || !patience.lasts(Instant::now()) {
                // That nothing was done this time does not say that nothing was.
                return Err(unsure.filter(|_| is_undone).unwrap_or(error));
            }
            if !is_undone {
                unsure = Some(error);
            }
            sleep(PAUSE).await;
        }
    }
}

fn patience() -> Patience {
    Patience::new(CLIENT_PATIENCE)
}

fn refused_here(problem: InvalidId) -> Error {
    let refusal = crate::error::Error::from(problem);
    Error::Refused {
        code: refusal.code().to_owned(),
        message: refusal.to_string(),
        advice: refusal.advice().map(str::to_owned),
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body).map_err(|error| Error::Encode(error.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use axum::{Router, http::StatusCode, response::IntoResponse as _};

    use super::*;

    /// A client of a server that refuses its first requests with this code; and how many came.
    fn refusing(code: &'static str) -> (Requests, Arc<AtomicU32>) {
        let came = Arc::new(AtomicU32::new(0));
        let count = came.clone();
        let answer = move || async move {
            if count.fetch_add(1, Ordering::Relaxed) == 0 {
                let error = serde_json::json!({ "error": { "code": code, "message": "no" } });
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
            } else {
                "{}".into_response()
            }
        };
        let client = Requests {
            door: Door::Router(Router::new().fallback(answer)),
            namespace: "default".to_owned(),
        };
        (client, came)
    }

    /// A client of a server that refuses with these codes, one after the other, and then always with the last; and how many requests came.
    fn refusing_in_turn<const N: usize>(codes: [&'static str; N]) -> (Requests, Arc<AtomicU32>) {
        let came = Arc::new(AtomicU32::new(0));
        let count = came.clone();
        let answer = move || async move {
            let n = count.fetch_add(1, Ordering::Relaxed) as usize;
            let code = codes[n.min(N - 1)];
            let error = serde_json::json!({ "error": { "code": code, "message": "no" } });
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        };
        let client = Requests {
            door: Door::Router(Router::new().fallback(answer)),
            namespace: "default".to_owned(),
        };
        (client, came)
    }

    #[derive(Debug, serde::Deserialize)]
    struct Done {}

    /// A program that reads that it was not done does it again, with another request id.
    #[tokio::test]
    async fn what_may_have_been_done_does_not_end_as_not_done() {
        for (first, last, ends) in [
            ("UNAVAILABLE", "NOT_OWNER", "UNAVAILABLE"),
            ("UNAVAILABLE", "DATABASE_UNREACHABLE", "UNAVAILABLE"),
            ("DATABASE_FAILED", "STARTING", "DATABASE_FAILED"),
            ("STARTING", "NOT_OWNER", "NOT_OWNER"),
            ("DATABASE_UNREACHABLE", "NOT_OWNER", "NOT_OWNER"),
        ] {
            let (client, came) = refusing_in_turn([first, last]);
            let url = client.url(&["w", "signal"], &[]).unwrap();
            let signal = client.patiently::<Done>(
                Patience::new(2 * PAUSE),
                Method::POST,
                url,
                b"{}",
                Error::may_pass,
            );
            assert_eq!(signal.await.unwrap_err().code(), Some(ends));
            assert!(came.load(Ordering::Relaxed) > 1);
        }
    }

    #[tokio::test]
    async fn an_id_that_no_path_can_name_is_refused_and_names_no_other_workflow() {
        for id in ["..", ".", ""] {
            let (client, came) = refusing("STARTING");
            let path = [id, "terminate"];
            let error = client.post_once::<Done>(&path, &()).await.unwrap_err();
            assert_eq!(error.code(), Some("INVALID_ID"), "{id:?}");
            assert_eq!(came.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn what_had_no_effect_for_sure_is_sent_again_whatever_it_is() {
        for (code, comes) in [("STARTING", 2), ("NOT_OWNER", 2), ("DATABASE_FAILED", 1)] {
            let (client, came) = refusing(code);
            let done = client.post_once::<Done>(&["w", "terminate"], &()).await;
            assert_eq!(done.is_ok(), comes == 2, "{code}");
            assert_eq!(came.load(Ordering::Relaxed), comes, "{code}");
        }
    }
}
