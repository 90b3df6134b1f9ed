//! What a run is.

use std::time::SystemTime;

use history::{EventId, Namespace, RunId, TaskQueue, WorkflowExecution, WorkflowId, WorkflowType};

use super::{names, state::RunState};

/// What is known of a run, as of the workflow task under way.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// The namespace.
    pub namespace: Namespace,
    /// The workflow's id.
    pub workflow_id: WorkflowId,
    /// This run.
    pub run_id: RunId,
    /// The first run of the chain of retries and continuations.
    pub first_run_id: RunId,
    /// The name of this code.
    pub workflow_type: WorkflowType,
    /// The queue of its workflow tasks.
    pub task_queue: TaskQueue,
    /// Which attempt of its retry policy this run is, from 1.
    pub attempt: u32,
    /// When it started.
    pub started_at: SystemTime,
    /// The workflow that started it, if it is a child.
    pub parent: Option<WorkflowExecution>,
    /// The events so far.
    pub history_length: EventId,
    /// The stored bytes of the history so far.
    pub history_size_bytes: i64,
    /// The history has grown long enough to go on in a new run.
    pub suggest_continue_as_new: bool,
}

impl Info {
    pub(super) fn of(state: &RunState) -> Self {
        let facts = &state.facts;
        let started = facts.started();
        state.turn(|turn| Self {
            namespace: facts.namespace.clone(),
            workflow_id: started.workflow_id.clone(),
            run_id: facts.run_id,
            first_run_id: started.first_execution_run_id,
            workflow_type: started.workflow_type.clone(),
            task_queue: started.task_queue.clone(),
            attempt: started.attempt,
            started_at: names::time(facts.first.at),
            parent: started.parent_workflow_execution.clone(),
            history_length: turn.started_event_id,
            history_size_bytes: turn.history_size_bytes,
            suggest_continue_as_new: turn.suggest_continue_as_new,
        })
    }
}
