//! What time will do to a run, and when.

use super::{
    activity::{ActivityState, AttemptState},
    run::Execution,
};
use crate::{failure::TimeoutType, ids::EventId, time::Timestamp};

/// What happens at a run's next deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The wait before the first workflow task is over.
    FirstWorkflowTask,
    /// The pending workflow task's wait is over, or its timeout passes.
    WorkflowTask,
    /// Something of an activity is due.
    Activity(EventId, ActivityDeadline),
    /// A timer fires.
    Timer(EventId),
    /// The run timeout passes.
    RunTimeout,
    /// The timeout of the whole chain passes.
    ExecutionTimeout,
}

/// What is due of an activity. At equal times the first of these comes first, as in Temporal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ActivityDeadline {
    /// A timeout passes.
    Timeout(ActivityTimeout),
    /// The next attempt may be handed out.
    Retry,
}

/// The timeouts of an activity, in Temporal's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ActivityTimeout {
    StartToClose,
    ScheduleToStart,
    ScheduleToClose,
    Heartbeat,
}

impl From<ActivityTimeout> for TimeoutType {
    fn from(timeout: ActivityTimeout) -> Self {
        match timeout {
            ActivityTimeout::StartToClose => Self::StartToClose,
            ActivityTimeout::ScheduleToStart => Self::ScheduleToStart,
            ActivityTimeout::ScheduleToClose => Self::ScheduleToClose,
            ActivityTimeout::Heartbeat => Self::Heartbeat,
        }
    }
}

impl ActivityState {
    /// Returns the first thing that time will do to it.
    pub(crate) fn deadline(&self) -> Option<(Timestamp, ActivityDeadline)> {
        use ActivityDeadline::{Retry, Timeout};
        use ActivityTimeout::{Heartbeat, ScheduleToClose, ScheduleToStart, StartToClose};
        let attributes = self.attributes();
        let after = |from: Timestamp, timeout: crate::time::Millis, which| {
            timeout
                .non_zero()
                .map(|timeout| (from.after(timeout), Timeout(which)))
        };
        let whole = after(
            self.scheduled.at,
            attributes.schedule_to_close_timeout,
            ScheduleToClose,
        );
        match self.state {
            AttemptState::Scheduled { at } => {
                let start = after(at, attributes.schedule_to_start_timeout, ScheduleToStart);
                start.into_iter().chain(whole).min()
            }
            AttemptState::Backoff { until } => Some((until, Retry)).into_iter().chain(whole).min(),
            AttemptState::Started {
                at, heartbeat_at, ..
            } => {
                let attempt = after(at, attributes.start_to_close_timeout, StartToClose);
                let heartbeat = after(heartbeat_at, attributes.heartbeat_timeout, Heartbeat);
                attempt.into_iter().chain(whole).chain(heartbeat).min()
            }
            AttemptState::Ended => None,
        }
    }
}

impl Execution {
    /// Returns the earliest moment at which time alone changes something: see [`crate::decide::fire_due`].
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline().map(|(at, _)| at)
    }

    /// Returns what happens next by time alone. At equal times the end of the run comes first, then workflow tasks, then
    /// activities and timers by event id.
    pub(crate) fn deadline(&self) -> Option<(Timestamp, Deadline)> {
        if !self.is_open() {
            return None;
        }
        let first_task = self.awaits_first_task.then(|| {
            let wait = self.started().first_workflow_task_backoff;
            (self.started_at().after(wait), Deadline::FirstWorkflowTask)
        });
        let task = self
            .workflow_task()
            .and_then(|task| Some((task.deadline()?, Deadline::WorkflowTask)));
        let pending = self.deadlines.first().and_then(|(at, id)| {
            let deadline = match self.activity(*id) {
                Some(activity) => Deadline::Activity(*id, activity.deadline()?.1),
                None => Deadline::Timer(*id),
            };
            Some((*at, deadline))
        });
        [self.expiry(), first_task, task, pending]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Returns when the run's own time or that of its chain is over.
    fn expiry(&self) -> Option<(Timestamp, Deadline)> {
        let started = self.started();
        let chain = started
            .workflow_execution_expiration_time
            .map(|at| (at, Deadline::ExecutionTimeout));
        let run = started.workflow_run_timeout.non_zero().map(|timeout| {
            let begin = self.started_at().after(started.first_workflow_task_backoff);
            (begin.after(timeout), Deadline::RunTimeout)
        });
        chain.into_iter().chain(run).min_by_key(|(at, _)| *at)
    }
}
