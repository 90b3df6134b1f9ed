//! What a request can be answered with instead of success: one envelope, and the one map from error to HTTP status.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use engine::store;
use history::{InvalidId, RunId, decide::Rejection, search_attribute::BadSearchAttributes};
use serde::Serialize;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The engine has not opened its database yet.
    #[error("the engine is starting")]
    Starting,
    /// The process is about to end.
    #[error("this process is stopping")]
    Stopping,
    /// This process can't do work now.
    #[error("this process is not ready: {0}")]
    NotReady(String),
    /// The address that the other members have of this process does not lead here.
    #[error("the other processes can't reach this one: it gives them {address}, and {problem}")]
    NotReached { address: String, problem: String },
    /// An id in the path or the body is not legal.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// A run id is not a UUID.
    #[error("`{0}` is no run id; a run id is a UUID")]
    InvalidRunId(String),
    /// A segment of the path is not UTF-8 once decoded.
    #[error("the path is not UTF-8 once its percent signs are decoded")]
    InvalidPath,
    /// The body is not what the route takes.
    #[error("the body is not a valid request: {0}")]
    InvalidBody(String),
    /// The body did not arrive whole.
    #[error("the body did not arrive whole: {0}")]
    IncompleteBody(String),
    /// The query string is not what the route takes.
    #[error("the query string is not valid: {0}")]
    InvalidQuery(String),
    /// The body is not declared as JSON.
    #[error("the content type is {}; send application/json", .0.as_deref().unwrap_or("missing"))]
    UnsupportedMediaType(Option<String>),
    /// The body is larger than the limit.
    #[error("the body has more than {} bytes", crate::limits::REQUEST_BYTES_MAX)]
    RequestTooLarge,
    /// An event can't be written as JSON.
    #[error("an event can't be written as JSON")]
    ExportFailed(#[source] serde_json::Error),
    /// There is no search attribute of that name to take back.
    #[error("the namespace has no search attribute {0}")]
    SearchAttributeNotFound(String),
    /// A web page of another origin sent the request.
    #[error("the request comes from a web page of another origin, {0}")]
    CrossOrigin(String),
    /// The request is for a name that is not ours.
    #[error("this server does not answer to the name `{0}`")]
    HostNotAllowed(String),
    /// No route has this path.
    #[error("there is nothing at {0}")]
    RouteNotFound(String),
    /// The route does not take this method.
    #[error("{path} does not take {method}")]
    MethodNotAllowed {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
}

impl Error {
    /// Returns the stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => error.code(),
            Self::Starting => "STARTING",
            Self::Stopping => "STOPPING",
            Self::NotReady(_) => "NOT_READY",
            Self::NotReached { .. } => "ADDRESS_NOT_REACHED",
            Self::InvalidId(_) => "INVALID_ID",
            Self::InvalidRunId(_) => "INVALID_RUN_ID",
            Self::InvalidPath => "INVALID_PATH",
            Self::InvalidBody(_) => "INVALID_BODY",
            Self::IncompleteBody(_) => "INCOMPLETE_BODY",
            Self::InvalidQuery(_) => "INVALID_QUERY",
            Self::UnsupportedMediaType(_) => "UNSUPPORTED_MEDIA_TYPE",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::ExportFailed(_) => "EXPORT_FAILED",
            Self::SearchAttributeNotFound(_) => "SEARCH_ATTRIBUTE_NOT_FOUND",
            Self::CrossOrigin(_) => "CROSS_ORIGIN",
            Self::HostNotAllowed(_) => "HOST_NOT_ALLOWED",
            Self::RouteNotFound(_) => "ROUTE_NOT_FOUND",
            Self::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
        }
    }

    /// Returns the HTTP status: the only map from error to status.
    pub(crate) fn status(&self) -> StatusCode {
        use engine::Error as E;
        match self {
            Self::InvalidId(_)
            | Self::InvalidRunId(_)
            | Self::InvalidPath
            | Self::InvalidBody(_)
            | Self::IncompleteBody(_)
            | Self::InvalidQuery(_)
            | Self::Engine(
                E::DataRefused(_)
                | E::BadSearchAttributes(
                    BadSearchAttributes::Misfit { .. }
                    | BadSearchAttributes::TooMany(_)
                    | BadSearchAttributes::TooLarge(_),
                )
                | E::SearchAttributeName(..)
                | E::Query(_)
                | E::ListOrder(_)
                | E::CountOrder
                | E::ListCursor
                | E::Rejected(
                    Rejection::InvalidArgument { .. } | Rejection::WorkflowTaskRefused { .. },
                ),
            ) => StatusCode::BAD_REQUEST,
            Self::CrossOrigin(_) | Self::HostNotAllowed(_) | Self::Engine(E::NotAMember) => {
                StatusCode::FORBIDDEN
            }
            Self::RouteNotFound(_)
            | Self::SearchAttributeNotFound(_)
            | Self::Engine(
                E::NamespaceNotFound(_)
                | E::BadSearchAttributes(BadSearchAttributes::Unknown(_))
                | E::WorkflowNotFound { .. }
                | E::Rejected(Rejection::WorkflowTaskNotFound | Rejection::ActivityTaskNotFound),
            ) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Engine(
                E::SearchAttributeExists { .. }
                | E::TooManySearchAttributes
                | E::Rejected(
                    Rejection::WorkflowClosed
                    | Rejection::WorkflowAlreadyStarted { .. }
                    | Rejection::WorkflowIdReuseRefused { .. }
                    | Rejection::TaskAlreadyStarted
                    | Rejection::TooManySignals(_)
                    | Rejection::HistoryTooLong(_)
                    | Rejection::CancellationAlreadyRequested
                    | Rejection::CancellationNotRequested,
                ),
            ) => StatusCode::CONFLICT,
            Self::RequestTooLarge | Self::Engine(E::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Starting
            | Self::Stopping
            | Self::NotReady(_)
            | Self::NotReached { .. }
            | Self::Engine(
                E::NotOwner { .. }
                | E::DatabaseAway(_)
                | E::Unavailable(_)
                | E::Locked
                | E::ListBuilding
                | E::ListTooSlow
                | E::Thread(_),
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ExportFailed(_)
            | Self::Engine(E::HistoryCorrupt { .. } | E::CorruptRow { .. }) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Engine(E::Store(error)) => status_of_store(error),
        }
    }

    /// Returns what the caller can do, where the message does not say it.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        use engine::Error as E;
        match self {
            Self::Starting => Some("send the same request again in a moment"),
            Self::Engine(E::Unavailable(_) | E::Locked) => {
                Some("send the same request again in a moment, with its requestId if it has one")
            }
            Self::Engine(E::NotOwner { .. }) => {
                Some("send the same request to the owner, or again in a moment")
            }
            Self::Engine(E::ListTooSlow) => {
                Some("add a condition with = that few runs pass, or a range of StartTime")
            }
            Self::Engine(E::ListBuilding) => Some(
                "ask again in a moment; it takes some seconds for each million runs, which themselves go on",
            ),
            Self::Engine(E::ListOrder(_)) => Some(
                "order by StartTime, CloseTime, ExecutionDuration, ExecutionStatus, WorkflowType, WorkflowId, TaskQueue or ParentWorkflowId, or by an attribute of the namespace that is a Keyword, Int, Double, Bool or Datetime",
            ),
            Self::Engine(E::ListCursor) => Some(
                "give a `nextCursor` as it came, with the same query, or none for the first page",
            ),
            Self::Engine(E::SearchAttributeExists { .. }) => {
                Some("use it as it is, or choose another name: a type can't be changed")
            }
            Self::Engine(E::TooManySearchAttributes) => {
                Some("take back one that is not used any more")
            }
            Self::SearchAttributeNotFound(_)
            | Self::Engine(E::BadSearchAttributes(BadSearchAttributes::Unknown(_))) => {
                Some("GET …/search-attributes lists those that are declared")
            }
            Self::Engine(E::NamespaceNotFound(_)) => Some("use the namespace `default`"),
            Self::Engine(E::WorkflowNotFound { .. }) => Some(
                "look for its id in the list of workflows of this namespace; runs that are left when the latest was deleted are named by their run ids",
            ),
            Self::Engine(E::Rejected(Rejection::WorkflowClosed)) => Some(
                "read its result; to run it again, start it again under the same or another id",
            ),
            Self::Engine(E::HistoryCorrupt { .. }) => Some(
                "the run is left alone until its history is restored; `coreason audit verify` names every row that was changed",
            ),
            Self::Engine(E::CorruptRow { .. }) => Some(
                "if the message says so, run the newer binary; else restore the row from a backup. Nothing was done",
            ),
            Self::Engine(E::DatabaseAway(_)) => {
                Some("nothing was done; see to the database, and send the same request again")
            }
            Self::Engine(E::Store(_)) => {
                Some("look at the engine's log for the cause; nothing is known to have been done")
            }
            Self::InvalidId(_) => Some(
                "a name or id has 1 to 1,000 bytes of UTF-8, has no control characters, and is not `.` or `..`",
            ),
            Self::Stopping | Self::NotReady(_) => {
                Some("send it to another process on the same database")
            }
            Self::NotReached { .. } => Some(
                "start it with --advertise and an address at which the others, and it itself, reach it",
            ),
            Self::InvalidPath => Some("percent-encode ids as UTF-8"),
            Self::RequestTooLarge => Some("store large data elsewhere and send a reference"),
            Self::CrossOrigin(_) => {
                Some("call the API from a page that it serves itself, or from a server")
            }
            Self::HostNotAllowed(_) => Some(
                "ask for it by its address, or start the server with --allowed-host and this name",
            ),
            Self::RouteNotFound(_) => {
                Some("docs/api.md lists all routes; ids are percent-encoded in a path")
            }
            Self::MethodNotAllowed { .. } => Some("docs/api.md lists the method of each route"),
            Self::Engine(_)
            | Self::ExportFailed(_)
            | Self::InvalidRunId(_)
            | Self::InvalidBody(_)
            | Self::IncompleteBody(_)
            | Self::InvalidQuery(_)
            | Self::UnsupportedMediaType(_) => None,
        }
    }

    pub(crate) fn envelope(&self) -> Envelope<'_> {
        let mut body = Body {
            code: self.code(),
            message: self.to_string(),
            advice: self.advice(),
            owner: None,
            run_id: None,
        };
        match self {
            Self::Engine(engine::Error::NotOwner { owner }) => body.owner = owner.as_deref(),
            Self::Engine(engine::Error::Rejected(
                Rejection::WorkflowAlreadyStarted { run_id, .. }
                | Rejection::WorkflowIdReuseRefused { run_id, .. },
            )) => body.run_id = Some(*run_id),
            _ => {}
        }
        Envelope { error: body }
    }
}

