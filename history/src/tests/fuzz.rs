//! Stored rows that were damaged, and ids that are none: an error or a legal run, never a panic and never half a run.

use fuzz::{Dice, json::Json, text};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{
    random,
    story::{NEXT_RUN, RUN, Story, default, fold},
};
use crate::{
    Execution, Record, RunId, SignalName, WorkflowId,
    chain::{self, GENESIS, VERSION},
    decide, export,
    ids::ID_BYTES_MAX,
    time::Timestamp,
};

/// Returns the stored text of a random run.
fn stored(dice: &mut Dice) -> String {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&dice.bits().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    serde_json::to_string(&random::story(&mut runner).log).unwrap()
}

/// Reads and folds stored text, as the engine does.
fn read(text: &str) -> Option<(Vec<Record>, Execution)> {
    let records: Vec<Record> = serde_json::from_str(text).ok()?;
    let mut folded = None;
    for record in &records {
        Execution::fold(&mut folded, &default(), RUN, record).ok()?;
    }
    Some((records, folded?))
}

/// Checks what must be true of a run whose records were taken.
fn check(records: Vec<Record>, execution: Execution) {
    let events: Vec<_> = records.iter().filter_map(Record::event).collect();
    assert!(
        (1..).zip(&events).all(|(id, event)| event.id.0 == id),
        "ids are contiguous from 1"
    );
    assert!(
        events.windows(2).all(|pair| pair[0].at <= pair[1].at),
        "times never run back"
    );
    let closed = records.iter().position(|record| {
        record
            .event()
            .is_some_and(|event| crate::Status::closed_by(&event.kind).is_some())
    });
    assert!(
        closed.is_none_or(|at| at + 1 == records.len()),
        "nothing follows a close"
    );
    assert_eq!(execution.is_open(), closed.is_none());

    let again = serde_json::to_string(&records).unwrap();
    let reread: Vec<Record> = serde_json::from_str(&again).unwrap();
    assert_eq!(reread, records, "what was read is written as it reads");
    assert_eq!(fold(&reread), execution, "and makes the same run");
    for event in events {
        // It may be no event of Temporal's, but it is written or refused.
        let _ = export::event(event);
    }
    go_on(records, execution);
}

/// Checks that whatever is asked of the run next is refused, or leads to records that it takes.
fn go_on(log: Vec<Record>, execution: Execution) {
    let _ = execution.outstanding();
    let _ = (execution.is_waiting(), execution.transient_events());
    assert!(execution.memory_bytes() < 1 << 30);
    if !execution.is_open() {
        return;
    }
    let mut story = Story::new();
    story.now = execution.last_event_at();
    story.folded = Some(execution);
    story.log = log;
    let mut asked: Vec<String> = random::sensible(story.execution());
    asked.extend(
        [
            "complete: activity z; timer z 3s; child z",
            "complete: return",
            "complete: fail",
            "due",
            "terminate",
        ]
        .map(str::to_owned),
    );
    for line in asked {
        if line == "crash" || line.starts_with("wait") {
            continue;
        }
        if let Ok(decision) = story.outcome(&line) {
            takes(story.execution(), &decision.records, &line);
        }
    }
    if let Some(deadline) = story.execution().next_deadline() {
        let due = decide::fire_due(story.execution(), NEXT_RUN, deadline);
        assert!(!due.records.is_empty(), "nothing is due at a deadline");
        takes(story.execution(), &due.records, "its deadline");
    }
    for now in [i64::MIN, 0, i64::MAX] {
        let due = decide::fire_due(story.execution(), NEXT_RUN, Timestamp(now));
        takes(story.execution(), &due.records, "any time");
    }
}

fn takes(execution: &Execution, records: &[Record], asked: &str) {
    let mut after = execution.clone();
    for record in records {
        let applied = after.apply(record);
        assert!(applied.is_ok(), "{asked}: {applied:?}");
    }
}

fn hash(text: &str) {
    let row = chain::Row {
        version: VERSION,
        namespace: "default",
        run_id: RUN.0,
        seq: 0,
        first_event_id: 1,
        records: text,
    };
    let _ = chain::hash(&GENESIS, row);
}

