//! The clients of a simulation: what they ask, and whether what they are told is so.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use futures::future::join_all;
use history::{
    EventId, EventKind, RequestId, RunId, SignalName, Status, WorkflowExecution, WorkflowId,
    WorkflowType,
    decide::{Parent, Rejection, Signal, StartWorkflow, Terminate},
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    namespace::ns,
    network,
    program::{self, Step, Total},
    run::Simulation,
    scenario::{Workflow, waiting},
    world::{chance, dawdle},
};
use crate::{
    Closed, Error, Started,
    owner::message::Message,
    words::{Delivery, Key, Op, Request, StartReply},
};

impl Simulation<'_> {
    /// Starts a workflow whose parent is with another member, and has all requests between them get lost from then on.
    pub(super) async fn start_unheard(&self, workflow_id: &WorkflowId, step: Step) {
        let state = || self.outside.memory.state();
        let elsewhere = (0..100)
            .map(|n| WorkflowId::known(format!("elsewhere {n}")))
            .find(|parent| state().are_apart(workflow_id, parent));
        // There never was such a run; only its owner could say so.
        let parent = WorkflowExecution {
            workflow_id: elsewhere.unwrap(),
            run_id: RunId(uuid::Uuid::nil()),
        };
        state().odds.lost_requests = 1000;
        let started = self.start(StartWorkflow {
            parent: Some(Parent {
                namespace: ns().name,
                root: parent.clone(),
                execution: parent,
                initiated_event_id: EventId::FIRST,
            }),
            ..start(workflow_id, "start", &waiting(step))
        });
        started.await.unwrap();
    }

    pub(super) async fn start(&self, start: StartWorkflow) -> Result<Started, Error> {
        self.insist(|reply| Request::Start {
            namespace: ns(),
            request: Box::new(start.clone()),
            reply: StartReply::Caller {
                reply,
                closed: None,
            },
        })
        .await
    }

    /// Starts a workflow, signals it, perhaps terminates it, and holds what it is told against what is stored.
    pub(super) async fn client(&self, begun: Instant, n: usize, workflow: &Workflow) {
        let workflow_id = WorkflowId::known(format!("w{n}"));
        let at = |millis| begun + Duration::from_millis(millis);
        sleep_until(at(workflow.starts_at)).await;
        let started = self.start(start(&workflow_id, "start", workflow)).await;
        let first = match started {
            Ok(Started { run_id, .. }) => {
                if !self.outside.memory.state().run_exists(run_id) {
                    self.violation(format!(
                        "{workflow_id}: an acknowledged start is not stored"
                    ));
                }
                run_id
            }
            Err(error) => {
                return self.violation(format!("{workflow_id}: its start was refused: {error}"));
            }
        };
        let signals = join_all(
            workflow
                .signals
                .iter()
                .enumerate()
                .map(|(k, (when, value))| {
                    let workflow_id = workflow_id.clone();
                    let when = at(*when);
                    async move {
                        sleep_until(when).await;
                        if self.signal(&workflow_id, workflow, k, *value).await
                            && chance(|rng| rng.u32(0..3)) == 0
                        {
                            // As if the answer had been lost: to whichever run there is by then.
                            dawdle(4000).await;
                            if !self.signal(&workflow_id, workflow, k, *value).await {
                                self.violation(format!(
                                    "{workflow_id}: a signal that was heard is refused"
                                ));
                            }
                        }
                    }
                }),
        );
        let terminated = async {
            if let Some(when) = workflow.terminated_at {
                sleep_until(at(when)).await;
                self.terminate(&workflow_id).await;
            }
        };
        let wanted = join_all(workflow.wanted_at.iter().map(|when| {
            let (workflow_id, when) = (&workflow_id, at(*when));
            async move {
                sleep_until(when).await;
                self.want(workflow_id, workflow).await;
            }
        }));
        let attached = join_all(workflow.attached_at.iter().map(|when| {
            let (workflow_id, when) = (&workflow_id, at(*when));
            async move {
                sleep_until(when).await;
                self.attach(workflow_id, workflow).await;
            }
        }));
        let ended = async {
            // Half of them are looked at from outside, so that nobody's question wakes them.
            while n.is_multiple_of(2) && self.outside.memory.state().is_open(&workflow_id) {
                sleep(Duration::from_millis(50)).await;
            }
            self.end(&workflow_id, workflow).await;
        };
        tokio::join!(signals, terminated, wanted, attached, ended);
        if workflow.taken_over {
            self.take_over(&workflow_id, workflow, first).await;
        }
        if workflow.replaced > 0 {
            self.replace(&workflow_id, workflow).await;
        }
    }

    /// Wants a workflow to run, and after a while asks for it again: as if the answer had been lost.
    async fn attach(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let request = StartWorkflow {
            reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
            conflict_policy: WorkflowIdConflictPolicy::UseExisting,
            ..start(workflow_id, "attach", workflow)
        };
        if let Ok(answer) = self.start(request.clone()).await {
            dawdle(3000).await;
            self.is_answered(request, answer).await;
        }
    }

    /// Starts another run of an id that has ended; then all that was asked of the first one is asked again, and has no effect.
    async fn take_over(&self, workflow_id: &WorkflowId, workflow: &Workflow, first: RunId) {
        let mut next = waiting(Step::Timer { millis: 300 });
        // One that is served.
        next.program.queue = workflow.program.queue;
        let request = start(workflow_id, "next", &next);
        let second = match self.start(request.clone()).await {
            Ok(answer) if answer.started && answer.run_id != first => answer,
            other => {
                return self.violation(format!(
                    "{workflow_id}: another start of it was answered with {other:?}"
                ));
            }
        };
        let first = Started {
            run_id: first,
            started: true,
        };
        let again = start(workflow_id, "start", workflow);
        self.is_answered(again.clone(), first).await;
        for (k, (_, value)) in workflow.signals.iter().enumerate() {
            self.signal(workflow_id, workflow, k, *value).await;
        }
        self.is_answered(request, second).await;
        let closed = self
            .insist(|reply| Request::On {
                key: key(workflow_id),
                run_id: Some(second.run_id),
                op: Op::WaitClosed { reply },
            })
            .await;
        if let Ok(Closed { event, .. }) = closed
            && let EventKind::WorkflowExecutionCompleted(a) = &event.kind
        {
            let Total { signals, .. } = program::read(&a.result);
            if signals != 0 && workflow.terminated_at.is_none() {
                self.violation(format!(
                    "{workflow_id}: its next run was sent what the one before had heard"
                ));
            }
        }
        self.is_answered(again, first).await;
    }

    /// Several want to run an id at once, each in the place of whatever runs: each gets a run of its own, of which all but those that
    /// ended before the next one came are terminated.
    async fn replace(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let mut next = waiting(Step::Timer { millis: 300 });
        next.program.queue = workflow.program.queue;
        let request = |k| StartWorkflow {
            conflict_policy: WorkflowIdConflictPolicy::TerminateExisting,
            ..start(workflow_id, &format!("replace {k}"), &next)
        };
        let rivals = (0..workflow.replaced).map(|k| async move {
            dawdle(200).await;
            self.start(request(k)).await
        });
        let mut runs = BTreeSet::new();
        for (k, answer) in join_all(rivals).await.into_iter().enumerate() {
            match answer {
                Ok(answer) if answer.started && runs.insert(answer.run_id) => {
                    self.is_answered(request(k), answer).await;
                }
                other => self.violation(format!(
                    "{workflow_id}: a start in the place of what runs was answered with {other:?}"
                )),
            }
        }
        let mut completed = 0;
        for run_id in runs {
            let closed = self
                .insist(|reply| Request::On {
                    key: key(workflow_id),
                    run_id: Some(run_id),
                    op: Op::WaitClosed { reply },
                })
                .await;
            match closed.map(|closed| closed.status) {
                Ok(Status::Completed) => completed += 1,
                Ok(Status::Terminated) => {}
                other => self.violation(format!(
                    "{workflow_id}: a run that was to be replaced ended as {other:?}"
                )),
            }
        }
        if completed == 0 {
            self.violation(format!("{workflow_id}: none of its rivals lives"));
        }
    }

    /// Sends a start again, and looks whether it is answered as it was.
    async fn is_answered(&self, request: StartWorkflow, before: Started) {
        let workflow_id = request.workflow_id.clone();
        match self.start(request).await {
            Ok(answer) if answer == before => {}
            other => self.violation(format!(
                "{workflow_id}: a start that was answered with {before:?} is answered with {other:?}"
            )),
        }
    }

    /// Starts a workflow of an id that is used already, and looks whether what it is told was so when it asked.
    async fn want(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let closed_before = Cell::new(Vec::new());
        let answer = self
            .insist(|reply| {
                closed_before.set(self.outside.memory.state().closed(workflow_id));
                Request::Start {
                    namespace: ns(),
                    request: Box::new(StartWorkflow {
                        reuse_policy: WorkflowIdReusePolicy::RejectDuplicate,
                        ..start(workflow_id, "want", workflow)
                    }),
                    reply: StartReply::Caller {
                        reply,
                        closed: None,
                    },
                }
            })
            .await;
        match answer {
            Err(Error::Rejected(Rejection::WorkflowAlreadyStarted { run_id, .. })) => {
                if closed_before.take().contains(&run_id) {
                    self.violation(format!(
                        "{workflow_id}: a start was refused for {run_id}, which was closed"
                    ));
                }
            }
            Err(Error::Rejected(Rejection::WorkflowIdReuseRefused { .. })) => {}
            other => self.violation(format!(
                "{workflow_id}: a second start was answered with {other:?}"
            )),
        }
    }

    /// Sends a signal, and says whether it was heard.
    pub(super) async fn signal(
        &self,
        workflow_id: &WorkflowId,
        workflow: &Workflow,
        k: usize,
        value: i64,
    ) -> bool {
        let request = format!("{workflow_id} signal {k}.");
        let answer = self
            .insist(|reply| {
                on(
                    workflow_id,
                    Op::of_client(
                        Delivery::Signal(Box::new(Signal {
                            signal_name: SignalName::known("signal"),
                            input: program::json(&value),
                            header: Default::default(),
                            identity: None,
                            request_id: Some(RequestId::known(&request)),
                            external: None,
                        })),
                        reply,
                    ),
                )
            })
            .await;
        let stored = self.outside.memory.state().mentions(workflow_id, &request);
        let heard = answer.is_ok();
        match answer {
            Ok(()) if !stored => {
                self.violation(format!(
                    "{workflow_id}: an acknowledged signal is not stored"
                ));
            }
            Err(error) if !stored && workflow.terminated_at.is_none() => {
                self.violation(format!("{workflow_id}: a signal was refused: {error}"));
            }
            _ => {}
        }
        heard
    }

    pub(super) async fn terminate(&self, workflow_id: &WorkflowId) {
        // Refused only when it is closed, which `end` looks at.
        let _ = self
            .insist(|reply| {
                on(
                    workflow_id,
                    Op::of_client(
                        Delivery::Terminate(Box::new(Terminate {
                            reason: "planned".to_owned(),
                            details: Default::default(),
                            identity: None,
                        })),
                        reply,
                    ),
                )
            })
            .await;
    }

    /// Waits for the end of a workflow and compares its result.
    async fn end(&self, workflow_id: &WorkflowId, workflow: &Workflow) {
        let closed: Closed = loop {
            let closed = self
                .insist(|reply| on(workflow_id, Op::WaitClosed { reply }))
                .await;
            match closed {
                Ok(closed) if closed.status == Status::ContinuedAsNew => {}
                Ok(closed) => break closed,
                Err(error) => {
                    return self.violation(format!("{workflow_id}: its end is not told: {error}"));
                }
            }
        };
        let stored = self.outside.memory.state().records(closed.run_id);
        let event = serde_json::to_string(&closed.event).unwrap_or_default();
        if !stored.contains(&event) {
            self.violation(format!(
                "{workflow_id}: the end that was told is not stored: {event}"
            ));
        }
        match &closed.event.kind {
            EventKind::WorkflowExecutionCompleted(a) => {
                let result: Total = program::read(&a.result);
                let signals = workflow.signals.iter().map(|(_, value)| value).sum();
                let expected = workflow.program.oracle(signals);
                if result != expected {
                    self.violation(format!(
                        "{workflow_id} returned {result:?}, not {expected:?}"
                    ));
                }
            }
            EventKind::WorkflowExecutionTerminated(_) if workflow.terminated_at.is_some() => {}
            kind => self.violation(format!("{workflow_id} ended with {}", kind.name())),
        }
    }

    /// Asks the owner, whoever that is, until it answers something that trying again does not change.
    async fn insist<T>(
        &self,
        request: impl Fn(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let mut told = None;
        loop {
            let asked = told
                .take()
                .unwrap_or_else(|| chance(|rng| rng.usize(..self.hosts.len())));
            if let Some(owner) = self.owner(asked) {
                let (reply, answer) = oneshot::channel();
                // Its answer may take as long as a workflow does.
                if owner.send(Message::Request(request(reply))).is_ok()
                    && let Ok(Ok(answer)) = timeout(Duration::from_millis(1500), answer).await
                {
                    match answer {
                        Err(Error::NotOwner { owner }) => {
                            told = owner.as_deref().and_then(network::number);
                        }
                        Err(Error::Unavailable(_) | Error::Store(_)) => {}
                        answer => return answer,
                    }
                }
            }
            dawdle(50).await;
        }
    }
}

fn on(workflow_id: &WorkflowId, op: Op) -> Request {
    Request::On {
        key: key(workflow_id),
        run_id: None,
        op,
    }
}

fn key(workflow_id: &WorkflowId) -> Key {
    Key {
        namespace: ns(),
        workflow_id: workflow_id.clone(),
    }
}

pub(super) fn start(workflow_id: &WorkflowId, request: &str, workflow: &Workflow) -> StartWorkflow {
    StartWorkflow {
        workflow_id: workflow_id.clone(),
        workflow_type: WorkflowType::known("program"),
        task_queue: program::queue(workflow.program.queue),
        input: program::start_input(&workflow.program),
        workflow_execution_timeout: Default::default(),
        workflow_run_timeout: Default::default(),
        workflow_task_timeout: Default::default(),
        request_id: RequestId::known(format!("{workflow_id} {request}")),
        identity: None,
        reuse_policy: Default::default(),
        conflict_policy: Default::default(),
        retry_policy: None,
        cron_schedule: String::new(),
        start_delay: Default::default(),
        memo: Default::default(),
        search_attributes: Default::default(),
        header: Default::default(),
        parent: None,
        continued: None,
    }
}
