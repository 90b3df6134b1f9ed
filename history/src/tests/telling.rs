//! How stories name what happens: each event, note and effect with the few attributes that matter.

use super::story::Story;
use crate::{
    Failure, FailureInfo, Note, Record,
    decide::{ChildOutcome, Effect, Rejection, StartWorkflow},
    event::{Event, EventKind, TaskQueueKind},
    ids::EventId,
    record::WorkflowTaskAttemptCause,
    time::{Millis, Timestamp},
};

pub(super) fn moment(at: Timestamp) -> String {
    span(Millis(u64::try_from(at.0 / 1000).unwrap()))
}

fn span(time: Millis) -> String {
    match time.0 {
        0 => "0".to_owned(),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

pub(super) fn rejection(rejection: &Rejection) -> String {
    match rejection {
        Rejection::WorkflowTaskRefused { cause, message } => format!("{cause:?}: {message}"),
        Rejection::InvalidArgument { field, problem } => {
            format!("{} {field}: {problem}", rejection.code())
        }
        other => other.code().to_owned(),
    }
}

fn failure(failure: &Failure) -> String {
    let kind = match &failure.info {
        FailureInfo::TimedOut { timeout_type, .. } => timeout_type.as_str().to_owned(),
        FailureInfo::Application { kind, .. } => kind.clone(),
        _ => failure.message.clone(),
    };
    match &failure.cause {
        None => kind,
        Some(cause) => format!("{kind} because {}", self::failure(cause)),
    }
}

fn subject(story: &Story, id: EventId) -> String {
    story
        .subjects
        .get(&id)
        .cloned()
        .unwrap_or_else(|| format!("of {id}"))
}

pub(super) fn record(story: &Story, record: &Record) -> String {
    match record {
        Record::Event(event) => format!("{} {}", event.id, self::event(story, event)),
        Record::Note(noted) => format!("~ {}", note(story, &noted.note)),
    }
}

fn event(story: &Story, event: &Event) -> String {
    let text = format!("{} {}", event.kind.name(), attributes(story, &event.kind));
    text.trim_end().to_owned()
}

fn optional(name: &str, text: &str) -> String {
    if text.is_empty() || text == "0" {
        String::new()
    } else {
        format!(" {name} {text}")
    }
}

fn attributes(story: &Story, kind: &EventKind) -> String {
    match kind {
        EventKind::WorkflowExecutionStarted(a) => {
            let attempt = if a.attempt == 1 {
                String::new()
            } else {
                format!(" attempt {}", a.attempt)
            };
            format!(
                "{}{}{}{}{attempt}",
                a.workflow_id,
                optional("run-timeout", &span(a.workflow_run_timeout)),
                optional("backoff", &span(a.first_workflow_task_backoff)),
                optional(
                    "expires",
                    &a.workflow_execution_expiration_time
                        .map_or_else(String::new, moment)
                ),
            )
        }
        EventKind::WorkflowTaskScheduled(a) => {
            let attempt = if a.attempt == 1 {
                String::new()
            } else {
                format!("attempt {} ", a.attempt)
            };
            let sticky = if a.task_queue_kind == TaskQueueKind::Sticky {
                "sticky"
            } else {
                ""
            };
            format!("{attempt}{sticky}")
        }
        EventKind::WorkflowTaskStarted(a) => {
            if a.suggest_continue_as_new {
                "suggests to continue as new".to_owned()
            } else {
                String::new()
            }
        }
        EventKind::WorkflowTaskTimedOut(a) => a.timeout_type.as_str().to_owned(),
        EventKind::WorkflowTaskFailed(a) => format!("{:?}", a.cause),
        EventKind::TimerStarted(a) => format!("{} {}", a.timer_id, span(a.start_to_fire_timeout)),
        EventKind::TimerFired(a) => a.timer_id.to_string(),
        EventKind::TimerCanceled(a) => a.timer_id.to_string(),
        EventKind::WorkflowExecutionSignaled(a) => a.signal_name.to_string(),
        EventKind::WorkflowExecutionTerminated(a) => format!("({})", a.reason),
        EventKind::WorkflowExecutionFailed(a) => format!("{:?}", a.retry_state),
        EventKind::WorkflowExecutionTimedOut(a) => format!("{:?}", a.retry_state),
        EventKind::WorkflowExecutionContinuedAsNew(a) => {
            let facts = a.memo.iter().chain(&a.search_attributes).fold(
                String::new(),
                |text, (key, value)| {
                    format!("{text} {key}={}", String::from_utf8_lossy(&value.data))
                },
            );
            format!(
                "{:?}{}{facts}",
                a.initiator,
                optional("backoff", &span(a.backoff_start_interval))
            )
        }
        _ => attributes_of_pending(story, kind),
    }
}

fn attributes_of_pending(story: &Story, kind: &EventKind) -> String {
    match kind {
        EventKind::ActivityTaskScheduled(a) => {
            format!(
                "{}{}{}{}{}",
                a.activity_id,
                optional("all", &span(a.schedule_to_close_timeout)),
                optional("queued", &span(a.schedule_to_start_timeout)),
                optional("once", &span(a.start_to_close_timeout)),
                optional("beat", &span(a.heartbeat_timeout)),
            )
        }
        EventKind::ActivityTaskStarted(a) => {
            let last = a.last_failure.as_ref().map(failure).unwrap_or_default();
            let attempt = if a.attempt == 1 {
                String::new()
            } else {
                format!(" attempt {}", a.attempt)
            };
            format!(
                "{}{attempt}{}",
                subject(story, a.scheduled_event_id),
                optional("after", &last)
            )
        }
        EventKind::ActivityTaskCompleted(a) => {
            ended(story, a.scheduled_event_id, a.started_event_id)
        }
        EventKind::ActivityTaskFailed(a) => {
            format!(
                "{}: {}, {:?}",
                ended(story, a.scheduled_event_id, a.started_event_id),
                failure(&a.failure),
                a.retry_state
            )
        }
        EventKind::ActivityTaskTimedOut(a) => {
            format!(
                "{}: {}, {:?}",
                ended(story, a.scheduled_event_id, a.started_event_id),
                failure(&a.failure),
                a.retry_state
            )
        }
        EventKind::ActivityTaskCancelRequested(a) => subject(story, a.scheduled_event_id),
        EventKind::ActivityTaskCanceled(a) => {
            ended(story, a.scheduled_event_id, a.started_event_id)
        }
        EventKind::StartChildWorkflowExecutionInitiated(a) => a.workflow_id.to_string(),
        EventKind::StartChildWorkflowExecutionFailed(a) => {
            format!("{} {:?}", a.workflow_id, a.cause)
        }
        EventKind::ChildWorkflowExecutionStarted(a) => subject(story, a.initiated_event_id),
        EventKind::ChildWorkflowExecutionCompleted(a) => {
            ended(story, a.initiated_event_id, a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionFailed(a) => {
            ended(story, a.initiated_event_id, a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionCanceled(a) => {
            ended(story, a.initiated_event_id, a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionTimedOut(a) => {
            ended(story, a.initiated_event_id, a.started_event_id)
        }
        EventKind::ChildWorkflowExecutionTerminated(a) => {
            ended(story, a.initiated_event_id, a.started_event_id)
        }
        EventKind::SignalExternalWorkflowExecutionInitiated(a) => a.workflow_id.to_string(),
        EventKind::RequestCancelExternalWorkflowExecutionInitiated(a) => a.workflow_id.to_string(),
        EventKind::ExternalWorkflowExecutionSignaled(a) => a.workflow_id.to_string(),
        EventKind::ExternalWorkflowExecutionCancelRequested(a) => a.workflow_id.to_string(),
        EventKind::SignalExternalWorkflowExecutionFailed(a) => {
            format!("{} {:?}", a.workflow_id, a.cause)
        }
        EventKind::RequestCancelExternalWorkflowExecutionFailed(a) => {
            format!("{} {:?}", a.workflow_id, a.cause)
        }
        _ => String::new(),
    }
}

fn ended(story: &Story, id: EventId, started: EventId) -> String {
    format!("{} (started {started})", subject(story, id))
}

fn note(story: &Story, note: &Note) -> String {
    let name = note.name();
    match note {
        Note::ActivityAttemptStarted {
            scheduled_event_id,
            attempt,
            ..
        }
        | Note::ActivityAttemptScheduled {
            scheduled_event_id,
            attempt,
        }
        | Note::ActivityHeartbeat {
            scheduled_event_id,
            attempt,
            ..
        } => {
            format!(
                "{name} {} attempt {attempt}",
                subject(story, *scheduled_event_id)
            )
        }
        Note::ActivityAttemptFailed {
            scheduled_event_id,
            attempt,
            failure,
            next_attempt_at,
            ..
        } => {
            let next = moment(*next_attempt_at);
            format!(
                "{name} {} attempt {attempt}: {}, next at {next}",
                subject(story, *scheduled_event_id),
                self::failure(failure)
            )
        }
        Note::RequestsHeard { runs } => {
            let messages: usize = runs.iter().map(|run| run.messages.len()).sum();
            let starts: usize = runs.iter().map(|run| run.starts.len()).sum();
            format!(
                "{name} of {}: messages {messages} starts {starts}",
                runs.len()
            )
        }
        Note::StartAttached { request_id } => format!("{name} {request_id}"),
        Note::Buffered { event } => format!("{name} {} {}", event.name(), attributes(story, event))
            .trim_end()
            .to_owned(),
        Note::WorkflowTaskAttemptScheduled { attempt }
        | Note::WorkflowTaskAttemptStarted { attempt, .. } => {
            format!("{name} attempt {attempt}")
        }
        Note::WorkflowTaskAttemptFailed { attempt, cause, .. } => {
            let cause = match cause {
                WorkflowTaskAttemptCause::Failed(cause) => format!("{cause:?}"),
                WorkflowTaskAttemptCause::TimedOut(timeout) => timeout.as_str().to_owned(),
            };
            format!("{name} attempt {attempt}: {cause}")
        }
        Note::ActivityAttempts {
            scheduled_event_id,
            attempt,
            ..
        } => format!(
            "{name} {} at attempt {attempt}",
            subject(story, *scheduled_event_id)
        ),
        Note::WorkflowTaskAttempts { attempt, .. } => format!("{name} at attempt {attempt}"),
    }
}

pub(super) fn effect(story: &Story, effect: &Effect) -> String {
    match effect {
        Effect::DispatchWorkflowTask {
            task_queue,
            scheduled_event_id,
            attempt,
            ..
        } => {
            format!("DispatchWorkflowTask {scheduled_event_id} attempt {attempt} to {task_queue}")
        }
        Effect::DispatchActivityTask {
            scheduled_event_id,
            attempt,
            ..
        } => {
            format!(
                "DispatchActivityTask {} attempt {attempt}",
                subject(story, *scheduled_event_id)
            )
        }
        Effect::CancelActivity {
            scheduled_event_id,
            attempt,
        } => {
            format!(
                "CancelActivity {} attempt {attempt}",
                subject(story, *scheduled_event_id)
            )
        }
        Effect::StartChild { start, .. } => {
            format!(
                "StartChild {} by request {}",
                start.workflow_id,
                short(start.request_id.as_str())
            )
        }
        Effect::SignalExternal { target, signal, .. } => {
            let id = signal.request_id.as_ref().map_or("", |id| id.as_str());
            let only = if target.only_child_of.is_some() {
                " if a child"
            } else {
                ""
            };
            format!(
                "SignalExternal {}{only} by request {}",
                target.workflow_id,
                short(id)
            )
        }
        Effect::CancelExternal { target, cancel, .. } => {
            let id = cancel.request_id.as_ref().map_or("", |id| id.as_str());
            let only = if target.only_child_of.is_some() {
                " if a child"
            } else {
                ""
            };
            format!(
                "CancelExternal {}{only} by request {}",
                target.workflow_id,
                short(id)
            )
        }
        Effect::CloseChild { policy, target, .. } => {
            format!("CloseChild {} {policy:?}", target.workflow_id)
        }
        Effect::NotifyParent { parent, closed, .. } => {
            let outcome = match &closed.outcome {
                ChildOutcome::Completed(_) => "Completed".to_owned(),
                ChildOutcome::Failed(_, state) => format!("Failed {state:?}"),
                ChildOutcome::Canceled(_) => "Canceled".to_owned(),
                ChildOutcome::TimedOut(state) => format!("TimedOut {state:?}"),
                ChildOutcome::Terminated => "Terminated".to_owned(),
            };
            format!(
                "NotifyParent {} of {}: {outcome}",
                parent.workflow_id, closed.initiated_event_id
            )
        }
        Effect::StartNewRun { start, .. } => format!("StartNewRun {}", next_run(start)),
    }
}

/// A run id is long; its last digit tells which one it is.
fn short(request_id: &str) -> String {
    match request_id.split_once(':') {
        Some((run, id)) => format!("run-{}:{id}", run.trim_start_matches(['0', '-'])),
        None => request_id.to_owned(),
    }
}

fn next_run(start: &StartWorkflow) -> String {
    let continued = start.continued.as_ref().unwrap();
    let facts = start
        .memo
        .iter()
        .chain(&start.search_attributes)
        .fold(String::new(), |text, (key, value)| {
            format!("{text} {key}={}", String::from_utf8_lossy(&value.data))
        });
    let unread = continued.unread_signals.iter();
    let unread = unread.fold(String::new(), |text, signal| {
        format!("{text} unread {}", signal.signal_name)
    });
    format!(
        "{:?} attempt {}{}{}{}{facts}{unread}",
        continued.initiator,
        continued.attempt,
        optional("delay", &span(start.start_delay)),
        optional(
            "after",
            &continued.failure.as_ref().map(failure).unwrap_or_default()
        ),
        optional(
            "expires",
            &continued.expiration_time.map_or_else(String::new, moment)
        ),
    )
}
