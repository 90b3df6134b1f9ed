//! Every limit of the core, with its number. What lies beyond is refused or ends the run, and is never truncated.

use crate::time::Millis;

/// The most bytes of one payload list: an input, a result, the details of a signal or a failure. Temporal: `limit.blobSize.error`.
pub const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The most bytes of all that the commands of one answer to a workflow task carry. Temporal: the size of a gRPC message.
pub const WORKFLOW_TASK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most failures in a chain of causes: what is deeper could not be read back from JSON.
pub const FAILURE_DEPTH_MAX: usize = 64;
/// The most bytes kept of a failure after which another attempt follows. The last one is recorded whole.
pub const KEPT_FAILURE_BYTES_MAX: usize = 4 * 1024;
/// The most events of a run; one more terminates it. Temporal: `limit.historyCount.error`.
pub const HISTORY_EVENTS_MAX: i64 = 51_200;
/// The most stored bytes of a run's history; more terminates it. Temporal: `limit.historySize.error`.
pub const HISTORY_BYTES_MAX: u64 = 50 * 1024 * 1024;
/// When this many events have come since the code was first asked, a workflow task suggests to continue as new. Temporal:
/// `limit.historyCount.suggestContinueAsNew`, of all events: there a run that begins with as many never gets anywhere.
pub const SUGGEST_CONTINUE_AS_NEW_EVENTS: i64 = 4096;
/// The same of stored bytes. Temporal: `limit.historySize.suggestContinueAsNew`.
pub const SUGGEST_CONTINUE_AS_NEW_BYTES: u64 = 4 * 1024 * 1024;
/// The most pending activities, children, signals to others, and cancellations of others, each. Temporal: `limit.numPending*.error`.
pub const PENDING_MAX: usize = 2000;
/// The most signals of a run. Temporal: `history.maximumSignalsPerExecution`.
pub const SIGNALS_MAX: usize = 10_000;
/// The most events that wait for the workflow task under way; one more fails that task. Temporal: `history.maximumBufferedEventsBatch`.
pub const BUFFERED_EVENTS_MAX: usize = 100;
/// The time for a workflow task unless told. Temporal: `history.defaultWorkflowTaskTimeout`.
pub const WORKFLOW_TASK_TIMEOUT: Millis = Millis::seconds(10);
/// The most time for a workflow task. Temporal: `MaxWorkflowTaskStartToCloseTimeout`.
pub const WORKFLOW_TASK_TIMEOUT_MAX: Millis = Millis::seconds(120);
/// The longest wait between attempts of a workflow task that keeps failing: 1 s, 2 s, 4 s … this.
pub const WORKFLOW_TASK_BACKOFF_MAX: Millis = Millis::seconds(60);
/// So many attempts of a workflow task have the same time; those after it have 5 s, 10 s, 20 s … more. Temporal: `workflowTaskRetryBackoffMinAttempts`.
pub const WORKFLOW_TASK_TIMEOUT_ATTEMPTS: u32 = 3;
/// The most that the time for an attempt of a workflow task grows by. Temporal: `history.workflowTaskRetryMaxInterval`.
pub const WORKFLOW_TASK_TIMEOUT_GROWTH_MAX: Millis = Millis::seconds(600);
/// A run that lived shorter than this delays the run that continues it, so that code that does nothing else can't
/// keep the engine busy. Temporal: `history.workflowIdReuseMinimalInterval`.
pub const CONTINUE_AS_NEW_INTERVAL_MIN: Millis = Millis::seconds(1);
/// The most bytes of the signals that workflow code has not read when it continues as new: they go over to the next run.
pub const UNREAD_SIGNALS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// For how long after a run has ended the requests that it heard are known to later runs of its id.
pub const REQUESTS_KEPT_FOR: Millis = Millis::seconds(86_400);
/// The most signals and cancellations of earlier runs that a run of the same chain knows: the latest ones. What it heard itself it
/// knows all of.
pub const MESSAGES_KEPT: usize = 4096;
/// The same for a run of a later start: fewer, for an id may be used again and again by runs that hear little themselves.
pub const MESSAGES_KEPT_AFTER_START: usize = 256;
/// The most starts of earlier runs that a run knows: the latest ones.
pub const STARTS_KEPT: usize = 64;
/// The most starts that attach to an open run and are remembered: the first ones, for each is a row of its history.
pub const ATTACHED_MAX: usize = 256;
/// The most search attributes of a run. Temporal has the same.
pub const SEARCH_ATTRIBUTES_MAX: usize = 100;
/// The most bytes of the value of one. Temporal has the same.
pub const SEARCH_ATTRIBUTE_BYTES_MAX: usize = 2 * 1024;
/// The most bytes of all of them, with their names. Temporal has the same.
pub const SEARCH_ATTRIBUTES_BYTES_MAX: usize = 40 * 1024;
/// The most bytes of the events that wait for the workflow task under way. Temporal: `history.maximumBufferedEventsSizeInBytes`.
pub const BUFFERED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest timer and timeout: 100 years, so that no sum of times overflows.
pub const DURATION_MAX: Millis = Millis::seconds(100 * 366 * 86_400);
