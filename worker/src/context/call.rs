//! Calls to activities.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use history::{
    ActivityId, Command, Event, EventId, EventKind, Failure, FailureInfo, Millis, Payloads,
    RetryPolicy, TaskQueue, command::ScheduleActivityTask, event::Header, failure::RetryState,
    ids::InvalidId,
};

use super::{
    names,
    operation::{Done, Kind, OpId},
    pending::Pending,
    state::{Halt, RunState},
};
use crate::{
    definition::{self, ActivityDefinition},
    error::{Fails, SOURCE, canceled_failure},
    options::Cancellation,
};

/// The time for one attempt where neither the definition nor the call gives one: long enough for a slow model's answer.
/// An attempt whose worker is lost is noticed sooner, by the worker's session.
pub const START_TO_CLOSE_DEFAULT: Duration = Duration::from_mins(10);

/// A call to an activity; see [`Workflow::call`](super::Workflow::call). Options given here win over the definition's.
///
/// Dropped before it is done, it asks the activity to cancel, unless [`cancellation`](Self::cancellation) says `Abandon`.
#[must_use = "futures do nothing unless awaited"]
pub struct Call<A: ActivityDefinition> {
    pending: Pending<Box<ScheduleActivityTask>, Box<Failure>>,
    activity: PhantomData<fn() -> A>,
}

impl<A: ActivityDefinition> Call<A> {
    pub(super) fn new(state: Rc<RunState>, input: A::Input) -> Self {
        let command = A::encode(input)
            .map(|input| Box::new(command::<A>(input)))
            .map_err(|error| refused::<A>(&error));
        Self {
            pending: Pending::new(state, command, Cancellation::default()),
            activity: PhantomData,
        }
    }

    fn option(mut self, set: impl FnOnce(&mut ScheduleActivityTask)) -> Self {
        self.pending.option(|command| set(command));
        self
    }

    fn named<T>(
        mut self,
        name: Result<T, InvalidId>,
        set: impl FnOnce(&mut ScheduleActivityTask, T),
    ) -> Self {
        let name = name.map_err(|error| refused::<A>(&error));
        self.pending.named(name, |command, name| set(command, name));
        self
    }

    /// The most time for one attempt.
    pub fn start_to_close(self, timeout: Duration) -> Self {
        self.option(|command| command.start_to_close_timeout = Millis::from(timeout))
    }

    /// The most time for all attempts.
    pub fn schedule_to_close(self, timeout: Duration) -> Self {
        self.option(|command| command.schedule_to_close_timeout = Millis::from(timeout))
    }

    /// The most time until a worker takes it.
    pub fn schedule_to_start(self, timeout: Duration) -> Self {
        self.option(|command| command.schedule_to_start_timeout = Millis::from(timeout))
    }

    /// The most time between heartbeats.
    pub fn heartbeat(self, timeout: Duration) -> Self {
        self.option(|command| command.heartbeat_timeout = Millis::from(timeout))
    }

    /// How failed attempts are repeated.
    pub fn retry(self, policy: impl Into<RetryPolicy>) -> Self {
        self.option(|command| command.retry_policy = Some(policy.into()))
    }

    /// The queue whose workers take it; the workflow's own unless told.
    pub fn task_queue(self, queue: impl AsRef<str>) -> Self {
        self.named(TaskQueue::new(queue), |command, queue| {
            command.task_queue = Some(queue);
        })
    }

    /// Its id in this run, unique among those pending; a number unless told.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.named(ActivityId::new(id), |command, id| command.activity_id = id)
    }

    /// What a cancellation does to it; `Try` unless told.
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.pending.set_cancellation(cancellation);
        self
    }

    /// Reads the end of the activity; nothing when the result is not what the code expects, which fails the task.
    fn end(&self, done: &Done, scheduled: Option<&Event>) -> Option<CallResult<A>> {
        let failure = match done {
            Done::Canceled => canceled_failure(Payloads::default()),
            Done::Event(event) => match &event.kind {
                EventKind::ActivityTaskCompleted(completed) => {
                    return match definition::result(&completed.result) {
                        Ok(output) => Some(Ok(output)),
                        Err(error) => {
                            self.pending
                                .state()
                                .halt(Halt::Fail(names::misfit(&error, A::NAME)));
                            None
                        }
                    };
                }
                EventKind::ActivityTaskFailed(failed) => failed.failure.clone(),
                EventKind::ActivityTaskTimedOut(timed_out) => timed_out.failure.clone(),
                EventKind::ActivityTaskCanceled(canceled) => {
                    canceled_failure(canceled.details.clone())
                }
                other => Failure::application(other.name(), "UnexpectedEvent", true),
            },
        };
        Some(Err(A::Error::at_activity(around::<A>(
            failure, done, scheduled,
        ))))
    }
}

