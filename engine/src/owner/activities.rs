//! Attempts of activities: handed out, still alive, told to stop.

use history::{
    EventId, Timestamp,
    decide::{
        self, CancelActivityTask, CompleteActivityTask, FailActivityTask, HeartbeatActivity,
        StartActivityTask,
    },
    execution::{ActivityState, AttemptState},
    task::{ActivityTask, ActivityTaskAnswer, ActivityTaskToken, ToWorker},
};

use crate::{
    owner::{
        context::{Context, Step},
        state::{queues::WaitingActivity, run::Run, writing::After},
    },
    words::{HandOut, Kind, Reply, SessionId},
};

impl Context {
    /// Takes what a worker says of an attempt. An answer to one that is over changes nothing, and nobody waits to hear so.
    pub(super) fn activity_task_answered(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: ActivityTaskToken,
        answer: ActivityTaskAnswer,
    ) -> Step {
        let (now, identity) = (self.now(), self.identity(session));
        let execution = &run.execution;
        let (scheduled_event_id, attempt) = (token.scheduled_event_id, token.attempt);
        let decision = match answer {
            ActivityTaskAnswer::Completed { result } => {
                let request = CompleteActivityTask {
                    scheduled_event_id,
                    attempt,
                    result,
                    identity,
                };
                decide::complete_activity_task(execution, &request, now)
            }
            ActivityTaskAnswer::Failed { failure } => {
                let request = FailActivityTask {
                    scheduled_event_id,
                    attempt,
                    failure: *failure,
                    identity,
                };
                decide::fail_activity_task(execution, &request, now)
            }
            ActivityTaskAnswer::Canceled { details } => {
                let request = CancelActivityTask {
                    scheduled_event_id,
                    attempt,
                    details,
                    identity,
                };
                decide::cancel_activity_task(execution, &request, now)
            }
            ActivityTaskAnswer::Heartbeat { details } => {
                return self.heartbeat(run, session, token, details);
            }
        };
        if let Ok(decision) = &decision {
            self.tell_refusal(session, token, decision);
        }
        self.carry_out(run, decision, Reply::None)
    }

    fn heartbeat(
        &mut self,
        run: &mut Run,
        session: SessionId,
        token: ActivityTaskToken,
        details: history::Payloads,
    ) -> Step {
        let (now, identity) = (self.now(), self.identity(session));
        let request = HeartbeatActivity {
            scheduled_event_id: token.scheduled_event_id,
            attempt: token.attempt,
            details,
            identity,
        };
        match decide::heartbeat_activity(&run.execution, &request, now) {
            Ok(decision) if decision.refusal.is_some() => {
                self.tell_refusal(session, token, &decision);
                self.carry_out(run, Ok(decision), Reply::None)
            }
            Ok(decision) => {
                let about = token.scheduled_event_id;
                let activity = run.execution.activity(about);
                let is_news =
                    activity.is_some_and(|known| known.heartbeat_details != request.details);
                self.record(run, decision)?;
                if is_news {
                    self.weigh(run);
                    self.note_heartbeat(run, about)?;
                }
                self.schedule_wake(run);
                Ok(())
            }
            Err(_) => {
                // Nobody waits for this attempt any more.
                self.queues.send(session, ToWorker::CancelActivity(token));
                Ok(())
            }
        }
    }

    /// Tells a worker why what it said of an attempt was refused, which ends the attempt.
    fn tell_refusal(
        &mut self,
        session: SessionId,
        token: ActivityTaskToken,
        decision: &decide::Decision,
    ) {
        let Some(refusal) = &decision.refusal else {
            return;
        };
        tracing::warn!(run_id = %token.run_id, scheduled_event_id = %token.scheduled_event_id, %refusal, "what a worker said of an attempt was refused");
        let problem = refusal.to_string();
        // A worker that is gone need not know.
        self.queues
            .send(session, ToWorker::ActivityRefused { token, problem });
    }

    /// Hands an attempt to a worker, or lets it wait for one.
    pub(super) fn hand_out_activity(
        &mut self,
        run: &mut Run,
        scheduled_event_id: EventId,
        attempt: u32,
    ) -> Step {
        // It may have ended, or be at another attempt, since this was asked for: by a decision, or by its place in a queue.
        let Some(activity) = run.execution.activity(scheduled_event_id) else {
            return Ok(());
        };
        let AttemptState::Scheduled {
            at: attempt_scheduled_at,
        } = activity.state
        else {
            return Ok(());
        };
        if activity.attempt != attempt || self.stopping || !self.shards.hands_out(run.shard) {
            return Ok(());
        }
        let queue = (
            run.key.namespace.clone(),
            activity.attributes().task_queue.clone(),
        );
        if let Some(session) = self.queues.free(&queue, Kind::Activity) {
            let request = StartActivityTask {
                scheduled_event_id,
                attempt,
                identity: self.identity(session),
            };
            return self.start_activity(run, session, &request, attempt_scheduled_at);
        }
        let waiting = WaitingActivity {
            run_id: run.run_id(),
            scheduled_event_id,
            attempt,
        };
        self.queues.wait_activity(&queue, waiting, self.now());
        self.may_demand(&queue, Kind::Activity);
        Ok(())
    }

