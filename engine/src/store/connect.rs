//! How the engine reaches its database: what every session is called, and what it is told first.

use std::{sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use uuid::Uuid;

use super::{
    Error,
    address::Target,
    bridge::{self, Bridge},
    dial::Way,
    failover::{Since, TIME},
    host::Host,
    pooler, reach,
    sqlstate::INSUFFICIENT_PRIVILEGE,
    told,
};
use crate::limits::{
    AUDIT_CONNECTIONS, AUDIT_IDLE_IN_TRANSACTION_MAX, COMMIT_LOCK_WAIT, CONNECTION_WAIT_MAX,
    CONNECTIONS_MAX, CONNECTIONS_MIN, CONTROL_CONNECTIONS, CONTROL_TIMEOUT,
    IDLE_IN_TRANSACTION_MAX, LIST_CONNECTIONS, LIST_TIMEOUT, LOCK_TURN, LOCK_WAIT_MAX,
    PING_TIMEOUT, READ_CONNECTIONS, READ_TIMEOUT,
};

/// The oldest supported server.
const OLDEST: i32 = 150_000;

/// The SQLSTATE of a server that does not let somebody in this way.
const NOT_LET_IN: &str = "28000";

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
    /// What became of a batch: one statement, for which a lane waits.
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
    /// Migrations and audits, which take as long as they do.
    Whole,
}

impl Pool {
    /// Returns how many connections it may have. Few: they wait for each other rather than load the server.
    fn connections(self) -> u32 {
        match self {
            Self::Control => CONTROL_CONNECTIONS,
            Self::Read => READ_CONNECTIONS,
            Self::List => LIST_CONNECTIONS,
            Self::Whole => AUDIT_CONNECTIONS,
        }
    }

    /// Returns how long to wait for one of them.
    fn patience(self) -> Duration {
        match self {
            Self::List => LIST_TIMEOUT,
            Self::Control | Self::Read | Self::Whole => CONNECTION_WAIT_MAX,
        }
    }
}

impl Purpose {
    /// Returns the statements that make a session ours: what the role or the database has set holds no more. All is set that could
    /// end a session or a statement of ours, keep one waiting without end, or change what a statement sees. A plan over many partitions
    /// looks dear, and is not: compiling it would be.
    fn settings(self) -> String {
        let (statement, lock, idle) = match self {
            // A lock that somebody keeps is told as such, before the answer counts as lost.
            Self::Commit(lease) => (lease, lease / COMMIT_LOCK_WAIT, IDLE_IN_TRANSACTION_MAX),
            Self::Fate | Self::Pooled(Pool::Control) => {
                (CONTROL_TIMEOUT, LOCK_WAIT_MAX, IDLE_IN_TRANSACTION_MAX)
            }
            Self::Lock => (Duration::ZERO, LOCK_TURN, IDLE_IN_TRANSACTION_MAX),
            Self::Pooled(Pool::Read) => (READ_TIMEOUT, LOCK_WAIT_MAX, IDLE_IN_TRANSACTION_MAX),
            Self::Pooled(Pool::List) => (LIST_TIMEOUT, LOCK_WAIT_MAX, IDLE_IN_TRANSACTION_MAX),
            Self::Pooled(Pool::Whole) => (
                Duration::ZERO,
                Duration::ZERO,
                AUDIT_IDLE_IN_TRANSACTION_MAX,
            ),
        };
        let looks = match self {
            Self::Lock => "0",
            Self::Commit(_) | Self::Fate | Self::Pooled(_) => "1000",
        };
        let common = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
             SET idle_session_timeout = 0; SET synchronous_commit = on;
             SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
             SET default_transaction_deferrable = off; SET jit = off; {}; {}",
            statement.as_millis(),
            lock.as_millis(),
            idle.as_millis(),
            // Since Postgres 17.
            where_known("transaction_timeout", "0"),
            // A server notices a client that is gone where its system can tell. One that waits for a lock says that it does whenever it
            // looks, where such waits are logged; it is not to look.
            where_known("client_connection_check_interval", looks),
        );
        match self {
            // Without row estimates for `unnest`, a generic plan would turn joins into scans of whole tables.
            Self::Commit(_) => format!(
                "{common}; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
                 SET plan_cache_mode = force_generic_plan"
            ),
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

/// Finds a way to a database that leads there.
async fn way(target: Target) -> Result<Way, Error> {
    let way = Way::new(target)?;
    reach::check(&way).await?;
    way.meet_all().await;
    Ok(way)
}

/// A database, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    way: Way,
    /// What sqlx goes through where it takes more than a plain connection on this machine.
    bridge: Option<Arc<Bridge>>,
}

impl Address {
    /// Asks whether the database of a URL can be reached.
    ///
    /// # Errors
    /// When the URL can't be meant, or no server of it can be reached.
    pub(crate) async fn reach(url: &str) -> Result<(), Error> {
        way(Target::parse(url)?).await?;
        Ok(())
    }

