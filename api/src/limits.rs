//! Every limit of the API, with its number. The engine's own are in [`engine::limits`].

use std::time::Duration;

/// The most bytes of a request's body: the largest payload list twice, so that whatever the core takes, with
/// what JSON adds to it, comes in. Temporal: the 4 MiB of a gRPC message.
pub const REQUEST_BYTES_MAX: usize = 2 * history::limits::PAYLOAD_BYTES_MAX;
/// The most bytes of what one member sends another: the largest payloads with what JSON text adds to them, twice.
pub const PEER_REQUEST_BYTES_MAX: usize = 4 * REQUEST_BYTES_MAX;
/// How long a request is tried again while nobody has its workflow's shard, as between two owners.
pub const FORWARD_PATIENCE: Duration = Duration::from_secs(2);
/// How long a client in Rust sends a request again that nobody answers, or that an engine in transition refuses.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of lines of the log that wait for whoever reads it.
pub const LOG_BYTES_MAX: usize = 1024 * 1024;
/// The most warnings and errors of one kind in half a minute, whatever they are about. The last of them says that more are left out,
/// and the next one how many were.
pub const LIKE_LINES_MAX: u32 = 20;
/// How long the end of the process waits until they are read.
pub const LOG_FLUSH_MAX: Duration = Duration::from_secs(1);
/// The shortest lease of a member that can be told: below that it is over before it could be renewed.
pub const LEASE_MIN: Duration = Duration::from_millis(200);
/// The longest delay that can be told before a process stops that was asked to: `coreason stop` waits two minutes for all of it.
pub const SHUTDOWN_DELAY_MAX: Duration = Duration::from_mins(1);
/// How long an archive that is a server may take to take a connection.
pub const ARCHIVE_CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long it may take to take away what was written of an object that failed.
pub const ARCHIVE_ABORT_MAX: Duration = Duration::from_secs(5);
/// How many runs a page of a list has unless told.
pub const LIST_PAGE: u32 = 100;
/// The most runs in a page of a list.
pub const LIST_PAGE_MAX: u32 = engine::limits::LIST_PAGE_MAX;
/// How many events a page of a history has unless told.
pub const HISTORY_PAGE: usize = 200;
/// How long a process may take to stop, without its embedded Postgres, which gets a minute more: the drain of the worker and of the
/// engine, and of open requests. A worker with a longer drain timeout than the engine's comes on top.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(25);
/// How long open requests get to end at shutdown, once the engine has answered them.
pub const HTTP_DRAIN: Duration = Duration::from_secs(5);
/// The most problems that an answer names of a run; a run may have 2,000 activities, all failing.
pub const PROBLEMS_MAX: usize = 20;
/// The most characters of a reason in a problem; `lastFailure` of the description has all of it.
pub const REASON_CHARS_MAX: usize = 1000;
