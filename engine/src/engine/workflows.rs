//! What is asked of workflows. A request that does something is answered after its commit.

use std::{sync::atomic::Ordering, time::Duration};

use history::{
    Event, EventId, Namespace, RunId,
    decide::{RequestCancel, Signal, StartWorkflow, Terminate},
};
use tokio::sync::oneshot;

use crate::{
    Closed, Description, Engine, Error, Started,
    admission::{Admitted, Bytes},
    limits,
    membership::Membership,
    shard, store,
    words::{Address, Delivery, HistoryPage, Key, Op, Request, StartReply, Waited},
};

impl Engine {
    /// Starts a workflow. Answers after the commit.
    pub async fn start_workflow(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
    ) -> Result<Started, Error> {
        self.check_search_attributes(namespace, &request.search_attributes)
            .await?;
        let _waits = self.admit(&request)?;
        let (reply, answer) = oneshot::channel();
        self.start(namespace, request, reply, None)?;
        answer
            .await
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?
    }

    /// Starts a workflow and waits for its end, and of the runs that follow it, at most for `wait` in all.
    pub async fn execute_workflow(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
        wait: Duration,
    ) -> Result<(Started, Waited), Error> {
        self.check_search_attributes(namespace, &request.search_attributes)
            .await?;
        let mut admitted = self.admit(&request)?;
        let workflow_id = request.workflow_id.clone();
        let (reply, answer) = oneshot::channel();
        let (closed_reply, closed) = oneshot::channel();
        self.start(namespace, request, reply, Some(closed_reply))?;
        let lost = |_| Error::Unavailable("the engine lost its ownership");
        let until = tokio::time::Instant::now() + wait;
        let started = answer.await.map_err(lost)??;
        // What it brought is the workflow's now.
        admitted.gives_back();
        let closed = tokio::time::timeout_at(until, closed).await;
        let run_id = match closed {
            // It is open still; or its shard went elsewhere, where its end can be asked for.
            Err(_) | Ok(Ok(Err(Error::NotOwner { .. }))) => {
                return Ok((started, Waited::Open(started.run_id)));
            }
            Ok(Ok(closed)) => {
                let closed = closed?;
                match new_run(&closed.event) {
                    None => return Ok((started, Waited::Closed(closed))),
                    Some(run_id) => run_id,
                }
            }
            // It was over, and out of memory, before this start of it could be answered.
            Ok(Err(_)) => started.run_id,
        };
        let address = Address {
            namespace: namespace.clone(),
            workflow_id,
            run_id: Some(run_id),
        };
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        Ok((started, self.result(&address, left).await?))
    }

    fn start(
        &self,
        namespace: &Namespace,
        request: StartWorkflow,
        reply: oneshot::Sender<Result<Started, Error>>,
        closed: Option<oneshot::Sender<Result<Closed, Error>>>,
    ) -> Result<(), Error> {
        let namespace = self.inner.namespaces.get(namespace)?;
        self.send(Request::Start {
            namespace,
            request: Box::new(request),
            reply: StartReply::Caller { reply, closed },
        })
    }

    /// Waits for the end of a workflow, and of the runs that follow it, at most for `wait` in all. What has ended is told however
    /// short the wait, also when it has to be read first.
    pub async fn result(&self, address: &Address, wait: Duration) -> Result<Waited, Error> {
        let until = tokio::time::Instant::now() + wait;
        let mut address = address.clone();
        loop {
            let asked = self.ask(&address, self.read()?, |reply| Op::WaitClosed { reply });
            let closed = match tokio::time::timeout_at(until, asked).await {
                Ok(closed) => closed?,
                Err(_elapsed) => {
                    let run = self.describe(&address).await?;
                    if run.status.is_open() {
                        return Ok(Waited::Open(run.run_id));
                    }
                    address.run_id = Some(run.run_id);
                    self.ask(&address, self.read()?, |reply| Op::WaitClosed { reply })
                        .await?
                }
            };
            match new_run(&closed.event) {
                None => return Ok(Waited::Closed(closed)),
                next => address.run_id = next,
            }
        }
    }

    /// Returns the state of a run.
    pub async fn describe(&self, address: &Address) -> Result<Description, Error> {
        self.ask(address, self.read()?, |reply| Op::Describe { reply })
            .await
    }

