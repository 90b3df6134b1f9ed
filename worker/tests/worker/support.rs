//! A scripted engine: it keeps one run's history, hands out its workflow tasks, and turns commands into events.

use std::{collections::BTreeMap, sync::Arc};

use history::{
    Command, Event, EventId, Failure, Payload, Payloads, RunId,
    event::WorkflowTaskFailedCause,
    replay::Ask,
    task::{
        ActivityTask, ActivityTaskToken, Answers, FromWorker, Tasks, ToWorker, UnreadSignals,
        WorkflowTask, WorkflowTaskAnswer, WorkflowTaskToken,
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};
use worker::{BuildError, Worker, error::Error};

pub(crate) const RUN: &str = "01890000-0000-7000-8000-0000abcdef01";

/// A worker that runs, and the engine's ends of its connection.
pub(crate) struct Hosted {
    pub(crate) to: UnboundedSender<ToWorker>,
    pub(crate) from: UnboundedReceiver<FromWorker>,
    pub(crate) running: JoinHandle<()>,
}

impl Hosted {
    pub(crate) fn new(worker: Worker) -> Self {
        Self::until(worker, std::future::pending())
    }

    pub(crate) fn until(
        worker: Worker,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (to, mut tasks) = unbounded_channel();
        let (answered, from) = unbounded_channel();
        let connect = move |_, worker: Tasks| {
            tokio::spawn(async move {
                while tasks.recv().await.is_some_and(|task| worker.send(task)) {}
            });
            Ok::<_, BuildError>(Answers::new(move |answer| answered.send(answer).is_ok()))
        };
        let running = tokio::spawn(async move { worker.run(connect, shutdown).await.unwrap() });
        Self { to, from, running }
    }

    pub(crate) async fn answer(&mut self) -> FromWorker {
        self.from.recv().await.expect("the worker answers")
    }

    /// Runs an attempt of an activity with these arguments.
    pub(crate) fn attempt(&self, activity: &str, arguments: &[Value]) -> ActivityTaskToken {
        self.attempt_with(activity, arguments, |_| {})
    }

    pub(crate) fn attempt_with(
        &self,
        activity: &str,
        arguments: &[Value],
        with: impl FnOnce(&mut ActivityTask),
    ) -> ActivityTaskToken {
        let mut task = activity_task(activity, arguments);
        with(&mut task);
        let token = task.token.clone();
        self.to
            .send(ToWorker::ActivityTask(Box::new(task)))
            .unwrap();
        token
    }
}

type OnLine = dyn Fn(Level, String) + Send + Sync;

/// Hears what the worker logs on this thread, before it goes on.
pub(crate) struct OnLog(Box<OnLine>);

impl OnLog {
    /// Calls `heard` with each line, until the guard is dropped.
    pub(crate) fn set(heard: impl Fn(Level, String) + Send + Sync + 'static) -> DefaultGuard {
        tracing::subscriber::set_default(Self(Box::new(heard)))
    }
}

impl Subscriber for OnLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        (self.0)(*event.metadata().level(), message.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The first workflow task of a run of its own.
pub(crate) fn first_task(workflow: &str, run: u128) -> WorkflowTask {
    let run_id = RunId(uuid::Uuid::from_u128(run));
    let event = |id: i64, kind: &str, attributes: Value| -> Arc<Event> {
        let event = json!({ "id": id, "t": 1_700_000_000_000_000_i64, "e": { kind: attributes } });
        Arc::new(serde_json::from_value(event).unwrap())
    };
    let started = json!({
        "workflow_type": workflow, "workflow_id": format!("w{run}"), "task_queue": "q", "attempt": 1,
        "original_execution_run_id": run_id, "first_execution_run_id": run_id,
    });
    let scheduled = json!({ "task_queue": "q", "start_to_close_timeout": 10_000, "attempt": 1 });
    WorkflowTask {
        token: WorkflowTaskToken {
            namespace: history::Namespace::known("default"),
            workflow_id: history::WorkflowId::known(format!("w{run}")),
            run_id,
            scheduled_event_id: EventId(2),
            started_event_id: EventId(3),
            attempt: 1,
            incarnation: 1,
        },
        workflow_type: history::WorkflowType::known(workflow),
        previous_started_event_id: EventId(0),
        events: vec![
            event(1, "WorkflowExecutionStarted", started),
            event(2, "WorkflowTaskScheduled", scheduled),
            event(3, "WorkflowTaskStarted", json!({ "scheduled_event_id": 2 })),
        ],
        start_to_close_timeout: history::Millis::seconds(10),
    }
}

fn activity_task(activity: &str, arguments: &[Value]) -> ActivityTask {
    ActivityTask {
        token: ActivityTaskToken {
            namespace: history::Namespace::known("default"),
            workflow_id: history::WorkflowId::known("w"),
            run_id: RUN.parse().unwrap(),
            scheduled_event_id: EventId(5),
            attempt: 1,
            incarnation: 1,
        },
        workflow_type: history::WorkflowType::known("hello"),
        activity_id: history::ActivityId::known("1"),
        activity_type: history::ActivityType::known(activity),
        header: BTreeMap::new(),
        input: payloads(arguments),
        heartbeat_details: Payloads::default(),
        scheduled_at: history::Timestamp(1_000_000),
        attempt_scheduled_at: history::Timestamp(1_000_000),
        started_at: history::Timestamp(1_000_000),
        schedule_to_close_timeout: history::Millis::ZERO,
        start_to_close_timeout: history::Millis::seconds(60),
        heartbeat_timeout: history::Millis::ZERO,
        retry_policy: history::RetryPolicy::default(),
    }
}

pub(crate) fn payloads(values: &[Value]) -> Payloads {
    Payloads(
        values
            .iter()
            .map(|value| Payload::json(value).unwrap())
            .collect(),
    )
}

/// The first payload as JSON.
pub(crate) fn value(payloads: &Payloads) -> Value {
    payloads
        .0
        .first()
        .map_or(Value::Null, |payload| payload.read().unwrap())
}

/// What a workflow task came to.
#[derive(Debug)]
pub(crate) enum Turn {
    Completed(Vec<Command>),
    Failed(WorkflowTaskFailedCause, Box<Failure>),
}

/// The engine's side of one run.
pub(crate) struct Script {
    worker: Worker,
    pub(crate) hosted: Hosted,
    events: Vec<Arc<Event>>,
    /// How many events the worker has seen.
    sent: usize,
    /// The events up to each turn that was played, and what it asked for.
    turns: Vec<(usize, Vec<String>)>,
    pub(crate) now: i64,
    /// What the last turn left unread.
    pub(crate) unread: Vec<UnreadSignals>,
    incarnation: u64,
}

impl Script {
    /// Starts a run of a workflow with these arguments.
    pub(crate) fn start(worker: Worker, workflow: &str, arguments: &[Value]) -> Self {
        let mut script = Self {
            hosted: Hosted::new(worker.clone()),
            worker,
            events: Vec::new(),
            sent: 0,
            turns: Vec::new(),
            now: 1_700_000_000_000_000,
            unread: Vec::new(),
            incarnation: 1,
        };
        script.event(
            "WorkflowExecutionStarted",
            json!({
                "workflow_type": workflow, "workflow_id": "w", "task_queue": "q", "attempt": 1,
                "input": payloads(arguments),
                "original_execution_run_id": RUN, "first_execution_run_id": RUN,
            }),
        );
        script
    }

    /// Adds an event.
    pub(crate) fn event(&mut self, kind: &str, attributes: Value) -> i64 {
        let id = i64::try_from(self.events.len()).unwrap() + 1;
        let event = json!({ "id": id, "t": self.now, "e": { kind: attributes } });
        let text = event.to_string();
        let event: Event =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        self.events.push(Arc::new(event));
        id
    }

    fn find(&self, matches: impl Fn(&Ask) -> bool) -> i64 {
        self.events
            .iter()
            .rev()
            .find(|event| Ask::of_event(&event.kind).is_some_and(|ask| matches(&ask)))
            .expect("the event of that command")
            .id
            .0
    }

    fn activity(&self, id: &str) -> i64 {
        self.find(|ask| matches!(ask, Ask::ScheduleActivityTask { activity_id, .. } if activity_id.as_str() == id))
    }

    fn child(&self, id: &str) -> i64 {
        self.find(|ask| matches!(ask, Ask::StartChildWorkflowExecution { workflow_id, .. } if workflow_id.as_str() == id))
    }

    pub(crate) fn activity_completed(&mut self, id: &str, result: Value) {
        let scheduled = self.activity(id);
        let started = self.event(
            "ActivityTaskStarted",
            json!({ "scheduled_event_id": scheduled, "attempt": 1 }),
        );
        self.event(
            "ActivityTaskCompleted",
            json!({ "scheduled_event_id": scheduled, "started_event_id": started, "result": payloads(&[result]) }),
        );
    }

    pub(crate) fn activity_failed(&mut self, id: &str, failure: &Failure) {
        let scheduled = self.activity(id);
        self.event(
            "ActivityTaskFailed",
            json!({
                "scheduled_event_id": scheduled, "started_event_id": scheduled + 1, "failure": failure,
                "retry_state": "MaximumAttemptsReached",
            }),
        );
    }

    pub(crate) fn activity_timed_out(&mut self, id: &str) {
        let scheduled = self.activity(id);
        let failure = Failure::timed_out(
            history::failure::TimeoutType::StartToClose,
            Payloads::default(),
        );
        self.event(
            "ActivityTaskTimedOut",
            json!({ "scheduled_event_id": scheduled, "failure": failure }),
        );
    }

    pub(crate) fn activity_canceled(&mut self, id: &str) {
        let scheduled = self.activity(id);
        self.event(
            "ActivityTaskCanceled",
            json!({ "scheduled_event_id": scheduled }),
        );
    }

    pub(crate) fn timer_fired(&mut self, id: &str) {
        let started =
            self.find(|ask| matches!(ask, Ask::StartTimer { timer_id } if timer_id.as_str() == id));
        self.event(
            "TimerFired",
            json!({ "timer_id": id, "started_event_id": started }),
        );
    }

    pub(crate) fn signaled(&mut self, name: &str, message: Value) {
        self.event(
            "WorkflowExecutionSignaled",
            json!({ "signal_name": name, "input": payloads(&[message]) }),
        );
    }

    pub(crate) fn cancel_requested(&mut self) {
        self.event("WorkflowExecutionCancelRequested", json!({}));
    }

    pub(crate) fn child_started(&mut self, id: &str) {
        let attributes = self.child_attributes(id);
        self.event("ChildWorkflowExecutionStarted", attributes);
    }

    /// Ends a child with an event of that kind.
    pub(crate) fn child_ended(&mut self, id: &str, kind: &str, more: Value) {
        let mut attributes = self.child_attributes(id);
        attributes["started_event_id"] = json!(1);
        attributes
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.event(kind, attributes);
    }

    fn child_attributes(&self, id: &str) -> Value {
        json!({
            "namespace": "default", "initiated_event_id": self.child(id), "workflow_type": "child",
            "workflow_execution": { "workflow_id": id, "run_id": RUN },
        })
    }

    /// Hands out a workflow task with what is new, and takes in what it asks for; returns that as text.
    pub(crate) async fn turn(&mut self) -> Vec<String> {
        let commands = self.commands().await;
        let texts: Vec<String> = commands.iter().map(text).collect();
        self.turns.push((self.events.len(), texts.clone()));
        self.take_in(&commands);
        texts
    }

    /// Hands out a workflow task with what is new; returns what it asks for.
    pub(crate) async fn commands(&mut self) -> Vec<Command> {
        match self.play().await {
            Turn::Completed(commands) => commands,
            Turn::Failed(cause, failure) => panic!("{cause:?}: {failure:?}"),
        }
    }

    /// Hands out a workflow task that fails; returns why.
    pub(crate) async fn failing_turn(&mut self) -> (WorkflowTaskFailedCause, String) {
        match self.play().await {
            Turn::Completed(commands) => panic!("the task completed with {commands:?}"),
            Turn::Failed(cause, failure) => (cause, Error::from_failure(*failure).to_string()),
        }
    }

    async fn play(&mut self) -> Turn {
        self.task_started();
        let events = self.events[self.sent..].to_vec();
        self.sent = self.events.len();
        let task = self.task(events);
        self.hosted.to.send(ToWorker::WorkflowTask(task)).unwrap();
        let answer = self.hosted.answer().await;
        if let FromWorker::WorkflowTask {
            answer: WorkflowTaskAnswer::Completed { unread_signals, .. },
            ..
        } = &answer
        {
            self.unread.clone_from(unread_signals);
        }
        turn(answer)
    }

    /// Adds the events of a workflow task that a worker has taken.
    pub(crate) fn task_started(&mut self) {
        let scheduled = self.event(
            "WorkflowTaskScheduled",
            json!({ "task_queue": "q", "start_to_close_timeout": 10_000, "attempt": 1 }),
        );
        self.event(
            "WorkflowTaskStarted",
            json!({ "scheduled_event_id": scheduled }),
        );
    }

    fn task(&self, events: Vec<Arc<Event>>) -> WorkflowTask {
        let started = events.last().expect("a task has events").id;
        WorkflowTask {
            token: WorkflowTaskToken {
                namespace: history::Namespace::known("default"),
                workflow_id: history::WorkflowId::known("w"),
                run_id: RUN.parse::<RunId>().unwrap(),
                scheduled_event_id: EventId(started.0 - 1),
                started_event_id: started,
                attempt: 1,
                incarnation: self.incarnation,
            },
            workflow_type: match &self.events[0].kind {
                history::EventKind::WorkflowExecutionStarted(started) => {
                    started.workflow_type.clone()
                }
                other => panic!("a history starts with {}", other.name()),
            },
            previous_started_event_id: EventId(events[0].id.0 - 1),
            events,
            start_to_close_timeout: history::Millis::seconds(10),
        }
    }

    /// Adds the completion of the task under way and the events of its commands.
    fn take_in(&mut self, commands: &[Command]) {
        let started = i64::try_from(self.events.len()).unwrap();
        let completed = self.event(
            "WorkflowTaskCompleted",
            json!({ "scheduled_event_id": started - 1, "started_event_id": started }),
        );
        for command in commands {
            let (kind, mut attributes) = made_by(command);
            attributes["workflow_task_completed_event_id"] = json!(completed);
            self.event(kind, attributes);
        }
    }

    /// Gives the worker's cached run up: the next task carries the whole history.
    pub(crate) fn evict(&mut self) {
        self.sent = 0;
    }

    /// Hands the next task to a worker with other code, from the first event on.
    pub(crate) fn change_code(&mut self, worker: Worker) {
        self.hosted = Hosted::new(worker);
        self.sent = 0;
    }

    /// Replays every turn that was played from the whole history, each on a worker that knows nothing.
    pub(crate) async fn replays(self) {
        for (length, asked) in &self.turns {
            let mut hosted = Hosted::new(self.worker.clone());
            let task = self.task(self.events[..*length].to_vec());
            hosted.to.send(ToWorker::WorkflowTask(task)).unwrap();
            match turn(hosted.answer().await) {
                Turn::Completed(commands) => {
                    let again: Vec<String> = commands.iter().map(text).collect();
                    assert_eq!(&again, asked, "replay of the first {length} events");
                }
                Turn::Failed(cause, failure) => panic!("replay failed: {cause:?}: {failure:?}"),
            }
        }
    }
}

fn turn(answer: FromWorker) -> Turn {
    match answer {
        FromWorker::WorkflowTask {
            answer: WorkflowTaskAnswer::Completed { commands, .. },
            ..
        } => Turn::Completed(commands),
        FromWorker::WorkflowTask {
            answer: WorkflowTaskAnswer::Failed { cause, failure },
            ..
        } => Turn::Failed(cause, failure),
        other => panic!("expected the end of a workflow task, found {other:?}"),
    }
}

/// A command as text: what makes it the same at replay, and the result of one that closes.
pub(crate) fn text(command: &Command) -> String {
    match command {
        Command::ScheduleActivityTask(activity) => {
            format!(
                "ScheduleActivityTask {}#{} {}",
                activity.activity_type,
                activity.activity_id,
                json(&activity.input)
            )
        }
        Command::StartTimer {
            timer_id,
            start_to_fire_timeout,
        } => {
            format!("StartTimer #{timer_id} {}ms", start_to_fire_timeout.0)
        }
        Command::CancelTimer { timer_id } => format!("CancelTimer #{timer_id}"),
        Command::RequestCancelActivityTask { scheduled_event_id } => {
            format!("RequestCancelActivityTask of event {scheduled_event_id}")
        }
        Command::StartChildWorkflowExecution(child) => {
            format!(
                "StartChildWorkflowExecution {} {}",
                child.workflow_id,
                json(&child.input)
            )
        }
        Command::SignalExternalWorkflowExecution {
            workflow_id,
            signal_name,
            input,
            ..
        } => {
            format!(
                "SignalExternalWorkflowExecution {workflow_id} {signal_name} {}",
                json(input)
            )
        }
        Command::RequestCancelExternalWorkflowExecution { workflow_id, .. } => {
            format!("RequestCancelExternalWorkflowExecution {workflow_id}")
        }
        Command::CompleteWorkflowExecution { result } => {
            format!("CompleteWorkflowExecution {}", json(result))
        }
        Command::FailWorkflowExecution { failure } => {
            format!(
                "FailWorkflowExecution {}",
                Error::from_failure((**failure).clone())
            )
        }
        Command::ContinueAsNewWorkflowExecution(new) => {
            let unread = new.unread_signals.iter();
            let unread = unread.fold(String::new(), |text, signal| {
                let input = json(&signal.input);
                format!("{text} unread {} {input}", signal.signal_name)
            });
            format!(
                "ContinueAsNewWorkflowExecution {}{unread}",
                json(&new.input)
            )
        }
        Command::RecordMarker {
            marker_name,
            details,
            ..
        } => {
            let details: Vec<String> = details.values().map(json).collect();
            format!("RecordMarker {marker_name} {}", details.join(" "))
        }
        Command::UpsertWorkflowSearchAttributes { search_attributes } => {
            format!(
                "UpsertWorkflowSearchAttributes {}",
                facts(search_attributes)
            )
        }
        Command::ModifyWorkflowProperties { upserted_memo } => {
            format!("ModifyWorkflowProperties {}", facts(upserted_memo))
        }
        other => other.name().to_owned(),
    }
}

pub(crate) fn facts(facts: &BTreeMap<String, Payload>) -> Value {
    let facts = facts.iter();
    facts
        .map(|(key, payload)| (key.clone(), payload.read::<Value>().unwrap()))
        .collect()
}

fn json(payloads: &Payloads) -> String {
    let values: Vec<String> = payloads
        .0
        .iter()
        .map(|payload| payload.read::<Value>().unwrap().to_string())
        .collect();
    values.join(" ")
}

/// The event that a command makes.
fn made_by(command: &Command) -> (&'static str, Value) {
    match command {
        Command::ScheduleActivityTask(activity) => (
            "ActivityTaskScheduled",
            json!({ "activity_id": activity.activity_id, "activity_type": activity.activity_type, "task_queue": "q" }),
        ),
        Command::RequestCancelActivityTask { scheduled_event_id } => (
            "ActivityTaskCancelRequested",
            json!({ "scheduled_event_id": scheduled_event_id }),
        ),
        Command::StartTimer {
            timer_id,
            start_to_fire_timeout,
        } => (
            "TimerStarted",
            json!({ "timer_id": timer_id, "start_to_fire_timeout": start_to_fire_timeout }),
        ),
        Command::CancelTimer { timer_id } => (
            "TimerCanceled",
            json!({ "timer_id": timer_id, "started_event_id": 1 }),
        ),
        Command::StartChildWorkflowExecution(child) => (
            "StartChildWorkflowExecutionInitiated",
            json!({
                "namespace": "default", "workflow_id": child.workflow_id, "workflow_type": child.workflow_type,
                "task_queue": "q",
            }),
        ),
        Command::SignalExternalWorkflowExecution {
            workflow_id,
            signal_name,
            ..
        } => (
            "SignalExternalWorkflowExecutionInitiated",
            json!({ "namespace": "default", "workflow_id": workflow_id, "signal_name": signal_name }),
        ),
        Command::RequestCancelExternalWorkflowExecution { workflow_id, .. } => (
            "RequestCancelExternalWorkflowExecutionInitiated",
            json!({ "namespace": "default", "workflow_id": workflow_id }),
        ),
        Command::RecordMarker {
            marker_name,
            details,
            ..
        } => (
            "MarkerRecorded",
            json!({ "marker_name": marker_name, "details": details }),
        ),
        Command::UpsertWorkflowSearchAttributes { search_attributes } => (
            "UpsertWorkflowSearchAttributes",
            json!({ "search_attributes": search_attributes }),
        ),
        Command::ModifyWorkflowProperties { upserted_memo } => (
            "WorkflowPropertiesModified",
            json!({ "upserted_memo": upserted_memo }),
        ),
        Command::CompleteWorkflowExecution { .. } => ("WorkflowExecutionCompleted", json!({})),
        Command::FailWorkflowExecution { failure } => {
            ("WorkflowExecutionFailed", json!({ "failure": failure }))
        }
        Command::CancelWorkflowExecution { .. } => ("WorkflowExecutionCanceled", json!({})),
        Command::ContinueAsNewWorkflowExecution(_) => (
            "WorkflowExecutionContinuedAsNew",
            json!({ "new_execution_run_id": RUN, "workflow_type": "w", "task_queue": "q" }),
        ),
        other => panic!("no event for {}", other.name()),
    }
}
