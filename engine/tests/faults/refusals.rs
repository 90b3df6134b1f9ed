//! Postgres refuses a batch: for a passing reason, or for the data of one workflow.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{Closed, Engine, Role, Started};
use futures::{future::join_all, poll};
use history::{EventKind, Payloads, RunId, Status, decide::Terminate};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    lease::with_lease,
    ledger::{Ledger, keep_working},
    proxy::{Action, COMMIT, FOLD, Proxy, Trap, refusal},
    support::*,
};

/// A batch waits for a lock of another session.
const A_BATCH_WAITS: &str =
    "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
    AND application_name LIKE 'coreason % commit _' AND wait_event_type = 'Lock')";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_lost_a_deadlock_is_sent_again() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let other = connect(&url).await;
    let id = "INSERT INTO current_run (shard, namespace, workflow_id, run_id) VALUES ($1, 1, 'crossed', gen_random_uuid())";
    let shard = engine::shard::of(&namespace(), &history::WorkflowId::known("crossed"));
    other
        .batch_execute("SET deadlock_timeout = '1min'; BEGIN")
        .await
        .unwrap();
    other.execute(id, &[&shard]).await.unwrap();
    let mut deadlock = proxy.once(refusal("40P01"), Action::Pass);
    let meeting = async {
        until(&url, A_BATCH_WAITS).await;
        // The batch has its slot and waits for the id; the other has the id and asks for the slot. A second after it began to wait
        // the batch looks for a deadlock; the other does so later, and wins.
        let cross = other.batch_execute("SELECT FROM slot FOR UPDATE; ROLLBACK");
        cross.await.unwrap();
    };
    tokio::join!(meeting, ledger.run(&engine, "crossed", 2));
    deadlock.reached().await;
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_could_not_be_serialized_is_sent_again() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    // What a sequence has given out stays so when its transaction fails.
    let sql = "CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('refusals') = 1 THEN
                RAISE EXCEPTION 'another was faster' USING ERRCODE = 'serialization_failure';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse_once BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION refuse_once()";
    let engine = owner(&through).await;
    execute(&url, sql).await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let mut conflict = proxy.once(refusal("40001"), Action::Pass);
    ledger.run(&engine, "w", 2).await;
    conflict.reached().await;
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

/// Ends what [`refuse_poison`] does.
const CURE: &str = "INSERT INTO cure VALUES (true)";

/// Refuses rows of the workflow `poison` that hold a text, as a trigger of somebody else's would.
async fn refuse_poison(url: &str, text: &str) {
    poison(
        url,
        text,
        "RAISE EXCEPTION 'poison' USING ERRCODE = 'check_violation'",
    )
    .await;
}

/// Does something to rows of the workflow `poison` that hold a text.
async fn poison(url: &str, text: &str, effect: &str) {
    let sql = format!(
        "CREATE TABLE cure (taken boolean);
         CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.records LIKE '%{text}%' AND NOT EXISTS (SELECT FROM cure) AND EXISTS (
                 SELECT FROM execution e WHERE e.run_id = NEW.run_id AND e.workflow_id = 'poison') THEN
                 {effect};
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse_poison BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION refuse_poison()"
    );
    execute(url, &sql).await;
}

/// Starts the workflow `poison`.
async fn begin_poison(engine: &Engine, ledger: &Ledger) -> RunId {
    let request = start("seq", "poison");
    let started = engine.start_workflow(&namespace(), request).await.unwrap();
    ledger.started("poison", started.run_id);
    started.run_id
}

/// Waits for the end of `poison`; what was refused just before the cure may still be told.
async fn cured(engine: &Engine) -> Closed {
    loop {
        match engine.result(&address("poison"), PATIENCE).await {
            Ok(waited) => return waited.closed().expect("it ends in time"),
            Err(error) => assert_eq!(error.code(), "DATA_REFUSED"),
        }
    }
}

/// Both connections are in the middle of a batch: whatever else is asked for gathers in the next one.
struct Gathering {
    held: [Trap; 2],
    starts: Vec<JoinHandle<Started>>,
}

impl Gathering {
    async fn begin(engine: &Engine, proxy: &Proxy) -> Self {
        let mut held = [(); 2].map(|()| proxy.once(COMMIT, Action::Hold));
        let mut starts = Vec::new();
        for (n, held) in held.iter_mut().enumerate() {
            let engine = engine.clone();
            starts.push(tokio::spawn(async move {
                let request = start("seq", &format!("held{n}"));
                engine.start_workflow(&namespace(), request).await.unwrap()
            }));
            held.reached().await;
        }
        Self { held, starts }
    }