    /// Returns the durable events after `after`, at most `limit` of them. When there is none yet and the
    /// run is open, waits for one, at most for `wait`.
    pub async fn history(
        &self,
        address: &Address,
        after: EventId,
        limit: usize,
        wait: Duration,
    ) -> Result<HistoryPage, Error> {
        let asked = self.ask(address, self.read()?, |reply| Op::WaitEvents {
            after,
            reply,
        });
        let reached = match tokio::time::timeout(wait.max(Duration::from_millis(1)), asked).await {
            Ok(reached) => reached?,
            Err(_elapsed) => {
                self.ask(address, self.read()?, |reply| Op::WaitEvents {
                    after: EventId::NONE,
                    reply,
                })
                .await?
            }
        };
        let shard = shard::of(&address.namespace, &address.workflow_id);
        let (run_id, limit) = (reached.run_id, limit.min(limits::HISTORY_PAGE_MAX));
        let page = store::events::history_page(&self.inner.reads, shard, run_id, after, limit);
        let events = self.unless_away(page, limits::PING_TIMEOUT).await??;
        let last = events.last().map_or(after, |event| event.id);
        Ok(HistoryPage {
            run_id,
            closed: reached.closed && last >= reached.last,
            events,
        })
    }

    /// Sends a signal. Answers after the commit.
    pub async fn signal(&self, address: &Address, signal: Signal) -> Result<(), Error> {
        let admitted = self.admit(&signal)?;
        let signal = Delivery::Signal(Box::new(signal));
        self.ask(address, admitted, |reply| Op::of_client(signal, reply))
            .await
    }

    /// Asks a workflow to cancel. Answers after the commit; the workflow decides.
    pub async fn request_cancel(
        &self,
        address: &Address,
        cancel: RequestCancel,
    ) -> Result<(), Error> {
        let admitted = self.admit(&cancel)?;
        let cancel = Delivery::RequestCancel(Box::new(cancel));
        self.ask(address, admitted, |reply| Op::of_client(cancel, reply))
            .await
    }

    /// Ends a workflow without asking it. Answers after the commit.
    pub async fn terminate(&self, address: &Address, terminate: Terminate) -> Result<(), Error> {
        // It frees memory, so it need not find any.
        let admitted = self.inner.admission.admit(terminate.bytes())?;
        let terminate = Delivery::Terminate(Box::new(terminate));
        self.ask(address, admitted, |reply| Op::of_client(terminate, reply))
            .await
    }

    /// Sends an operation to a workflow and waits for its answer.
    async fn ask<T>(
        &self,
        address: &Address,
        _admitted: Admitted,
        op: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Op,
    ) -> Result<T, Error> {
        let namespace = self.inner.namespaces.get(&address.namespace)?;
        let (reply, answer) = oneshot::channel();
        let key = Key {
            namespace,
            workflow_id: address.workflow_id.clone(),
        };
        self.send(Request::On {
            key,
            run_id: address.run_id,
            op: op(reply),
        })?;
        answer
            .await
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?
    }

    /// Lets a request in that brings something to keep, if there is memory for it.
    fn admit(&self, request: &impl Bytes) -> Result<Admitted, Error> {
        let full = match &*self.inner.role.borrow() {
            Membership::Member { full, .. } => full.load(Ordering::Relaxed),
            Membership::Leaving { .. } | Membership::Outside { .. } => false,
        };
        if full {
            return Err(Error::Unavailable(
                "the workflows under way take too much memory",
            ));
        }
        self.inner.admission.admit(request.bytes())
    }

    /// Lets a request in that brings nothing.
    fn read(&self) -> Result<Admitted, Error> {
        self.inner.admission.admit(0)
    }

    /// Reads something; for so long only while the database counts as away.
    pub(super) async fn unless_away<T>(
        &self,
        read: impl Future<Output = T>,
        patience: Duration,
    ) -> Result<T, Error> {
        let mut role = self.inner.role.clone();
        let is_away = |state: &Membership| matches!(state.refusal(), Error::DatabaseAway(_));
        let away = async {
            loop {
                // Whoever would say so has ended when there is an error; what is read is read all the same.
                role.wait_for(is_away).await.ok()?;
                tokio::time::sleep(patience).await;
                let state = role.borrow_and_update();
                if is_away(&state) {
                    break Some(state.refusal());
                }
            }
        };
        tokio::select! {
            biased;
            read = read => Ok(read),
            Some(refusal) = away => Err(refusal),
        }
    }
}

/// Returns the run that follows a close, if one does.
fn new_run(event: &Event) -> Option<RunId> {
    use history::EventKind as K;
    match &event.kind {
        K::WorkflowExecutionContinuedAsNew(attributes) => Some(attributes.new_execution_run_id),
        K::WorkflowExecutionCompleted(attributes) => attributes.new_execution_run_id,
        K::WorkflowExecutionFailed(attributes) => attributes.new_execution_run_id,
        K::WorkflowExecutionTimedOut(attributes) => attributes.new_execution_run_id,
        _ => None,
    }
}
