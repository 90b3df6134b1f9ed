//! Runs that are not in memory: read, folded, and put back to work.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use history::{
    RunId, decide,
    execution::{AttemptState, WorkflowTaskState},
};
use tokio::time::Instant;

use crate::{
    Error,
    limits::READ_AGAIN_AFTER,
    owner::{
        Owner,
        context::{Context, Step},
        message::Message,
        state::{loading::Loading, run::Run, task_place::TaskPlace},
    },
    store::{self, load::Loaded},
    words::{Key, Op, Reply, Request},
};

impl Owner {
    /// A run leaves memory: what is being read of it may be older than what was written.
    pub(super) fn outdate(&mut self, key: &Key, run_id: RunId) {
        #[cfg(test)]
        if crate::sim::planted::trusts_old_reads() {
            return;
        }
        if self.loading.is_empty() {
            return;
        }
        for asked in [None, Some(run_id)] {
            if let Some(loading) = self.loading.get_mut(&(key.clone(), asked)) {
                loading.stale = true;
            }
        }
    }

    /// Reads a run, or the run that an id means; what waits for it is handled then.
    pub(super) fn load(&mut self, key: Key, run_id: Option<RunId>, waiting: Vec<Request>) {
        self.load_after(Duration::ZERO, key, run_id, waiting);
    }

    /// Reads a run that has something to do, after a pause.
    pub(super) fn load_later(&mut self, key: Key, run_id: RunId) {
        let look = Request::look(key.clone(), run_id);
        self.load_after(READ_AGAIN_AFTER, key, Some(run_id), vec![look]);
    }

    fn load_after(
        &mut self,
        pause: Duration,
        key: Key,
        run_id: Option<RunId>,
        waiting: Vec<Request>,
    ) {
        if let Some(loading) = self.loading.get_mut(&(key.clone(), run_id)) {
            loading.waiting.extend(waiting);
            return;
        }
        let store = Arc::clone(&self.context.setup.store);
        let shard = key.shard();
        let generation = self.context.shards.generation(shard);
        let loading = Loading {
            waiting,
            stale: false,
        };
        self.loading.insert((key.clone(), run_id), loading);
        self.context.elsewhere.push(
            async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                let loaded = store
                    .load(&key.namespace, shard, &key.workflow_id, run_id)
                    .await
                    .map(|loaded| loaded.map(Box::new));
                Message::Loaded {
                    key,
                    run_id,
                    generation,
                    loaded,
                }
            }
            .boxed(),
        );
    }

    pub(super) fn loaded(
        &mut self,
        key: &Key,
        asked: Option<RunId>,
        loaded: Result<Option<Box<Loaded>>, store::Error>,
    ) {
        let Loading { waiting, stale } = self
            .loading
            .remove(&(key.clone(), asked))
            .unwrap_or_default();
        if stale {
            return self.load(key.clone(), asked, waiting);
        }
        match loaded {
            Ok(Some(loaded)) => {
                let run_id = loaded.execution.run_id();
                self.just_read = Some(run_id);
                if !self.runs.contains_key(&run_id) {
                    self.take_in(key.clone(), *loaded);
                }
                // Asked for by its id alone, the run is the current one, even when it is closed; unless another has followed it here.
                let is_there = self.runs.contains_key(&run_id);
                if asked.is_none() && is_there && !self.current.contains_key(key) {
                    self.current.insert(key.clone(), run_id);
                }
                for request in waiting {
                    self.request(request);
                }
                self.just_read = None;
                self.forget_if_over(run_id);
            }
            Ok(None) => {
                for request in waiting {
                    self.none_there(key, asked, request);
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, workflow_id = %key.workflow_id, "a run can't be read");
                let passing = is_passing(&error);
                let mut has_work = false;
                for request in waiting {
                    match request {
                        // It delivers again what is outstanding when it is folded, so these are not kept.
                        Request::On {
                            op: Op::Look | Op::Report(_),
                            ..
                        } => has_work = passing,
                        request => self.turn_away(request, unread(key, &error)),
                    }
                }
                if let Some(run_id) = asked
                    && has_work
                {
                    self.load_later(key.clone(), run_id);
                }
            }
        }
    }

    /// Handles a request that has waited for a run which is not there.
    fn none_there(&mut self, key: &Key, asked: Option<RunId>, request: Request) {
        // The first of those that waited may have started it.
        if self.current.contains_key(key) && asked.is_none() {
            return self.request(request);
        }
        match request {
            Request::Start { request, reply, .. } => {
                self.start_new(key.clone(), request, reply, None);
            }
            Request::On { key, run_id, op } => {
                let workflow_id = key.workflow_id;
                let not_found = Error::WorkflowNotFound {
                    workflow_id,
                    run_id,
                };
                self.refuse(op, not_found);
            }
        }
    }

    /// Puts a folded run into memory, and to work.
    pub(super) fn take_in(&mut self, key: Key, loaded: Loaded) {
        self.context.incarnations += 1;
        let run_id = loaded.execution.run_id();
        let current = loaded.current;
        let mut run = Box::new(Run::loaded(
            key.clone(),
            loaded,
            self.context.incarnations,
            Instant::now(),
        ));
        if current && run.execution.is_open() {
            self.current.insert(key, run_id);
        }
        self.context.bring_back(&mut run);
        self.runs.insert(run_id, run);
        self.step_here(run_id, Context::put_to_work);
    }
}