    /// Starts an attempt with a worker that has a slot free, and sends it; the only one of an activity when its start is durable.
    fn start_activity(
        &mut self,
        run: &mut Run,
        session: SessionId,
        request: &StartActivityTask,
        attempt_scheduled_at: Timestamp,
    ) -> Step {
        let decision = match decide::start_activity_task(&run.execution, request, self.now()) {
            Ok(decision) => decision,
            Err(rejection) => {
                tracing::error!(error = &rejection as &dyn std::error::Error, run_id = %run.run_id(), "an attempt can't be started");
                return Ok(());
            }
        };
        let about = request.scheduled_event_id;
        let hand_out = HandOut {
            run_id: run.run_id(),
            scheduled_event_id: about,
            attempt: request.attempt,
            incarnation: incarnation_of(run),
        };
        if let Some(session) = self.queues.session(session) {
            session.take_activity(hand_out);
        }
        let activity = run.execution.activity(about);
        let once = activity.is_some_and(ActivityState::is_once);
        // There may have been an attempt of which nobody knows since the run was folded. With this one known it was the only one.
        let pending_before = about < run.folded_from;
        if once || pending_before {
            // That the attempt started is durable before it starts: in the log if it may be the only one, beside it if not.
            if !once {
                run.attempts.change(about);
            }
            run.writing.with_next_part(After::HandOut {
                session,
                hand_out,
                attempt_scheduled_at,
            });
            return self.carry_out(run, Ok(decision), Reply::None);
        }
        if let Err(again) = self.record(run, decision) {
            self.free_attempt(session, hand_out);
            return Err(again);
        }
        self.note_start(run.run_id(), about, request.attempt);
        self.schedule_wake(run);
        self.send_activity(run, session, hand_out, attempt_scheduled_at);
        Ok(())
    }

    /// Sends a started attempt to its worker. One that ended while its start became durable gives its slot back.
    pub(super) fn send_activity(
        &mut self,
        run: &Run,
        session: SessionId,
        hand_out: HandOut,
        attempt_scheduled_at: Timestamp,
    ) {
        let activity = run.execution.activity(hand_out.scheduled_event_id);
        let started = activity.and_then(|activity| match activity.state {
            AttemptState::Started { at, .. } if activity.attempt == hand_out.attempt => {
                Some((activity, at))
            }
            AttemptState::Started { .. }
            | AttemptState::Scheduled { .. }
            | AttemptState::Backoff { .. }
            | AttemptState::Ended => None,
        });
        let Some((activity, started_at)) = started else {
            return self.free_attempt(session, hand_out);
        };
        let attributes = activity.attributes();
        let task = ActivityTask {
            token: hand_out.token(&run.key),
            workflow_type: run.execution.workflow_type().clone(),
            activity_id: attributes.activity_id.clone(),
            activity_type: attributes.activity_type.clone(),
            header: attributes.header.clone(),
            input: attributes.input.clone(),
            heartbeat_details: activity.heartbeat_details.clone(),
            scheduled_at: activity.scheduled.at,
            attempt_scheduled_at,
            started_at,
            schedule_to_close_timeout: attributes.schedule_to_close_timeout,
            start_to_close_timeout: attributes.start_to_close_timeout,
            heartbeat_timeout: attributes.heartbeat_timeout,
            retry_policy: attributes.retry_policy.clone(),
        };
        if !self
            .queues
            .send(session, ToWorker::ActivityTask(Box::new(task)))
        {
            self.note_gone(session);
        }
    }

    /// Tells the workers of an attempt to stop.
    pub(super) fn cancel_activity(&mut self, run: &Run, scheduled_event_id: EventId, attempt: u32) {
        for (session, hand_out) in self
            .queues
            .runners(run.run_id(), scheduled_event_id, attempt)
        {
            let token = hand_out.token(&run.key);
            // A worker that is gone has stopped already.
            self.queues.send(session, ToWorker::CancelActivity(token));
        }
    }
}

/// Returns what tells the hand-outs of this folding from those of others.
fn incarnation_of(run: &Run) -> u64 {
    #[cfg(test)]
    if crate::sim::planted::confuses_hand_outs() {
        return 0;
    }
    run.incarnation
}
