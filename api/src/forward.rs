//! Requests for workflows of shards that another member owns: they go there, and its answer comes back.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    error::{Elsewhere, Error, Undone, is_undone},
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

/// The id for a request that names none. A forwarded one brings it, so that a second try is a repetition. A handler that changes
/// something and does not take it gives its request no id: that is not sent again where it may have been done.
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
        if let Some(HasId(has_id)) = parts.extensions.get() {
            has_id.store(true, Ordering::Relaxed);
        }
        Ok(Self(parts.headers.get(FRESH).cloned()))
    }
}

/// Whether a request has an id by which a repetition is known: its handler has taken [`Fresh`].
#[derive(Clone, Default)]
struct HasId(Arc<AtomicBool>);

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
    let HasId(has_id) = parts.extensions.get_or_insert_default::<HasId>().clone();
    let patience_ends = Instant::now() + FORWARD_PATIENCE;
    let mut unreached = None;
    loop {
        let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
        let Ok(mut response) = here.clone().oneshot(request).await;
        let Some(Elsewhere(owner)) = response.extensions_mut().remove::<Elsewhere>() else {
            return unless_unreached(response, unreached);
        };
        if let Some(owner) = owner {
            match answered(app, &owner, send(app, &owner, &parts, body.clone())).await {
                Ok(Some(answer)) => return unless_unreached(answer, unreached),
                // It says that the shard is not there, or is not there any more.
                Ok(None) => {}
                // The next owner might refuse it because of its own first try.
                Err(error) if !parts.method.is_safe() && !has_id.load(Ordering::Relaxed) => {
                    return error.into_response();
                }
                Err(error) => unreached = Some(error),
            }
        }
        if Instant::now() >= patience_ends {
            return unless_unreached(response, unreached);
        }
        sleep(PAUSE).await;
    }
}

/// An owner that gave no answer may have done what it was asked to: that nothing was done later does not say that nothing was.
fn unless_unreached(response: Response, unreached: Option<Error>) -> Response {
    match (unreached, response.extensions().get::<Undone>()) {
        (Some(error), Some(Undone)) => error.into_response(),
        (None, _) | (_, None) => response,
    }
}

