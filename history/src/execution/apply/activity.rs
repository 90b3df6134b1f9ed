//! What events and notes do to pending activities.

use std::sync::Arc;

use crate::{
    event::{ActivityTaskScheduled, Event},
    execution::{
        activity::{ActivityState, AttemptState},
        memory,
        run::Execution,
    },
    ids::EventId,
    payload::Payloads,
    record::{AttemptFailed, Note},
    time::Timestamp,
};

impl Execution {
    pub(super) fn activity_scheduled(
        &mut self,
        event: &Arc<Event>,
        attributes: &ActivityTaskScheduled,
    ) -> Result<(), &'static str> {
        if self.activity_ids.contains_key(&attributes.activity_id) {
            return Err("the activity id is in use");
        }
        self.activity_ids
            .insert(attributes.activity_id.clone(), event.id);
        let activity = Box::new(ActivityState {
            scheduled: Arc::clone(event),
            attempt: 1,
            state: AttemptState::Scheduled { at: event.at },
            last_failure: None,
            heartbeat_details: Payloads::default(),
            cancel_requested_event_id: None,
            started_event_id: EventId::NONE,
        });
        self.pending_bytes += memory::activity_bytes(&activity);
        self.deadlines
            .extend(activity.deadline().map(|(at, _)| (at, event.id)));
        self.activities.insert(event.id, activity);
        Ok(())
    }

    /// Changes a pending activity, and keeps its deadline and its weight.
    pub(super) fn change_activity<T>(
        &mut self,
        scheduled_event_id: EventId,
        change: impl FnOnce(&mut ActivityState) -> T,
    ) -> Result<T, &'static str> {
        let activity = self
            .activities
            .get_mut(&scheduled_event_id)
            .ok_or("the activity is not pending")?;
        let (before, bytes) = (activity.deadline(), memory::activity_bytes(activity));
        let answer = change(activity);
        let after = activity.deadline();
        self.pending_bytes += memory::activity_bytes(activity);
        self.pending_bytes -= bytes;
        if before != after {
            if let Some((at, _)) = before {
                self.deadlines.remove(&(at, scheduled_event_id));
            }
            self.deadlines
                .extend(after.map(|(at, _)| (at, scheduled_event_id)));
        }
        Ok(answer)
    }

    pub(super) fn activity_ended(
        &mut self,
        scheduled_event_id: EventId,
        started_event_id: EventId,
    ) -> Result<(), &'static str> {
        let activity = self
            .activities
            .get(&scheduled_event_id)
            .ok_or("the activity is not pending")?;
        if activity.started_event_id != started_event_id {
            return Err("the activity's started event is another one");
        }
        if let Some((at, _)) = activity.deadline() {
            self.deadlines.remove(&(at, scheduled_event_id));
        }
        self.pending_bytes -= memory::activity_bytes(activity);
        self.activity_ids.remove(&activity.attributes().activity_id);
        self.activities.remove(&scheduled_event_id);
        Ok(())
    }

    pub(super) fn apply_activity_note(
        &mut self,
        at: Timestamp,
        note: &Note,
    ) -> Result<(), &'static str> {
        match note {
            Note::ActivityAttemptStarted {
                scheduled_event_id,
                attempt,
                identity,
            } => self.activity_attempt(*scheduled_event_id, *attempt, |activity| {
                if !activity.is_started() {
                    activity.state = AttemptState::Started {
                        at,
                        identity: identity.clone(),
                        heartbeat_at: at,
                    };
                }
            }),
            Note::ActivityAttemptScheduled {
                scheduled_event_id,
                attempt,
            } => self.activity_attempt(*scheduled_event_id, *attempt, |activity| {
                if activity.is_backing_off() {
                    activity.state = AttemptState::Scheduled { at };
                }
            }),
            Note::ActivityHeartbeat {
                scheduled_event_id,
                attempt,
                details,
            } => self.activity_attempt(*scheduled_event_id, *attempt, |activity| {
                activity.heartbeat_details = details.clone();
                if let AttemptState::Started { heartbeat_at, .. } = &mut activity.state {
                    *heartbeat_at = at;
                }
            }),
            Note::ActivityAttemptFailed {
                scheduled_event_id,
                attempt,
                started_at,
                identity,
                failure,
                next_attempt_at,
            } => self.change_activity(*scheduled_event_id, |activity| {
                if activity.attempt != *attempt || activity.state == AttemptState::Ended {
                    return Err("the activity is not at that attempt");
                }
                activity.attempt = activity.attempt.saturating_add(1);
                let before = activity.last_failure.as_deref();
                activity.last_failure = Some(Box::new(AttemptFailed {
                    attempt: *attempt,
                    started_at: *started_at,
                    ended_at: at,
                    first_ended_at: before.map(AttemptFailed::failing_since),
                    identity: identity.clone(),
                    failure: failure.as_ref().clone(),
                }));
                activity.state = AttemptState::Backoff {
                    until: *next_attempt_at,
                };
                Ok(())
            })?,
            Note::Buffered { .. }
            | Note::RequestsHeard { .. }
            | Note::StartAttached { .. }
            | Note::WorkflowTaskAttemptScheduled { .. }
            | Note::WorkflowTaskAttemptStarted { .. }
            | Note::WorkflowTaskAttemptFailed { .. }
            | Note::ActivityAttempts { .. }
            | Note::WorkflowTaskAttempts { .. } => Err("it is no note of an activity's attempt"),
        }
    }

    /// Changes an activity if it is still at the attempt that a note speaks of: the note may come late.
    fn activity_attempt(
        &mut self,
        scheduled_event_id: EventId,
        attempt: u32,
        change: impl FnOnce(&mut ActivityState),
    ) -> Result<(), &'static str> {
        match self.activities.get(&scheduled_event_id) {
            None if scheduled_event_id >= self.next_event_id => {
                Err("the activity was never scheduled")
            }
            Some(activity) if activity.attempt < attempt => {
                Err("the activity has not come to that attempt")
            }
            Some(activity)
                if activity.attempt == attempt && activity.state != AttemptState::Ended =>
            {
                self.change_activity(scheduled_event_id, change)
            }
            Some(_) | None => Ok(()),
        }
    }
}