    /// Returns the servers of a URL that are not reached by a socket of this machine.
    ///
    /// # Errors
    /// When the URL can't be meant.
    pub(crate) fn servers(url: &str) -> Result<Vec<(String, u16)>, Error> {
        let hosts = Target::parse(url)?.hosts.into_iter();
        let servers = hosts.filter_map(|host| match host {
            Host::Tcp { name, port } => Some((name, port)),
            Host::Unix { .. } => None,
        });
        Ok(servers.collect())
    }

    /// Finds the way to the database of a `postgres://` URL.
    ///
    /// # Errors
    /// When the URL can't be meant, no server of it can be reached, or something is in between that breaks sessions.
    pub(crate) async fn find(url: &str) -> Result<Self, Error> {
        Self::lead_to(Target::parse(url)?).await
    }

    /// Finds the way to the database of a `postgres://` URL, to write there.
    ///
    /// # Errors
    /// As of [`Self::find`], and when its server is a standby and not on this machine: see [`check`].
    pub(crate) async fn find_to_write(url: &str) -> Result<Self, Error> {
        let mut target = Target::parse(url)?;
        target.writable = true;
        Self::lead_to(target).await
    }

    async fn lead_to(target: Target) -> Result<Self, Error> {
        let way = way(target).await?;
        pooler::refuse(&way).await?;
        let bridge = if way.is_special() {
            Some(Arc::new(Bridge::open(way.clone())?))
        } else {
            None
        };
        Ok(Self { way, bridge })
    }

