//! [`Execution`]: a run's records added up. What it holds is what can still happen, not what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    activity::{ActivityState, AttemptState},
    child_workflow::ChildState,
    corrupt::Corrupt,
    external::ExternalState,
    heard::Requests,
    memory,
    status::Status,
    timer::TimerState,
    upserted::Upserted,
    workflow_task::{TaskFailing, WorkflowTaskState},
};
use crate::{
    effect::Effect,
    event::{Event, EventKind, Sticky, WorkflowExecutionStarted},
    ids::{
        ActivityId, EventId, Namespace, RunId, TaskQueue, TimerId, WorkflowExecution, WorkflowId,
        WorkflowType,
    },
    record::Record,
    time::Timestamp,
};

pub(super) const NOT_NEXT: &str = "its event id is not the next one";
const NOT_STARTED: &str = "the run has not started";

/// What of a history its code has not made: signals that the run before left unread, or that came while the first workflow task waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BeganWith {
    pub(super) events: i64,
    pub(super) bytes: u64,
}

/// A run: the fold of its records. Equal records make equal executions.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    pub(super) namespace: Namespace,
    pub(super) run_id: RunId,
    /// Its `WorkflowExecutionStarted` event.
    pub(super) started: Arc<Event>,
    pub(super) close_event: Option<Arc<Event>>,
    /// The resets that made it, by their `WorkflowTaskFailed` event: what follows one was begun by the run named with it.
    pub(super) resets: Vec<(EventId, RunId)>,
    /// What a closed run had still to deliver at its close.
    pub(super) undelivered: Box<[Effect]>,
    pub(super) next_event_id: EventId,
    pub(super) last_event_at: Timestamp,
    /// The latest time of all records: what is recorded next is no earlier.
    pub(super) last_record_at: Timestamp,

    pub(super) workflow_task: Option<Box<WorkflowTaskState>>,
    /// Since when no workflow task was completed, and how the last one failed.
    pub(super) task_failing: Option<Box<TaskFailing>>,
    pub(super) sticky: Option<Box<Sticky>>,
    /// No workflow task was ever scheduled, because the first one waits.
    pub(super) awaits_first_task: bool,
    /// What there was when its code was first asked; nothing before that.
    pub(super) began_with: Option<BeganWith>,
    pub(super) previous_started_event_id: EventId,
    pub(super) last_completed_event_id: EventId,
    /// What happened while a workflow task was with a worker. Ids of events that are buffered themselves are none.
    pub(super) buffer: Vec<EventKind>,

    pub(super) activities: BTreeMap<EventId, Box<ActivityState>>,
    pub(super) activity_ids: BTreeMap<ActivityId, EventId>,
    pub(super) timers: BTreeMap<EventId, Box<TimerState>>,
    pub(super) timer_ids: BTreeMap<TimerId, EventId>,
    pub(super) children: BTreeMap<EventId, Box<ChildState>>,
    pub(super) external_signals: BTreeMap<EventId, Box<ExternalState>>,
    pub(super) external_cancels: BTreeMap<EventId, Box<ExternalState>>,
    /// One entry for each activity and timer that time will do something to.
    pub(super) deadlines: BTreeSet<(Timestamp, EventId)>,

    /// Why somebody asked it to cancel, if somebody did; he may have given no reason.
    pub(super) cancel_reason: Option<Box<str>>,
    pub(super) signals: usize,
    /// What it has heard by a request id; nothing, mostly.
    pub(super) requests: Option<Box<Requests>>,
    pub(super) upserted: Option<Box<Upserted>>,
    /// The estimated bytes of what hangs on the maps above.
    pub(super) pending_bytes: usize,
}

impl Execution {
    /// Returns the run that begins with a record.
    ///
    /// # Errors
    /// When that is not `WorkflowExecutionStarted` with the first id.
    pub fn begin(namespace: Namespace, run_id: RunId, first: &Record) -> Result<Self, Corrupt> {
        let problem = match first {
            Record::Event(event) if event.id != EventId::FIRST => NOT_NEXT,
            Record::Event(event) => match &event.kind {
                EventKind::WorkflowExecutionStarted(_) => {
                    return Ok(Self::started_by(namespace, run_id, Arc::clone(event)));
                }
                _ => NOT_STARTED,
            },
            Record::Note(_) => NOT_STARTED,
        };
        Err(Corrupt::new(run_id, "nothing".to_owned(), first, problem))
    }

