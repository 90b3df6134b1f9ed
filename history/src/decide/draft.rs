//! A decision in the making: ids and times are given here, and what can't be an event yet is buffered.
//!
//! ```text
//! idle, buffering --task_completes, end_task-->   task is over
//! any             --closes-->                     closed
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    decide::{
        Decision,
        wiring::{end_of, goes_last, start_of},
    },
    effect::Effect,
    event::{
        Event, EventKind, Sticky, TaskQueueKind, WorkflowExecutionSignaled, WorkflowTaskFailed,
        WorkflowTaskFailedCause, WorkflowTaskScheduled, WorkflowTaskTimedOut,
    },
    execution::{Execution, NextTask, WorkflowTaskState, event_bytes},
    failure::{Failure, TimeoutType},
    ids::{EventId, Identity, RunId},
    limits,
    record::{Note, Noted, Record, WorkflowTaskAttemptCause},
    requests::StartWorkflow,
    time::Timestamp,
};

/// How a workflow task ends without completion.
pub(super) enum TaskEnd {
    /// It failed.
    Failed(
        WorkflowTaskFailedCause,
        Option<Box<Failure>>,
        Option<Identity>,
    ),
    /// A timeout passed.
    TimedOut(TimeoutType),
}

pub(super) struct Draft<'a> {
    pub(super) exec: &'a Execution,
    /// The time of all that is decided: never before the last event.
    pub(super) at: Timestamp,
    pub(super) effects: Vec<Effect>,
    records: Vec<Record>,
    next_event_id: EventId,
    stage: Stage,
    /// Timers that are canceled here, whose buffered `TimerFired` is dropped.
    canceled_timers: BTreeSet<EventId>,
    /// The `…Started` events added here, by the event of what they start.
    starts: BTreeMap<EventId, EventId>,
    /// Children initiated here that outlive this run.
    pub(super) abandoned: BTreeSet<EventId>,
}

/// What has become of the workflow task, and of the run, in a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No worker has a workflow task.
    Idle,
    /// A workflow task is with a worker, so what arrives is buffered.
    Buffering,
    /// The workflow task that was pending is so no more.
    TaskIsOver,
    /// The run closes.
    Closed,
}

impl<'a> Draft<'a> {
    pub(super) fn new(exec: &'a Execution, now: Timestamp) -> Self {
        Self {
            exec,
            at: exec.at(now),
            effects: Vec::new(),
            records: Vec::new(),
            next_event_id: exec.next_event_id(),
            stage: match exec.workflow_task() {
                Some(task) if task.is_started() => Stage::Buffering,
                Some(_) | None => Stage::Idle,
            },
            canceled_timers: BTreeSet::new(),
            starts: BTreeMap::new(),
            abandoned: BTreeSet::new(),
        }
    }

    /// Returns a draft of what happened outside of workflow code: events, or buffered while a workflow task is under
    /// way. If the buffer has no room, that task fails, which empties it.
    pub(super) fn of_arrival(exec: &'a Execution, now: Timestamp, kinds: Vec<EventKind>) -> Self {
        let mut draft = Self::new(exec, now);
        if draft.is_buffering() && is_full(exec, &kinds) {
            draft.end_task(TaskEnd::Failed(
                WorkflowTaskFailedCause::ForceCloseCommand,
                None,
                None,
            ));
            draft.flush();
        }
        for kind in kinds {
            if draft.is_buffering() {
                draft.note(Note::Buffered { event: kind });
            } else {
                draft.event_after_its_start(kind);
            }
        }
        draft
    }

    pub(super) fn event(&mut self, kind: impl Into<EventKind>) -> EventId {
        self.event_at(self.at, kind.into())
    }

    fn event_at(&mut self, at: Timestamp, kind: EventKind) -> EventId {
        let id = self.next_event_id;
        self.push(Arc::new(Event { id, at, kind }));
        id
    }

