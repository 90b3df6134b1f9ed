//! Commands about activities.

use super::turn::{
    Refused, Turn, check, check_facts, check_id, check_pending, check_size, refused,
};
use crate::{
    command::ScheduleActivityTask,
    decide::{size::payload_problem, start::duration_problem},
    effect::Effect,
    event::{
        ActivityTaskCancelRequested, ActivityTaskCanceled, ActivityTaskScheduled,
        WorkflowTaskFailedCause as Cause,
    },
    execution::{ActivityState, AttemptState},
    ids::{EventId, TaskQueue},
    payload::Payloads,
    time::Millis,
};

const BAD: Cause = Cause::BadScheduleActivityAttributes;

impl Turn<'_, '_> {
    pub(super) fn schedule_activity(
        &mut self,
        command: &ScheduleActivityTask,
    ) -> Result<(), Refused> {
        let id = &command.activity_id;
        check_id(BAD, id.problem())?;
        check_id(BAD, command.activity_type.problem())?;
        check_id(
            BAD,
            command.task_queue.as_ref().and_then(TaskQueue::problem),
        )?;
        let before = self
            .exec
            .activity_named(id)
            .map(ActivityState::scheduled_event_id);
        let in_use = before.is_some_and(|event_id| !self.ended.contains(&event_id));
        if in_use || self.scheduled.contains_key(id) {
            return refused(
                Cause::ScheduleActivityDuplicateId,
                format!("an activity {id} is pending; give each pending one its own id"),
            );
        }
        let pending = self.exec.activities().len() + self.scheduled.len() - self.ended.len();
        check_pending(pending, Cause::PendingActivitiesLimitExceeded, "activities")?;
        check_size(
            &format!("input of activity {id}"),
            payload_problem(&command.input),
        )?;
        check_facts(BAD, &format!("header of activity {id}"), &command.header)?;
        let attributes = self.filled(command)?;
        let task_queue = attributes.task_queue.clone();
        let scheduled_event_id = self.draft.event(attributes);
        self.scheduled.insert(id.clone(), scheduled_event_id);
        self.draft.effects.push(Effect::DispatchActivityTask {
            task_queue,
            scheduled_event_id,
            attempt: 1,
        });
        Ok(())
    }

    /// Returns the event of a command, its timeouts filled and capped by each other and by the run's own.
    fn filled(&self, command: &ScheduleActivityTask) -> Result<ActivityTaskScheduled, Refused> {
        let id = &command.activity_id;
        let of = |timeout: &str| format!("{timeout} of activity {id}");
        for (timeout, duration) in [
            (
                "schedule_to_close_timeout",
                command.schedule_to_close_timeout,
            ),
            (
                "schedule_to_start_timeout",
                command.schedule_to_start_timeout,
            ),
            ("start_to_close_timeout", command.start_to_close_timeout),
            ("heartbeat_timeout", command.heartbeat_timeout),
        ] {
            check(BAD, &of(timeout), duration_problem(duration))?;
        }
        let retry_policy = command.retry_policy.clone().unwrap_or_default().filled();
        let problem = retry_policy.problem().map(str::to_owned);
        check(BAD, &of("retry_policy"), problem)?;
        let timeouts = self.timeouts(command)?;
        Ok(ActivityTaskScheduled {
            activity_id: id.clone(),
            activity_type: command.activity_type.clone(),
            task_queue: command
                .task_queue
                .clone()
                .unwrap_or_else(|| self.exec.task_queue().clone()),
            header: command.header.clone(),
            input: command.input.clone(),
            schedule_to_close_timeout: timeouts.schedule_to_close,
            schedule_to_start_timeout: timeouts.schedule_to_start,
            start_to_close_timeout: timeouts.start_to_close,
            heartbeat_timeout: timeouts.heartbeat,
            workflow_task_completed_event_id: self.completed,
            retry_policy,
        })
    }

