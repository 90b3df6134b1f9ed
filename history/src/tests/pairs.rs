//! Every state beside every record: what fits is applied, what does not is refused by name, and nothing panics.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use super::story::{RUN, Story, default, fold};
use crate::{
    Event, Execution, Record,
    ids::EventId,
    record::{Note, Noted},
};

/// Stories that together know every record that is ever written.
const STORIES: &[&str] = &[
    "start",
    "start delay=5s | signal s",
    "start | take",
    "start | take | fail-task",
    "start | take | fail-task | wait 1s",
    "start | take | fail-task | wait 1s | take",
    "start | take | fail-task | wait 1s | take | signal s id=a",
    "start | take | fail-task | wait 1s | take | fail-task",
    "start | take | fail-task | wait 1s | take | fail-task | crash",
    "start | take | complete sticky:",
    "start | take | complete sticky: | signal s",
    "start | take | complete sticky: | signal s | wait 10s",
    "start | take | complete: activity a; activity b",
    "start | take | complete: activity a; activity b | run a | run b | beat a",
    "start | take | complete: activity a | run a | err a",
    "start | take | complete: activity a | run a | err a | wait 1s",
    "start | take | complete: activity a | run a | err a | crash",
    "start | take | complete: activity a; activity b | run a | run b | signal s | take | done a | err b final",
    "start | take | complete: activity a | run a | done a",
    "start | take | complete: activity a | run a | err a final",
    "start | take | complete: activity a attempts=1 | run a | lose a",
    "start | take | complete: activity a | run a | signal s | take | complete: cancel-activity a | canceled a",
    "start | take | complete: activity a | run a | signal s | take | complete: cancel-activity a | signal s | take | canceled a",
    "start | take | complete: timer t 1s | wait 1s",
    "start | take | complete: timer t 1s | signal s | take | wait 1s",
    "start | take | complete: timer t 1s | signal s | take | complete: cancel-timer t",
    "start | take | complete: child c; child d | child-started c",
    "start | take | complete: child c; child d | child-started c | take | child-closed c failed | child-not-started d",
    "start | take | complete: child c | child-closed c completed",
    "start | take | complete: child c | child-closed c failed",
    "start | take | complete: child c | child-closed c canceled",
    "start | take | complete: child c | child-closed c timed-out",
    "start | take | complete: child c | child-closed c terminated",
    "start | take | complete: child c | child-not-started c",
    "start | take | complete: signal-external x; cancel-external y",
    "start | take | complete: signal-external x; cancel-external y | signal-delivered x | cancel-delivered y",
    "start | take | complete: signal-external x; cancel-external y | signal-failed x | cancel-failed y",
    "start | take | complete: signal-external x; cancel-external y | signal s | take | signal-failed x | cancel-failed y",
    "start | take | complete: memo a=1; upsert x=1; marker m",
    "start | take | cancel id=a",
    "start | take | complete | cancel id=a",
    "start | take | wait 10s",
    "start | take | complete: return",
    "start | take | complete: fail",
    "start | take | complete: end-canceled",
    "start | take | complete: continue",
    "start | take | terminate",
    "start run=5s | wait 5s",
];

/// Every reason for which a record can't follow a state.
const PROBLEMS: &[&str] = &[
    "a workflow task is pending",
    "a workflow task is with a worker",
    "a workflow task is with a worker, so it should be buffered",
    "cancellation was requested before",
    "it was not asked for, or is answered",
    "no workflow task is with a worker",
    "the activity has not come to that attempt",
    "the activity id is in use",
    "the activity is not at that attempt",
    "the activity is not pending",
    "the activity was never scheduled",
    "the activity's started event is another one",
    "the child does not wait for its start",
    "the child is not there to close",
    "the completion whose command made it is not the last thing that happened",
    "the pending workflow task is a later attempt",
    "the run has started",
    "the run is closed",
    "the timer is not running",
    "the workflow task is not at that attempt",
    "the workflow task is not pending",
    "the workflow task is not scheduled",
    "the workflow task is not with a worker",
];

