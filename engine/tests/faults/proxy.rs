//! A proxy between an engine and Postgres. It knows where a message of theirs ends, and acts at an exact one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Engine,
    Postgres,
}

/// A message that something happens at: its sender, its type, and what stands in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    sender: Side,
    tag: u8,
    text: &'static str,
    /// On a connection that commits, or on any.
    committer: bool,
}

/// The engine asks for the commit of a batch, with the message that ends what it sent; all that comes before has been sent on.
pub(crate) const COMMIT: Point = Point {
    sender: Side::Engine,
    tag: b'S',
    text: "\0",
    committer: true,
};
/// Postgres says that a batch is committed; the engine has not heard of it. Sent with the message that ends the answer.
pub(crate) const COMMITTED: Point = Point {
    sender: Side::Postgres,
    tag: b'C',
    text: "SELECT 1\0",
    committer: true,
};
/// The engine looks for the fate of a batch.
pub(crate) const LOOK_UP: Point = statement("FROM batch_fate(");
/// The engine reads the rows of runs.
pub(crate) const FOLD: Point = statement("JOIN history h ON h.shard = u.shard");
/// The engine reads the history of one run.
pub(crate) const HISTORY: Point = statement("SELECT seq, version, records FROM history");
/// The engine reads parked runs that are due.
pub(crate) const PARKED: Point = statement("WITH RECURSIVE part AS");

/// The engine gives shards to another member: in the middle of a transaction that all members wait for.
pub(crate) const GIVE: Point = statement("UPDATE shard_owner s");

/// The engine uses a statement for the first time on a connection.
const fn statement(text: &'static str) -> Point {
    Point {
        sender: Side::Engine,
        tag: b'P',
        text,
        committer: false,
    }
}

/// Postgres refuses something in a batch, for this reason.
pub(crate) const fn refusal(sql_state: &'static str) -> Point {
    Point {
        sender: Side::Postgres,
        tag: b'E',
        text: sql_state,
        committer: true,
    }
}

/// What happens at a point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Nothing but that the test knows.
    Pass,
    /// The connection ends, on both sides; the message is lost.
    Cut,
    /// The message waits for the test, and all behind it.
    Hold,
    /// The message waits for so long.
    Delay(Duration),
}

/// How a held message goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Wait,
    Pass,
    Cut,
}

/// An action that waits for its point, seen by the test.
pub(crate) struct Trap {
    reached: watch::Receiver<usize>,
    then: watch::Sender<Then>,
}

impl Trap {
    /// Waits until the point was reached.
    pub(crate) async fn reached(&mut self) {
        self.reached_times(1).await;
    }

    /// Waits until the point was reached so many times.
    pub(crate) async fn reached_times(&mut self, times: usize) {
        tokio::time::timeout(
            crate::support::PATIENCE,
            self.reached.wait_for(|n| *n >= times),
        )
        .await
        .expect("the point is reached in time")
        .expect("the proxy lives");
    }

    /// Lets what is held go on.
    pub(crate) fn pass(&self) {
        self.then.send_replace(Then::Pass);
    }

    /// Cuts the connections whose message is held.
    pub(crate) fn cut(&self) {
        self.then.send_replace(Then::Cut);
    }
}

struct Rule {
    point: Point,
    action: Action,
    /// How many such messages pass before the first is caught.
    skip: usize,
    /// How many are caught.
    left: usize,
    reached: watch::Sender<usize>,
    then: watch::Receiver<Then>,
}

/// A connection through the proxy.
#[derive(Default)]
struct Wire {
    /// The statement of batches is prepared on it.
    prepared: AtomicBool,
    /// A batch was sent on it.
    commits: AtomicBool,
    /// What the engine sends does not arrive any more, nor that it hung up.
    engine_unheard: AtomicBool,
    /// The same the other way.
    postgres_unheard: AtomicBool,
}

impl Wire {
    /// Sees what the engine sends.
    fn look_at(&self, message: &[u8]) {
        if message[0] == b'P' && holds(message, "SELECT commit_batch(") {
            self.prepared.store(true, Ordering::SeqCst);
        }
        if message[0] == b'B' && self.prepared.load(Ordering::SeqCst) {
            self.commits.store(true, Ordering::SeqCst);
        }
    }