#[test]
fn stored_rows_with_damaged_values_are_an_error_or_a_legal_run() {
    let (mut legal, mut refused) = (0, 0);
    for mut dice in fuzz::cases(250) {
        let whole = Json::read(&stored(&mut dice)).unwrap();
        for _ in 0..4 {
            let mut damaged = whole.clone();
            for _ in 0..=dice.below(3) {
                damaged.mutate(&mut dice);
            }
            let text = damaged.to_string();
            hash(&text);
            match read(&text) {
                Some((records, execution)) => {
                    legal += 1;
                    check(records, execution);
                }
                None => refused += 1,
            }
        }
    }
    assert!(
        legal > 0 && refused > 0 || legal + refused < 100,
        "{legal} legal, {refused} refused: the damage reaches both"
    );
}

#[test]
fn stored_rows_with_damaged_text_are_an_error_or_a_legal_run() {
    for mut dice in fuzz::cases(250) {
        let whole = stored(&mut dice);
        for _ in 0..4 {
            let text = text::mutated(&mut dice, &whole);
            hash(&text);
            if let Some((records, execution)) = read(&text) {
                check(records, execution);
            }
        }
    }
}

#[test]
fn attempts_beyond_what_can_be_counted_go_on_at_the_last_one() {
    let mut story = Story::new();
    for line in ["start", "take", "fail-task"] {
        story.ask(line);
    }
    let mut stored = serde_json::to_value(&story.log).unwrap();
    stored[0]["e"]["WorkflowExecutionStarted"]["attempt"] = u32::MAX.into();
    stored[1]["e"]["WorkflowTaskScheduled"]["attempt"] = u32::MAX.into();

    let (records, execution) = read(&stored.to_string()).unwrap();

    assert_eq!(execution.workflow_task().unwrap().attempt, u32::MAX);
    check(records, execution);
}

#[test]
fn note_that_lies_before_the_task_that_it_speaks_of_is_refused() {
    let mut story = Story::new();
    for line in ["wait 5s", "start", "take", "fail-task", "wait 1s", "take"] {
        story.ask(line);
    }
    let mut stored = serde_json::to_value(&story.log).unwrap();
    assert!(read(&stored.to_string()).is_some());
    let note = stored.as_array_mut().unwrap().last_mut().unwrap();
    assert!(note["n"]["WorkflowTaskAttemptStarted"].is_object());

    note["t"] = 1_000_000.into();

    assert!(read(&stored.to_string()).is_none());
}

#[test]
fn ids_are_taken_whole_or_refused() {
    for mut dice in fuzz::cases(2000) {
        let text = text::mutated(&mut dice, "order-1");
        let bad = ["", ".", ".."].contains(&text.as_str())
            || text.len() > ID_BYTES_MAX
            || text.chars().any(char::is_control);
        for (taken, problem) in [
            (
                WorkflowId::new(&text).map(|id| id.to_string()),
                WorkflowId::known(&text).problem(),
            ),
            (
                SignalName::new(&text).map(|id| id.to_string()),
                SignalName::known(&text).problem(),
            ),
        ] {
            assert_eq!(problem.is_some(), bad, "{text:?}");
            match taken {
                Ok(taken) => assert_eq!((taken, bad), (text.clone(), false)),
                Err(error) => assert_eq!(Some(error), problem),
            }
        }
        let stored = serde_json::to_string(&WorkflowId::known(&text)).unwrap();
        let id: WorkflowId = serde_json::from_str(&stored).unwrap();
        assert_eq!(id.as_str(), text);
    }
}

#[test]
fn run_ids_are_read_as_they_are_written_or_refused() {
    for mut dice in fuzz::cases(2000) {
        let high = u128::from(dice.bits()) << 64;
        let id = RunId(uuid::Uuid::from_u128(high | u128::from(dice.bits())));
        assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);

        let text = text::mutated(&mut dice, &id.to_string());
        if let Ok(read) = text.parse::<RunId>() {
            assert_eq!(read.to_string().parse::<RunId>().unwrap(), read);
        }
    }
}
