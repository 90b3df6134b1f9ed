//! Random workflow programs: what they ask for given their history, and what they must return.

use std::{collections::HashMap, sync::Arc};

use history::{
    ActivityId, ActivityType, Event, EventId, EventKind, Millis, Payload, Payloads, RetryPolicy,
    TaskQueue, TimerId, WorkflowId, WorkflowType,
    command::{
        Command, ContinueAsNewWorkflowExecution, ScheduleActivityTask, StartChildWorkflowExecution,
    },
    event::{ContinueAsNewInitiator, ParentClosePolicy, WorkflowExecutionSignaled},
};
use serde::{Deserialize, Serialize};

use super::namespace::ns;

/// A workflow's code.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Program {
    /// Which process's queue its workflow tasks go to; the one of all unless told.
    pub(super) queue: Option<usize>,
    pub(super) steps: Vec<Step>,
    /// What runs as a new run when the steps are done.
    pub(super) then: Option<Box<Program>>,
}

/// What a program does, and waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Step {
    Activity(Activity),
    Timer {
        millis: u64,
    },
    /// Waits for the next signal.
    Signal,
    Child(Program),
    /// A child that is only started.
    Orphan(Program, Orphaned),
    /// A child that is asked for and not even waited for until it starts. It waits for a signal that nobody sends: it has to end
    /// with its parent, whichever of the two comes first.
    Left,
    /// A child that is asked for and asked to cancel at once. It waits for a signal that nobody sends: it has to end as canceled.
    Canceled,
    /// All of them at once.
    All(Vec<Step>),
}

/// Returns the queue that a process serves, or all.
pub(super) fn queue(process: Option<usize>) -> TaskQueue {
    TaskQueue::known(process.map_or_else(|| "queue".to_owned(), |n| format!("queue {n}")))
}

/// What becomes of a child that its parent does not wait for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Orphaned {
    Terminated,
    Abandoned,
}

/// An activity: how long it takes, how often it fails, what it returns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Activity {
    /// Which process's queue it goes to; that of its workflow unless told.
    pub(super) queue: Option<usize>,
    pub(super) millis: u64,
    pub(super) fails: u32,
    /// How many attempts it may have; 0 for as many as it takes. If they are counted its value does not count, for it may be lost.
    pub(super) attempts: u32,
    /// Each attempt says at once which one it is, in a heartbeat.
    pub(super) beats: bool,
    pub(super) value: i64,
}

impl Activity {
    /// Returns what its value counts for.
    fn counted(&self, value: i64) -> i64 {
        if self.attempts == 0 { value } else { 0 }
    }
}

/// What a workflow is given, and what it returns: its program, and what those before it made of theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) program: Program,
    pub(super) total: Total,
    /// How many runs went before it: names of children are not used again.
    pub(super) runs_before: u32,
}

/// What a program makes of its steps: the order of steps counts, that of signals does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Total {
    pub(super) steps: i64,
    pub(super) signals: i64,
}

impl Total {
    fn add(&mut self, value: i64) {
        self.steps = self.steps.wrapping_mul(31).wrapping_add(value) % 1_000_003;
    }
}

impl Program {
    /// Sends it, what it goes on as, its children and its activities to queues of processes.
    pub(super) fn spread(&mut self, draw: &mut impl FnMut() -> Option<usize>) {
        self.queue = draw();
        self.steps.iter_mut().for_each(|step| step.spread(draw));
        if let Some(then) = &mut self.then {
            then.spread(draw);
        }
    }

    /// Changes its activities, those of its children and of what it goes on as.
    pub(super) fn change_activities(&mut self, change: &mut impl FnMut(&mut Activity)) {
        for step in &mut self.steps {
            step.change_activities(change);
        }
        if let Some(then) = &mut self.then {
            then.change_activities(change);
        }
    }

