//! What a verb of the engine can answer instead of success.

use crate::query::QueryError;
use history::{
    RunId, SearchAttributeType, WorkflowId, decide::Rejection,
    search_attribute::BadSearchAttributes,
};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The core refused: the request is not possible now.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NamespaceNotFound(history::Namespace),
    /// There is no run of that id, or not that run.
    #[error("there is no workflow {workflow_id}{}", .run_id.map(|id| format!(" with run {id}")).unwrap_or_default())]
    WorkflowNotFound {
        /// The id.
        workflow_id: WorkflowId,
        /// The run, if one was named.
        run_id: Option<RunId>,
    },
    /// Another process owns the workflow's shard. Nothing was done.
    #[error("this process does not own the workflow's shard; the owner is {}", .owner.as_deref().unwrap_or("not known yet"))]
    NotOwner {
        /// Where the owner answers HTTP.
        owner: Option<String>,
    },
    /// This process is no member because the database does not answer it. Nothing was done.
    #[error("the database does not answer: {0}")]
    DatabaseAway(std::sync::Arc<str>),
    /// A request that is not from a member of this database.
    #[error("the request is not from a member")]
    NotAMember,
    /// Nothing is known to have been done; the same request id may be sent again.
    #[error("it is not known to be done: {0}; send the same request again")]
    Unavailable(&'static str),
    /// The run's history is not what was committed. Nothing was done, and nothing will be until it is restored.
    #[error("workflow {workflow_id}: its history is not what was committed: {row}: {problem}")]
    HistoryCorrupt {
        /// The workflow.
        workflow_id: WorkflowId,
        /// The run and the first row that is no good.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A stored row of the run can't be read. Nothing was done; if a newer binary wrote it, that one can.
    #[error("workflow {workflow_id}: table {table}, {row}: {problem}")]
    CorruptRow {
        /// The workflow.
        workflow_id: WorkflowId,
        /// Where the row is.
        table: &'static str,
        /// Which it is.
        row: String,
        /// Why it can't be read.
        problem: String,
    },
    /// Somebody keeps a lock in the database that this request needs. Nothing was written.
    #[error("another session keeps a lock in the database that this request needs")]
    Locked,
    /// The database refused this request's own data.
    #[error("the database refused this request's data: {0}")]
    DataRefused(String),
    /// A start has search attributes that the namespace does not have, or of another type.
    #[error(transparent)]
    BadSearchAttributes(#[from] BadSearchAttributes),
    /// A search attribute can't have that name.
    #[error("a search attribute can't be called `{0}`: {1}")]
    SearchAttributeName(String, &'static str),
    /// There is a search attribute of that name, of another type.
    #[error("the namespace has a search attribute {name} already, of type {before}")]
    SearchAttributeExists {
        /// Its name.
        name: String,
        /// Its type.
        before: SearchAttributeType,
    },
    /// A namespace has as many search attributes as it may.
    #[error(
        "the namespace has {} search attributes, the most that it may have",
        crate::limits::SEARCH_ATTRIBUTES_DECLARED_MAX
    )]
    TooManySearchAttributes,
    /// A request is larger than the limit.
    #[error("{what} has {bytes} bytes; the most is {bytes_max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The text that says which runs are listed is no query.
    #[error("the query is not valid: {0}")]
    Query(#[from] QueryError),
    /// No index has the runs in this order.
    #[error("runs can't be ordered by {0}")]
    ListOrder(String),
    /// What is counted has no order.
    #[error("what is counted has no order; leave out ORDER BY")]
    CountOrder,
    /// A cursor that no page of this list gave.
    #[error("the cursor is not one that a page of this list gave")]
    ListCursor,
    /// The lists are being made anew.
    #[error("the lists are being made anew from the runs")]
    ListBuilding,
    /// A list takes longer than it may.
    #[error("the list takes longer than {} s", crate::limits::LIST_TIMEOUT.as_secs())]
    ListTooSlow,
    /// The engine's thread can't be started.
    #[error("the engine's thread can't be started")]
    Thread(#[source] std::io::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] crate::store::Error),
}

impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::NamespaceNotFound(_) => "NAMESPACE_NOT_FOUND",
            Self::WorkflowNotFound { .. } => "WORKFLOW_NOT_FOUND",
            Self::NotOwner { .. } => "NOT_OWNER",
            Self::DatabaseAway(_) => "DATABASE_UNREACHABLE",
            Self::NotAMember => "NOT_A_MEMBER",
            Self::Unavailable(_) | Self::Locked => "UNAVAILABLE",
            Self::HistoryCorrupt { .. } => "HISTORY_CORRUPT",
            Self::CorruptRow { .. } => "CORRUPT_ROW",
            Self::DataRefused(_) => "DATA_REFUSED",
            Self::BadSearchAttributes(BadSearchAttributes::Unknown(_)) => {
                "SEARCH_ATTRIBUTE_NOT_FOUND"
            }
            Self::BadSearchAttributes(_) | Self::SearchAttributeName(..) => {
                "SEARCH_ATTRIBUTE_INVALID"
            }
            Self::SearchAttributeExists { .. } => "SEARCH_ATTRIBUTE_EXISTS",
            Self::TooManySearchAttributes => "TOO_MANY_SEARCH_ATTRIBUTES",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Query(_) | Self::ListOrder(_) | Self::CountOrder | Self::ListCursor => {
                "INVALID_QUERY"
            }
            Self::ListBuilding => "LIST_BUILDING",
            Self::ListTooSlow => "LIST_TOO_SLOW",
            Self::Thread(_) => "THREAD_FAILED",
            Self::Store(error) => error.code(),
        }
    }
}
