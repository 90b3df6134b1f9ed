//! One run: its code on the way, and the history it has seen.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use history::{
    Command, Event, EventId, EventKind, Namespace, RunId, WorkflowId, WorkflowType,
    event::{WorkflowTaskFailedCause, WorkflowTaskStarted},
    task::UnreadSignals,
};

use super::{foreign, lane::Pulse, task_failure::TaskFailure, waker::RootWaker};
use crate::{
    context::{
        Workflow,
        state::{Facts, Halt, RunState},
    },
    definition::{Coroutine, DecodeError, Ended},
    error::{application, cause_of, chain, is_canceled},
    panics::{self, panic_failure},
};

/// The most polls of one workflow task that no event of the engine asked for. Beyond it, code keeps waking itself.
const POLLS_MAX: usize = 100_000;

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
    pub(crate) start: fn(Workflow, &history::Payloads) -> Result<Coroutine, DecodeError>,
}

/// The workflows of a worker, by name.
pub(crate) type Workflows = HashMap<&'static str, Entry>;

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
