//! Every limit of the engine, with its number. The core's own are in [`history::limits`]; `docs/limits.md` lists both.

use std::time::Duration;

/// How many shards there are. Never configured: a workflow's shard is part of its rows' keys.
pub const SHARDS: u16 = 1024;
/// How many committer connections there are: two, so that the flush of one batch overlaps the gathering and execution of the next.
/// No more than `slots_of_member` in `migrations/0001_core.sql`.
pub const COMMITTERS: usize = 2;
/// The most rows of one batch: beyond some hundreds a batch only grows in latency.
pub const BATCH_ROWS_MAX: usize = 512;
/// The most stored bytes of one batch.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// While a batch is under way the next one begins when it has as many items, or this many.
pub const GATHER_ITEMS: usize = 64;
/// Or when nothing more has come for so long.
pub const GATHER: Duration = Duration::from_millis(1);
/// How long a commit waits for the workflow task that it handed out, so that a start or a completion and the next schedule share one.
pub const LINGER: Duration = Duration::from_millis(1);
/// The same while the workers have many workflow tasks: those before it in their queues come first, and batches are
/// gathering anyway. Each 32 tasks out add a [`LINGER`], up to this.
pub const LINGER_MAX: Duration = Duration::from_millis(8);
/// That an attempt has started is written when it runs longer than this.
pub const ATTEMPT_NOTED_AFTER: Duration = Duration::from_millis(500);
/// What a heartbeat said is written so long after it, or with what the attempt comes to: many heartbeats share a write.
pub const HEARTBEAT_NOTED_AFTER: Duration = Duration::from_secs(5);
/// Within how long another process takes over from an owner that is silent. A killed owner is replaced at once.
pub const LEASE: Duration = Duration::from_secs(10);
/// The most shards that are handed over to other members at once: what waits for one of them waits for all.
pub const HAND_OVER_SHARDS: usize = 128;
/// How long a hand-over waits for the tasks that workers have; then they count as lost, as in a takeover.
pub const HAND_OVER_GRACE: Duration = Duration::from_millis(500);
/// How long one member waits for the answer of another before it asks again.
pub const PEER_PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of what one member tells another of tasks and workers in one batch; what is larger goes in parts.
pub const EXCHANGE_BYTES_MAX: usize = 1024 * 1024;
/// The most parcels of such a batch.
pub const EXCHANGE_PARCELS_MAX: usize = 512;
/// How long one member waits for the receipt of such a batch before it sends it again.
pub const EXCHANGE_PATIENCE: Duration = Duration::from_secs(5);
/// After how long without a receipt a member gives up what another one's workers have. Temporal: none; a worker there only polls.
pub const SESSION_LOST_AFTER: Duration = Duration::from_secs(15);
/// How long a workflow waits before it sends again what did not reach another one.
pub const REDELIVER_AFTER: Duration = Duration::from_millis(200);
/// Or a quarter of the time in which nothing that it sent was answered, up to this.
pub const REDELIVER_AFTER_MAX: Duration = Duration::from_secs(5);
/// Open runs and their caches may take this much memory unless told; beyond it those that wait leave memory.
pub const MEMORY_BYTES: usize = 512 * 1024 * 1024;
/// A run that only waits is parked after this time without anything to do, so that a restart need not fold it.
pub const PARK_AFTER: Duration = Duration::from_secs(30);
/// A run that is open for this part of [`PARK_AFTER`] gets a row by which a takeover finds it; one that is over before never has one.
pub const REGISTER_AFTER: u32 = 3;
/// The most runs parked, and the most given a row in `open_run`, in one round.
pub const PARK_BATCH: usize = 100;
/// How long no task of a queue with workers has been handed out before it is said that they have no slot free.
pub const NO_SLOT_AFTER: Duration = Duration::from_secs(30);
/// The most runs read at once by their ids: at a takeover, whose deadlines came, or in whose queue a worker has room.
pub const READ_BATCH: usize = 256;
/// How many runs, or whole histories, are read at once for a slot that a worker has free: one for it, and one that is there when it is
/// free again.
pub const READ_A_SLOT: usize = 2;
/// The most stored bytes of the runs read at once, but for a single run that has more; and of the whole histories read at once.
pub const READ_BYTES: u64 = 16 * 1024 * 1024;
/// The same while memory is short.
pub const READ_BYTES_SHORT: u64 = 1024 * 1024;
/// Deadlines of parked runs are read this far ahead.
pub const PARKED_HORIZON: Duration = Duration::from_mins(1);
/// The most deadlines of parked runs read at once; the next are read when half of these have come.
pub const PARKED_PAGE: usize = 16_384;
/// The most deadlines of parked runs that are known at once; of more the latest are forgotten, and read again in time.
pub const PARKED_KNOWN_MAX: usize = 2 * PARKED_PAGE;
/// The longest a request for a result or for new events is held open. Temporal: `history.longPollExpirationInterval`.
pub const LONG_POLL_MAX: Duration = Duration::from_secs(20);
/// The most requests that wait inside the engine; one more is answered `UNAVAILABLE`.
pub const REQUESTS_MAX: usize = 65_536;
/// The most bytes that requests bring which wait inside the engine, but for one alone; one more is answered `UNAVAILABLE`.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024 * 1024;
/// While open runs take so many times the memory they may, what would bring more is answered `UNAVAILABLE`.
pub const MEMORY_FULL: usize = 2;
/// The most events in one page of a history.
pub const HISTORY_PAGE_MAX: usize = 1000;
/// How long a list may take in the database.
pub const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a namespace has declared is taken for known: within this time all processes go by what one of them was told.
pub const NAMESPACES_KNOWN_FOR: Duration = Duration::from_secs(1);
/// The most bytes of the name of a search attribute.
pub const SEARCH_ATTRIBUTE_NAME_BYTES_MAX: usize = 64;
/// The most search attributes that a namespace may declare.
pub const SEARCH_ATTRIBUTES_DECLARED_MAX: u16 = 1000;
/// So long after something was committed the lists have it, or when the next one is asked for: what begins and ends meanwhile is written once.
pub const VISIBILITY_AFTER: Duration = Duration::from_millis(500);
/// The most batches of the feed that are brought into the lists at once.
pub const VISIBILITY_PAGE: i64 = 500;
/// The most runs that are, while all lists are made anew.
pub const VISIBILITY_BUILD_PAGE: i64 = 5000;
/// The most runs that one statement of either brings into the lists, and the most bytes of search attributes.
pub const VISIBILITY_CHUNK: usize = 1000;
pub const VISIBILITY_CHUNK_BYTES: usize = 1024 * 1024;
/// How many connections bring the lists forward, delete what is kept no longer, archive and seal.
pub const VISIBILITY_CONNECTIONS: u32 = 4;
/// How long a statement of any of these may take.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// The least time that a namespace keeps closed runs, if not for ever. Temporal: 1 h.
pub const RETENTION_MIN: Duration = Duration::from_mins(1);
/// And the longest: a hundred years, so that it can be taken from any time.
pub const RETENTION_MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// The most closed runs that are deleted in one transaction, for whose ids a start may have to wait until then.
pub const EXPIRED_AT_ONCE: i32 = 500;
/// The stored bytes after which no further run is taken.
pub const EXPIRED_BYTES_AT_ONCE: i64 = 16 * 1024 * 1024;
/// How often what was committed is sealed.
pub const SEAL_EVERY: Duration = Duration::from_mins(1);
/// The most runs that are sealed with one signature, and a page of the feed more; the next follows at once.
pub const SEAL_ENTRIES_MAX: usize = 64 * 1024;
/// … and the most pages that are read for them.
pub const SEAL_PAGES_MAX: usize = 200;
/// The most deletions that are.
pub const SEAL_TOMBSTONES_MAX: i64 = 16 * 1024;
/// How many tiles of the sealed log are looked at for such all of whose runs are deleted, each time that deletions are sealed.
pub const SEAL_PRUNE_LOOK: i32 = 2048;
/// How many of them are compared at once with what was signed of them, and of deletions.
pub const SEAL_PRUNE_AT_ONCE: usize = 128;
/// The most tiles among which it is looked for runs about when they closed, before they are archived; else by when they were begun.
pub const SEAL_PLACES_LOOK: i64 = 4096;
/// How long pruning may take, and each of its statements, and as long what follows it: what is to be signed does not wait for longer.
pub const SEAL_PRUNE_MAX: Duration = Duration::from_secs(10);
/// Fewer of them stay, for they are not worth the entry that says so.
pub const SEAL_PRUNE_LEAST: i32 = 16;
/// How often it is looked for closed runs that are kept no longer.
pub const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// How long after as many were deleted as are at once the next ones are.
pub const EXPIRE_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// … and after fewer: by then others are due that are worth a transaction.
pub const EXPIRE_FEW_AFTER: Duration = Duration::from_millis(250);
/// Nothing is deleted because of its age while the database's clock and this machine's differ by more …
pub const CLOCKS_APART_MAX: Duration = Duration::from_mins(1);
/// … nor before the database's has been steady for so long, after it was set.
pub const CLOCK_STEADY_FOR: Duration = Duration::from_mins(10);
/// How often it is said again why nothing is deleted because of its age.
pub const DOUBT_SAID_EVERY: Duration = Duration::from_mins(5);
/// How often all that is due is looked through from the front: for what could not go when its turn was.
pub const EXPIRE_FROM_FRONT_EVERY: Duration = Duration::from_mins(1);
/// How often it is said again that nothing can be deleted.
pub const EXPIRY_FAILED_SAID_EVERY: Duration = Duration::from_mins(5);
/// How often it is tried to delete what is archived while another process deletes.
pub const EXPIRE_TRIES_MAX: u32 = 1000;
/// The most closed runs whose histories go into one object of the archive, before they are deleted.
pub const ARCHIVED_AT_ONCE: i32 = 2000;
/// … and the bytes of their histories after which no further one does.
pub const ARCHIVED_BYTES_AT_ONCE: i64 = 16 * 1024 * 1024;
/// How long an archive may take for an object.
pub const ARCHIVE_PUT_MAX: Duration = Duration::from_mins(2);
/// How long one process has the archive for itself without a word to the session that says so: longer than an object takes, with all that is read for it.
pub const ARCHIVE_HELD: Duration = Duration::from_mins(5);
/// What has been due for so long and is not archived is told in the log.
pub const ARCHIVE_LATE_AFTER: Duration = Duration::from_mins(5);
/// How much later than it was decided something can be committed, and so sealed: what is older is a finding of the audit.
pub const SEALED_LATE_MAX: Duration = Duration::from_mins(10);
/// How long nothing is deleted because it is kept no longer after somebody has found that the log is not what was signed: he says so more often.
pub const SEAL_REFUSED_HOLDS: Duration = Duration::from_mins(5);
/// How long who has no key waits for those who have one to say so, before it deletes anything.
pub const SEAL_OTHERS_SAY_WITHIN: Duration = Duration::from_mins(2);
/// What was committed and is not sealed after so long is told in the log, and again as often.
pub const SEAL_LATE_AFTER: Duration = Duration::from_mins(3);
/// How often it is looked whether it is.
pub const SEAL_WATCHED_EVERY: Duration = Duration::from_secs(30);
/// How often it is said again that a log is refused.
pub const SEAL_REFUSED_SAID_EVERY: Duration = Duration::from_hours(1);
/// How often it is looked for partitions of past weeks of which almost nothing is left, values of search attributes that were taken back, and counts of
/// types and queues that are gone.
pub const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// The most such values that are deleted in one statement.
pub const FORGOTTEN_AT_ONCE: i32 = 1000;
/// At most so many rows are, which are moved while nobody can commit …
pub const PARTITION_ROWS_KEPT_MAX: i64 = 1000;
/// … and bytes of their records …
pub const PARTITION_BYTES_KEPT_MAX: i64 = 8 * 1024 * 1024;
/// … and the partition has so many times as many on disk.
pub const PARTITION_KEPT_SHARE: i64 = 20;
/// How long the deletion of a run waits until that has delivered what it owes others.
pub const DELETE_MAX: Duration = Duration::from_secs(5);
/// The most stored bytes of a memo that a list shows; one with more is in the description of its run.
pub const LIST_MEMO_BYTES_MAX: i32 = 16 * 1024;
/// How many lists are read at once, on connections of their own.
pub const LIST_CONNECTIONS: u32 = 2;
/// The most attempts of a run that a list looks at, and the most activities that may wait for a worker.
pub const LIST_ATTEMPTS_MAX: u16 = 20;
/// The most stored bytes of what a list reads of an attempt, its last heartbeat included.
pub const LIST_ATTEMPT_BYTES_MAX: i32 = 8 * 1024;
/// How many connections a process has at most for reads of its owner, and as many for histories that it shows.
pub const READ_CONNECTIONS: u32 = 8;
/// How many for changes of members, and of who owns what.
pub const CONTROL_CONNECTIONS: u32 = 3;
/// How many an audit has.
pub const AUDIT_CONNECTIONS: u32 = 8;
/// How many connections a process has at most besides those for reads: control, the lists' and those that bring these forward, two that
/// commit and as many to find out whether a batch whose answer was lost was committed, and two for its lease and that of the member it
/// watches.
pub const CONNECTIONS_BESIDE_READS: u32 = 15;
/// How many connections a process has at most in all.
pub const CONNECTIONS_MAX: u32 = CONNECTIONS_BESIDE_READS + 2 * READ_CONNECTIONS;
/// A role that may open fewer than so many at once is refused; one that may not open [`CONNECTIONS_MAX`] has fewer for reads.
pub const CONNECTIONS_MIN: u32 = CONNECTIONS_BESIDE_READS + 2;
/// When something has waited for so long to be committed, and nothing was, a process is not ready.
pub const COMMITS_STALLED_AFTER: Duration = Duration::from_secs(5);
/// How long a read or a change waits for one of its connections.
pub const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(30);
/// A connection that does not answer for so long is half gone; another is taken.
pub const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one server of the database's address may take to answer a new connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a process that begins, or joins, waits until all of several servers have said which is the latest.
pub const MEET_MAX: Duration = Duration::from_secs(1);
/// A connection to the database on which nothing comes for so long is asked whether it is there.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// How often it is asked then, until [`SENT_HEARD_WITHIN`] is over.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(3);
/// What is sent on such a connection, or asked, is heard within this since something came last, or it counts as gone.
pub const SENT_HEARD_WITHIN: Duration = Duration::from_secs(20);
/// How long a server may take that says that it is starting, as after a crash.
pub const SERVER_START_MAX: Duration = Duration::from_mins(1);
/// How often a failed batch is tried again when the database says that trying again may help.
pub const BATCH_ATTEMPTS_MAX: u32 = 5;
/// How often a batch of several items is sent whose answer is lost each time; then it is cut in two. One at which the server fails
/// without a reason of its own is cut at once.
pub const BATCH_RESENDS_MAX: u32 = 3;
/// How often an item of which either is so is sent alone, at most, before it counts as the culprit.
pub const ITEM_RESENDS_MAX: u32 = 8;
/// The most workflows whose items go alone, because the database failed at one of them; of more the first is forgotten.
pub const SUSPECTS_MAX: usize = 1024;
/// How long the owner waits before it reads again what could not be read, or folds again a run whose data was refused.
pub const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a batch stays in the feed: whoever reads it may be away for so long, and goes on where it was.
pub const FEED_KEPT: Duration = Duration::from_mins(10);
/// How long at most, where something that is made from the feed has not read it; then it is made anew.
pub const FEED_KEPT_UNREAD: Duration = Duration::from_hours(24);
/// How late a reader of the feed is told of what another process has committed, at most.
pub const FEED_LATE_MAX: Duration = Duration::from_secs(1);
/// The most batches that a reader of the feed reads at once.
pub const FEED_PAGE: i64 = 100;
/// The most batches of its own that a process keeps in memory for readers of the feed, and their stored bytes; who lags reads them.
pub const FEED_TAIL_BATCHES_MAX: usize = 4096;
pub const FEED_TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest text of a cursor, in bytes: a reader that is in the middle of what a thousand members have left names some slots of each.
pub const FEED_CURSOR_BYTES_MAX: usize = 128 * 1024;
/// The most runs in a page of a list.
pub const LIST_PAGE_MAX: u32 = 1000;
/// The most batches that are deleted from the feed in one statement; the next one follows.
pub const FEED_EXPIRED_AT_ONCE: i32 = 20_000;
/// How long workers get to finish at shutdown.
pub const DRAIN: Duration = Duration::from_secs(10);
/// How many of those that were members are remembered, so that each can see whether the database holds what it was told.
pub const FORMER_MEMBERS_KEPT: i64 = 1000;
/// … and for how long each is at least, were they more.
pub const FORMER_MEMBERS_KEPT_FOR: Duration = Duration::from_hours(1);
/// How long to wait until sessions have ended that were told to.
pub const SESSION_END_MAX: Duration = Duration::from_secs(5);
/// How long a change of members, or of who owns what, waits for a lock of another one; then it is tried again. Where a
/// lease is short, a member that gives shards away waits a quarter of its expiry only. A process that is frozen with such a lock in
/// hand loses it after [`IDLE_IN_TRANSACTION_MAX`].
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// A lease is so many times as long as a batch waits for a lock; then it is cut in two, and its parts, until what needs the lock is alone.
pub const COMMIT_LOCK_WAIT: u32 = 3;
/// How long each part of a batch that has waited in vain waits for a lock, and a workflow that goes alone since it was found so.
pub const LOCK_LOOK: Duration = Duration::from_millis(100);
/// How often parts of several workflows wait so; the others are refused for now.
pub const LOCK_LOOKS_MAX: u32 = 50;
/// How long whoever watches a member waits for its lock in one statement. As long as that the dead rows of the whole database stay.
pub const LOCK_TURN: Duration = Duration::from_secs(30);
/// How long a transaction may lie idle; a process that is frozen in the middle of one holds up the others until then.
pub const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(2);
/// The same of an audit, or of a migration.
pub const AUDIT_IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(10);
/// How long a statement about members, or about who owns what, may take.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a read of the owner may take: the runs of many shards, at a takeover.
pub const READ_TIMEOUT: Duration = Duration::from_hours(1);
