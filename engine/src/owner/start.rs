//! A start: of a new id at once, of a known one by its policies, of an unknown one in the hope that it is new.
//!
//! Whether an id was ever used is not asked beforehand. The commit itself finds out: it writes nothing
//! of a run whose id means another one ([`crate::store::commit`]), and the start is decided again with that run at hand.

use history::{
    RunId,
    decide::{self, Decision, Existing, OnExisting, Rejection, StartWorkflow, Terminate},
    event::StartChildFailedCause,
};
use tokio::time::Instant;

use crate::{
    Error, Started,
    owner::{
        Owner,
        state::run::{Origin, Run},
    },
    store::{commit::StartRow, namespaces::Ns},
    words::{Answer, DeliveryOutcome, Key, Request, StartReply},
};

impl Owner {
    pub(super) fn start(&mut self, namespace: Ns, request: Box<StartWorkflow>, reply: StartReply) {
        let key = Key {
            namespace: namespace.clone(),
            workflow_id: request.workflow_id.clone(),
        };
        if let Some(loading) = self.loading.get_mut(&(key.clone(), None)) {
            loading.waiting.push(Request::Start {
                namespace,
                request,
                reply,
            });
            return;
        }
        match self.current.get(&key).copied() {
            Some(existing) => {
                if let Some(origin) = self.origin(existing) {
                    return origin.behind.push(Request::Start {
                        namespace,
                        request,
                        reply,
                    });
                }
                self.start_on_existing(key, existing, request, reply);
            }
            None => self.start_new(key, request, reply, None),
        }
    }

    /// Returns the start of a run if that is not durable yet.
    pub(super) fn origin(&mut self, run_id: RunId) -> Option<&mut Origin> {
        self.runs.get_mut(&run_id)?.origin.as_mut()
    }

    /// Returns a new run id of this moment, greater than all before it: lists sort by it.
    pub(super) fn new_run_id(&mut self) -> RunId {
        self.last_run_id_micros = self.now().0.max(self.last_run_id_micros + 1);
        run_id_at(
            self.last_run_id_micros,
            self.setup.world.uuid().as_u64_pair().1,
        )
    }

    fn start_on_existing(
        &mut self,
        key: Key,
        existing: RunId,
        request: Box<StartWorkflow>,
        reply: StartReply,
    ) {
        let Some(run) = self.runs.get(&existing) else {
            self.current.remove(&key);
            return self.start_new(key, request, reply, None);
        };
        let on_existing = decide::start_on_existing(
            &Existing {
                workflow_id: &key.workflow_id,
                run_id: existing,
                status: run.execution.status(),
                heard: run.execution.start_heard(&request.request_id),
            },
            &request,
        );
        match on_existing {
            Ok(OnExisting::StartNew) => self.start_new(key, request, reply, Some(existing)),
            Ok(OnExisting::Repeated { run_id, began }) => {
                let answer = Ok(Started {
                    run_id,
                    started: began,
                });
                self.tell_when_durable(existing, Answer::Start { reply, answer });
            }
            Ok(OnExisting::UseExisting) => {
                let decision =
                    decide::attach_start(&run.execution, &request.request_id, self.now());
                self.record(existing, decision);
                let answer = Ok(Started {
                    run_id: existing,
                    started: false,
                });
                self.tell_when_durable(existing, Answer::Start { reply, answer });
                self.settle(existing);
            }
            Ok(OnExisting::TerminateThenStart) => {
                self.terminate_then_start(key, existing, request, reply);
            }
            Err(rejection) => {
                let answer = Err(rejection.into());
                self.tell_when_durable(existing, Answer::Start { reply, answer });
            }
        }
    }

    /// Terminates the open run of an id and starts another; both are written together, or neither is.
    fn terminate_then_start(
        &mut self,
        key: Key,
        existing: RunId,
        request: Box<StartWorkflow>,
        reply: StartReply,
    ) {
        let terminate = Terminate {
            reason: "a new run was started with a policy that terminates the one before".to_owned(),
            details: history::Payloads::default(),
            identity: request.identity.clone(),
        };
        let (now, run_id) = (self.now(), self.new_run_id());
        let Some(run) = self.runs.get(&existing) else {
            return self.start_new(key, request, reply, Some(existing));
        };
        let incarnation = run.incarnation;
        let Ok(terminated) = decide::terminate(&run.execution, &terminate, now) else {
            // It is closed by now, which is as good.
            return self.start_new(key, request, reply, Some(existing));
        };
        let started = match decide::start_after(&run.execution, run_id, &request, now) {
            Ok(started) => started,
            Err(rejection) => return self.answer_start(reply, Err(rejection.into())),
        };
        self.record(existing, terminated);
        let Some(run) = self.runs.get_mut(&existing) else {
            let folded = Error::Unavailable("the workflow was folded again");
            return self.answer_start(reply, Err(folded));
        };
        run.successor = Some(run_id);
        self.insert_started(key, run_id, &request, Some(existing), incarnation);
        self.begin(run_id, request, reply, started);
        self.settle(existing);
    }

