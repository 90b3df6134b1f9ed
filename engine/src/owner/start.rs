//! A start: of a new id at once, of a known one by its policies, of an unknown one in the hope that it is new.
//!
//! Whether an id was ever used is not asked beforehand. The commit itself finds out: it writes nothing
//! of a run whose id means another one ([`crate::store::commit`]), and the start is decided again with that run at hand.

use history::{
    RunId,
    decide::{self, Decision, Existing, OnExisting, Rejection, StartWorkflow, Terminate},
    event::StartChildFailedCause,
    execution::Corrupt,
};
use tokio::time::Instant;

use crate::{
    Error, Started,
    owner::{
        Owner,
        context::{Context, FOLDED_AGAIN, FoldAgain, Step},
        state::{
            origin::Origin,
            run::{Run, Successor},
        },
        step::missed,
    },
    store::{
        commit::{Facts, StartRow},
        namespaces::Ns,
    },
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

    fn start_on_existing(
        &mut self,
        key: Key,
        existing: RunId,
        request: Box<StartWorkflow>,
        reply: StartReply,
    ) {
        let Some(run) = self.runs.get(&existing) else {
            missed(existing);
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
        let answer = match on_existing {
            Ok(OnExisting::StartNew) => {
                return self.start_new(key, request, reply, Some(existing));
            }
            Ok(OnExisting::TerminateThenStart) => {
                return self.step_here(existing, |context, run| {
                    context.terminate_then_start(run, request, reply)
                });
            }
            Ok(OnExisting::UseExisting) => {
                return self.step_here(existing, |context, run| {
                    context.attach_start(run, &request, reply)
                });
            }
            Ok(OnExisting::Repeated { run_id, began }) => Ok(Started {
                run_id,
                started: began,
            }),
            Err(rejection) => Err(rejection.into()),
        };
        self.step_here(existing, |context, run| {
            context.tell_when_durable(run, Answer::Start { reply, answer })
        });
    }

    /// Starts a run of an id that means `previous` now, or nothing.
    pub(super) fn start_new(
        &mut self,
        key: Key,
        request: Box<StartWorkflow>,
        reply: StartReply,
        previous: Option<RunId>,
    ) {
        let (now, run_id) = (self.context.now(), self.context.new_run_id());
        let before = previous.and_then(|previous| self.runs.get(&previous));
        let decision = match before {
            Some(before) => decide::start_after(&before.execution, run_id, &request, now),
            None => decide::start(&key.namespace.name, run_id, &request, now),
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(rejection) => return self.answer_start(reply, Err(rejection.into())),
        };
        self.context.incarnations += 1;
        let beginning = Beginning {
            run_id,
            incarnation: self.context.incarnations,
            previous,
        };
        let begun = self.context.begin(key, beginning, &request, decision);
        let Ok(mut run) = begun else {
            return self.answer_start(reply, Err(FOLDED_AGAIN));
        };
        run.origin = Some(Origin {
            request,
            reply,
            behind: Vec::new(),
        });
        self.insert(run);
        self.step_here(run_id, Context::settle);
    }

    /// Tells the outcome of a start to whoever asked for it.
    pub(super) fn answer_start(&mut self, reply: StartReply, answer: Result<Started, Error>) {
        match reply {
            StartReply::Caller { reply, closed } => {
                // One that is gone is waited for by whoever asked, with another request.
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
                self.context.report(parent, initiated_event_id, outcome);
            }
        }
    }
}

impl Context {
    /// Returns a new run id of this moment, greater than all before it: lists sort by it.
    pub(super) fn new_run_id(&mut self) -> RunId {
        self.last_run_id_micros = self.now().0.max(self.last_run_id_micros + 1);
        run_id_at(
            self.last_run_id_micros,
            self.setup.world.uuid().as_u64_pair().1,
        )
    }

    /// Returns a run whose start was decided, with what that asks for staged.
    pub(super) fn begin(
        &mut self,
        key: Key,
        beginning: Beginning,
        request: &StartWorkflow,
        decision: Decision,
    ) -> Step<Box<Run>> {
        let Beginning {
            run_id,
            incarnation,
            previous,
        } = beginning;
        let Decision {
            records,
            effects,
            refusal,
        } = decision;
        let mut records = records.into_iter();
        let Some(first) = records.next() else {
            return Err(FoldAgain("a start has no records"));
        };
        let run = Run::begin(key, run_id, incarnation, first, Instant::now());
        let mut run = Box::new(run.map_err(|corrupt| cant_begin(&corrupt))?);
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
            started_at: run.execution.started_at(),
            execution_at: Some(run.execution.execution_time())
                .filter(|begins| *begins > run.execution.started_at()),
            root: run.execution.started().root_workflow_execution.clone(),
            facts: Facts::default(),
        });
        let rest = Decision {
            records: records.collect(),
            effects,
            refusal,
        };
        self.record(&mut run, rest)?;
        Ok(run)
    }

    /// Returns the run that follows one that closes, which is to be written with it.
    pub(super) fn begin_successor(
        &mut self,
        run: &Run,
        run_id: RunId,
        request: &StartWorkflow,
        decision: Decision,
    ) -> Step<Box<Run>> {
        let beginning = Beginning {
            run_id,
            incarnation: run.incarnation,
            previous: Some(run.run_id()),
        };
        self.begin(run.key.clone(), beginning, request, decision)
    }

    /// Notes a start that uses a run which is there.
    fn attach_start(&mut self, run: &mut Run, request: &StartWorkflow, reply: StartReply) -> Step {
        let decision = decide::attach_start(&run.execution, &request.request_id, self.now());
        let answer = Ok(Started {
            run_id: run.run_id(),
            started: false,
        });
        let answer = self.record_for(run, decision, Answer::Start { reply, answer })?;
        self.tell_when_durable(run, answer)?;
        self.settle(run)
    }

    /// Terminates the open run of an id and starts another; both are written together, or neither is.
    fn terminate_then_start(
        &mut self,
        run: &mut Run,
        request: Box<StartWorkflow>,
        reply: StartReply,
    ) -> Step {
        let terminate = Terminate {
            reason: "a new run was started with a policy that terminates the one before".to_owned(),
            details: history::Payloads::default(),
            identity: request.identity.clone(),
        };
        let (now, run_id) = (self.now(), self.new_run_id());
        let terminated = decide::terminate(&run.execution, &terminate, now);
        let started = decide::start_after(&run.execution, run_id, &request, now);
        let (terminated, started) = match (terminated, started) {
            (Ok(terminated), Ok(started)) => (terminated, started),
            (Err(rejection), _) | (_, Err(rejection)) => {
                self.tell_next(Answer::Start {
                    reply,
                    answer: Err(rejection.into()),
                });
                return Ok(());
            }
        };
        let recorded = self.record(run, terminated);
        let begun = recorded.and_then(|()| self.begin_successor(run, run_id, &request, started));
        let mut next = match begun {
            Ok(next) => next,
            Err(again) => {
                let answer = Err(FOLDED_AGAIN);
                self.tell_next(Answer::Start { reply, answer });
                return Err(again);
            }
        };
        next.origin = Some(Origin {
            request,
            reply,
            behind: Vec::new(),
        });
        run.successor = Successor::Staged(next);
        self.settle(run)
    }
}

/// The core refuses its own decision: a bug in it.
fn cant_begin(corrupt: &Corrupt) -> FoldAgain {
    tracing::error!(
        error = corrupt as &dyn std::error::Error,
        "a run can't begin"
    );
    FoldAgain("a run can't begin")
}

/// A run that is to begin.
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    pub(super) run_id: RunId,
    /// That of the run before, with which it is written, or one of its own.
    pub(super) incarnation: u64,
    /// The run that the id means until then.
    pub(super) previous: Option<RunId>,
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
