//! Which runs of a page have a task that no worker takes: one question for all of them, answered from memory.

use std::sync::Arc;

use crate::{
    UntakenActivity, UntakenTask,
    limits::LIST_ATTEMPTS_MAX,
    owner::{
        Owner,
        context::Context,
        describe::{activity_starved, workflow_task_starved},
        state::run::Run,
    },
    store::namespaces::Ns,
    words::{Asked, Kind, Untaken},
};

impl Owner {
    /// Says which of these runs have a task that no worker takes.
    pub(super) fn untaken(&self, namespace: &Ns, asked: Vec<Asked>) -> Untaken {
        let mut untaken = Untaken::default();
        let here = self.context.queues.has_waiting();
        for asked in asked {
            if let Some(address) = self.context.shards.address(asked.shard) {
                let elsewhere = untaken.elsewhere.entry(Arc::clone(address));
                elsewhere.or_default().push(asked);
            } else if here && let Some(task) = self.untaken_task(namespace, &asked) {
                untaken.found.push((asked.run_id, task));
            }
        }
        untaken
    }

    fn untaken_task(&self, namespace: &Ns, asked: &Asked) -> Option<UntakenTask> {
        let now = self.context.now();
        let starved = match self.runs.get(&asked.run_id) {
            Some(run) => match workflow_task_starved(run, &self.context.queues, now) {
                Some(starved) => Some(starved),
                None => return self.context.untaken_activity(run),
            },
            // It has left memory and kept its place in the queue.
            None if self.context.backlog.has_workflow_task(asked.run_id) => {
                let queue = (namespace.clone(), asked.task_queue.clone());
                self.context.queues.starved(&queue, Kind::Workflow, now)
            }
            None => None,
        };
        Some(UntakenTask {
            task_queue: asked.task_queue.clone(),
            activity: None,
            starved: starved?,
        })
    }
}

impl Context {
    fn untaken_activity(&self, run: &Run) -> Option<UntakenTask> {
        let now = self.now();
        let activities = run
            .execution
            .activities()
            .take(usize::from(LIST_ATTEMPTS_MAX));
        let mut untaken = activities.filter_map(|activity| {
            let starved = activity_starved(activity, run, &self.queues, now)?;
            let attributes = activity.attributes();
            Some(UntakenTask {
                task_queue: attributes.task_queue.clone(),
                activity: Some(UntakenActivity {
                    activity_type: attributes.activity_type.clone(),
                    activity_id: attributes.activity_id.clone(),
                }),
                starved,
            })
        });
        untaken.next()
    }
}
