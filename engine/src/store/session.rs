//! What sessions are called, and what each is told first.

use std::time::Duration;

use uuid::Uuid;

use crate::limits::{
    AUDIT_IDLE_IN_TRANSACTION_MAX, COMMIT_LOCK_WAIT, CONNECTION_WAIT_MAX, CONTROL_TIMEOUT,
    IDLE_IN_TRANSACTION_MAX, LIST_TIMEOUT, LOCK_TURN, LOCK_WAIT_MAX, READ_TIMEOUT,
    VISIBILITY_TIMEOUT,
};

/// A session, as Postgres shows it in `pg_stat_activity`. Those that a member must not outlive have its id in their name, by which
/// whoever fences it ends them: a process id may be a stranger's by then, a name can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Holds a member's advisory lock and renews its lease.
    Lease(Uuid),
    /// Waits for the lock of another member.
    Watch(Uuid),
    /// Commits through a slot.
    Commit(Uuid, i16),
    /// Looks for the fate of a batch of a slot.
    Fate(Uuid, i16),
    /// Of a pool, and of no member.
    Pooled(Pool),
}

impl Session {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Lease(member) => format!("{} lease", all_of(member)),
            Self::Watch(member) => format!("{} watch", all_of(member)),
            Self::Commit(member, slot) => format!("{} commit {slot}", all_of(member)),
            Self::Fate(member, slot) => format!("{} fate {slot}", all_of(member)),
            Self::Pooled(Pool::Control) => "coreason control".to_owned(),
            Self::Pooled(Pool::Read) => "coreason read".to_owned(),
            Self::Pooled(Pool::List) => "coreason list".to_owned(),
            Self::Pooled(Pool::Visibility) => "coreason visibility".to_owned(),
            Self::Pooled(Pool::Whole) => "coreason".to_owned(),
        }
    }
}

/// Returns what the names of all sessions begin with that end with a member.
pub(crate) fn all_of(member: Uuid) -> String {
    format!("coreason {member}")
}

/// What a session is for, and so how long Postgres lets it wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Batches, each within a lease: its client asks for the fate of one before that.
    Commit(Duration),
    /// The outcome of a batch: one statement, for which a lane waits.
    Fate,
    /// A lock that is held or waited for as long as it takes, and the lease.
    Lock,
    /// What several share.
    Pooled(Pool),
}

/// What the connections of a pool are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Who owns what: short changes, for which the other members wait.
    Control,
    /// Runs and their histories.
    Read,
    /// Lists of runs, which give up soon: what one reads may be much.
    List,
    /// What is made from the feed for lists, a page of it at a time; and what is deleted.
    Visibility,
    /// Migrations and audits, which take as long as they do.
    Whole,
}

impl Pool {
    /// Returns how long to wait for one of them.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::List | Self::Visibility => LIST_TIMEOUT,
            Self::Control | Self::Read | Self::Whole => CONNECTION_WAIT_MAX,
        }
    }
}

/// How long Postgres lets a session wait; zero is without end.
struct Waits {
    statement: Duration,
    lock: Duration,
    idle_in_transaction: Duration,
}

impl Purpose {
    /// Returns how long a session of it may wait.
    fn waits(self) -> Waits {
        let (statement, lock) = match self {
            // A lock that somebody keeps is told as such, before the answer counts as lost.
            Self::Commit(lease) => (lease, lease / COMMIT_LOCK_WAIT),
            Self::Fate | Self::Pooled(Pool::Control) => (CONTROL_TIMEOUT, LOCK_WAIT_MAX),
            Self::Lock => (Duration::ZERO, LOCK_TURN),
            Self::Pooled(Pool::Read) => (READ_TIMEOUT, LOCK_WAIT_MAX),
            Self::Pooled(Pool::List) => (LIST_TIMEOUT, LOCK_WAIT_MAX),
            Self::Pooled(Pool::Visibility) => (VISIBILITY_TIMEOUT, LIST_TIMEOUT),
            Self::Pooled(Pool::Whole) => (Duration::ZERO, Duration::ZERO),
        };
        let idle_in_transaction = match self {
            Self::Pooled(Pool::Whole) => AUDIT_IDLE_IN_TRANSACTION_MAX,
            Self::Commit(_) | Self::Fate | Self::Lock | Self::Pooled(_) => IDLE_IN_TRANSACTION_MAX,
        };
        Waits {
            statement,
            lock,
            idle_in_transaction,
        }
    }

    /// Returns the statements that make a session ours: what the role or the database has set holds no more. All is set that could
    /// end a session or a statement of ours, keep one waiting without end, or change what a statement sees. A plan over many partitions
    /// looks dear, and is not: compiling it would be.
    pub(super) fn settings(self) -> String {
        let waits = self.waits();
        let looks = match self {
            Self::Lock => "0",
            Self::Commit(_) | Self::Fate | Self::Pooled(_) => "1000",
        };
        let common = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
             SET idle_session_timeout = 0; SET synchronous_commit = on;
             SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
             SET default_transaction_deferrable = off; SET jit = off; {}; {}",
            waits.statement.as_millis(),
            waits.lock.as_millis(),
            waits.idle_in_transaction.as_millis(),
            // Since Postgres 17.
            where_known("transaction_timeout", "0"),
            // A server notices a client that is gone where its system can tell. One that waits for a lock says that it does whenever it
            // looks, where such waits are logged; it is not to look.
            where_known("client_connection_check_interval", looks),
        );
        match self {
            // Without row estimates for `unnest`, a generic plan would turn joins into scans of whole tables.
            Self::Commit(_) | Self::Pooled(Pool::Visibility) => format!(
                "{common}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
                 SET plan_cache_mode = force_generic_plan"
            ),
            // A page is made of few rows, one after the other. Where an estimate is wrong, by which all rows are to be read and joined at once, a
            // page takes a second that takes milliseconds so.
            Self::Pooled(Pool::List) => format!(
                "{common}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0"
            ),
            // Rows that somebody has hidden from this role are an error, and not absent.
            Self::Pooled(Pool::Whole) => format!("{common}; SET row_security = off"),
            Self::Fate | Self::Lock | Self::Pooled(_) => common,
        }
    }
}

/// Returns the statement that sets what not every server has, or not with this value.
fn where_known(name: &str, value: &str) -> String {
    format!(
        "DO $$ BEGIN PERFORM set_config('{name}', '{value}', false);
         EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN NULL; END $$"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::connect::Address, *};

    #[tokio::test]
    async fn what_a_server_does_not_have_is_not_set_and_the_rest_is() {
        let server = std::env::var("COREASON_TEST_DATABASE_URL")
            .expect("./test sets COREASON_TEST_DATABASE_URL");
        let address = Address::find(&server).await.unwrap();
        let client = address
            .client(Session::Pooled(Pool::Read), Purpose::Pooled(Pool::Read))
            .await
            .unwrap();
        for (name, value) in [
            ("there_is_no_such_setting", "1"),
            ("client_connection_check_interval", "-7"),
            ("client_connection_check_interval", "2000"),
        ] {
            client
                .batch_execute(&where_known(name, value))
                .await
                .unwrap();
        }
        let show = "SELECT current_setting('client_connection_check_interval')";
        let row = client.query_one(show, &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "2s");
    }
}