/// Waits for the answer of an owner for as long as it is one: when it is frozen, or cut off, others take its place.
async fn answered<T>(
    app: &App,
    owner: &str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let left = async {
        match app.engine() {
            Ok(engine) => engine.left(owner).await,
            Err(_starting) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = left => Err(unreached()),
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
    let refused = (status == StatusCode::SERVICE_UNAVAILABLE).then(|| code_of(&body));
    if refused.as_deref() == Some("NOT_OWNER") {
        return Ok(None);
    }
    let mut response = (status, body).into_response();
    if refused.as_deref().is_some_and(is_undone) {
        response.extensions_mut().insert(Undone);
    }
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

/// Returns the code of a refusal; nothing of what is none of ours.
fn code_of(body: &[u8]) -> String {
    let body = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
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
    use std::{
        collections::VecDeque,
        sync::{Mutex, atomic::AtomicU32},
    };

    use axum::{
        Router,
        routing::{MethodRouter, get, post},
    };
    use history::decide::Rejection;
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// Returns where an owner is that takes a request and dies: it may have committed before that.
    async fn dying() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let dies = async move {
            let (mut asked, _) = listener.accept().await.unwrap();
            let _ = asked.read(&mut [0; 1024]).await;
        };
        tokio::spawn(dies);
        address
    }

    fn closed() -> engine::Error {
        engine::Error::Rejected(Rejection::WorkflowClosed)
    }

    fn database_away() -> engine::Error {
        engine::Error::DatabaseAway("it is gone".into())
    }

    /// Returns where an owner is that refuses with this error, and how many requests came to it.
    async fn heir(error: fn() -> engine::Error) -> (String, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let came = Arc::new(AtomicU32::new(0));
        let count = came.clone();
        let refuse = move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            Error::from(error()).into_response()
        };
        let router = Router::new().fallback(refuse);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, came)
    }

    /// Answers that the shard is with these owners, one after the other, and then that nobody knows who has it.
    fn elsewhere<const N: usize>(owners: [String; N]) -> impl Fn() -> Response + Clone {
        let owners = Arc::new(Mutex::new(VecDeque::from(owners)));
        move || {
            let owner = owners.lock().unwrap().pop_front();
            Error::from(engine::Error::NotOwner { owner }).into_response()
        }
    }

    /// Returns the code that a request for this route ends with.
    async fn code(method: Method, route: MethodRouter) -> String {
        let router = Router::new()
            .route("/", route)
            .layer(Forward::new(App::default()));
        let request = Request::builder().method(method).body(Body::empty());
        let Ok(response) = router.oneshot(request.unwrap()).await;
        let body = collect(response.into_body(), REQUEST_BYTES_MAX).await;
        let body: serde_json::Value = serde_json::from_slice(&body.unwrap()).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn who_asked_an_owner_that_gave_no_answer_is_not_told_that_nothing_was_done() {
        let here = elsewhere([dying().await]);
        let route = post(move |_: Fresh| async move { here() });
        assert_eq!(code(Method::POST, route).await, "UNAVAILABLE");
    }

    /// The owner may have died of the same.
    #[tokio::test]
    async fn nor_is_he_told_so_by_one_who_has_lost_the_database_here_or_there() {
        let owner = elsewhere([dying().await]);
        let asked = Arc::new(AtomicBool::new(false));
        let here = move || {
            if asked.swap(true, Ordering::Relaxed) {
                Error::from(database_away()).into_response()
            } else {
                owner()
            }
        };
        let route = post(move |_: Fresh| async move { here() });
        assert_eq!(code(Method::POST, route).await, "UNAVAILABLE");

        let here = elsewhere([dying().await, heir(database_away).await.0]);
        let route = post(move |_: Fresh| async move { here() });
        assert_eq!(code(Method::POST, route).await, "UNAVAILABLE");
    }

    #[tokio::test]
    async fn who_asked_nobody_else_is_told_that_nothing_was_done() {
        let here = elsewhere([heir(database_away).await.0]);
        let route = post(move |_: Fresh| async move { here() });
        assert_eq!(code(Method::POST, route).await, "DATABASE_UNREACHABLE");
    }

    /// The heir would refuse it because of its own first try.
    #[tokio::test]
    async fn a_request_without_an_id_is_not_sent_again_when_its_owner_gave_no_answer() {
        let (heir, came) = heir(closed).await;
        let here = elsewhere([dying().await, heir]);
        let route = post(move || async move { here() });
        assert_eq!(code(Method::POST, route).await, "UNAVAILABLE");
        assert_eq!(came.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_request_with_an_id_and_one_that_reads_go_on_to_the_next_owner() {
        let (heir, came) = heir(closed).await;
        let here = elsewhere([dying().await, heir.clone()]);
        let route = post(move |_: Fresh| async move { here() });
        assert_eq!(code(Method::POST, route).await, "WORKFLOW_CLOSED");
        let here = elsewhere([dying().await, heir]);
        let route = get(move || async move { here() });
        assert_eq!(code(Method::GET, route).await, "WORKFLOW_CLOSED");
        assert_eq!(came.load(Ordering::Relaxed), 2);
    }

    /// A connection that can't be opened has done nothing.
    #[tokio::test]
    async fn a_request_goes_on_whatever_it_is_when_nothing_arrived() {
        let (heir, came) = heir(closed).await;
        let here = elsewhere(["http://127.0.0.1:1".to_owned(), heir]);
        let route = post(move || async move { here() });
        assert_eq!(code(Method::POST, route).await, "WORKFLOW_CLOSED");
        assert_eq!(came.load(Ordering::Relaxed), 1);
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