    /// Returns what it must return, when it gets signals of that sum.
    pub(super) fn oracle(&self, signals: i64) -> Total {
        let mut total = Total { steps: 0, signals };
        let mut program = Some(self);
        while let Some(this) = program {
            this.steps.iter().for_each(|step| step.oracle(&mut total));
            program = this.then.as_deref();
        }
        total
    }

    /// Returns how many signals it waits for.
    pub(super) fn signals(&self) -> usize {
        let own: usize = self.steps.iter().map(Step::signals).sum();
        own + self.then.as_deref().map_or(0, Self::signals)
    }
}

impl Step {
    fn spread(&mut self, draw: &mut impl FnMut() -> Option<usize>) {
        match self {
            Self::Activity(activity) => activity.queue = draw(),
            Self::Child(program) | Self::Orphan(program, _) => program.spread(draw),
            Self::All(steps) => steps.iter_mut().for_each(|step| step.spread(draw)),
            Self::Timer { .. } | Self::Signal | Self::Left | Self::Canceled => {}
        }
    }

    fn change_activities(&mut self, change: &mut impl FnMut(&mut Activity)) {
        match self {
            Self::Activity(activity) => change(activity),
            Self::Child(program) | Self::Orphan(program, _) => program.change_activities(change),
            Self::All(steps) => {
                for step in steps {
                    step.change_activities(change);
                }
            }
            Self::Timer { .. } | Self::Signal | Self::Left | Self::Canceled => {}
        }
    }

    fn oracle(&self, total: &mut Total) {
        match self {
            Self::Activity(activity) => total.add(activity.counted(activity.value)),
            Self::Timer { .. } => total.add(1),
            Self::Signal | Self::Orphan(..) | Self::Left | Self::Canceled => total.add(2),
            Self::Child(program) => total.add(program.oracle(0).steps),
            Self::All(steps) => steps.iter().for_each(|step| step.oracle(total)),
        }
    }

    fn signals(&self) -> usize {
        match self {
            Self::Signal => 1,
            Self::All(steps) => steps.iter().map(Self::signals).sum(),
            _ => 0,
        }
    }
}

/// Returns what a program asks for next, given its whole history.
pub(super) fn run(events: &[Arc<Event>]) -> Vec<Command> {
    let known = Known::of(events);
    if known.cancel_requested {
        return vec![Command::CancelWorkflowExecution {
            details: Payloads::default(),
        }];
    }
    let State {
        program,
        total,
        runs_before,
    } = known.state.clone();
    let mut turn = Turn {
        known: &known,
        total,
        signals_taken: 0,
        commands: Vec::new(),
    };
    for (n, step) in program.steps.iter().enumerate() {
        if !turn.step(step, &n.to_string()) {
            return turn.commands;
        }
    }
    let mut total = turn.total;
    let unread = &known.signals[turn.signals_taken..];
    let end = if let Some(next) = program.then {
        let state = State {
            program: *next,
            total,
            runs_before: runs_before + 1,
        };
        continue_as_new(&state, unread)
    } else {
        // One that is there twice is to be seen in the result.
        total.signals += unread.iter().map(value).sum::<i64>();
        Command::CompleteWorkflowExecution {
            result: json(&total),
        }
    };
    turn.commands.push(end);
    turn.commands
}

/// What a history says to its program.
struct Known {
    workflow_id: WorkflowId,
    state: State,
    /// What was asked for, by a name of ours, and its event.
    asked: HashMap<String, EventId>,
    /// What each of these came to, by its event.
    done: HashMap<EventId, i64>,
    signals: Vec<WorkflowExecutionSignaled>,
    cancel_requested: bool,
}

impl Known {
    fn of(events: &[Arc<Event>]) -> Self {
        let mut known = Self {
            workflow_id: WorkflowId::known("none"),
            state: State {
                program: Program::default(),
                total: Total::default(),
                runs_before: 0,
            },
            asked: HashMap::new(),
            done: HashMap::new(),
            signals: Vec::new(),
            cancel_requested: false,
        };
        for event in events {
            known.read(event);
        }
        known
    }

