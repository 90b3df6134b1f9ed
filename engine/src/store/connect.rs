//! How the engine reaches its database, with the two libraries that speak to it.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

use super::{
    Error,
    address::{Target, host::Host},
    bridge::{self, Bridge},
    pooler, reach,
    session::{Pool, Purpose, Session},
    way::{
        Way,
        failover::{Since, TIME},
    },
};
use crate::limits::{
    AUDIT_CONNECTIONS, CONNECTIONS_BESIDE_READS, CONTROL_CONNECTIONS, LIST_CONNECTIONS,
    PING_TIMEOUT, READ_CONNECTIONS, VISIBILITY_CONNECTIONS,
};

/// The SQLSTATE of a server that does not let somebody in this way.
const NOT_LET_IN: &str = "28000";

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
    /// The most connections of a pool for reads.
    reads: u32,
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
    /// As of [`Self::find`], and when its server is a standby and not on this machine: see [`fit::check`](super::fit::check).
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
        Ok(Self {
            way,
            bridge,
            reads: READ_CONNECTIONS,
        })
    }

    /// Shares so many connections among the pools to come: a pool keeps what it has opened, and those of another would not be let in.
    pub(crate) fn share(&mut self, connections: u32) {
        let for_reads = connections.saturating_sub(CONNECTIONS_BESIDE_READS) / 2;
        self.reads = for_reads.clamp(1, READ_CONNECTIONS);
    }

    /// Returns what the URL says of it.
    pub(super) fn target(&self) -> &Target {
        self.way.target()
    }

    /// Returns a pool, which opens its connections when they are needed. It has few: they wait for each other rather than load the server.
    pub(crate) fn pool(&self, pool: Pool) -> sqlx::PgPool {
        let settings: Arc<str> = self.settings(Purpose::Pooled(pool)).into();
        let (way, time) = (self.way.clone(), self.way.time.clone());
        PgPoolOptions::new()
            .max_connections(match pool {
                Pool::Read => self.reads,
                Pool::Control => CONTROL_CONNECTIONS,
                Pool::List => LIST_CONNECTIONS,
                Pool::Visibility => VISIBILITY_CONNECTIONS,
                Pool::Whole => AUDIT_CONNECTIONS,
            })
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
        let mut told = self.way.target().options.iter();
        if told.any(|setting| setting.name == "search_path") {
            return settings;
        }
        format!("{settings}; SET search_path = public")
    }

    fn options(&self, session: Session) -> PgConnectOptions {
        let target = self.way.target();
        let settings = target.options.iter();
        let settings = settings.map(|setting| (&setting.name, &setting.value));
        let options = PgConnectOptions::new_without_pgpass()
            .username(&target.user)
            .database(&target.database)
            .application_name(&session.name())
            // Of a bridge it is a door inside this process; else there is none.
            .ssl_mode(PgSslMode::Disable)
            // After those of PGOPTIONS, which it has taken by itself.
            .options(settings);
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
        way.judge(row.try_get(0)?, row.try_get(1)?, || way.target().servers())
            .map_err(|error| sqlx::Error::Configuration(Box::new(error)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{COMMITTERS, CONNECTIONS_MAX, CONNECTIONS_MIN};

    /// What the environment of a process says that [`the_environment_counts_alike_for_all_sessions`].
    const PGOPTIONS: &str =
        "-c search_path=elsewhere -c coreason.a=environment -c coreason.b=environment";

    #[tokio::test]
    async fn what_a_process_may_open_is_enough_for_all_its_pools() {
        let server = std::env::var("COREASON_TEST_DATABASE_URL")
            .expect("./test sets COREASON_TEST_DATABASE_URL");
        let mut address = Address::find(&server).await.unwrap();
        let beside = [Pool::Control, Pool::List, Pool::Visibility];
        // One that commits and one that asks for the fate, of each committer; the lease, and the watch.
        let sessions = 2 * u32::try_from(COMMITTERS).unwrap() + 2;
        for most in CONNECTIONS_MIN..=CONNECTIONS_MAX {
            address.share(most);

            let of = |pool| address.pool(pool).options().get_max_connections();
            let beside: u32 = beside.into_iter().map(of).sum();
            assert_eq!(beside + sessions, CONNECTIONS_BESIDE_READS);
            let all = CONNECTIONS_BESIDE_READS + 2 * of(Pool::Read);
            assert!((most - 1..=most).contains(&all), "{all} of {most}");
        }
    }

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
}