    /// Adds a record to a log that is folded from its beginning: it begins the run, or is [applied](Self::apply) to it.
    ///
    /// # Errors
    /// When the record can't follow those before it.
    pub fn fold(
        folded: &mut Option<Self>,
        namespace: &Namespace,
        run_id: RunId,
        record: &Record,
    ) -> Result<(), Corrupt> {
        if let Some(execution) = folded {
            return execution.apply(record);
        }
        *folded = Some(Self::begin(namespace.clone(), run_id, record)?);
        Ok(())
    }

    /// Returns the run of a `WorkflowExecutionStarted` event.
    pub(crate) fn started_by(namespace: Namespace, run_id: RunId, started: Arc<Event>) -> Self {
        Self {
            namespace,
            run_id,
            close_event: None,
            resets: Vec::new(),
            undelivered: Box::default(),
            next_event_id: started.id.next(),
            last_event_at: started.at,
            last_record_at: started.at,
            workflow_task: None,
            task_failing: None,
            sticky: None,
            awaits_first_task: !attributes_of(&started)
                .first_workflow_task_backoff
                .is_zero(),
            began_with: None,
            previous_started_event_id: EventId::NONE,
            last_completed_event_id: EventId::NONE,
            buffer: Vec::new(),
            activities: BTreeMap::new(),
            activity_ids: BTreeMap::new(),
            timers: BTreeMap::new(),
            timer_ids: BTreeMap::new(),
            children: BTreeMap::new(),
            external_signals: BTreeMap::new(),
            external_cancels: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            cancel_reason: None,
            signals: 0,
            requests: None,
            upserted: None,
            pending_bytes: memory::kept_bytes(&started),
            started,
        }
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the run's id.
    pub fn run_id(&self) -> RunId {
        self.run_id
    }

    /// Returns the workflow's id.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.started().workflow_id
    }

    /// Returns the workflow's code.
    pub fn workflow_type(&self) -> &WorkflowType {
        &self.started().workflow_type
    }

    /// Returns the queue that workflow tasks go to unless they go to a worker's own.
    pub fn task_queue(&self) -> &TaskQueue {
        &self.started().task_queue
    }

    /// Returns the address of the run.
    pub fn workflow_execution(&self) -> WorkflowExecution {
        WorkflowExecution {
            workflow_id: self.workflow_id().clone(),
            run_id: self.run_id,
        }
    }

    /// Returns the run that an event was first recorded in: this one, or the one that it was reset from. What an event has asked of
    /// others is known by that run and the event, so that a reset run has what its base began.
    pub fn origin_of(&self, event_id: EventId) -> WorkflowExecution {
        let reset = self.resets.iter().rev().find(|(at, _)| *at < event_id);
        WorkflowExecution {
            workflow_id: self.workflow_id().clone(),
            run_id: reset.map_or(self.started().original_execution_run_id, |(_, run)| *run),
        }
    }

    /// Returns the attributes of the first event.
    pub fn started(&self) -> &WorkflowExecutionStarted {
        attributes_of(&self.started)
    }

    /// Returns when the run started.
    pub fn started_at(&self) -> Timestamp {
        self.started.at
    }

    /// Returns when its first workflow task may begin. Temporal: `ExecutionTime`.
    pub fn execution_time(&self) -> Timestamp {
        self.started_at()
            .after(self.started().first_workflow_task_backoff)
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        let closed = self.close_event.as_ref();
        closed
            .and_then(|event| Status::closed_by(&event.kind))
            .unwrap_or_default()
    }

    /// Says whether the run has not closed.
    pub fn is_open(&self) -> bool {
        self.close_event.is_none()
    }

    /// Returns the event that closed the run.
    pub fn close_event(&self) -> Option<&Arc<Event>> {
        self.close_event.as_ref()
    }

    /// Returns the id that the next event will have.
    pub fn next_event_id(&self) -> EventId {
        self.next_event_id
    }

    /// Returns the time of the last event.
    pub fn last_event_at(&self) -> Timestamp {
        self.last_event_at
    }

    /// Returns the workflow task that is pending, if one is.
    pub fn workflow_task(&self) -> Option<&WorkflowTaskState> {
        self.workflow_task.as_deref()
    }

    /// Returns the `WorkflowTaskStarted` event of the last completed workflow task.
    pub fn previous_started_event_id(&self) -> EventId {
        self.previous_started_event_id
    }

