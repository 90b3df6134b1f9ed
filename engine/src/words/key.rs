//! Names of workflows and runs inside the engine.

use history::{Namespace, RunId, WorkflowId};

use crate::store::namespaces::Ns;

/// Names a workflow inside the engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Ns,
    pub(crate) workflow_id: WorkflowId,
}

impl Key {
    pub(crate) fn shard(&self) -> i16 {
        crate::shard::of(&self.namespace.name, &self.workflow_id)
    }
}

/// One run, as others inside the engine address it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RunKey {
    pub(crate) key: Key,
    pub(crate) run_id: RunId,
    /// When it last delivered what was outstanding: an answer to what it sent before is not waited for.
    pub(crate) round: u64,
}

/// Names a workflow, and one of its runs if need be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its id.
    pub workflow_id: WorkflowId,
    /// Its run; the latest one if none is given.
    pub run_id: Option<RunId>,
}