    fn unheard(&self, side: Side) -> &AtomicBool {
        match side {
            Side::Engine => &self.engine_unheard,
            Side::Postgres => &self.postgres_unheard,
        }
    }
}

struct Shared {
    port: Mutex<u16>,
    rules: Mutex<Vec<Rule>>,
    wires: Mutex<Vec<Arc<Wire>>>,
    stalled: watch::Sender<bool>,
    /// Each change cuts all connections.
    cuts: watch::Sender<u64>,
}

/// A proxy before a Postgres on loopback.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// Opens a proxy before the server on `port`.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            port: Mutex::new(port),
            rules: Mutex::default(),
            wires: Mutex::default(),
            stalled: watch::channel(false).0,
            cuts: watch::channel(0).0,
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((engine, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                // Whatever ends a connection, the engine sees that it ended.
                tokio::spawn(async move { drop(shared.carry(engine).await) });
            }
        });
        Self { shared, port: own }
    }

    /// Opens a proxy before the server of a URL, and returns the URL that leads through it.
    pub(crate) async fn before_url(url: &str) -> (Self, String) {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let proxy = Self::before(port).await;
        let through = proxy.url(url);
        (proxy, through)
    }

    /// Returns the URL with the proxy in the place of its server.
    pub(crate) fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, database) = rest.split_once('/').unwrap();
        let user = authority
            .rsplit_once('@')
            .map_or(String::new(), |(user, _)| format!("{user}@"));
        format!("{scheme}://{user}127.0.0.1:{}/{database}", self.port)
    }

    /// Acts once, at the next such message.
    pub(crate) fn once(&self, point: Point, action: Action) -> Trap {
        self.nth(point, 0, action)
    }

    /// Acts once, after `skip` such messages.
    pub(crate) fn nth(&self, point: Point, skip: usize, action: Action) -> Trap {
        self.trap(point, action, skip, 1)
    }

    /// Acts at every such message.
    pub(crate) fn always(&self, point: Point, action: Action) -> Trap {
        self.trap(point, action, 0, usize::MAX)
    }

    fn trap(&self, point: Point, action: Action, skip: usize, left: usize) -> Trap {
        let (reached, seen) = watch::channel(0);
        let (resolve, then) = watch::channel(Then::Wait);
        self.shared.rules.lock().unwrap().push(Rule {
            point,
            action,
            skip,
            left,
            reached,
            then,
        });
        Trap {
            reached: seen,
            then: resolve,
        }
    }

    /// Nothing moves any more, in either direction, until it flows again.
    pub(crate) fn stall(&self) {
        self.shared.stalled.send_replace(true);
    }

    /// What was stalled flows again; nothing of it was lost.
    pub(crate) fn flow(&self) {
        self.shared.stalled.send_replace(false);
    }

    /// From now on nothing of what one side sends arrives, on the connections that are open now: half of each is gone.
    pub(crate) fn half_open(&self, unheard: Side, only_committers: bool) {
        for wire in self.shared.wires.lock().unwrap().iter() {
            if !only_committers || wire.commits.load(Ordering::SeqCst) {
                wire.unheard(unheard).store(true, Ordering::SeqCst);
            }
        }
    }

    /// Leads the next connections to the server on `port`, and leaves those that there are.
    pub(crate) fn lead_new_to(&self, port: u16) {
        *self.shared.port.lock().unwrap() = port;
    }

    /// Cuts all connections, and leads the next ones to the server on `port`.
    pub(crate) fn lead_to(&self, port: u16) {
        self.lead_new_to(port);
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Shared {
    async fn carry(&self, engine: TcpStream) -> std::io::Result<()> {
        let mut stalled = self.stalled.subscribe();
        let mut cuts = self.cuts.subscribe();
        let _ = stalled.wait_for(|stalled| !stalled).await;
        let port = *self.port.lock().unwrap();
        let postgres = TcpStream::connect(("127.0.0.1", port)).await?;
        engine.set_nodelay(true)?;
        postgres.set_nodelay(true)?;
        let wire = Arc::new(Wire::default());
        self.wires.lock().unwrap().push(Arc::clone(&wire));
        let (mut from_engine, mut to_engine) = engine.into_split();
        let (from_postgres, mut to_postgres) = postgres.into_split();
        introduce(&mut from_engine, &mut to_engine, &mut to_postgres).await?;
        tokio::select! {
            ended = self.pump(Side::Engine, &wire, from_engine, to_postgres) => ended,
            ended = self.pump(Side::Postgres, &wire, from_postgres, to_engine) => ended,
            _ = cuts.changed() => Ok(()),
        }
    }

    /// Carries what one side sends, until it hangs up or the connection is cut.
    async fn pump(
        &self,
        side: Side,
        wire: &Wire,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
    ) -> std::io::Result<()> {
        let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
        let mut stalled = self.stalled.subscribe();
        loop {
            if !holds_a_message(from.buffer()) {
                to.flush().await?;
            }
            let message = message(&mut from).await;
            if *stalled.borrow() {
                to.flush().await?;
                let _ = stalled.wait_for(|stalled| !stalled).await;
            }
            let message = match message {
                Ok(message) => message,
                // Nobody hears of this end: the other half stays open.
                Err(_) if wire.unheard(side).load(Ordering::SeqCst) => {
                    return std::future::pending().await;
                }
                Err(error) => return Err(error),
            };
            if side == Side::Engine {
                wire.look_at(&message);
            }
            if let Some((action, then)) = self.caught(side, wire, &message) {
                to.flush().await?;
                if !wait(action, then).await {
                    return Ok(());
                }
            }
            if !wire.unheard(side).load(Ordering::SeqCst) {
                to.write_all(&message).await?;
            }
        }
    }

    /// Returns what happens at a message, if something does, and tells the test.
    fn caught(
        &self,
        side: Side,
        wire: &Wire,
        message: &[u8],
    ) -> Option<(Action, watch::Receiver<Then>)> {
        let mut rules = self.rules.lock().unwrap();
        for rule in rules.iter_mut().filter(|rule| rule.left > 0) {
            let Point {
                sender,
                tag,
                text,
                committer,
            } = rule.point;
            let here = sender == side
                && tag == message[0]
                && (!committer || wire.commits.load(Ordering::SeqCst))
                && holds(message, text);
            if here && rule.skip > 0 {
                rule.skip -= 1;
            } else if here {
                rule.left -= 1;
                rule.reached.send_modify(|times| *times += 1);
                return Some((rule.action, rule.then.clone()));
            }
        }
        None
    }
}

/// Says whether the message goes on after its action.
async fn wait(action: Action, mut then: watch::Receiver<Then>) -> bool {
    match action {
        Action::Pass => true,
        Action::Cut => false,
        Action::Delay(delay) => {
            tokio::time::sleep(delay).await;
            true
        }
        Action::Hold => {
            let then = then.wait_for(|then| *then != Then::Wait).await;
            // A test that dropped its trap lets everything pass.
            then.map_or(true, |then| *then == Then::Pass)
        }
    }
}

/// Carries the first message, which has no type; requests for encryption, which may come before it, are declined.
async fn introduce(
    from_engine: &mut OwnedReadHalf,
    to_engine: &mut OwnedWriteHalf,
    to_postgres: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    const ENCRYPTION: [i32; 2] = [80_877_103, 80_877_104];
    loop {
        let length = from_engine.read_i32().await?;
        let code = from_engine.read_i32().await?;
        if ENCRYPTION.contains(&code) {
            to_engine.write_all(b"N").await?;
            continue;
        }
        let mut rest = vec![0; usize::try_from(length).unwrap() - 8];
        from_engine.read_exact(&mut rest).await?;
        let mut first = Vec::new();
        first.extend(length.to_be_bytes());
        first.extend(code.to_be_bytes());
        first.extend(rest);
        return to_postgres.write_all(&first).await;
    }
}

/// Reads a message: a byte that says its type, its length, its body.
async fn message(from: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let mut message = head.to_vec();
    message.resize(1 + length(head[1..].try_into().unwrap()), 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

fn length(bytes: [u8; 4]) -> usize {
    u32::from_be_bytes(bytes) as usize
}

fn holds_a_message(buffer: &[u8]) -> bool {
    buffer
        .get(1..5)
        .is_some_and(|bytes| buffer.len() > length(bytes.try_into().unwrap()))
}

fn holds(message: &[u8], text: &str) -> bool {
    message
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