    fn timeouts(&self, command: &ScheduleActivityTask) -> Result<Timeouts, Refused> {
        let run = self.exec.started().workflow_run_timeout.non_zero();
        let capped = |timeout: Millis| run.map_or(timeout, |run| timeout.min(run));
        let schedule_to_start = command.schedule_to_start_timeout.non_zero();
        let start_to_close = command.start_to_close_timeout.non_zero();
        let (schedule_to_close, schedule_to_start, start_to_close) = match (
            command.schedule_to_close_timeout.non_zero(),
            start_to_close,
        ) {
            (Some(whole), one) => (
                whole,
                schedule_to_start.map_or(whole, |timeout| timeout.min(whole)),
                one.map_or(whole, |timeout| timeout.min(whole)),
            ),
            (None, Some(one)) => {
                let run = run.unwrap_or(Millis::ZERO);
                (run, schedule_to_start.unwrap_or(run), one)
            }
            (None, None) => {
                return refused(
                    BAD,
                    format!(
                        "activity {} has neither schedule_to_close_timeout nor start_to_close_timeout; give one",
                        command.activity_id
                    ),
                );
            }
        };
        let start_to_close = capped(start_to_close);
        Ok(Timeouts {
            schedule_to_close: capped(schedule_to_close),
            schedule_to_start: capped(schedule_to_start),
            start_to_close,
            heartbeat: command.heartbeat_timeout.min(start_to_close),
        })
    }

    pub(super) fn request_cancel_activity(
        &mut self,
        scheduled_event_id: EventId,
    ) -> Result<(), Refused> {
        let of_this_turn = self
            .scheduled
            .iter()
            .find(|(_, id)| **id == scheduled_event_id)
            .map(|(activity_id, _)| activity_id.clone());
        let activity = self
            .exec
            .activity(scheduled_event_id)
            .filter(|_| !self.ended.contains(&scheduled_event_id));
        let requested_before = activity
            .is_some_and(|activity| activity.cancel_requested_event_id.is_some())
            || self.cancel_requested.contains(&scheduled_event_id);
        if requested_before || (activity.is_none() && of_this_turn.is_none()) {
            let problem = if requested_before {
                "its cancellation was requested before"
            } else {
                "it is not pending"
            };
            return refused(
                Cause::BadRequestCancelActivityAttributes,
                format!("activity of event {scheduled_event_id} can't be canceled: {problem}"),
            );
        }
        let requested = self.draft.event(ActivityTaskCancelRequested {
            scheduled_event_id,
            workflow_task_completed_event_id: self.completed,
        });
        self.cancel_requested.insert(scheduled_event_id);
        match activity {
            Some(activity) if activity.is_started() => {
                self.draft.effects.push(Effect::cancel_activity(activity));
            }
            // Its end is buffered and follows.
            Some(activity) if activity.state == AttemptState::Ended => {}
            Some(_) | None => {
                self.cancel_unstarted(scheduled_event_id, requested);
                match of_this_turn {
                    Some(activity_id) => drop(self.scheduled.remove(&activity_id)),
                    None => drop(self.ended.insert(scheduled_event_id)),
                }
            }
        }
        Ok(())
    }

    /// Cancels an activity that no worker has: there is nobody to ask.
    fn cancel_unstarted(&mut self, scheduled_event_id: EventId, requested: EventId) {
        self.draft.event(ActivityTaskCanceled {
            details: Payloads::default(),
            latest_cancel_requested_event_id: requested,
            scheduled_event_id,
            started_event_id: EventId::NONE,
            identity: None,
        });
        self.needs_task = true;
        self.draft.effects.retain(|effect| {
            !matches!(effect, Effect::DispatchActivityTask { scheduled_event_id: id, .. } if *id == scheduled_event_id)
        });
    }
}

struct Timeouts {
    schedule_to_close: Millis,
    schedule_to_start: Millis,
    start_to_close: Millis,
    heartbeat: Millis,
}