    /// Starts a run of an id that means `previous` now, or nothing.
    pub(super) fn start_new(
        &mut self,
        key: Key,
        request: Box<StartWorkflow>,
        reply: StartReply,
        previous: Option<RunId>,
    ) {
        let (now, run_id) = (self.now(), self.new_run_id());
        let before = previous.and_then(|previous| self.runs.get(&previous));
        let decision = match before {
            Some(before) => decide::start_after(&before.execution, run_id, &request, now),
            None => decide::start(&key.namespace.name, run_id, &request, now),
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(rejection) => return self.answer_start(reply, Err(rejection.into())),
        };
        self.incarnations += 1;
        let incarnation = self.incarnations;
        self.insert_started(key, run_id, &request, previous, incarnation);
        self.begin(run_id, request, reply, decision);
        self.settle(run_id);
    }

    /// Records the start of a run that is in memory, and notes whom to tell when it is durable.
    fn begin(
        &mut self,
        run_id: RunId,
        request: Box<StartWorkflow>,
        reply: StartReply,
        decision: Decision,
    ) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.origin = Some(Origin {
                request,
                reply,
                behind: Vec::new(),
            });
        }
        self.record(run_id, decision);
    }

    /// Puts a run into memory whose start is about to be recorded.
    pub(super) fn insert_started(
        &mut self,
        key: Key,
        run_id: RunId,
        request: &StartWorkflow,
        previous: Option<RunId>,
        incarnation: u64,
    ) {
        let shard = key.shard();
        let mut run = Box::new(Run::new(
            key.clone(),
            shard,
            run_id,
            incarnation,
            Instant::now(),
        ));
        run.writing.start_row = Some(StartRow {
            run_id,
            workflow_type: request.workflow_type.clone(),
            task_queue: request.task_queue.clone(),
            first_run_id: request
                .continued
                .as_ref()
                .map_or(run_id, |continued| continued.first_execution_run_id),
            parent: request
                .parent
                .as_ref()
                .map(|parent| parent.execution.clone()),
            request_id: Some(request.request_id.clone()),
            previous_run_id: previous,
            started_at: self.now(),
        });
        self.current.insert(key, run_id);
        self.remember(run_id, run.looked_at);
        self.runs.insert(run_id, run);
    }

    /// Tells the outcome of a start to whoever asked for it.
    pub(super) fn answer_start(&mut self, reply: StartReply, answer: Result<Started, Error>) {
        match reply {
            StartReply::Caller { reply, closed } => {
                if let (Ok(started), Some(closed)) = (&answer, closed)
                    && let Some(run) = self.runs.get_mut(&started.run_id)
                {
                    match run.closed() {
                        Some(end) => drop(closed.send(Ok(end))),
                        None => run.waiters.wait_closed(closed),
                    }
                }
                // Whoever hung up does not want to know.
                let _ = reply.send(answer);
            }
            StartReply::Parent {
                parent,
                initiated_event_id,
                start,
                namespace,
            } => {
                if !self.is_awaited(&parent) {
                    return;
                }
                let outcome = match answer {
                    Ok(started) => DeliveryOutcome::ChildStarted(started.run_id),
                    Err(Error::Rejected(
                        Rejection::WorkflowAlreadyStarted { .. }
                        | Rejection::WorkflowIdReuseRefused { .. },
                    )) => DeliveryOutcome::ChildStartFailed(
                        StartChildFailedCause::WorkflowAlreadyExists,
                    ),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a child could not be started; trying again"
                        );
                        let run_id = parent.run_id;
                        let again = Request::Start {
                            namespace: namespace.clone(),
                            request: start.clone(),
                            reply: StartReply::Parent {
                                parent,
                                initiated_event_id,
                                start,
                                namespace,
                            },
                        };
                        return self.later(run_id, again);
                    }
                };
                self.report(parent, initiated_event_id, outcome);
            }
        }
    }
}

/// Returns the `UUIDv7` of a moment: milliseconds, then the microseconds in the 12 bits that RFC 9562 (6.2, method 3)
/// leaves to them, then what is random.
fn run_id_at(micros: i64, random: u64) -> RunId {
    let micros = micros.unsigned_abs();
    let fraction = u16::try_from(micros % 1000 * 4096 / 1000).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&(micros / 1000).to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&fraction.to_be_bytes());
    bytes[8..].copy_from_slice(&random.to_be_bytes());
    RunId(
        uuid::Builder::from_bytes(bytes)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_of_one_millisecond_sort_by_their_microseconds() {
        let ids: Vec<RunId> = (0..2000_u32)
            .map(|micros| {
                let random = u64::from(u32::MAX - micros) << 32;
                run_id_at(1_795_413_600_000_000 + i64::from(micros), random)
            })
            .collect();
        assert!(ids.is_sorted_by(|before, after| before < after));
        assert_eq!(ids[0].0.get_version(), Some(uuid::Version::SortRand));
        assert_eq!(
            ids[1999].0.get_timestamp().map(|time| time.to_unix()),
            Some((1_795_413_600, 1_000_000))
        );
    }
}