/// Which kind of record may follow which state.
const TABLE: &str = "\
nothing
| a workflow task is scheduled
| | it is started
| | | its next attempt waits
| | | | its next attempt is started
| | | | | it completed
| | | | | | an activity is pending
| | | | | | | its started event is written
| | | | | | | | it is to be canceled
| | | | | | | | | a timer runs
| | | | | | | | | | it is to be canceled
| | | | | | | | | | | a child is initiated
| | | | | | | | | | | | it started
| | | | | | | | | | | | | others are asked
| | | | | | | | | | | | | | the run is closed
. . . . . . x x x . . . . . . ActivityAttemptFailed
. . . . . . . . . x x x x x . ActivityAttemptScheduled
. . . . . . x x x x x x x x . ActivityAttemptStarted
. x x x x x x x x x x x x x . ActivityAttempts
. . . . . . x x x x x x x x . ActivityHeartbeat
. . . . . . . . x . . . . . . ActivityTaskCancelRequested
. . . . . . . . . . . . . . . ActivityTaskCanceled
. . . . . . . x . . . . . . . ActivityTaskCompleted
. . . . . . . x . . . . . . . ActivityTaskFailed
. . . . . x x x . x . x x x . ActivityTaskScheduled
. . . . . . x . x . . . . . . ActivityTaskStarted
. . . . . . . x . . . . . . . ActivityTaskTimedOut
. . x x x . . . . . . . . . . Buffered
. . . . . . . . . . . . x . . ChildWorkflowExecutionCanceled
. . . . . . . . . . . . x . . ChildWorkflowExecutionCompleted
. . . . . . . . . . . . x . . ChildWorkflowExecutionFailed
. . . . . . . . . . . x . . . ChildWorkflowExecutionStarted
. . . . . . . . . . . . x . . ChildWorkflowExecutionTerminated
. . . . . . . . . . . . x . . ChildWorkflowExecutionTimedOut
. . . . . . . . . . . . . x . ExternalWorkflowExecutionCancelRequested
. . . . . . . . . . . . . x . ExternalWorkflowExecutionSignaled
. . . . . x x x . x . x x x . MarkerRecorded
. . . . . . . . . . . . . x . RequestCancelExternalWorkflowExecutionFailed
. . . . . x x x . x . x x x . RequestCancelExternalWorkflowExecutionInitiated
. . . . . . . . . . . . . x . SignalExternalWorkflowExecutionFailed
. . . . . x x x . x . x x x . SignalExternalWorkflowExecutionInitiated
. . . . . . . . . . . x . . . StartChildWorkflowExecutionFailed
. . . . . x x x . x . x x x . StartChildWorkflowExecutionInitiated
. . . . . . . . . . x . . . . TimerCanceled
. . . . . . . . . x x . . . . TimerFired
. . . . . x x x . . . x x x . TimerStarted
. . . . . x x x . x . x x x . UpsertWorkflowSearchAttributes
. x . x . x x x x x x x x x . WorkflowExecutionCancelRequested
. . . . . x x x . x . x x x . WorkflowExecutionCanceled
. . . . . x x x . x . x x x . WorkflowExecutionCompleted
. . . . . x x x . x . x x x . WorkflowExecutionContinuedAsNew
. . . . . x x x . x . x x x . WorkflowExecutionFailed
. x . x . x x x x x x x x x . WorkflowExecutionSignaled
x . . . . . . . . . . . . . . WorkflowExecutionStarted
. x . x . x x x x x x x x x . WorkflowExecutionTerminated
. x . x . x x x x x x x x x . WorkflowExecutionTimedOut
. . . . . x x x . x . x x x . WorkflowPropertiesModified
. . . x x . . . . . . . . . . WorkflowTaskAttemptFailed
. x x x x x x x x x x x x x . WorkflowTaskAttemptScheduled
. x x x x x x x x x x x x x . WorkflowTaskAttemptStarted
. x x x x x x x x x x x x x . WorkflowTaskAttempts
. . x . . . . . . . . . . . . WorkflowTaskCompleted
. . x . . . . . . . . . . . . WorkflowTaskFailed
. . . . . x x x x x x x x x . WorkflowTaskScheduled
. x . . . . . . . . . . . . . WorkflowTaskStarted
. . x . . . . . . . . . . . . WorkflowTaskTimedOut
";