    fn child(&self, path: &str) -> String {
        format!("{}/{}.{path}", self.workflow_id, self.state.runs_before)
    }

    fn read(&mut self, event: &Event) {
        use EventKind as K;
        match &event.kind {
            K::WorkflowExecutionStarted(a) => {
                self.workflow_id = a.workflow_id.clone();
                self.state = read(&a.input);
            }
            K::WorkflowExecutionSignaled(a) => self.signals.push((**a).clone()),
            K::WorkflowExecutionCancelRequested(_) => self.cancel_requested = true,
            K::ActivityTaskScheduled(a) => {
                self.asked.insert(a.activity_id.to_string(), event.id);
            }
            K::ActivityTaskCompleted(a) => {
                self.done.insert(a.scheduled_event_id, read(&a.result));
            }
            K::ActivityTaskFailed(a) => {
                self.done.insert(a.scheduled_event_id, 0);
            }
            K::ActivityTaskTimedOut(a) => {
                self.done.insert(a.scheduled_event_id, 0);
            }
            K::TimerStarted(a) => {
                self.asked.insert(a.timer_id.to_string(), event.id);
            }
            K::TimerFired(a) => {
                self.done.insert(a.started_event_id, 1);
            }
            K::StartChildWorkflowExecutionInitiated(a) => {
                self.asked.insert(a.workflow_id.to_string(), event.id);
            }
            K::ChildWorkflowExecutionStarted(a) => {
                self.asked.insert(
                    format!("{} started", a.workflow_execution.workflow_id),
                    event.id,
                );
            }
            K::ChildWorkflowExecutionCompleted(a) => {
                let total: Total = read(&a.result);
                self.done.insert(a.initiated_event_id, total.steps);
            }
            K::ChildWorkflowExecutionCanceled(a) => {
                self.done.insert(a.initiated_event_id, 2);
            }
            _ => {}
        }
    }
}

struct Turn<'a> {
    known: &'a Known,
    total: Total,
    signals_taken: usize,
    commands: Vec<Command>,
}

impl Turn<'_> {
    /// Goes as far as it can with a step, and says whether it is done.
    fn step(&mut self, step: &Step, path: &str) -> bool {
        match step {
            Step::Activity(activity) => {
                let value = self.ask(&format!("a{path}"), |name| schedule(name, activity));
                self.take(value.map(|value| activity.counted(value)))
            }
            Step::Timer { millis } => {
                let fired = self.ask(&format!("t{path}"), |name| Command::StartTimer {
                    timer_id: TimerId::known(name),
                    start_to_fire_timeout: Millis(*millis),
                });
                self.take(fired)
            }
            Step::Signal => {
                let Some(signal) = self.known.signals.get(self.signals_taken) else {
                    return false;
                };
                self.signals_taken += 1;
                self.total.signals += value(signal);
                self.take(Some(2))
            }
            Step::Child(program) => {
                let name = self.known.child(path);
                let result = self.ask(&name, |name| {
                    start_child(name, program, ParentClosePolicy::Terminate)
                });
                self.take(result)
            }
            Step::Orphan(program, orphaned) => {
                let name = self.known.child(path);
                let policy = match orphaned {
                    Orphaned::Terminated => ParentClosePolicy::Terminate,
                    Orphaned::Abandoned => ParentClosePolicy::Abandon,
                };
                self.ask(&name, |name| start_child(name, program, policy));
                let started = self.known.asked.contains_key(&format!("{name} started"));
                self.take(started.then_some(2))
            }
            Step::Left => {
                let name = self.known.child(path);
                let waits = Program {
                    queue: self.known.state.program.queue,
                    steps: vec![Step::Signal],
                    then: None,
                };
                self.ask(&name, |name| {
                    start_child(name, &waits, ParentClosePolicy::Terminate)
                });
                self.take(Some(2))
            }
            Step::Canceled => {
                let name = self.known.child(path);
                if !self.known.asked.contains_key(&name) {
                    let waits = Program {
                        queue: self.known.state.program.queue,
                        steps: vec![Step::Signal],
                        then: None,
                    };
                    let policy = ParentClosePolicy::Terminate;
                    self.commands.push(start_child(&name, &waits, policy));
                    self.commands.push(cancel_child(&name));
                    return false;
                }
                let canceled = self.known.asked.get(&name);
                self.take(canceled.and_then(|asked| self.known.done.get(asked).copied()))
            }
            Step::All(steps) => {
                let before = self.total;
                let mut all = true;
                for (n, step) in steps.iter().enumerate() {
                    all &= self.step(step, &format!("{path}.{n}"));
                }
                if !all {
                    self.total = before;
                }
                all
            }
        }
    }

    /// Asks for something unless it has been asked for, and returns its outcome.
    fn ask(&mut self, name: &str, command: impl FnOnce(&str) -> Command) -> Option<i64> {
        if let Some(asked) = self.known.asked.get(name) {
            return self.known.done.get(asked).copied();
        }
        self.commands.push(command(name));
        None
    }

    fn take(&mut self, value: Option<i64>) -> bool {
        value.inspect(|value| self.total.add(*value)).is_some()
    }
}

