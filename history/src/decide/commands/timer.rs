//! Commands about timers.

use super::turn::{Refused, Turn, check, check_id, refused};
use crate::{
    decide::start::duration_problem,
    event::{TimerCanceled, TimerStarted, WorkflowTaskFailedCause as Cause},
    ids::{EventId, TimerId},
    time::Millis,
};

impl Turn<'_, '_> {
    pub(super) fn start_timer(
        &mut self,
        timer_id: &TimerId,
        start_to_fire_timeout: Millis,
    ) -> Result<(), Refused> {
        if self.running_timer(timer_id).is_some() {
            return refused(
                Cause::StartTimerDuplicateId,
                format!("a timer {timer_id} is running; give each running one its own id"),
            );
        }
        let bad = Cause::BadStartTimerAttributes;
        check_id(bad, timer_id.problem())?;
        let field = format!("start_to_fire_timeout of timer {timer_id}");
        if start_to_fire_timeout.is_zero() {
            return refused(bad, format!("{field}: must be at least 1 ms"));
        }
        check(bad, &field, duration_problem(start_to_fire_timeout))?;
        let started_event_id = self.draft.event(TimerStarted {
            timer_id: timer_id.clone(),
            start_to_fire_timeout,
            workflow_task_completed_event_id: self.completed,
        });
        self.timers.insert(timer_id.clone(), started_event_id);
        Ok(())
    }

    pub(super) fn cancel_timer(&mut self, timer_id: &TimerId) -> Result<(), Refused> {
        let Some(started_event_id) = self.running_timer(timer_id) else {
            return refused(
                Cause::BadCancelTimerAttributes,
                format!("no timer {timer_id} is running"),
            );
        };
        self.draft.event(TimerCanceled {
            timer_id: timer_id.clone(),
            started_event_id,
            workflow_task_completed_event_id: self.completed,
            identity: None,
        });
        self.timers.remove(timer_id);
        self.canceled_timers.insert(started_event_id);
        self.draft.timer_is_canceled(started_event_id);
        Ok(())
    }

    /// Returns the running timer of that id. One that fired while this turn was under way is still running for it.
    fn running_timer(&self, timer_id: &TimerId) -> Option<EventId> {
        let before = self
            .exec
            .timer_named(timer_id)
            .map(|timer| timer.started_event_id)
            .filter(|id| !self.canceled_timers.contains(id));
        before.or_else(|| self.timers.get(timer_id).copied())
    }
}
