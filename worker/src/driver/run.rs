//! One run: its code on the way, and the history it has seen.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use history::{
    Command, Event, EventId, EventKind, Failure, Namespace, RunId, WorkflowId, WorkflowType,
    event::{WorkflowTaskFailedCause, WorkflowTaskStarted},
    replay::NonDeterminism,
    task::{FromWorker, UnreadSignals, WorkflowTaskAnswer, WorkflowTaskToken},
};

use super::{foreign, lane::Pulse, threads::KEPT_THREADS_MAX, waker::RootWaker};
use crate::{
    context::{
        Workflow,
        state::{Facts, Halt, RunState},
    },
    definition::{Coroutine, Ended},
    error::{application, cause_of, chain, is_canceled},
    panics::{self, Panic},
};

/// The most polls of one workflow task that no event of the engine asked for. Beyond it, code keeps waking itself.
const POLLS_MAX: usize = 100_000;

/// What to do when code and history disagree.
const MEND: &str = "the code has changed since this run began. Let a worker with the build that began it finish it, \
     keep its path in the code behind wf.patched(\"..\"), or give the new code another workflow name; \
     until then the run waits and loses nothing";

/// Why a workflow task fails.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub(super) cause: WorkflowTaskFailedCause,
    pub(super) failure: Box<Failure>,
}

impl TaskFailure {
    pub(super) fn new(cause: WorkflowTaskFailedCause, kind: &str, message: String) -> Self {
        Self {
            cause,
            failure: Box::new(application(message, kind.to_owned())),
        }
    }

    /// The task can't be worked on with what is cached here; the engine sends the whole history at once.
    pub(super) fn resend() -> Self {
        Self::new(
            WorkflowTaskFailedCause::ResetStickyTaskQueue,
            "NotCached",
            "the run is not cached here up to these events; send its history from the first"
                .to_owned(),
        )
    }

    /// Nobody waits for the answer; it frees the slot. An engine that waits all the same sends the task again.
    pub(super) fn stale() -> Self {
        Self::new(
            WorkflowTaskFailedCause::ResetStickyTaskQueue,
            "Stale",
            "the task's time was over, or its run was evicted, before its code could run"
                .to_owned(),
        )
    }

    /// The code has not given its thread back in time.
    pub(super) fn blocks() -> Self {
        Self::keeps_its_thread(
            "workflow code has not given its thread back for over a second: it loops or blocks. \
             Move long work and blocking calls into an activity"
                .to_owned(),
        )
    }

    /// The code of an attempt before has not come back.
    pub(super) fn still_blocks(since: Duration) -> Self {
        Self::keeps_its_thread(format!(
            "the code of this run still keeps the thread of an attempt before, for {} s: it loops or blocks. \
             Mend it and start the worker anew",
            since.as_secs()
        ))
    }

    /// No more threads are given to code that may never come back.
    pub(super) fn too_many_block(workflow_type: &WorkflowType) -> Self {
        Self::keeps_its_thread(format!(
            "{KEPT_THREADS_MAX} threads of this worker are kept by workflow code that loops or blocks, so `{workflow_type}`, \
             whose code has done that before, is not run until one comes back. Mend it and start the worker anew"
        ))
    }

    fn keeps_its_thread(message: String) -> Self {
        Self::new(
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            "WorkflowCodeBlocks",
            message,
        )
    }

    pub(super) fn unhandled(failure: Box<Failure>) -> Self {
        Self {
            cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            failure,
        }
    }

    pub(super) fn non_deterministic(message: String) -> Self {
        Self::new(
            WorkflowTaskFailedCause::NonDeterministicError,
            "NonDeterminism",
            message,
        )
    }

    /// Returns the answer to a task.
    pub(super) fn of(self, token: WorkflowTaskToken) -> FromWorker {
        FromWorker::WorkflowTask {
            token,
            answer: WorkflowTaskAnswer::Failed {
                cause: self.cause,
                failure: self.failure,
            },
        }
    }
}

impl From<NonDeterminism> for TaskFailure {
    fn from(disagreement: NonDeterminism) -> Self {
        Self::non_deterministic(format!("{disagreement}; {MEND}"))
    }
}

/// What a task came to.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) commands: Vec<Command>,
    pub(super) closed: bool,
    pub(super) unread_signals: Vec<UnreadSignals>,
}

/// The code of a workflow, as the worker knows it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) start:
        fn(Workflow, &history::Payloads) -> Result<Coroutine, crate::definition::DecodeError>,
}

pub(super) struct Run {
    state: Rc<RunState>,
    root: Arc<RootWaker>,
    coroutine: Coroutine,
    /// The id of the first event that it has not seen.
    next: EventId,
}

