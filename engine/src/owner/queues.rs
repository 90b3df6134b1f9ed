//! Task queues: workers with free slots on one side, tasks that wait on the other. In memory; rebuilt from the open runs.

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;
use history::{
    EventId, RunId, TaskQueue,
    task::{Tasks, ToWorker, WorkerHello},
};
use uuid::Uuid;

use crate::{store::load::Ns, world::World};

/// Names a connected worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(Uuid);

impl SessionId {
    pub(crate) fn new(world: World) -> Self {
        Self(world.uuid())
    }
}

/// A connected worker.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: WorkerHello,
    pub(crate) queue: QueueKey,
    tasks: Tasks,
    workflow_slots: u32,
    activity_slots: u32,
    /// Takes no new tasks.
    pub(crate) draining: bool,
    /// The attempts it runs.
    pub(crate) activities: BTreeMap<(RunId, EventId), u32>,
    /// The workflow tasks it has: of a run more than one when it still works on one that has failed meanwhile.
    pub(crate) workflow_tasks: BTreeMap<RunId, u32>,
}

/// Names a task queue.
pub(crate) type QueueKey = (Ns, TaskQueue);

/// What kind of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Workflow,
    Activity,
}

/// An activity that waits for a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitingActivity {
    pub(crate) run_id: RunId,
    pub(crate) scheduled_event_id: EventId,
    pub(crate) attempt: u32,
}

/// One task queue.
#[derive(Debug, Default)]
struct Queue {
    /// Its workers, taken in turn.
    sessions: VecDeque<SessionId>,
    workflow_tasks: VecDeque<RunId>,
    activities: VecDeque<WaitingActivity>,
}

/// All task queues and workers.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    sessions: HashMap<SessionId, Session>,
    queues: HashMap<QueueKey, Queue>,
}

impl Queues {
    /// Takes a worker in.
    pub(crate) fn connect(
        &mut self,
        id: SessionId,
        namespace: Ns,
        hello: WorkerHello,
        tasks: Tasks,
    ) {
        let queue = (namespace, hello.task_queue.clone());
        self.queues
            .entry(queue.clone())
            .or_default()
            .sessions
            .push_back(id);
        self.sessions.insert(
            id,
            Session {
                workflow_slots: hello.workflow_slots,
                activity_slots: hello.activity_slots,
                hello,
                queue,
                tasks,
                draining: false,
                activities: BTreeMap::new(),
                workflow_tasks: BTreeMap::new(),
            },
        );
    }

    /// Lets a worker go, and returns it with what it had.
    pub(crate) fn disconnect(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        if let Some(queue) = self.queues.get_mut(&session.queue) {
            queue.sessions.retain(|other| *other != id);
        }
        Some(session)
    }

    pub(crate) fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// Says whether this worker is here and can take a task of that kind now.
    pub(crate) fn can_take(&self, id: SessionId, kind: Kind) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|session| session.has_slot(kind))
    }

    /// Returns a worker of the queue with a free slot, in turn.
    pub(crate) fn free(&mut self, queue: &QueueKey, kind: Kind) -> Option<SessionId> {
        let queue = self.queues.get_mut(queue)?;
        for _ in 0..queue.sessions.len() {
            let id = *queue.sessions.front()?;
            queue.sessions.rotate_left(1);
            if self
                .sessions
                .get(&id)
                .is_some_and(|session| session.has_slot(kind))
            {
                return Some(id);
            }
        }
        None
    }

    /// Lets a workflow task wait.
    pub(crate) fn wait_workflow(&mut self, queue: QueueKey, run_id: RunId) {
        self.queues
            .entry(queue)
            .or_default()
            .workflow_tasks
            .push_back(run_id);
    }

    /// Lets an activity wait.
    pub(crate) fn wait_activity(&mut self, queue: QueueKey, waiting: WaitingActivity) {
        self.queues
            .entry(queue)
            .or_default()
            .activities
            .push_back(waiting);
    }

    /// Returns the runs whose tasks wait, the one that has waited longest first.
    pub(crate) fn waiting(&self, queue: &QueueKey, kind: Kind) -> impl Iterator<Item = RunId> {
        let (workflow_tasks, activities) = match (self.queues.get(queue), kind) {
            (Some(queue), Kind::Workflow) => (Some(queue.workflow_tasks.iter()), None),
            (Some(queue), Kind::Activity) => (None, Some(queue.activities.iter())),
            (None, _) => (None, None),
        };
        let activities = activities.into_iter().flatten();
        let workflow_tasks = workflow_tasks.into_iter().flatten().copied();
        workflow_tasks.chain(activities.map(|waiting| waiting.run_id))
    }

    /// Returns the workflow task that has waited longest.
    pub(crate) fn next_workflow(&mut self, queue: &QueueKey) -> Option<RunId> {
        self.queues.get_mut(queue)?.workflow_tasks.pop_front()
    }

    /// Returns the activity that has waited longest.
    pub(crate) fn next_activity(&mut self, queue: &QueueKey) -> Option<WaitingActivity> {
        self.queues.get_mut(queue)?.activities.pop_front()
    }

    /// Tells a worker; says whether it is still there.
    pub(crate) fn send(&self, id: SessionId, message: ToWorker) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|session| session.tasks.send(message))
    }

    /// Returns the worker that runs this attempt.
    pub(crate) fn runner(
        &self,
        run_id: RunId,
        scheduled_event_id: EventId,
        attempt: u32,
    ) -> Option<SessionId> {
        self.sessions
            .iter()
            .find(|(_, session)| {
                session.activities.get(&(run_id, scheduled_event_id)) == Some(&attempt)
            })
            .map(|(id, _)| *id)
    }
}

impl Session {
    fn has_slot(&self, kind: Kind) -> bool {
        let slots = match kind {
            Kind::Workflow => self.workflow_slots,
            Kind::Activity => self.activity_slots,
        };
        slots > 0 && !self.draining
    }

    /// Returns how many workflow tasks it has.
    pub(crate) fn workflow_tasks_out(&self) -> usize {
        self.workflow_tasks.len()
    }

    /// Takes a slot for a workflow task.
    pub(crate) fn take_workflow(&mut self, run_id: RunId) {
        self.workflow_slots = self.workflow_slots.saturating_sub(1);
        *self.workflow_tasks.entry(run_id).or_default() += 1;
    }

    /// Frees the slot of a workflow task.
    pub(crate) fn free_workflow(&mut self, run_id: RunId) {
        self.workflow_slots = (self.workflow_slots + 1).min(self.hello.workflow_slots);
        if let Some(out) = self.workflow_tasks.get_mut(&run_id) {
            *out -= 1;
            if *out == 0 {
                self.workflow_tasks.remove(&run_id);
            }
        }
    }

    /// Takes a slot for an attempt.
    pub(crate) fn take_activity(
        &mut self,
        run_id: RunId,
        scheduled_event_id: EventId,
        attempt: u32,
    ) {
        self.activity_slots = self.activity_slots.saturating_sub(1);
        self.activities
            .insert((run_id, scheduled_event_id), attempt);
    }

    /// Frees the slot of an attempt.
    pub(crate) fn free_activity(
        &mut self,
        run_id: RunId,
        scheduled_event_id: EventId,
        attempt: u32,
    ) {
        if self.activities.get(&(run_id, scheduled_event_id)) == Some(&attempt) {
            self.activities.remove(&(run_id, scheduled_event_id));
        }
        self.activity_slots = (self.activity_slots + 1).min(self.hello.activity_slots);
    }
}