impl Context {
    /// Gives a run that is read again what was kept of it.
    fn bring_back(&mut self, run: &mut Run) {
        let run_id = run.run_id();
        run.waiters = self.memory.waiters(run_id).unwrap_or_default();
        self.reading.back(run_id);
        if self.backlog.back(run_id) {
            run.task = TaskPlace::Queued;
        }
        self.remember(run_id, run.looked_at);
        if run.waits_for_other_code() {
            self.note_failing(run_id);
        }
        self.weigh(run);
    }

    /// Does what a crash may have left undone. A workflow task that was with a worker is lost: what it asks for
    /// would be built on another folding.
    fn put_to_work(&mut self, run: &mut Run) -> Step {
        self.lose_attempts(run)?;
        if run
            .execution
            .workflow_task()
            .is_some_and(WorkflowTaskState::is_started)
        {
            let decision = decide::lose_workflow_task(&run.execution, self.now());
            self.carry_out(run, decision, Reply::None)?;
        }
        self.deliver_outstanding(run, |_| true)?;
        self.fire_due(run)?;
        self.settle(run)
    }

    /// Ends the attempts of which this member knows no worker: those that the owner before had handed out, and those whose worker went
    /// while the run was being read.
    fn lose_attempts(&mut self, run: &mut Run) -> Step {
        let (now, run_id) = (self.now(), run.run_id());
        let started: Vec<_> = run
            .execution
            .activities()
            .filter(|activity| matches!(activity.state, AttemptState::Started { .. }))
            .map(|activity| (activity.scheduled_event_id(), activity.attempt))
            .filter(|(id, attempt)| !self.queues.is_running(run_id, *id, *attempt))
            .collect();
        for (scheduled_event_id, attempt) in started {
            let decision =
                decide::lose_activity_task(&run.execution, scheduled_event_id, attempt, now);
            self.carry_out(run, decision, Reply::None)?;
        }
        Ok(())
    }
}

/// Returns what is answered about a run that could not be read: to send the request again helps only if that may pass.
fn unread(key: &Key, error: &store::Error) -> Error {
    match error {
        store::Error::Altered { row, problem } => Error::HistoryCorrupt {
            workflow_id: key.workflow_id.clone(),
            row: row.clone(),
            problem: problem.clone(),
        },
        store::Error::Corrupt {
            table,
            row,
            problem,
        } => Error::CorruptRow {
            workflow_id: key.workflow_id.clone(),
            table,
            row: row.clone(),
            problem: problem.clone(),
        },
        _ => Error::Unavailable("the workflow can't be read"),
    }
}

/// Says whether a read may have failed at a single row: at damage where it lies, or at what it holds.
pub(super) fn is_of_a_row(error: &store::Error) -> bool {
    match error {
        store::Error::Sqlx(sqlx::Error::Database(told)) => {
            // Connections, conflicts, resources, locks, and what an operator does are of the server.
            let code = told.code().unwrap_or_default();
            !["08", "40", "53", "55", "57"].contains(&code.get(..2).unwrap_or_default())
        }
        store::Error::Sqlx(error) => matches!(
            error,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
        ),
        _ => false,
    }
}

/// Says whether what could not be read may be read in a while.
pub(super) fn is_passing(error: &store::Error) -> bool {
    matches!(
        error,
        store::Error::Driver(_)
            | store::Error::Sqlx(_)
            | store::Error::Silent
            // Somebody has to put it back; until then nothing is passed over.
            | store::Error::UnknownNamespace { .. }
    )
}