impl Run {
    /// Begins a run at its first event.
    pub(super) fn begin(
        entry: Entry,
        namespace: Namespace,
        run_id: RunId,
        first: Arc<Event>,
    ) -> Result<Self, TaskFailure> {
        if !matches!(first.kind, EventKind::WorkflowExecutionStarted(_)) {
            return Err(TaskFailure::resend());
        }
        let root = RootWaker::new();
        let facts = Facts {
            namespace,
            run_id,
            first,
        };
        let state = Rc::new(RunState::new(facts, Waker::from(root.clone())));
        let started = state.facts.started();
        let coroutine = guard(|| (entry.start)(Workflow::new(state.clone()), &started.input))?
            .map_err(|error| {
                let mut failure = application(
                    format!(
                        "the input of workflow `{}` can't be read: {error}",
                        entry.name
                    ),
                    "PayloadMismatch".to_owned(),
                );
                failure.cause = cause_of(&error);
                TaskFailure::unhandled(Box::new(failure))
            })?;
        Ok(Self {
            state,
            root,
            coroutine,
            next: EventId::FIRST,
        })
    }

    /// Returns what its code and itself are called.
    pub(super) fn names(&self) -> (WorkflowType, WorkflowId, RunId) {
        let started = self.state.facts.started();
        let workflow_type = started.workflow_type.clone();
        (
            workflow_type,
            started.workflow_id.clone(),
            self.state.facts.run_id,
        )
    }

    /// Says whether these events follow what the run has seen.
    pub(super) fn takes(&self, events: &[Arc<Event>]) -> bool {
        events.first().is_some_and(|event| event.id == self.next)
    }

    /// Takes in events and runs the code at every `WorkflowTaskStarted` that was completed, and at the last.
    pub(super) fn process(
        &mut self,
        events: &[Arc<Event>],
        pulse: &Pulse,
    ) -> Result<Progress, TaskFailure> {
        let root = self.root.clone();
        root.inside(|| self.process_inside(events, pulse))
    }

    fn process_inside(
        &mut self,
        events: &[Arc<Event>],
        pulse: &Pulse,
    ) -> Result<Progress, TaskFailure> {
        let mut closed = false;
        for (at, event) in events.iter().enumerate() {
            if event.id != self.next {
                return Err(TaskFailure::resend());
            }
            self.next = event.id.next();
            match &event.kind {
                EventKind::WorkflowTaskStarted(started) => {
                    let following = events.get(at + 1).map(|event| &event.kind);
                    let completed = matches!(following, Some(EventKind::WorkflowTaskCompleted(_)));
                    if following.is_some() && !completed {
                        // This attempt failed or timed out: its events wait for the one that is completed.
                        continue;
                    }
                    let commands = if closed {
                        Vec::new()
                    } else {
                        let following = &events[at + 1..];
                        let end = self.turn(event, started, following, pulse)?;
                        closed = end.is_some();
                        self.commands(end)
                    };
                    if following.is_none() {
                        return Ok(self.progress(commands, closed));
                    }
                }
                EventKind::WorkflowTaskFailed(failed) => {
                    if let Some(run_id) = failed.new_run_id {
                        self.state.reseed(run_id);
                    }
                }
                _ => self.state.apply(event)?,
            }
        }
        Err(TaskFailure::new(
            WorkflowTaskFailedCause::ResetStickyTaskQueue,
            "NoTask",
            "the events of the task do not end with WorkflowTaskStarted".to_owned(),
        ))
    }

    fn progress(&self, commands: Vec<Command>, closed: bool) -> Progress {
        let unread_signals = self.state.unread_signals();
        let goes_on = matches!(
            commands.last(),
            Some(Command::ContinueAsNewWorkflowExecution(_))
        );
        if closed && !goes_on && !unread_signals.is_empty() {
            let unread: Vec<String> = unread_signals
                .iter()
                .map(|unread| format!("{} `{}`", unread.count, unread.signal_name))
                .collect();
            let facts = &self.state.facts;
            tracing::warn!(
                workflow_id = %facts.workflow_id(), run_id = %facts.run_id, unread = unread.join(", "),
                "the workflow closes with signals that its code has not read"
            );
        }
        Progress {
            commands,
            closed,
            unread_signals,
        }
    }