    /// Lets everything go that the owner has been asked for by now.
    async fn end(self, engine: &Engine, ledger: &Ledger) {
        // When this is answered, the owner has heard of all before it.
        let nobody = engine.describe(&address("nobody")).await;
        assert_eq!(nobody.unwrap_err().code(), "WORKFLOW_NOT_FOUND");
        self.held.iter().for_each(Trap::pass);
        for (n, start) in self.starts.into_iter().enumerate() {
            ledger.started(&format!("held{n}"), start.await.unwrap().run_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_start_in_a_batch_of_good_ones_is_refused_alone() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    refuse_poison(&url, "WorkflowExecutionStarted").await;
    let ledger = Ledger::default();
    let gathering = Gathering::begin(&engine, &proxy).await;
    let namespace = namespace();
    let mut many = pin!(join_all((0..40).map(async |n| {
        let id = if n == 17 {
            "poison".to_owned()
        } else {
            format!("good{n}")
        };
        let answer = engine.start_workflow(&namespace, start("seq", &id)).await;
        (id, answer)
    })));
    assert!(poll!(&mut many).is_pending());
    gathering.end(&engine, &ledger).await;
    for (id, answer) in many.await {
        match answer {
            Ok(started) => ledger.started(&id, started.run_id),
            Err(error) => assert_eq!((id.as_str(), error.code()), ("poison", "DATA_REFUSED")),
        }
    }
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 41);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_row_is_answered_though_the_one_row_of_its_batch_is_refused() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    refuse_poison(&url, "WorkflowExecutionStarted").await;
    let (ledger, namespace) = (Ledger::default(), namespace());
    let started = |id| engine.start_workflow(&namespace, start("seq", id));
    ledger.started("known", started("known").await.unwrap().run_id);
    let gathering = Gathering::begin(&engine, &proxy).await;
    let mut both = pin!(join_all(["poison", "known"].map(started)));
    assert!(poll!(&mut both).is_pending());
    gathering.end(&engine, &ledger).await;
    let codes = both
        .await
        .into_iter()
        .map(|answer| answer.unwrap_err().code());
    assert!(codes.eq(["DATA_REFUSED", "WORKFLOW_ALREADY_STARTED"]));
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_does_not_go_ahead_when_the_end_of_the_run_before_is_refused() {
    let url = database().await;
    let engine = owner(&url).await;
    refuse_poison(&url, "WorkflowExecutionTerminated").await;
    let ledger = Ledger::default();
    let first = begin_poison(&engine, &ledger).await;
    let mut second = start("seq", "poison");
    second.conflict_policy = history::event::WorkflowIdConflictPolicy::TerminateExisting;
    let refused = engine.start_workflow(&namespace(), second).await;
    assert_eq!(refused.unwrap_err().code(), "DATA_REFUSED");
    execute(&url, CURE).await;
    work(&engine, sequence(1), echo());
    assert_eq!(cured(&engine).await.run_id, first);
    ledger.completed("poison", first, 1);
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_poisoned_row_in_its_batch_is_not_written_either() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    refuse_poison(&url, "venom").await;
    let ledger = Ledger::default();
    begin_poison(&engine, &ledger).await;
    let gathering = Gathering::begin(&engine, &proxy).await;
    let poison = address("poison");
    let mut signals = pin!(join_all(
        ["venom", "water"].map(|name| engine.signal(&poison, signal(name)))
    ));
    assert!(poll!(&mut signals).is_pending());
    gathering.end(&engine, &ledger).await;
    for answer in signals.await {
        assert_eq!(answer.unwrap_err().code(), "DATA_REFUSED");
    }
    engine.signal(&poison, signal("bread")).await.unwrap();
    assert_eq!(
        names(&engine, "poison").await,
        [
            "WorkflowExecutionStarted",
            "WorkflowTaskScheduled",
            "WorkflowExecutionSignaled"
        ]
    );
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_completion_costs_its_neighbours_nothing_and_goes_on_when_it_is_cured() {
    let url = database().await;
    let engine = owner(&url).await;
    refuse_poison(&url, "ActivityTaskCompleted").await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let run_id = begin_poison(&engine, &ledger).await;
    ledger.run_many(&engine, 50, 2).await;
    let completed = |kind: &EventKind| matches!(kind, EventKind::ActivityTaskCompleted(_));
    let page = engine
        .history(
            &address("poison"),
            history::EventId::NONE,
            100,
            Default::default(),
        )
        .await
        .unwrap();
    assert_eq!(count(&page.events, completed), 0);
    execute(&url, CURE).await;
    assert_eq!(cured(&engine).await.status, Status::Completed);
    ledger.completed("poison", run_id, 2);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

/// Starts workflows beside `poison`, whose batches fail or never end: these are done, it is refused, and nobody loses a membership.
async fn is_isolated(effect: &str) {
    let url = database().await;
    // A batch is waited for a second and a half.
    let lease = Duration::from_secs(2);
    let engine = owner_with(with_lease(&*url, lease)).await;
    poison(&url, "WorkflowExecutionStarted", effect).await;
    work(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    let ns = namespace();
    let refused = engine.start_workflow(&ns, start("seq", "poison"));
    let (refused, ()) = tokio::join!(refused, ledger.run_many(&engine, 50, 2));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "DATA_REFUSED", "{refused}");
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    execute(&url, CURE).await;
    ledger.run(&engine, "poison", 2).await;
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_at_which_the_database_fails_costs_its_neighbours_nothing() {
    is_isolated("RAISE EXCEPTION 'invalid page' USING ERRCODE = 'data_corrupted'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_never_ends_costs_its_neighbours_nothing_but_time() {
    is_isolated("PERFORM pg_sleep(3600)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_costs_its_session_each_time_costs_its_neighbours_nothing() {
    is_isolated("PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1)").await;
}

/// Starts the workflow `poison`, whose completions are refused, and counts how often its activity runs.
async fn start_poison(engine: &Engine, ledger: &Ledger) -> watch::Receiver<usize> {
    let (runs, ran) = watch::channel(0);
    let act: Act = Arc::new(move |task| {
        runs.send_modify(|runs| *runs += 1);
        echo()(task)
    });
    work(engine, sequence(1), act);
    begin_poison(engine, ledger).await;
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_whose_data_is_refused_pauses_before_it_tries_again() {
    let url = database().await;
    let engine = owner(&url).await;
    refuse_poison(&url, "ActivityTaskCompleted").await;
    let ledger = Ledger::default();
    let since = Instant::now();
    let mut runs = start_poison(&engine, &ledger).await;
    tokio::time::timeout(PATIENCE, runs.wait_for(|runs| *runs == 3))
        .await
        .expect("it is tried again")
        .unwrap();
    assert!(since.elapsed() >= 2 * engine::limits::READ_AGAIN_AFTER);
    execute(&url, CURE).await;
    assert_eq!(cured(&engine).await.status, Status::Completed);
    ledger.check(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_could_not_be_read_again_is_not_forgotten() {
    let url = database().await;
    let (proxy, through) = Proxy::before_url(&url).await;
    let engine = owner(&through).await;
    refuse_poison(&url, "ActivityTaskCompleted").await;
    let ledger = Ledger::default();
    // When its data was refused it is read again, and that fails.
    let mut fold = proxy.once(FOLD, Action::Cut);
    start_poison(&engine, &ledger).await;
    fold.reached().await;
    execute(&url, CURE).await;
    // Nobody asks for it.
    until(&url, "EXISTS (SELECT FROM execution WHERE status = 2)").await;
    ledger.check(&url).await;
}

/// As an index is made, or by whoever forgot a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_keeps_refuses_nobody_s_data() {
    let url = database().await;
    let engine = owner_with(with_lease(&*url, Duration::from_secs(1))).await;
    keep_working(&engine, sequence(2), echo());
    let client = connect(&url).await;
    client
        .batch_execute("BEGIN; LOCK TABLE history IN SHARE MODE")
        .await
        .unwrap();
    let refused = engine.start_workflow(&namespace(), start("seq", "w")).await;
    assert_eq!(refused.unwrap_err().code(), "UNAVAILABLE");
    client.batch_execute("ROLLBACK").await.unwrap();
    let ledger = Ledger::default();
    ledger.run(&engine, "w", 2).await;
    ledger.check(&url).await;
}

/// A row that somebody locked and forgot is of one workflow, and keeps no other waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_one_workflow_s_row_ends_no_membership() {
    let url = database().await;
    let engine = owner_with(with_lease(&*url, Duration::from_secs(1))).await;
    let held = engine
        .start_workflow(&namespace(), start("seq", "held"))
        .await;
    let held = held.unwrap();
    let client = connect(&url).await;
    client
        .batch_execute("BEGIN; SELECT FROM execution WHERE workflow_id = 'held' FOR UPDATE")
        .await
        .unwrap();
    keep_working(&engine, sequence(2), echo());
    let ledger = Ledger::default();
    ledger.run_many(&engine, 20, 2).await;
    until(&url, A_BATCH_WAITS).await;
    for n in 0..5 {
        ledger.run(&engine, &format!("meanwhile {n}"), 2).await;
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(end(&engine, "held").await.run_id, held.run_id);
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
    ledger.check(&url).await;
}

/// Those that were to be committed with it are told soon: what needs the lock is looked for among them by short looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_one_row_keeps_its_batch_for_a_moment_only() {
    let url = database().await;
    let engine = owner(&url).await;
    let ids: Vec<String> = (0..60).map(|n| format!("w{n}")).collect();
    let space = namespace();
    let starts = ids
        .iter()
        .map(|id| engine.start_workflow(&space, start("seq", id)));
    for started in join_all(starts).await {
        started.unwrap();
    }
    let client = connect(&url).await;
    client
        .batch_execute("BEGIN; SELECT FROM execution WHERE workflow_id = 'w30' FOR UPDATE")
        .await
        .unwrap();
    let began = Instant::now();

    let ends = ids.iter().map(|id| {
        let engine = &engine;
        let terminate = Terminate {
            reason: String::new(),
            details: Payloads::default(),
            identity: None,
        };
        async move { engine.terminate(&address(id), terminate).await }
    });
    let ends = join_all(ends).await;

    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    let refused = ends.iter().filter(|end| end.is_err()).count();
    assert_eq!(refused, 1, "{ends:?}");
    assert_eq!(ends[30].as_ref().unwrap_err().code(), "UNAVAILABLE");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(matches!(engine.role(), Role::Member { epoch: 1, .. }));
}
