//! An engine on a fresh database, and a worker whose answers a test spells out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use engine::{Address, Closed, Config, Engine};
use history::{
    BuildId, Command, Event, EventKind, Failure, Namespace, Payload, Payloads, RequestId, RunId,
    TaskQueue, WorkflowId, WorkflowType,
    command::ScheduleActivityTask,
    decide::{Signal, StartWorkflow},
    event::SdkMetadata,
    ids::Identity,
    task::{
        ActivityTask, ActivityTaskAnswer, Answers, FromWorker, Tasks, ToWorker, WorkerHello,
        WorkflowTaskAnswer,
    },
    time::Millis,
};
use tokio::sync::mpsc;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// How long a test waits for what should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Creates a database for one test and returns its URL.
pub(crate) async fn database() -> String {
    let server = std::env::var("COREASON_TEST_DATABASE_URL")
        .expect("./test sets COREASON_TEST_DATABASE_URL");
    let name = format!("test_{}", Uuid::new_v4().simple());
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let (base, query) = server
        .split_once('?')
        .map_or((server.as_str(), ""), |(base, query)| (base, query));
    let (base, _) = base.rsplit_once('/').expect("the URL names a database");
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    format!("{base}/{name}{query}")
}

/// Opens a connection.
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the test server answers");
    tokio::spawn(connection);
    client
}

/// Runs statements.
pub(crate) async fn execute(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.expect(sql);
}

/// Reads one number.
pub(crate) async fn number(url: &str, sql: &str) -> i64 {
    connect(url)
        .await
        .query_one(sql, &[])
        .await
        .expect(sql)
        .get(0)
}

