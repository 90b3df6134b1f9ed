//! Families of random programs on the real worker and a real Postgres, each asked to cancel at a random moment: whatever the moment, all
//! come to their end, no workflow task fails, each history replays, and what the code saw agrees with it.
//!
//! Programs wait for timers, activities, signals and children, one by one and by `select!`, `join!` and their like. Most of them run on a
//! worker that keeps the code of one run, so that nearly every turn is a replay.
//!
//! `COREASON_SEED` says with which program to begin; `COREASON_FAMILIES_SECONDS` how long it goes on (`./test families --minutes 10`). What
//! comes together in one turn is up to the machine, so a seed repeats a program and not its history, which is printed when it fails.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use coreason::{Client, client, prelude::Worker};
use engine::{Address, Engine, Waited};
use history::{Event, EventId, EventKind, Namespace, RunId, WorkflowId};
use tokio::task::JoinSet;

use crate::{
    kills::{Watcher, number_from},
    support::{PATIENCE, Server},
};

mod checks;
mod code;
mod program;
mod replay;

use checks::Closed;
use code::{Item, Ledger};
use program::{Home, Moment, Plan, Program};
use replay::Replays;

/// How long it goes on unless told.
const SECONDS: u64 = 8;
/// How many families there are at once: more than the slots of the forgetful worker, so that tasks wait and events come together.
const AT_ONCE: u64 = 24;
/// The workflow tasks that the forgetful worker takes at once.
const SLOTS: u32 = 2;

/// An engine, its two workers, and what is known outside of them.
struct House {
    server: Server,
    engine: Engine,
    client: Client,
    ledger: Ledger,
    replays: Replays,
    next: AtomicU64,
    looked: Mutex<Looked>,
}

/// How much was looked at.
#[derive(Default)]
struct Looked {
    runs: usize,
    canceled: usize,
    events: usize,
}

impl Looked {
    fn add(&mut self, run: &Closed) {
        let end = run.events.last().map(|event| &event.kind);
        let is_canceled = matches!(end, Some(EventKind::WorkflowExecutionCanceled(_)));
        self.runs += 1;
        self.canceled += usize::from(is_canceled);
        self.events += run.events.len();
    }
}

impl House {
    async fn open(seed: u64) -> Self {
        let ledger = Ledger::default();
        let worker = |home: Home| {
            Worker::new(home.queue())
                .workflow(code::family)
                .activity(code::effect)
                .with(ledger.clone())
        };
        let mut server = Server::start_without_worker().await;
        server.run(worker(Home::Mindful));
        let forgetful = worker(Home::Forgetful);
        server.run(forgetful.cached_runs(1).workflow_slots(SLOTS));
        let engine = server.engine();
        Self {
            client: Client::in_process(engine.clone()),
            engine,
            server,
            replays: Replays::on(worker(Home::Forgetful)).await,
            ledger,
            next: AtomicU64::new(seed),
            looked: Mutex::default(),
        }
    }

    /// Plays one family after the other until the time is over, or one is wrong.
    async fn play(&self, until: Instant) -> Result<(), String> {
        while Instant::now() < until {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let plan = Plan::drawn(seed);
            if let Err(problem) = self.play_one(&format!("family-{seed}"), &plan).await {
                return Err(format!("COREASON_SEED={seed}\n{problem}\n{plan:?}"));
            }
        }
        Ok(())
    }

    async fn play_one(&self, id: &str, plan: &Plan) -> Result<(), String> {
        let program = &plan.program;
        let start = self.client.start(code::family, program.clone()).id(id);
        let handle = start.task_queue(program.worker.queue()).await;
        let handle = handle.map_err(|error| error.to_string())?;
        let signals = async {
            for (n, moment) in (1..).zip(&plan.signals) {
                self.wait(id, *moment).await?;
                may_be_closed(handle.signal(&Item { n }).await)?;
            }
            Ok::<_, String>(())
        };
        let cancel = async {
            if let Some(moment) = plan.cancel {
                self.wait(id, moment).await?;
                may_be_closed(handle.cancel("planned").await)?;
            }
            Ok(())
        };
        tokio::try_join!(signals, cancel)?;
        self.look(id, program, false).await?;
        Ok(())
    }

