//! How a draft closes its run.

use std::collections::BTreeSet;

use crate::{
    decide::draft::{Draft, TaskEnd},
    effect::Effect,
    event::{WorkflowExecutionTerminated, WorkflowTaskFailedCause},
    execution::{Execution, WorkflowTaskState},
    ids::EventId,
    requests::Terminate,
    time::Timestamp,
};

/// Returns a draft in which the run was ended from outside.
pub(super) fn terminated<'a>(
    exec: &'a Execution,
    request: &Terminate,
    now: Timestamp,
) -> Draft<'a> {
    let mut draft = forced(exec, now);
    draft.event(WorkflowExecutionTerminated {
        reason: request.reason.clone(),
        details: request.details.clone(),
        identity: request.identity.clone(),
    });
    close(&mut draft, &BTreeSet::new());
    draft
}

/// Returns a draft in which the workflow task under way has failed and what it held back has become events.
pub(super) fn forced(exec: &Execution, now: Timestamp) -> Draft<'_> {
    let mut draft = Draft::new(exec, now);
    if exec
        .workflow_task()
        .is_some_and(WorkflowTaskState::is_started)
    {
        draft.end_task(TaskEnd::Failed(
            WorkflowTaskFailedCause::ForceCloseCommand,
            None,
            None,
        ));
        draft.flush();
    }
    draft
}

/// Says what the close of a run, its last event, asks of others. `ended` are activities that ended with the close.
pub(super) fn close(draft: &mut Draft<'_>, ended: &BTreeSet<EventId>) {
    let exec = draft.exec;
    draft.closes();
    draft.effects.retain(|effect| match effect {
        // Whom nobody waits for need not begin.
        Effect::DispatchActivityTask { .. } | Effect::DispatchWorkflowTask { .. } => false,
        Effect::StartChild {
            initiated_event_id, ..
        } => draft.abandoned.contains(initiated_event_id),
        Effect::CancelActivity { .. }
        | Effect::SignalExternal { .. }
        | Effect::CancelExternal { .. }
        | Effect::CloseChild { .. }
        | Effect::NotifyParent { .. }
        | Effect::StartNewRun { .. } => true,
    });
    let running = exec
        .activities()
        .filter(|activity| activity.is_started() && !ended.contains(&activity.scheduled_event_id()))
        .map(Effect::cancel_activity);
    let parent = draft
        .last_event()
        .and_then(|closed| exec.notify_parent(&closed.kind));
    let effects: Vec<_> = running
        .chain(exec.close_children(exec.children()))
        .chain(parent)
        .collect();
    draft.effects.extend(effects);
}
