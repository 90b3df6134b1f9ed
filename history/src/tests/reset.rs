//! A run that was reset from another one goes on with what that one began.

use std::sync::Arc;

use super::story::{RUN, Story, default};
use crate::{
    Event, Execution, Record, RunId, Timestamp,
    decide::Effect,
    event::{WorkflowTaskFailed, WorkflowTaskFailedCause},
    ids::WorkflowId,
};

/// Returns what is outstanding: the request of each, and the run that it is said to come from.
fn outstanding(execution: &Execution) -> Vec<(String, RunId)> {
    let effects = execution.outstanding().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::StartChild { start, .. } => Some((
                start.request_id.to_string(),
                start.parent.unwrap().execution.run_id,
            )),
            Effect::SignalExternal { signal, target, .. } => Some((
                signal.request_id.unwrap().to_string(),
                target.only_child_of.unwrap(),
            )),
            _ => None,
        })
        .collect()
}

#[test]
fn what_the_base_began_is_asked_for_under_its_name() {
    let mut base = Story::new();
    base.ask("start");
    base.ask("take");
    base.ask("complete: child a; signal-external a child-only");
    base.ask("signal go");
    base.ask("take");
    // Temporal's form of a reset: the events up to a workflow task, which fails there, in the name of the new run.
    let reset = RunId(uuid::Uuid::from_u128(20));
    let next = base.execution().next_event_id();
    let task = base.execution().workflow_task().unwrap();
    let failed = WorkflowTaskFailed {
        scheduled_event_id: task.scheduled_event_id,
        started_event_id: task.start().unwrap().started_event_id,
        cause: WorkflowTaskFailedCause::ResetWorkflow,
        failure: None,
        identity: None,
        base_run_id: Some(RUN),
        new_run_id: Some(reset),
        fork_event_version: 0,
    };
    let mut log = base.log.clone();
    log.push(Record::Event(Arc::new(Event {
        id: next,
        at: Timestamp(0),
        kind: failed.into(),
    })));
    let mut story = Story::new();
    for record in &log {
        Execution::fold(&mut story.folded, &default(), reset, record).unwrap();
    }
    assert_eq!(
        outstanding(story.execution()),
        outstanding(base.execution())
    );

    story.ask("wait 1s");
    story.ask("take");
    story.ask("complete: child b; signal-external b child-only");
    let of_reset: Vec<_> = outstanding(story.execution())
        .into_iter()
        .filter(|(_, run_id)| *run_id == reset)
        .collect();
    assert_eq!(of_reset.len(), 2, "{of_reset:?}");
    assert!(
        of_reset
            .iter()
            .all(|(id, _)| id.starts_with(&reset.to_string()))
    );
    let close = story.outcome("terminate").unwrap();
    let closed = close.effects.iter().filter_map(|effect| match effect {
        Effect::CloseChild { target, .. } => {
            Some((target.workflow_id.clone(), target.only_child_of))
        }
        _ => None,
    });
    assert_eq!(
        closed.collect::<Vec<_>>(),
        [
            (WorkflowId::known("a"), Some(RUN)),
            (WorkflowId::known("b"), Some(reset))
        ]
    );
}
