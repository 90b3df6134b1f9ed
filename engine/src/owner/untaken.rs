//! Which runs of a page have a task that no worker takes: one question for all of them, answered from memory.

use std::{collections::BTreeMap, sync::Arc};

use history::{ActivityId, ActivityType, RunId, TaskQueue};
use serde::{Deserialize, Serialize};

use super::{
    Owner, Run,
    describe::{activity_starved, workflow_task_starved},
    queues::{Kind, Starved},
};
use crate::{limits::LIST_ATTEMPTS_MAX, store::load::Ns};

/// A run that is asked about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) shard: i16,
    pub(crate) run_id: RunId,
    /// Where its workflow tasks go.
    pub(crate) task_queue: TaskQueue,
}

/// What the owner knows.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    /// The tasks that no worker takes, one of a run.
    pub(crate) found: Vec<(RunId, UntakenTask)>,
    /// The runs of other members, by their addresses.
    pub(crate) elsewhere: BTreeMap<Arc<str>, Vec<Asked>>,
}

/// A task that waits although no worker of any member takes it, as far as the owner of its run knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntakenTask {
    /// Where it waits.
    pub task_queue: TaskQueue,
    /// Its activity; none for the workflow task.
    pub activity: Option<UntakenActivity>,
    /// Since when.
    pub starved: Starved,
}

/// An activity that no worker takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntakenActivity {
    /// Its code.
    pub activity_type: ActivityType,
    /// Its id.
    pub activity_id: ActivityId,
}

impl Owner {
    /// Says which of these runs have a task that no worker takes.
    pub(super) fn untaken(&self, namespace: &Ns, asked: Vec<Asked>) -> Untaken {
        let mut untaken = Untaken::default();
        let here = self.queues.has_waiting();
        for asked in asked {
            if let Some(address) = self.shards.address(asked.shard) {
                let elsewhere = untaken.elsewhere.entry(Arc::clone(address));
                elsewhere.or_default().push(asked);
            } else if here && let Some(task) = self.untaken_task(namespace, &asked) {
                untaken.found.push((asked.run_id, task));
            }
        }
        untaken
    }

    fn untaken_task(&self, namespace: &Ns, asked: &Asked) -> Option<UntakenTask> {
        let now = self.now();
        let starved = match self.runs.get(&asked.run_id) {
            Some(run) => match workflow_task_starved(run, &self.queues, now) {
                Some(starved) => Some(starved),
                None => return self.untaken_activity(run),
            },
            // It has left memory and kept its place in the queue.
            None if self.backlog.has_workflow_task(asked.run_id) => {
                let queue = (namespace.clone(), asked.task_queue.clone());
                self.queues.starved(&queue, Kind::Workflow, now)
            }
            None => None,
        };
        Some(UntakenTask {
            task_queue: asked.task_queue.clone(),
            activity: None,
            starved: starved?,
        })
    }

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