    /// Adds an event that has its id and time already.
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.next_event_id = event.id.next();
        self.records.push(Record::Event(event));
    }

    /// Returns the event that was added last.
    pub(super) fn last_event(&self) -> Option<&Arc<Event>> {
        self.records.last()?.event()
    }

    pub(super) fn note(&mut self, note: Note) {
        self.records.push(Record::Note(Noted { at: self.at, note }));
    }

    /// Adds an event, and names the event of its start in it if that was added here.
    fn event_after_its_start(&mut self, mut kind: EventKind) {
        let starts = start_of(&kind);
        if let Some(subject) = end_of(&kind)
            && let Some(id) = self.starts.get(&subject)
            && let Some(started_event_id) = kind.started_event_id_mut()
        {
            *started_event_id = *id;
        }
        let id = self.event(kind);
        self.starts.extend(starts.map(|subject| (subject, id)));
    }

    /// Schedules a workflow task unless one is pending. A transient one gives way to a normal one.
    pub(super) fn need_task(&mut self) {
        if self.stage == Stage::TaskIsOver {
            return self.schedule_task(None);
        }
        let pending = |task: &WorkflowTaskState| !task.is_transient();
        if !self.exec.workflow_task().is_some_and(pending) {
            self.schedule_task(self.exec.sticky());
        }
    }

    /// Schedules a workflow task, its first attempt.
    pub(super) fn schedule_task(&mut self, sticky: Option<&Sticky>) {
        let (task_queue, kind) = match sticky {
            Some(sticky) => (sticky.task_queue.clone(), TaskQueueKind::Sticky),
            None => (self.exec.task_queue().clone(), TaskQueueKind::Normal),
        };
        let scheduled_event_id = self.event(WorkflowTaskScheduled {
            task_queue: task_queue.clone(),
            task_queue_kind: kind,
            start_to_close_timeout: self.exec.workflow_task_timeout(1),
            attempt: 1,
        });
        self.effects.push(Effect::DispatchWorkflowTask {
            task_queue,
            kind,
            scheduled_event_id,
            attempt: 1,
        });
    }

    /// Takes note that the pending workflow task completes here.
    pub(super) fn task_completes(&mut self) {
        self.stage = Stage::TaskIsOver;
    }

    /// Ends the pending workflow task without completion: by an event at the first attempt, by a note later.
    pub(super) fn end_task(&mut self, end: TaskEnd) {
        let Some(task) = self.exec.workflow_task() else {
            return;
        };
        let started_event_id = task
            .start()
            .map_or(EventId::NONE, |start| start.started_event_id);
        let scheduled_event_id = task.scheduled_event_id;
        self.stage = Stage::TaskIsOver;
        match end {
            TaskEnd::Failed(cause, failure, identity) if task.is_transient() => {
                self.note(Note::WorkflowTaskAttemptFailed {
                    attempt: task.attempt,
                    cause: WorkflowTaskAttemptCause::Failed(cause),
                    failure: failure.map(|failure| Box::new(failure.kept())),
                    identity,
                });
            }
            TaskEnd::TimedOut(timeout_type) if task.is_transient() => {
                self.note(Note::WorkflowTaskAttemptFailed {
                    attempt: task.attempt,
                    cause: WorkflowTaskAttemptCause::TimedOut(timeout_type),
                    failure: None,
                    identity: None,
                });
            }
            TaskEnd::Failed(cause, failure, identity) => {
                self.event(WorkflowTaskFailed {
                    scheduled_event_id,
                    started_event_id,
                    cause,
                    failure: failure.map(|failure| *failure),
                    identity,
                    base_run_id: None,
                    new_run_id: None,
                    fork_event_version: 0,
                });
            }
            TaskEnd::TimedOut(timeout_type) => {
                self.event(WorkflowTaskTimedOut {
                    scheduled_event_id,
                    started_event_id,
                    timeout_type,
                });
            }
        }
    }

    /// Says what follows the workflow task that ended here without completion: another normal one, if there is something new to show.
    pub(super) fn retry_task(&mut self, anything_new: bool, timed_out: bool) {
        let Some(next) = self.exec.next_task(timed_out) else {
            return;
        };
        match if anything_new { NextTask::Normal } else { next } {
            NextTask::Normal => self.schedule_task(None),
            NextTask::Attempt { attempt, wait } if wait.is_zero() => {
                self.effects.push(Effect::DispatchWorkflowTask {
                    task_queue: self.exec.task_queue().clone(),
                    kind: TaskQueueKind::Normal,
                    scheduled_event_id: self.next_event_id,
                    attempt,
                });
            }
            // It is handed out when its time comes.
            NextTask::Attempt { .. } => {}
        }
    }

    pub(super) fn timer_is_canceled(&mut self, started_event_id: EventId) {
        self.canceled_timers.insert(started_event_id);
    }

    /// Says whether events wait that are not taken away here.
    pub(super) fn has_buffered(&self) -> bool {
        self.exec
            .buffer()
            .iter()
            .any(|kind| !self.is_taken_away(kind))
    }

    /// Returns the signals that wait, if nothing else does.
    pub(super) fn buffered_signals(&self) -> Option<Vec<WorkflowExecutionSignaled>> {
        let waiting = self.exec.buffer().iter();
        waiting
            .filter(|kind| !self.is_taken_away(kind))
            .map(|kind| match kind {
                EventKind::WorkflowExecutionSignaled(signal) => Some((**signal).clone()),
                _ => None,
            })
            .collect()
    }

    fn is_taken_away(&self, kind: &EventKind) -> bool {
        matches!(kind, EventKind::TimerFired(fired) if self.canceled_timers.contains(&fired.started_event_id))
    }

    /// Turns what is buffered into events: ends of activities and children last, all else in the order it came.
    /// Says whether there was any.
    pub(super) fn flush(&mut self) -> bool {
        let (last, first): (Vec<_>, Vec<_>) = self
            .exec
            .buffer()
            .iter()
            .filter(|kind| !self.is_taken_away(kind))
            .partition(|kind| goes_last(kind));
        let any = !first.is_empty() || !last.is_empty();
        for kind in first.into_iter().chain(last) {
            self.event_after_its_start(kind.clone());
        }
        any
    }

    pub(super) fn start_new_run(&mut self, run_id: RunId, start: StartWorkflow) {
        self.effects.push(Effect::StartNewRun {
            run_id,
            start: Box::new(start),
        });
    }

    /// Takes note that the run closes here.
    pub(super) fn closes(&mut self) {
        self.stage = Stage::Closed;
    }

    /// Says whether what arrives is buffered here.
    pub(super) fn is_buffering(&self) -> bool {
        self.stage == Stage::Buffering
    }

    /// Says whether the run closes here.
    pub(super) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Says whether the history would have too many events, and the run does not close.
    pub(super) fn is_too_long(&self) -> bool {
        let events = self.next_event_id.0 - 1;
        events > limits::HISTORY_EVENTS_MAX
            && events >= self.exec.next_event_id().0
            && !self.is_closed()
    }

    /// Returns what was drafted.
    pub(super) fn drafted(self) -> Decision {
        Decision {
            records: self.records,
            effects: self.effects,
            refusal: None,
        }
    }
}

/// Says whether so many events more are too many to wait for the end of a workflow task.
fn is_full(exec: &Execution, kinds: &[EventKind]) -> bool {
    let held = exec.buffer().iter();
    let bytes: usize = held.chain(kinds).map(event_bytes).sum();
    let count = exec.buffered_events() + kinds.len();
    count > limits::BUFFERED_EVENTS_MAX
        || (exec.buffered_events() > 0 && bytes > limits::BUFFERED_BYTES_MAX)
}