fn stories() -> Vec<Story> {
    STORIES.iter().map(|text| told(text)).collect()
}

/// Returns every kind of record that is ever written.
pub(super) fn kinds() -> BTreeSet<&'static str> {
    stories()
        .iter()
        .flat_map(|story| &story.log)
        .map(Record::name)
        .collect()
}

fn told(text: &str) -> Story {
    let mut story = Story::new();
    for line in text.split(" | ").filter(|line| !line.is_empty()) {
        let heard = story.ask(line);
        let refused = heard.iter().any(|line| line.starts_with("  !"));
        assert!(!refused, "{text}: {line}: {heard:?}");
    }
    story
}

/// Returns the record with the id and the time that it needs to stand next.
fn moved(record: &Record, execution: &Execution) -> Record {
    match record {
        Record::Event(event) => Record::Event(Arc::new(Event {
            id: execution.next_event_id(),
            at: execution.last_event_at(),
            kind: event.kind.clone(),
        })),
        Record::Note(noted) => Record::Note(Noted {
            at: execution.at(noted.at),
            note: noted.note.clone(),
        }),
    }
}

#[test]
fn every_pair_of_state_and_record_is_applied_or_refused_by_name() {
    let stories = stories();
    let mut seen = BTreeSet::new();
    let records: Vec<&Record> = stories
        .iter()
        .flat_map(|story| &story.log)
        .filter(|record| seen.insert(serde_json::to_string(record).unwrap()))
        .collect();
    let (mut applied, mut refused) = (0, BTreeSet::new());
    for story in &stories {
        for record in &records {
            let record = moved(record, story.execution());
            let mut execution = story.execution().clone();
            match execution.apply(&record) {
                Ok(()) => {
                    applied += 1;
                    assert!(execution.last_event_at() >= story.execution().last_event_at());
                }
                Err(corrupt) => {
                    assert!(corrupt.record.contains(record.name()), "{corrupt}");
                    refused.insert(corrupt.problem);
                }
            }
        }
    }
    assert!(applied > 300, "{applied}");
    assert_eq!(Vec::from_iter(refused), PROBLEMS);
}

#[test]
fn table_says_which_record_may_follow_which_state() {
    let states = [
        ("nothing", "", 0),
        ("a workflow task is scheduled", "start", 0),
        ("it is started", "start | take", 0),
        ("its next attempt waits", "start | take | fail-task", 0),
        (
            "its next attempt is started",
            "start | take | fail-task | wait 1s | take",
            0,
        ),
        ("it completed", "start | take | complete", 0),
        (
            "an activity is pending",
            "start | take | complete: activity a",
            0,
        ),
        (
            "its started event is written",
            "start | take | complete: activity a | run a | done a",
            2,
        ),
        (
            "it is to be canceled",
            "start | take | complete: activity a | run a | signal s | take | complete",
            0,
        ),
        ("a timer runs", "start | take | complete: timer t 1s", 0),
        (
            "it is to be canceled",
            "start | take | complete: timer t 1s | signal s | take | complete",
            0,
        ),
        (
            "a child is initiated",
            "start | take | complete: child c",
            0,
        ),
        (
            "it started",
            "start | take | complete: child c | child-closed c failed",
            2,
        ),
        (
            "others are asked",
            "start | take | complete: signal-external x; cancel-external y",
            0,
        ),
        ("the run is closed", "start | terminate", 0),
    ];
    let stories = stories();
    let mut kinds: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in stories.iter().flat_map(|story| &story.log) {
        kinds.entry(record.name()).or_default().push(record);
    }
    let mut table = states
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (at, (name, ..))| {
            let _ = writeln!(text, "{}{name}", "| ".repeat(at));
            text
        });
    for (kind, records) in kinds {
        for (_, text, cut) in &states {
            let log = told(text).log;
            let log = &log[..log.len() - cut];
            let execution = (!log.is_empty()).then(|| fold(log));
            let may_follow = records
                .iter()
                .any(|record| fits(execution.as_ref(), record));
            table.push_str(if may_follow { "x " } else { ". " });
        }
        let _ = writeln!(table, "{kind}");
    }
    assert_eq!(table, TABLE, "\n{table}");
}

