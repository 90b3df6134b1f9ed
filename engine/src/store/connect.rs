//! How the engine reaches its database: what every session is called, and what it is told first.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use uuid::Uuid;

use super::{
    Error,
    address::{Host, Target},
    bridge::{self, Bridge},
    dial::Way,
    pooler, reach,
};
use crate::limits::{CONTROL_TIMEOUT, IDLE_IN_TRANSACTION_MAX, LOCK_WAIT_MAX, READ_TIMEOUT};

/// A pooled connection that does not answer for so long is half gone; another is taken.
const PING: Duration = Duration::from_secs(1);
/// The oldest supported server.
const OLDEST: i32 = 150_000;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

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
    Pool(Purpose),
}

impl Session {
    pub(crate) fn name(self) -> String {
        let all = |member| all_of(member);
        match self {
            Self::Lease(member) => format!("{} lease", all(member)),
            Self::Watch(member) => format!("{} watch", all(member)),
            Self::Commit(member, slot) => format!("{} commit {slot}", all(member)),
            Self::Fate(member, slot) => format!("{} fate {slot}", all(member)),
            Self::Pool(Purpose::Control) => "coreason control".to_owned(),
            Self::Pool(_) => "coreason".to_owned(),
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
    /// Who owns what: short changes, for which the other members wait.
    Control,
    /// A lock that is held or waited for as long as it takes, and the lease.
    Lock,
    /// Whatever only reads.
    Read,
    /// Migrations and audits, which take as long as they do.
    Whole,
}

impl Purpose {
    /// Returns the statements that make a session ours: what the role or the database has set holds no more. All is set that could
    /// end a session or a statement of ours, keep one waiting without end, or change what a statement sees.
    fn settings(self) -> String {
        let (statement, lock, idle) = match self {
            Self::Commit(lease) => (lease, Duration::ZERO, IDLE_IN_TRANSACTION_MAX),
            Self::Control => (CONTROL_TIMEOUT, LOCK_WAIT_MAX, IDLE_IN_TRANSACTION_MAX),
            Self::Lock => (Duration::ZERO, Duration::ZERO, IDLE_IN_TRANSACTION_MAX),
            Self::Read => (READ_TIMEOUT, LOCK_WAIT_MAX, IDLE_IN_TRANSACTION_MAX),
            Self::Whole => (Duration::ZERO, Duration::ZERO, CONTROL_TIMEOUT),
        };
        let common = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
             SET idle_session_timeout = 0; SET client_connection_check_interval = 1000;
             SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
             SET default_transaction_deferrable = off;
             SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('server_version_num')::integer >= 170000",
            statement.as_millis(),
            lock.as_millis(),
            idle.as_millis(),
        );
        match self {
            // Without row estimates for `unnest`, a generic plan would turn joins into scans of whole tables.
            Self::Commit(_) => format!(
                "{common}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
                 SET plan_cache_mode = force_generic_plan; SET jit = off; SET synchronous_commit = on"
            ),
            Self::Control | Self::Lock | Self::Read | Self::Whole => common,
        }
    }

    /// Returns how many connections a pool for this may have. Few: they wait for each other rather than load the server.
    fn connections(self) -> u32 {
        match self {
            Self::Control | Self::Commit(_) | Self::Lock => 3,
            Self::Read | Self::Whole => 8,
        }
    }
}

/// A database, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    way: Way,
    /// What sqlx goes through where it doesn't know the way.
    bridge: Option<Arc<Bridge>>,
}

impl Address {
    /// Finds the way to the database of a `postgres://` URL.
    ///
    /// # Errors
    /// When the URL can't be meant, no server of it can be reached, or something is in between that breaks sessions.
    pub(crate) async fn find(url: &str) -> Result<Self, Error> {
        let way = Way::new(Target::parse(url)?)?;
        reach::check(&way).await?;
        pooler::refuse(&way).await?;
        let bridge = if way.is_special() {
            Some(Arc::new(Bridge::open(way.clone())?))
        } else {
            None
        };
        Ok(Self { way, bridge })
    }

    /// Returns a pool, which opens its connections when they are needed.
    pub(crate) fn pool(&self, purpose: Purpose) -> sqlx::PgPool {
        PgPoolOptions::new()
            .max_connections(purpose.connections())
            .acquire_timeout(Duration::from_secs(30))
            .test_before_acquire(false)
            .after_connect(move |connection, _| Box::pin(settle(connection, purpose)))
            .before_acquire(|connection, _| {
                Box::pin(async move {
                    let answered = tokio::time::timeout(PING, connection.ping()).await;
                    Ok(matches!(answered, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(self.options(Session::Pool(purpose)))
    }

    /// Opens a session of sqlx.
    pub(crate) async fn session(&self, session: Session) -> Result<PgConnection, Error> {
        let mut connection = PgConnection::connect_with(&self.options(session)).await?;
        settle(&mut connection, Purpose::Lock).await?;
        Ok(connection)
    }

    /// Opens a session of tokio-postgres and drives it in the background until it ends.
    pub(crate) async fn client(
        &self,
        session: Session,
        purpose: Purpose,
    ) -> Result<tokio_postgres::Client, Error> {
        let client = self.way.log_in(&session.name()).await?;
        client.batch_execute(&purpose.settings()).await?;
        Ok(client)
    }

    fn options(&self, session: Session) -> PgConnectOptions {
        let target = &self.way.target;
        let options = PgConnectOptions::new_without_pgpass()
            .username(&target.user)
            .database(&target.database)
            .application_name(&session.name())
            // Of a bridge it is a door inside this process; else there is none.
            .ssl_mode(PgSslMode::Disable)
            .options(target.options.iter().map(|(name, value)| (name, value)));
        let options = match &target.password {
            Some(password) => options.password(password),
            None => options,
        };
        match (&self.bridge, &target.hosts[..]) {
            (Some(bridge), _) => options.socket(bridge.folder()).port(bridge::PORT),
            (None, [Host::Unix { folder, port }, ..]) => options.socket(folder).port(*port),
            (None, [Host::Tcp { name, port }, ..]) => options.host(name).port(*port),
            (None, []) => options,
        }
    }
}

async fn settle(connection: &mut PgConnection, purpose: Purpose) -> Result<(), sqlx::Error> {
    // Numbers of our own are all that is put into it.
    let settings = sqlx::raw_sql(AssertSqlSafe(purpose.settings()));
    connection.execute(settings).await?;
    Ok(())
}

/// Opens the pool for everything but what the owner does, and sees that the server is new enough.
pub(crate) async fn pool(address: &Address) -> Result<sqlx::PgPool, Error> {
    let pool = address.pool(Purpose::Whole);
    let version = sqlx::query_scalar!(
        r#"SELECT current_setting('server_version_num')::integer AS "version!""#
    )
    .fetch_one(&pool)
    .await?;
    if version < OLDEST {
        return Err(Error::OldServer(version / 10_000));
    }
    Ok(pool)
}

/// Brings the schema up to this binary's.
///
/// # Errors
/// [`Error::NewerSchema`] when the database has a migration that this binary does not know.
pub(crate) async fn migrate(pool: &sqlx::PgPool) -> Result<(), Error> {
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => {
            Err(Error::NewerSchema(version))
        }
        Err(error) => Err(Error::Migrate(Box::new(error))),
    }
}