/// Of what the database says: whether it may pass.
fn status_of_store(error: &store::Error) -> StatusCode {
    use store::Error as E;
    match error {
        E::Driver(_)
        | E::Sqlx(_)
        | E::Silent
        | E::Unreachable { .. }
        | E::Refused { .. }
        | E::Tls { .. }
        | E::Standby(_)
        | E::Replaced(_)
        | E::FailedOver
        | E::NoConnection => StatusCode::SERVICE_UNAVAILABLE,
        E::Corrupt { .. }
        | E::Altered { .. }
        | E::UnknownNamespace { .. }
        | E::NewerSchema(_)
        | E::OtherSchema(_)
        | E::Migrate(_)
        | E::MayNotMigrate(_)
        | E::MayNotRead(_)
        | E::NoTables(_)
        | E::NotUtf8(_)
        | E::OldServer(_)
        | E::Address(_)
        | E::Pooled
        | E::FewConnections { .. }
        | E::Pruned(_)
        | E::SealMemory { .. }
        | E::Dump { .. }
        | E::NoArchive
        | E::Bridge(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Says whether what a request is refused with, by its code, means that nothing was done, and may pass.
pub(crate) fn is_undone(code: &str) -> bool {
    matches!(code, "STARTING" | "NOT_OWNER" | "DATABASE_UNREACHABLE")
}

/// What every error looks like on the wire.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    /// Where the owner answers HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    /// The run that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
}

/// Says of a response that nothing was done, this time.
#[derive(Debug, Clone)]
pub(crate) struct Undone;

/// Says of a response that the workflow's shard is elsewhere: at this address, if it is known.
#[derive(Debug, Clone)]
pub(crate) struct Elsewhere(pub(crate) Option<String>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if matches!(
            self,
            Self::ExportFailed(_) | Self::Engine(engine::Error::Store(_))
        ) {
            tracing::error!(
                code = self.code(),
                error = &self as &dyn std::error::Error,
                "a request failed"
            );
        }
        let mut response = crate::reply::json(status, &self.envelope());
        if let Self::Engine(engine::Error::NotOwner { owner }) = &self {
            let elsewhere = Elsewhere(owner.clone());
            response.extensions_mut().insert(elsewhere);
        }
        if is_undone(self.code()) {
            response.extensions_mut().insert(Undone);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
