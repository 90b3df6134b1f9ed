//! What a verb of the engine can answer instead of success.

use history::{RunId, WorkflowId, decide::Rejection};

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
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::ListTooSlow => "LIST_TOO_SLOW",
            Self::Thread(_) => "THREAD_FAILED",
            Self::Store(error) => error.code(),
        }
    }
}