    /// Returns a pool, which opens its connections when they are needed.
    pub(crate) fn pool(&self, pool: Pool) -> sqlx::PgPool {
        let settings: Arc<str> = self.settings(Purpose::Pooled(pool)).into();
        let (way, time) = (self.way.clone(), self.way.time.clone());
        PgPoolOptions::new()
            .max_connections(pool.connections())
            .acquire_timeout(pool.patience())
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let (way, settings) = (way.clone(), Arc::clone(&settings));
                Box::pin(async move { settle(connection, &way, &settings).await })
            })
            .before_acquire(move |connection, meta| {
                let replaced = time.came_within(meta.age);
                Box::pin(async move {
                    if replaced {
                        return Ok(false);
                    }
                    let answered = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
                    Ok(matches!(answered, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(self.options(Session::Pooled(pool)))
    }

    /// Meets all servers of a database that has several: one may have been promoted since.
    pub(super) async fn meet_all(&self) {
        self.way.meet_all().await;
    }

    /// Opens something whose sessions all speak to the same server.
    pub(super) async fn open<T, F>(&self, open: impl Fn() -> F) -> Result<(T, Since), Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let since = self.way.time.begin();
            let opened = open().await?;
            if since.check().is_ok() {
                return Ok((opened, since));
            }
        }
    }

    /// Opens a session of sqlx.
    pub(crate) async fn session(&self, session: Session) -> Result<PgConnection, Error> {
        let options = self.options(session);
        let mut connection = match PgConnection::connect_with(&options).await {
            // Whoever logs in finds out whether it has come to want the other way, encrypted or not.
            Err(sqlx::Error::Database(refusal))
                if self.bridge.is_some()
                    && refusal.code().is_some_and(|code| code == NOT_LET_IN) =>
            {
                drop(self.way.log_in(&session.name()).await?);
                PgConnection::connect_with(&options).await?
            }
            answer => answer?,
        };
        settle(&mut connection, &self.way, &self.settings(Purpose::Lock)).await?;
        Ok(connection)
    }

    /// Opens a session of tokio-postgres and drives it in the background until it ends.
    pub(crate) async fn client(
        &self,
        session: Session,
        purpose: Purpose,
    ) -> Result<tokio_postgres::Client, Error> {
        let client = self.way.log_in(&session.name()).await?;
        client.batch_execute(&self.settings(purpose)).await?;
        Ok(client)
    }

    /// Returns the statements that make a session ours, with the schema of our tables: what a role calls its own is another's.
    fn settings(&self, purpose: Purpose) -> String {
        let settings = purpose.settings();
        let mut told = self.way.target.options.iter();
        if told.any(|(name, _)| name == "search_path") {
            return settings;
        }
        format!("{settings}; SET search_path = public")
    }

    fn options(&self, session: Session) -> PgConnectOptions {
        let target = &self.way.target;
        let options = PgConnectOptions::new_without_pgpass()
            .username(&target.user)
            .database(&target.database)
            .application_name(&session.name())
            // Of a bridge it is a door inside this process; else there is none.
            .ssl_mode(PgSslMode::Disable)
            // After those of PGOPTIONS, which it has taken by itself.
            .options(target.options.iter().map(|(name, value)| (name, value)));
        let options = match &target.password {
            Ok(password) => options.password(&password.text),
            Err(_missing) => options,
        };
        match (&self.bridge, &target.hosts[..]) {
            (Some(bridge), _) => options.socket(bridge.folder()).port(bridge::PORT),
            (None, [Host::Unix { folder, port }, ..]) => options.socket(folder).port(*port),
            (None, [Host::Tcp { name, port }, ..]) => options.host(name).port(*port),
            (None, []) => options,
        }
    }
}

/// Makes a session ours, at a server that will do.
async fn settle(
    connection: &mut PgConnection,
    way: &Way,
    settings: &str,
) -> Result<(), sqlx::Error> {
    // Numbers of our own are all that was put into it.
    let settings = sqlx::raw_sql(AssertSqlSafe(settings.to_owned()));
    connection.execute(settings).await?;
    if way.asks() {
        let row = sqlx::raw_sql(TIME).fetch_one(connection).await?;
        way.judge(row.try_get(0)?, row.try_get(1)?, || way.target.servers())
            .map_err(|error| sqlx::Error::Configuration(Box::new(error)))?;
    }
    Ok(())
}

/// Sees that an engine can work on a database.
///
/// # Errors
/// [`Error::Standby`] and [`Error::NotUtf8`].
pub(crate) async fn check(address: &Address, pool: &sqlx::PgPool) -> Result<(), Error> {
    let database = sqlx::query!(
        r#"SELECT current_setting('server_encoding') AS "encoding!", pg_is_in_recovery() AS "standby!""#
    )
    .fetch_one(pool)
    .await?;
    if database.standby {
        return Err(Error::Standby(address.way.target.servers()));
    }
    if database.encoding != "UTF8" {
        return Err(Error::NotUtf8(database.encoding));
    }
    Ok(())
}

/// Sees that a database has the tables of an engine, and what audits them.
///
/// # Errors
/// [`Error::NoTables`], and [`Error::MayNotRead`] where they are in a schema that this role may not use.
pub(crate) async fn check_tables(address: &Address, pool: &sqlx::PgPool) -> Result<(), Error> {
    let tables = sqlx::query!(
        r#"SELECT to_regclass('history') IS NOT NULL AND to_regclass('audit_rule') IS NOT NULL AS "seen!",
                  (SELECT min(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relname = 'audit_rule' AND NOT has_schema_privilege(n.oid, 'USAGE')) AS hidden_in"#
    )
    .fetch_one(pool)
    .await?;
    match tables.hidden_in {
        _ if tables.seen => Ok(()),
        Some(schema) => Err(Error::MayNotRead(format!(
            "permission denied for schema {schema}"
        ))),
        None => Err(Error::NoTables(address.way.target.to_string())),
    }
}

/// Returns what an audit is refused with instead, if it is that the role may not read.
pub(crate) fn if_unread(error: Error) -> Error {
    match error {
        Error::Sqlx(sqlx::Error::Database(told))
            if told
                .code()
                .is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) =>
        {
            Error::MayNotRead(told.message().to_owned())
        }
        error => error,
    }
}

/// Opens the pool for what takes as long as it does, and sees that the server is new enough.
pub(crate) async fn pool(address: &Address) -> Result<sqlx::PgPool, Error> {
    let pool = address.pool(Pool::Whole);
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

/// Sees that a process of this role may open enough connections.
pub(crate) async fn check_limit(pool: &sqlx::PgPool) -> Result<(), Error> {
    let limit = sqlx::query!(
        r#"SELECT l.most AS "most!", l.name AS "name!"
           FROM pg_roles r, pg_database d, LATERAL (VALUES
               ('max_connections of the server',
                current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
                    - coalesce(current_setting('reserved_connections', true)::integer, 0)),
               (format('CONNECTION LIMIT of role %I', r.rolname), CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit END),
               (format('CONNECTION LIMIT of database %I', d.datname), CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit END)
           ) AS l (name, most)
           WHERE r.rolname = session_user AND d.datname = current_database() AND l.most IS NOT NULL
           ORDER BY l.most LIMIT 1"#
    )
    .fetch_one(pool)
    .await?;
    if limit.most < CONNECTIONS_MIN {
        return Err(Error::FewConnections {
            most: limit.most,
            limit: limit.name,
        });
    }
    if limit.most < CONNECTIONS_MAX {
        tracing::warn!(
            most = limit.most,
            limit = limit.name,
            keeps = CONNECTIONS_MAX,
            "the database lets this role open fewer connections than a process keeps under load: reads and changes of members will wait for each other"
        );
    }
    Ok(())
}

/// Brings the schema up to this binary's.
///
/// # Errors
/// [`Error::NewerSchema`] when the database has a migration that this binary does not know.
pub(crate) async fn migrate(pool: &sqlx::PgPool) -> Result<(), Error> {
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Error::NewerSchema(version)),
        Err(MigrateError::VersionMismatch(version)) => Err(Error::OtherSchema(version)),
        Err(MigrateError::Execute(error)) => Err(not_migrated(error, MigrateError::Execute)),
        Err(MigrateError::ExecuteMigration(error, version)) => {
            let of_this = |error| MigrateError::ExecuteMigration(error, version);
            Err(not_migrated(error, of_this))
        }
        Err(error) => Err(Error::Migrate(Box::new(error))),
    }
}

/// Tells why a migration failed that the database has refused.
fn not_migrated(error: sqlx::Error, migrating: impl Fn(sqlx::Error) -> MigrateError) -> Error {
    match told::plainly(error) {
        sqlx::Error::Database(told)
            if told
                .code()
                .is_some_and(|code| code == INSUFFICIENT_PRIVILEGE) =>
        {
            Error::MayNotMigrate(told.message().to_owned())
        }
        error => Error::Migrate(Box::new(migrating(error))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a database of a test's own, with the schema.
    pub(in crate::store) async fn database() -> Address {
        let server = std::env::var("COREASON_TEST_DATABASE_URL")
            .expect("./test sets COREASON_TEST_DATABASE_URL");
        let name = format!("test_{}", Uuid::new_v4().simple());
        let client = Address::find(&server).await.unwrap();
        let client = client
            .client(Session::Pooled(Pool::Whole), Purpose::Pooled(Pool::Whole))
            .await
            .unwrap();
        let create = format!("CREATE DATABASE {name}");
        client.batch_execute(&create).await.unwrap();
        let (base, query) = server.split_once('?').unwrap_or((&server, ""));
        let (base, _) = base.rsplit_once('/').unwrap();
        let address = Address::find(&format!("{base}/{name}?{query}"))
            .await
            .unwrap();
        let pool = pool(&address).await.unwrap();
        migrate(&pool).await.unwrap();
        address
    }

    /// What the environment of a process says that [`the_environment_counts_alike_for_all_sessions`].
    const PGOPTIONS: &str =
        "-c search_path=elsewhere -c coreason.a=environment -c coreason.b=environment";

    #[tokio::test]
    async fn the_environment_counts_alike_for_all_sessions() {
        if std::env::var("PGOPTIONS").as_deref() != Ok(PGOPTIONS) {
            let name = "store::connect::tests::the_environment_counts_alike_for_all_sessions";
            let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
            itself.args(["--exact", name]).env("PGOPTIONS", PGOPTIONS);
            let itself = itself.output().unwrap();
            let told = String::from_utf8_lossy(&itself.stdout);
            assert!(itself.status.success(), "{told}");
            assert!(told.contains("1 passed"), "{told}");
            return;
        }
        let server = std::env::var("COREASON_TEST_DATABASE_URL")
            .expect("./test sets COREASON_TEST_DATABASE_URL");
        let address = Address::find(&format!("{server}?options=-c%20coreason.b%3Daddress")).await;
        let address = address.unwrap();
        let asked = "SELECT concat_ws(' ', current_setting('search_path'), current_setting('coreason.a'), current_setting('coreason.b'))";
        let session = Session::Pooled(Pool::Read);
        let client = address.client(session, Purpose::Lock).await.unwrap();
        let mut connection = address.session(session).await.unwrap();

        let of_tokio: String = client.query_one(asked, &[]).await.unwrap().get(0);
        let of_sqlx = connection.fetch_one(asked).await.unwrap();
        let of_sqlx: String = sqlx::Row::get(&of_sqlx, 0);

        assert_eq!(of_tokio, "public environment address");
        assert_eq!(of_sqlx, of_tokio);
    }

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