/// Says whether a record may come next, whatever it names.
fn fits(execution: Option<&Execution>, record: &Record) -> bool {
    match execution {
        Some(execution) => execution.clone().apply(&moved(record, execution)).is_ok(),
        None => Execution::begin(default(), RUN, record).is_ok(),
    }
}

#[test]
fn a_run_begins_with_its_first_event_and_nothing_else() {
    let begin = |record: &Record| {
        let begun = Execution::begin(default(), RUN, record);
        begun.map_err(|corrupt| corrupt.to_string())
    };
    let log = told("start").log;
    let Record::Event(started) = &log[0] else {
        panic!("a run begins with an event");
    };
    let mut second = Event::clone(started);
    second.id = EventId(2);
    let mut other = Event::clone(log[1].event().unwrap());
    other.id = EventId(1);
    let note = Record::Note(Noted {
        at: started.at,
        note: Note::WorkflowTaskAttemptScheduled { attempt: 2 },
    });

    assert!(begin(&log[0]).is_ok());
    for (record, told) in [
        (
            Record::Event(Arc::new(second)),
            "2 WorkflowExecutionStarted can't follow nothing: its event id is not the next one",
        ),
        (
            Record::Event(Arc::new(other)),
            "1 WorkflowTaskScheduled can't follow nothing: the run has not started",
        ),
        (
            note,
            "WorkflowTaskAttemptScheduled can't follow nothing: the run has not started",
        ),
    ] {
        let refused = begin(&record).unwrap_err();
        assert!(refused.ends_with(told), "{refused}");
    }
}

#[test]
fn record_out_of_its_place_is_refused_in_words() {
    let mut story = Story::new();
    for line in ["start", "take", "complete: activity a"] {
        story.ask(line);
    }
    let mut execution = story.execution().clone();
    let event = Arc::clone(story.log[1].event().unwrap());
    let refuse = |execution: &mut Execution, id: i64, at: i64| {
        let mut event = Event::clone(&event);
        event.id = EventId(id);
        event.at.0 = at;
        execution
            .apply(&Record::Event(Arc::new(event)))
            .unwrap_err()
            .to_string()
    };
    let run = "run 00000000-0000-0000-0000-000000000001";
    assert_eq!(
        refuse(&mut execution, 9, 0),
        format!(
            "{run}: 9 WorkflowTaskScheduled can't follow 5 (no workflow task): its event id is not the next one"
        )
    );
    assert_eq!(
        refuse(&mut execution, 6, -1),
        format!(
            "{run}: 6 WorkflowTaskScheduled can't follow 5 (no workflow task): it lies before the event before it"
        )
    );
    story.ask("terminate");
    assert_eq!(
        refuse(story.execution_mut(), 7, 0),
        format!("{run}: 7 WorkflowTaskScheduled can't follow 6 (Terminated): the run is closed")
    );
    let note = Record::Note(Noted {
        at: story.now,
        note: Note::WorkflowTaskAttemptScheduled { attempt: 2 },
    });
    assert!(
        story.execution_mut().apply(&note).is_err(),
        "not even a note follows a close"
    );
}