/// Waits until something is true of the database.
pub(crate) async fn until(url: &str, condition: &str) {
    let postgres = connect(url).await;
    let sql = format!("SELECT {condition}");
    let holds = async {
        while !postgres
            .query_one(&sql, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds)
        .await
        .expect(condition);
}

/// Opens an engine that owns the database.
pub(crate) async fn owner(url: &str) -> Engine {
    owner_with(Config::new(url, "http://127.0.0.1:1")).await
}

/// Opens an engine that owns the database.
pub(crate) async fn owner_with(config: Config) -> Engine {
    // The first test of the process sets it up.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let engine = Engine::open(config).await.expect("the engine opens");
    tokio::time::timeout(PATIENCE, engine.owning())
        .await
        .expect("the engine owns");
    engine
}

pub(crate) fn namespace() -> Namespace {
    Namespace::known("default")
}

pub(crate) fn address(workflow_id: &str) -> Address {
    Address {
        namespace: namespace(),
        workflow_id: WorkflowId::known(workflow_id),
        run_id: None,
    }
}

/// A start of `workflow_type` under `workflow_id`, by a new request.
pub(crate) fn start(workflow_type: &str, workflow_id: &str) -> StartWorkflow {
    StartWorkflow {
        workflow_id: WorkflowId::known(workflow_id),
        workflow_type: WorkflowType::known(workflow_type),
        task_queue: TaskQueue::known("q"),
        input: Payloads::default(),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        request_id: RequestId::known(Uuid::new_v4().to_string()),
        identity: None,
        reuse_policy: Default::default(),
        conflict_policy: Default::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        start_delay: Millis::ZERO,
        memo: Default::default(),
        search_attributes: Default::default(),
        header: Default::default(),
        parent: None,
        continued: None,
    }
}

/// A signal by a new request.
pub(crate) fn signal(name: &str) -> Signal {
    Signal {
        signal_name: history::SignalName::known(name),
        input: Payloads::default(),
        header: Default::default(),
        identity: None,
        request_id: Some(RequestId::known(Uuid::new_v4().to_string())),
        external: None,
    }
}

/// An activity with a timeout of 10 s and Temporal's retry policy.
pub(crate) fn activity(id: &str) -> ScheduleActivityTask {
    ScheduleActivityTask {
        activity_id: history::ActivityId::known(id),
        activity_type: history::ActivityType::known("act"),
        task_queue: None,
        header: Default::default(),
        input: Payloads::default(),
        schedule_to_close_timeout: Millis::ZERO,
        schedule_to_start_timeout: Millis::ZERO,
        start_to_close_timeout: Millis::seconds(10),
        heartbeat_timeout: Millis::ZERO,
        retry_policy: None,
    }
}

pub(crate) fn complete(text: &str) -> Command {
    Command::CompleteWorkflowExecution {
        result: Payloads::one(Payload::json(text).unwrap()),
    }
}

/// What workflow code is to a test: the whole history in, the commands of this task out.
pub(crate) type Script = Arc<dyn Fn(&WorkflowType, &[Arc<Event>]) -> Vec<Command> + Send + Sync>;
/// What an activity is to a test.
pub(crate) type Act = Arc<dyn Fn(&ActivityTask) -> Result<Payloads, Box<Failure>> + Send + Sync>;

/// Connects a worker whose tasks come out of a channel.
pub(crate) fn connect_worker(
    engine: &Engine,
    hello: WorkerHello,
) -> (Answers, mpsc::UnboundedReceiver<ToWorker>) {
    let (sender, tasks) = mpsc::unbounded_channel();
    let answers = engine
        .connect_worker(hello, Tasks::new(move |task| sender.send(task).is_ok()))
        .expect("the engine owns");
    (answers, tasks)
}

/// Returns what a worker on queue `q` says of itself.
pub(crate) fn hello(identity: &str, workflow_slots: u32, activity_slots: u32) -> WorkerHello {
    WorkerHello {
        identity: Identity::known(identity),
        namespace: namespace(),
        task_queue: TaskQueue::known("q"),
        workflow_slots,
        activity_slots,
        build_id: BuildId::known("scripted"),
    }
}

/// Connects a worker on queue `q` that answers by scripts until its engine lets it go.
pub(crate) fn work(engine: &Engine, script: Script, act: Act) -> tokio::task::JoinHandle<()> {
    let (answers, mut tasks) = connect_worker(engine, hello("scripted", 1000, 1000));
    tokio::spawn(async move {
        let mut cached: HashMap<RunId, Vec<Arc<Event>>> = HashMap::new();
        while let Some(task) = tasks.recv().await {
            let answer = match task {
                ToWorker::WorkflowTask(task) => {
                    let events = cached.entry(task.token.run_id).or_default();
                    let first = task.events[0].id.0;
                    if first == 1 {
                        events.clear();
                    }
                    assert_eq!(
                        i64::try_from(events.len()).unwrap() + 1,
                        first,
                        "events come without a gap"
                    );
                    events.extend(task.events);
                    let commands = script(&task.workflow_type, events);
                    FromWorker::WorkflowTask {
                        token: task.token,
                        answer: WorkflowTaskAnswer::Completed {
                            commands,
                            sdk_metadata: SdkMetadata::default(),
                            sticky: true,
                            unread_signals: Vec::new(),
                        },
                    }
                }
                ToWorker::ActivityTask(task) => match act(&task) {
                    Ok(result) => FromWorker::ActivityTask {
                        token: task.token,
                        answer: ActivityTaskAnswer::Completed { result },
                    },
                    Err(failure) => FromWorker::ActivityTask {
                        token: task.token,
                        answer: ActivityTaskAnswer::Failed { failure },
                    },
                },
                ToWorker::Evict(run_id) => {
                    cached.remove(&run_id);
                    continue;
                }
                ToWorker::CancelActivity(_)
                | ToWorker::HeartbeatWanted(_)
                | ToWorker::ActivityRefused { .. } => continue,
            };
            if !answers.send(answer) {
                return;
            }
        }
    })
}

/// An activity that returns its id.
pub(crate) fn echo() -> Act {
    Arc::new(|task| {
        Ok(Payloads::one(
            Payload::json(task.activity_id.as_str()).unwrap(),
        ))
    })
}

/// Workflow code that runs `n` activities, one after the other, and returns how many it has run.
pub(crate) fn sequence(n: usize) -> Script {
    sequence_with(n, None)
}

/// The same, with a retry policy.
pub(crate) fn sequence_with(n: usize, retry_policy: Option<history::RetryPolicy>) -> Script {
    Arc::new(move |_, events| {
        let done = count(events, |kind| {
            matches!(kind, EventKind::ActivityTaskCompleted(_))
        });
        let asked = count(events, |kind| {
            matches!(kind, EventKind::ActivityTaskScheduled(_))
        });
        if done == n {
            vec![complete(&n.to_string())]
        } else if asked == done {
            vec![Command::ScheduleActivityTask(Box::new(
                ScheduleActivityTask {
                    retry_policy: retry_policy.clone(),
                    ..activity(&format!("a{done}"))
                },
            ))]
        } else {
            Vec::new()
        }
    })
}

pub(crate) fn count(events: &[Arc<Event>], of: impl Fn(&EventKind) -> bool) -> usize {
    events.iter().filter(|event| of(&event.kind)).count()
}

/// Waits for the end of a workflow.
pub(crate) async fn end(engine: &Engine, workflow_id: &str) -> Closed {
    engine
        .result(&address(workflow_id), PATIENCE)
        .await
        .expect("a result")
        .closed()
        .expect("it ends in time")
}

/// Returns the names of a workflow's events.
pub(crate) async fn names(engine: &Engine, workflow_id: &str) -> Vec<&'static str> {
    let page = engine
        .history(
            &address(workflow_id),
            history::EventId::NONE,
            1000,
            Duration::ZERO,
        )
        .await
        .expect("a history");
    page.events.iter().map(|event| event.kind.name()).collect()
}