type CallResult<A> = Result<
    <A as ActivityDefinition>::Output,
    <<A as ActivityDefinition>::Error as Fails>::AtActivity,
>;

impl<A: ActivityDefinition> Future for Call<A> {
    type Output = CallResult<A>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let op = match ready!(this.pending.operation(schedule)) {
            Ok(op) => op,
            Err(failure) => return Poll::Ready(Err(A::Error::at_activity(*failure))),
        };
        let state = this.pending.state();
        let done = ready!(state.poll(op, context));
        let scheduled = state.recorded(op);
        match this.end(&done, scheduled.as_deref()) {
            Some(result) => {
                this.pending.finish();
                Poll::Ready(result)
            }
            None => Poll::Pending,
        }
    }
}

fn refused<A: ActivityDefinition>(error: &(dyn std::error::Error + 'static)) -> Box<Failure> {
    Box::new(names::refused(&A::activity_type(), error))
}

fn schedule(
    state: &RunState,
    cancellation: Cancellation,
    mut command: Box<ScheduleActivityTask>,
) -> OpId {
    let number = state.next_activity();
    if command.activity_id.as_str().is_empty() {
        command.activity_id = names::activity_id(number);
    }
    if command.start_to_close_timeout.is_zero() && command.schedule_to_close_timeout.is_zero() {
        command.start_to_close_timeout = Millis::from(START_TO_CLOSE_DEFAULT);
    }
    state.ask(
        Kind::Activity(cancellation),
        Command::ScheduleActivityTask(command),
    )
}

/// Returns the command with the options of the definition. The id is given when the call is first polled.
fn command<A: ActivityDefinition>(input: Payloads) -> ScheduleActivityTask {
    let defaults = &A::DEFAULTS;
    ScheduleActivityTask {
        activity_id: names::activity_unnamed(),
        activity_type: A::activity_type(),
        task_queue: None,
        header: Header::new(),
        input,
        schedule_to_close_timeout: names::timeout(defaults.schedule_to_close),
        schedule_to_start_timeout: names::timeout(defaults.schedule_to_start),
        start_to_close_timeout: names::timeout(defaults.start_to_close),
        heartbeat_timeout: names::timeout(defaults.heartbeat),
        retry_policy: defaults
            .retry
            .as_ref()
            .map(definition::RetryDefaults::policy),
    }
}

/// Returns the failure of the call around that of the activity, as Temporal's SDKs do.
fn around<A: ActivityDefinition>(
    cause: Failure,
    done: &Done,
    scheduled: Option<&Event>,
) -> Failure {
    let (started_event_id, identity, retry_state) = match done {
        Done::Event(event) => match &event.kind {
            EventKind::ActivityTaskFailed(e) => {
                (e.started_event_id, e.identity.clone(), e.retry_state)
            }
            EventKind::ActivityTaskTimedOut(e) => (e.started_event_id, None, e.retry_state),
            _ => (EventId::NONE, None, RetryState::Unspecified),
        },
        Done::Canceled => (EventId::NONE, None, RetryState::CancelRequested),
    };
    let (scheduled_event_id, activity_id) = match scheduled.map(|event| (event.id, &event.kind)) {
        Some((id, EventKind::ActivityTaskScheduled(scheduled))) => {
            (id, scheduled.activity_id.clone())
        }
        _ => (EventId::NONE, names::activity_unnamed()),
    };
    let mut failure = Failure::new(
        format!("activity `{}` failed", A::NAME),
        FailureInfo::Activity {
            scheduled_event_id,
            started_event_id,
            identity,
            activity_type: A::activity_type(),
            activity_id,
            retry_state,
        },
    );
    SOURCE.clone_into(&mut failure.source);
    failure.because(cause)
}
