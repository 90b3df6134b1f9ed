//! The start of a run of which nothing is recorded.

use std::{collections::BTreeMap, sync::LazyLock};

use uuid::Uuid;

use crate::{
    event::{ContinueAsNewInitiator, Memo, SearchAttributes, WorkflowExecutionStarted},
    ids::{EventId, RunId, TaskQueue, WorkflowId, WorkflowType},
    payload::Payloads,
    time::Millis,
};

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
