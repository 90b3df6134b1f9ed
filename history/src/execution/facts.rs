//! What is known of a run: what it started with, its memo and its search attributes as they are now.

use std::{collections::BTreeMap, sync::LazyLock};

use uuid::Uuid;

use super::{Execution, memory};
use crate::{
    event::{ContinueAsNewInitiator, Memo, SearchAttributes, WorkflowExecutionStarted},
    ids::{EventId, RunId, TaskQueue, WorkflowId, WorkflowType},
    payload::Payloads,
    time::Millis,
};

/// What workflow code changed of the facts that it started with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Upserted {
    pub(super) memo: Memo,
    pub(super) search_attributes: SearchAttributes,
}

/// What an execution without records says of its start.
pub(super) static NOT_STARTED: LazyLock<WorkflowExecutionStarted> =
    LazyLock::new(|| WorkflowExecutionStarted {
        workflow_type: WorkflowType::known(""),
        workflow_id: WorkflowId::known(""),
        task_queue: TaskQueue::known(""),
        input: Payloads::default(),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: Millis::ZERO,
        workflow_task_timeout: Millis::ZERO,
        workflow_execution_expiration_time: None,
        parent_workflow_namespace: None,
        parent_workflow_execution: None,
        parent_initiated_event_id: EventId::NONE,
        root_workflow_execution: None,
        continued_execution_run_id: None,
        initiator: ContinueAsNewInitiator::Unspecified,
        continued_failure: None,
        last_completion_result: Payloads::default(),
        original_execution_run_id: RunId(Uuid::nil()),
        first_execution_run_id: RunId(Uuid::nil()),
        identity: None,
        retry_policy: None,
        attempt: 1,
        cron_schedule: String::new(),
        first_workflow_task_backoff: Millis::ZERO,
        memo: Memo::new(),
        search_attributes: SearchAttributes::new(),
        header: BTreeMap::new(),
        request_id: None,
    });

impl Execution {
    /// Returns the memo as it is now.
    pub fn memo(&self) -> Memo {
        let mut memo = self.started().memo.clone();
        if let Some(upserted) = &self.upserted {
            merge(&mut memo, &upserted.memo);
        }
        memo
    }

    /// Returns the memo and the search attributes as they are now.
    pub(crate) fn facts(&self) -> (Memo, SearchAttributes) {
        (self.memo(), self.search_attributes())
    }

    /// Returns the search attributes as they are now.
    pub fn search_attributes(&self) -> SearchAttributes {
        let mut search_attributes = self.started().search_attributes.clone();
        if let Some(upserted) = &self.upserted {
            merge(&mut search_attributes, &upserted.search_attributes);
        }
        search_attributes
    }
}

/// Adds facts to facts; a null takes one away.
pub(crate) fn merge(facts: &mut Memo, changes: &Memo) {
    for (key, value) in changes {
        if value.is_null() {
            facts.remove(key);
        } else {
            facts.insert(key.clone(), value.clone());
        }
    }
}

/// Adds changes to changes, and keeps their weight. A null stays among them: it may take away what the run started with.
pub(super) fn upsert(bytes: &mut usize, facts: &mut Memo, changes: &Memo) {
    *bytes -= memory::facts_bytes(facts);
    facts.extend(changes.clone());
    *bytes += memory::facts_bytes(facts);
}