    /// Runs the code as far as it can; returns the command that ends the run, if it came to one.
    fn turn(
        &mut self,
        event: &Event,
        started: &WorkflowTaskStarted,
        following: &[Arc<Event>],
        pulse: &Pulse,
    ) -> Result<Option<Command>, TaskFailure> {
        self.state.finish_commands()?;
        self.state.begin_turn(event, started, following);
        for _ in 0..POLLS_MAX {
            self.refuse_foreign()?;
            self.root.take_woken();
            pulse.beat();
            let Self {
                coroutine, state, ..
            } = self;
            let polled = guard(|| {
                coroutine
                    .as_mut()
                    .poll(&mut Context::from_waker(&state.root))
            })?;
            match self.state.take_halt() {
                Some(Halt::ContinueAsNew(mut command)) => {
                    command.unread_signals = self.state.signals_for_next();
                    return Ok(Some(Command::ContinueAsNewWorkflowExecution(command)));
                }
                Some(Halt::Fail(failure)) => return Err(TaskFailure::unhandled(failure)),
                None => {}
            }
            if let Poll::Ready(ended) = polled {
                return self.close(ended).map(Some);
            }
            if self.state.deliver_cancel() || self.root.take_woken() {
                continue;
            }
            self.refuse_foreign()?;
            return if self.state.waits() {
                Ok(None)
            } else {
                Err(self.stuck())
            };
        }
        Err(TaskFailure::non_deterministic(format!(
            "workflow code woke itself {POLLS_MAX} times without an event of the engine; \
             wait with wf.sleep instead of yielding"
        )))
    }

    /// Fails the task if something outside the engine woke the code.
    fn refuse_foreign(&self) -> Result<(), TaskFailure> {
        match self.root.take_foreign() {
            None => Ok(()),
            Some(by) => Err(TaskFailure::non_deterministic(format!(
                "workflow code was woken from outside the engine by {by}; a replay could not do the same. \
                 Move this into an activity"
            ))),
        }
    }

    /// Names what the code waits for when it waits for nothing of the engine.
    fn stuck(&mut self) -> TaskFailure {
        let coroutine = &mut self.coroutine;
        let names = foreign::names(|waker| {
            let _ = panics::catch(
                |_| false,
                || coroutine.as_mut().poll(&mut Context::from_waker(waker)),
            );
        });
        let what = match &names[..] {
            [] => "a future of somebody else".to_owned(),
            names => names.join(" and "),
        };
        TaskFailure::non_deterministic(format!(
            "workflow code waits for nothing of the engine, only for {what}; a replay could not do the same. \
             Move this into an activity"
        ))
    }

    fn close(&self, ended: Ended) -> Result<Command, TaskFailure> {
        Ok(match ended {
            Ended::Returned(result) => Command::CompleteWorkflowExecution { result },
            Ended::Failed(failure) if self.state.cancel_requested() && is_canceled(&failure) => {
                let details = chain(&failure).find_map(|failure| match &failure.info {
                    history::FailureInfo::Canceled { details } => Some(details.clone()),
                    _ => None,
                });
                Command::CancelWorkflowExecution {
                    details: details.unwrap_or_default(),
                }
            }
            Ended::Failed(failure) => Command::FailWorkflowExecution { failure },
            Ended::Unencodable(error) => {
                let mut failure = application(error.to_string(), "PayloadMismatch".to_owned());
                failure.cause = cause_of(&error);
                return Err(TaskFailure::unhandled(Box::new(failure)));
            }
        })
    }

    fn commands(&self, end: Option<Command>) -> Vec<Command> {
        let mut commands = self.state.take_commands(end.is_some());
        if let Some(end) = end {
            self.state.expect_close(&end);
            commands.push(end);
        }
        commands
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.state.leaving.set(true);
        let coroutine = std::mem::replace(&mut self.coroutine, Box::pin(std::future::pending()));
        if let Err(panic) = panics::catch(|_| false, || drop(coroutine)) {
            tracing::error!(run_id = %self.state.facts.run_id, %panic, "workflow code panicked while it was dropped");
        }
    }
}

/// Runs user code; a panic fails the task. One that misses tokio's runtime is named as what it is.
fn guard<T>(code: impl FnOnce() -> T) -> Result<T, TaskFailure> {
    fn of_tokio(message: &str) -> bool {
        message.contains("Tokio") || message.contains("there is no reactor running")
    }
    panics::catch(of_tokio, code).map_err(|panic| {
        if of_tokio(&panic.message) {
            return TaskFailure::non_deterministic(format!(
                "workflow code used {}, which is not the engine's: {panic}. Move this into an activity",
                foreign::outermost(&panic.stack).unwrap_or_else(|| "tokio".to_owned()),
            ));
        }
        TaskFailure::unhandled(Box::new(panic_failure(panic)))
    })
}

/// Returns the failure of a panic.
pub(crate) fn panic_failure(panic: Panic) -> Failure {
    let mut failure = application(panic.to_string(), "Panic".to_owned());
    failure.stack_trace = panic.stack;
    failure
}
