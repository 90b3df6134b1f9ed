//! Requests for workflows of shards that another member owns: they go there, and its answer comes back.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::Route,
};
use engine::limits::LONG_POLL_MAX;
use futures::{FutureExt as _, future::BoxFuture, future::Either};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt as _};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Elsewhere, Error},
    extract::collect,
    limits::{FORWARD_PATIENCE, REQUEST_BYTES_MAX},
};

/// Marks a request that was forwarded already: it is not forwarded again.
pub(crate) const FORWARDED: HeaderName = HeaderName::from_static("x-coreason-forwarded");
/// Names the id that a request gets which has none of its own: the same wherever it goes, and however often.
const FRESH: HeaderName = HeaderName::from_static("x-coreason-fresh");
/// Between two tries, while a shard changes hands.
const PAUSE: Duration = Duration::from_millis(20);
/// What a forwarded request may take beyond the longest poll.
const MARGIN: Duration = Duration::from_secs(10);

/// The id for a request that names none. A forwarded one brings it, so that a second try is a repetition.
pub(crate) struct Fresh(Option<HeaderValue>);

impl Fresh {
    pub(crate) fn id(&self) -> String {
        let brought = self.0.as_ref().and_then(|id| id.to_str().ok());
        brought.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
    }

    /// Without a request: a new id each time.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self(None)
    }
}

impl<S: Sync> FromRequestParts<S> for Fresh {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get(FRESH).cloned()))
    }
}

/// Answers requests here, or where their workflows are. Where there are no other members it costs nothing.
#[derive(Clone)]
pub(crate) struct Forward<S = ()> {
    app: App,
    inner: S,
}

impl Forward {
    pub(crate) fn new(app: App) -> Self {
        Self { app, inner: () }
    }
}

impl Layer<Route> for Forward {
    type Service = Forward<Route>;

    fn layer(&self, inner: Route) -> Self::Service {
        Forward {
            app: self.app.clone(),
            inner,
        }
    }
}

impl Service<Request> for Forward<Route> {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<
        <Route as Service<Request>>::Future,
        BoxFuture<'static, Result<Response, Infallible>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let alone = self.app.engine().is_ok_and(engine::Engine::is_alone);
        let headers = request.headers();
        if alone || headers.contains_key(&FORWARDED) || is_too_large(headers) {
            return Either::Left(self.inner.call(request));
        }
        let (app, here) = (self.app.clone(), self.inner.clone());
        Either::Right(async move { Ok(forward(&app, here, request).await) }.boxed())
    }
}

async fn forward(app: &App, here: Route, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = match collect(body, REQUEST_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    if parts.method == Method::POST
        && let Ok(fresh) = HeaderValue::from_str(&Uuid::new_v4().to_string())
    {
        parts.headers.entry(FRESH).or_insert(fresh);
    }
    let patience_ends = Instant::now() + FORWARD_PATIENCE;
    // An owner that gave no answer may have done what it was asked to: that nothing was done later does not say that nothing was.
    let mut unreached = None;
    loop {
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let Ok(mut response) = here.clone().oneshot(request).await;
        let Some(Elsewhere(owner)) = response.extensions_mut().remove::<Elsewhere>() else {
            return response;
        };
        if let Some(owner) = owner {
            match send(app, &owner, &parts, body.clone()).await {
                Ok(Some(answer)) => return answer,
                // It says that the shard is not there, or is not there any more.
                Ok(None) => {}
                Err(error) => unreached = Some(error),
            }
        }
        if Instant::now() >= patience_ends {
            return unreached.map_or(response, Error::into_response);
        }
        sleep(PAUSE).await;
    }
}

/// Forwards a request and returns the answer; `None` when nothing was done there, because the shard is elsewhere.
async fn send(
    app: &App,
    owner: &str,
    parts: &Parts,
    body: Bytes,
) -> Result<Option<Response>, Error> {
    let path = target(&parts.uri);
    let mut headers = parts.headers.clone();
    for name in [
        header::HOST,
        header::ORIGIN,
        header::CONTENT_LENGTH,
        header::CONNECTION,
    ] {
        headers.remove(name);
    }
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    let sent = app
        .http()
        .request(parts.method.clone(), format!("{owner}{path}"))
        .headers(headers)
        .timeout(LONG_POLL_MAX + MARGIN)
        .body(body)
        .send();
    let answer = match sent.await {
        Ok(answer) => answer,
        // Nothing arrived there: it may be gone, and another one take its shards.
        Err(error) if error.is_connect() => return Ok(None),
        Err(_) => return Err(unreached()),
    };
    let (status, content) = (
        answer.status(),
        answer.headers().get(header::CONTENT_TYPE).cloned(),
    );
    let body = answer.bytes().await.map_err(|_| unreached())?;
    if status == StatusCode::SERVICE_UNAVAILABLE && is_not_owner(&body) {
        return Ok(None);
    }
    let mut response = (status, body).into_response();
    if let Some(content) = content {
        response.headers_mut().insert(header::CONTENT_TYPE, content);
    }
    Ok(Some(response))
}

/// Returns the path and query as they came. A client may send a backslash as it is; what builds the URL would make a slash of it.
fn target(uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    path.replace('\\', "%5C")
}

fn unreached() -> Error {
    engine::Error::Unavailable("the process that owns the workflow gave no answer").into()
}

fn is_not_owner(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body["error"]["code"] == "NOT_OWNER")
}

/// Says whether the handler will refuse the request unread.
fn is_too_large(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|bytes| bytes > REQUEST_BYTES_MAX as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use axum::{Router, routing::post};
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// It may have committed before it died.
    #[tokio::test]
    async fn who_asked_an_owner_that_gave_no_answer_is_not_told_that_nothing_was_done() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = format!("http://{}", listener.local_addr().unwrap());
        let dies = async move {
            let (mut asked, _) = listener.accept().await.unwrap();
            let _ = asked.read(&mut [0; 1024]).await;
        };
        tokio::spawn(dies);
        let known = Arc::new(AtomicBool::new(true));
        let here = move || {
            // Once it is dead nobody knows the next one yet.
            let owner = known.swap(false, Ordering::Relaxed).then(|| owner.clone());
            async move { Error::from(engine::Error::NotOwner { owner }).into_response() }
        };
        let router = Router::new()
            .route("/", post(here))
            .layer(Forward::new(App::default()));

        let request = Request::post("/").body(Body::empty()).unwrap();
        let Ok(response) = router.oneshot(request).await;
        let body = collect(response.into_body(), REQUEST_BYTES_MAX).await;

        let body: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "UNAVAILABLE", "{body}");
    }

    #[test]
    fn an_id_arrives_where_it_is_forwarded_to_as_it_came() {
        for path in [
            "/workflows/a%2Fb%20c%25",
            "/workflows/%C3%A9%F0%9F%90%98?runId=x",
            "/workflows/a;b,c=d@e'f(g)*!$&+|^",
            "/workflows/a\\..\\b",
        ] {
            let came: Uri = path.parse().unwrap();
            let sent = reqwest::Url::parse(&format!("http://owner{}", target(&came))).unwrap();
            assert_eq!(
                sent.path()
                    .replace("%5C", "\\")
                    .replace("%7C", "|")
                    .replace("%5E", "^"),
                came.path()
            );
            assert_eq!(sent.query(), came.query());
        }
    }
}