    /// Returns the worker's own queue that the next workflow task goes to.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_deref()
    }

    /// Returns a pending activity.
    pub fn activity(&self, scheduled_event_id: EventId) -> Option<&ActivityState> {
        self.activities.get(&scheduled_event_id).map(Box::as_ref)
    }

    /// Returns the pending activity of that id.
    pub fn activity_named(&self, activity_id: &ActivityId) -> Option<&ActivityState> {
        self.activity(*self.activity_ids.get(activity_id)?)
    }

    /// Returns the pending activities in the order they were scheduled.
    pub fn activities(&self) -> impl ExactSizeIterator<Item = &ActivityState> {
        self.activities.values().map(Box::as_ref)
    }

    /// Returns a running timer by its `TimerStarted` event.
    pub fn timer(&self, started_event_id: EventId) -> Option<&TimerState> {
        self.timers.get(&started_event_id).map(Box::as_ref)
    }

    /// Returns the running timer of that id.
    pub fn timer_named(&self, timer_id: &TimerId) -> Option<&TimerState> {
        self.timer(*self.timer_ids.get(timer_id)?)
    }

    /// Returns the running timers in the order they were started.
    pub fn timers(&self) -> impl ExactSizeIterator<Item = &TimerState> {
        self.timers.values().map(Box::as_ref)
    }

    /// Returns a child by its `StartChildWorkflowExecutionInitiated` event.
    pub fn child(&self, initiated_event_id: EventId) -> Option<&ChildState> {
        self.children.get(&initiated_event_id).map(Box::as_ref)
    }

    /// Returns the children that have not closed, in the order they were initiated.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &ChildState> {
        self.children.values().map(Box::as_ref)
    }

    /// Returns the signals to others that are not answered.
    pub fn external_signals(&self) -> impl ExactSizeIterator<Item = &ExternalState> {
        self.external_signals.values().map(Box::as_ref)
    }

    /// Returns the cancellations of others that are not answered.
    pub fn external_cancels(&self) -> impl ExactSizeIterator<Item = &ExternalState> {
        self.external_cancels.values().map(Box::as_ref)
    }

    /// Returns how many events wait for the end of the workflow task under way.
    pub fn buffered_events(&self) -> usize {
        self.buffer.len()
    }

    /// Says whether cancellation was requested.
    pub fn cancel_requested(&self) -> bool {
        self.cancel_reason.is_some()
    }

    /// Returns why cancellation was requested, if whoever did said so.
    pub fn cancel_reason(&self) -> Option<&str> {
        self.cancel_reason
            .as_deref()
            .filter(|reason| !reason.is_empty())
    }

    /// Returns how many signals have arrived, those that wait included.
    pub fn signals(&self) -> usize {
        let waiting = |kind: &&EventKind| matches!(kind, EventKind::WorkflowExecutionSignaled(_));
        self.signals + self.buffer.iter().filter(waiting).count()
    }

    /// Says whether the run only waits for a deadline or a message, so that it may leave memory.
    pub fn is_waiting(&self) -> bool {
        self.is_open()
            && self.workflow_task.is_none()
            && self
                .activities
                .values()
                .all(|activity| activity.is_backing_off())
            && self.children.values().all(|child| child.start.is_some())
            && self.external_signals.is_empty()
            && self.external_cancels.is_empty()
    }

    /// Says whether the run only waits for a worker, a deadline or a message: nothing of it is with a worker or under way.
    pub fn is_waiting_for_workers(&self) -> bool {
        self.is_open()
            && self.workflow_task().is_none_or(|task| !task.is_started())
            && self.activities.values().all(|activity| {
                matches!(
                    activity.state,
                    AttemptState::Scheduled { .. } | AttemptState::Backoff { .. }
                )
            })
            && self.children.values().all(|child| child.start.is_some())
            && self.external_signals.is_empty()
            && self.external_cancels.is_empty()
    }

    /// Returns an estimate of the bytes it takes in memory, in constant time.
    pub fn memory_bytes(&self) -> usize {
        let failing = self.task_failing.as_ref();
        let last = failing.and_then(|failing| failing.last.failure.as_ref());
        size_of::<Self>() + self.pending_bytes + last.map_or(0, memory::failure_bytes)
    }

    pub(crate) fn buffer(&self) -> &[EventKind] {
        &self.buffer
    }

    pub(crate) fn awaits_first_task(&self) -> bool {
        self.awaits_first_task
    }

    /// Returns the moment a record made now has: time never runs back.
    pub(crate) fn at(&self, now: Timestamp) -> Timestamp {
        now.max(self.last_record_at)
    }

    /// Returns a signal or a cancellation by its initiated event.
    pub(crate) fn external(&self, initiated_event_id: EventId) -> Option<&ExternalState> {
        self.external_signals
            .get(&initiated_event_id)
            .or_else(|| self.external_cancels.get(&initiated_event_id))
            .map(Box::as_ref)
    }
}

/// Returns the attributes of a run's first event.
fn attributes_of(started: &Event) -> &WorkflowExecutionStarted {
    match &started.kind {
        EventKind::WorkflowExecutionStarted(attributes) => attributes,
        _ => unreachable!("a run begins with its started event"),
    }
}