    async fn wait(&self, id: &str, moment: Moment) -> Result<(), String> {
        match moment {
            Moment::After(time) => tokio::time::sleep(time).await,
            Moment::Events(n) => {
                let after = EventId(n - 1);
                let page = self.engine.history(&address(id), after, 1, PATIENCE).await;
                page.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Waits for the end of a workflow, and looks at it and at its children.
    async fn look(
        &self,
        id: &str,
        program: &Program,
        ends_with_parent: bool,
    ) -> Result<Closed, String> {
        let (run_id, events) = self.closed(id).await?;
        let run = Closed {
            run_id,
            program: program.clone(),
            effects: self.ledger.take(run_id),
            events,
            ends_with_parent,
        };
        self.looked.lock().unwrap().add(&run);
        let of_run = |problem| format!("{id}: {problem}\n{}", listed(&run.events));
        checks::check(&run).map_err(of_run)?;
        let same = self.replays.same(run.run_id, &run.events).await;
        same.map_err(of_run)?;
        for event in &run.events {
            let EventKind::ChildWorkflowExecutionStarted(started) = &event.kind else {
                continue;
            };
            let id = started.workflow_execution.workflow_id.as_str();
            let kin = checks::number(id).and_then(|n| run.program.kin(n));
            let kin = kin.ok_or_else(|| of_run(format!("{id} is no child of it")))?;
            let look = self.look(id, &kin.program, !kin.abandoned);
            let child = Box::pin(look).await?;
            checks::check_child(&run, id, &child).map_err(of_run)?;
        }
        Ok(run)
    }

    async fn closed(&self, id: &str) -> Result<(RunId, Vec<Arc<Event>>), String> {
        let address = address(id);
        let failed = |error: engine::Error| format!("{id}: {error}");
        let waited = self
            .engine
            .result(&address, PATIENCE)
            .await
            .map_err(failed)?;
        let is_open = matches!(waited, Waited::Open(_));
        let mut events: Vec<Arc<Event>> = Vec::new();
        loop {
            let after = events.last().map_or(EventId::NONE, |event| event.id);
            let page = self.engine.history(&address, after, 1000, Duration::ZERO);
            let page = page.await.map_err(failed)?;
            let is_last = page.closed || page.events.is_empty();
            events.extend(page.events);
            if is_last && is_open {
                let described = self.engine.describe(&address).await.map_err(failed)?;
                return Err(format!(
                    "{id} does not end: {described:?}\n{}",
                    listed(&events)
                ));
            }
            if is_last {
                return Ok((page.run_id, events));
            }
        }
    }
}

fn address(id: &str) -> Address {
    Address {
        namespace: Namespace::known("default"),
        workflow_id: WorkflowId::known(id),
        run_id: None,
    }
}

fn may_be_closed(sent: Result<(), client::Error>) -> Result<(), String> {
    match sent {
        Err(error) if error.code() != Some("WORKFLOW_CLOSED") => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns a history as lines, the last one in full: it has what the code saw.
fn listed(events: &[Arc<Event>]) -> String {
    let mut lines = String::new();
    for (at, event) in events.iter().enumerate() {
        let most = if at + 1 < events.len() {
            300
        } else {
            usize::MAX
        };
        let text = serde_json::to_string(&event.kind).unwrap();
        let text: String = text.chars().take(most).collect();
        writeln!(lines, "{} {} {text}", event.id, event.at.0).unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn families_canceled_at_any_moment_end_and_see_what_their_histories_say() {
    let seed =
        number_from("COREASON_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().1 >> 16);
    println!("COREASON_SEED={seed}");
    let lasts = Duration::from_secs(number_from("COREASON_FAMILIES_SECONDS").unwrap_or(SECONDS));

    let house = Arc::new(House::open(seed).await);
    let until = Instant::now() + lasts;
    let mut playing = JoinSet::new();
    for _ in 0..AT_ONCE {
        let house = Arc::clone(&house);
        playing.spawn(async move { house.play(until).await });
    }
    let mut problem = None;
    while problem.is_none()
        && let Some(played) = playing.join_next().await
    {
        problem = played.unwrap().err();
    }
    // One is enough; another may wait for what never comes.
    playing.shutdown().await;
    let Some(house) = Arc::into_inner(house) else {
        unreachable!("all have ended");
    };
    let looked = house.looked.into_inner().unwrap();
    println!(
        "{} families of {} runs, {} of these canceled, {} events",
        house.next.into_inner() - seed,
        looked.runs,
        looked.canceled,
        looked.events
    );
    assert!(problem.is_none(), "{}", problem.unwrap_or_default());
    assert!(looked.canceled > 0, "nobody was canceled");

    // Children that had not started when their parents closed, too.
    let watcher = Watcher::open(&house.server.database_url()).await;
    watcher.all_closed().await;
    house.server.check_audit().await;
    house.server.stop().await;
}