fn schedule(name: &str, activity: &Activity) -> Command {
    Command::ScheduleActivityTask(Box::new(ScheduleActivityTask {
        activity_id: ActivityId::known(name),
        activity_type: ActivityType::known("activity"),
        task_queue: activity.queue.map(|process| queue(Some(process))),
        header: Default::default(),
        input: json(activity),
        schedule_to_close_timeout: Millis::ZERO,
        schedule_to_start_timeout: Millis::ZERO,
        start_to_close_timeout: Millis::seconds(5),
        heartbeat_timeout: Millis::ZERO,
        retry_policy: Some(RetryPolicy {
            initial_interval: Millis(20),
            maximum_interval: Millis(100),
            maximum_attempts: activity.attempts,
            ..RetryPolicy::default()
        }),
    }))
}

fn start_child(name: &str, program: &Program, policy: ParentClosePolicy) -> Command {
    Command::StartChildWorkflowExecution(Box::new(StartChildWorkflowExecution {
        namespace: None,
        workflow_id: WorkflowId::known(name),
        workflow_type: WorkflowType::known("program"),
        task_queue: Some(queue(program.queue)),
        input: start_input(program),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        parent_close_policy: policy,
        workflow_id_reuse_policy: Default::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        header: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
    }))
}

fn cancel_child(name: &str) -> Command {
    Command::RequestCancelExternalWorkflowExecution {
        namespace: ns().name,
        workflow_id: WorkflowId::known(name),
        run_id: None,
        child_workflow_only: true,
        reason: "planned".to_owned(),
    }
}

fn value(signal: &WorkflowExecutionSignaled) -> i64 {
    read(&signal.input)
}

fn continue_as_new(state: &State, unread: &[WorkflowExecutionSignaled]) -> Command {
    Command::ContinueAsNewWorkflowExecution(Box::new(ContinueAsNewWorkflowExecution {
        workflow_type: None,
        task_queue: Some(queue(state.program.queue)),
        input: json(state),
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        backoff_start_interval: Millis::ZERO,
        retry_policy: None,
        initiator: ContinueAsNewInitiator::Workflow,
        header: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
        unread_signals: unread.to_vec(),
    }))
}

/// Returns what a workflow is started with.
pub(super) fn start_input(program: &Program) -> Payloads {
    json(&State {
        program: program.clone(),
        total: Total::default(),
        runs_before: 0,
    })
}

pub(super) fn json(value: &impl Serialize) -> Payloads {
    Payloads::one(Payload::json(value).unwrap())
}

pub(super) fn read<T: serde::de::DeserializeOwned>(payloads: &Payloads) -> T {
    payloads.0[0].read().unwrap()
}
