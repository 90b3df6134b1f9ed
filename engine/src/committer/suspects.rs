//! Workflows at whose items the database failed.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::command::Workflow;
use crate::limits::SUSPECTS_MAX;

/// Why the items of a workflow go alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    Fails,
    /// Somebody kept a lock.
    Waits,
}

/// The latest workflows at whose items the database failed.
#[derive(Default)]
pub(crate) struct Suspects {
    pub(super) all: HashMap<Workflow, Suspicion>,
    /// The same, the first one first.
    pub(super) order: VecDeque<Workflow>,
}

impl Suspects {
    pub(crate) fn of(&self, workflow: &Workflow) -> Option<Suspicion> {
        if self.all.is_empty() {
            return None;
        }
        self.all.get(workflow).copied()
    }

    pub(crate) fn add(&mut self, workflow: Workflow, suspicion: Suspicion) {
        if self.all.insert(workflow.clone(), suspicion).is_none() {
            self.order.push_back(workflow);
        }
        if self.order.len() > SUSPECTS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.all.remove(&first);
        }
    }

    pub(crate) fn remove(&mut self, workflow: &Workflow) {
        if !self.all.is_empty() && self.all.remove(workflow).is_some() {
            self.order.retain(|other| other != workflow);
        }
    }
}
