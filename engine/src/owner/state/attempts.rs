//! What the database keeps of attempts beside the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use history::{
    EventId, EventKind, Execution, Note, Record, RunId,
    event::{RefersTo, Relation, Subject},
    execution::AttemptState,
    record::Noted,
};
use tokio::time::Instant;

use crate::store::commit::AttemptRow;

/// Of one run. Activities go by their `ActivityTaskScheduled` event, the workflow task by [`EventId::NONE`].
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Those that have a row when all that is on its way is durable, with the attempt that it says has started.
    rows: BTreeMap<EventId, Option<u32>>,
    /// Those whose row is to be written with the next commit.
    changed: BTreeSet<EventId>,
    /// Those whose row goes with the next commit.
    over: BTreeSet<EventId>,
    /// Those whose last heartbeat is not written.
    pub(crate) beats: BTreeSet<EventId>,
}

/// What is to be written when it is still so in a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Later {
    /// This attempt has started.
    Start(u32),
    /// What the last heartbeat said.
    Heartbeat,
}

/// What is to be looked at. All of a kind waits for as long, so the first that came is the first to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Noting {
    pub(crate) starts: VecDeque<(Instant, RunId, EventId, Later)>,
    pub(crate) heartbeats: VecDeque<(Instant, RunId, EventId, Later)>,
}

impl Noting {
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let firsts = [&self.starts, &self.heartbeats].map(VecDeque::front);
        firsts.into_iter().flatten().map(|(at, ..)| *at).min()
    }

    pub(crate) fn next_due(&mut self, now: Instant) -> Option<(RunId, EventId, Later)> {
        let is_due = |(at, ..): &mut (Instant, RunId, EventId, Later)| *at <= now;
        let due = self.starts.pop_front_if(is_due);
        let due = due.or_else(|| self.heartbeats.pop_front_if(is_due));
        due.map(|(_, run_id, about, what)| (run_id, about, what))
    }
}

impl Attempts {
    /// Returns what the database had of a run when it was read.
    pub(crate) fn read(rows: BTreeMap<EventId, Option<u32>>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Takes note of what a record that was just applied changes.
    pub(crate) fn follow(&mut self, execution: &Execution, record: &Record) {
        if !execution.is_open() {
            self.changed.clear();
            self.beats.clear();
            self.over.extend(std::mem::take(&mut self.rows).into_keys());
            return;
        }
        match record {
            Record::Event(event) => self.ends(ended(&event.kind)),
            Record::Note(noted) => match &noted.note {
                Note::Buffered { event } => self.ends(ended(event)),
                note @ (Note::ActivityAttemptFailed { .. }
                | Note::WorkflowTaskAttemptFailed { .. }) => self.changed.extend(note.about()),
                Note::ActivityAttemptStarted { .. }
                | Note::ActivityAttemptScheduled { .. }
                | Note::ActivityHeartbeat { .. }
                | Note::WorkflowTaskAttemptScheduled { .. }
                | Note::WorkflowTaskAttemptStarted { .. }
                | Note::RequestsHeard { .. }
                | Note::StartAttached { .. }
                | Note::ActivityAttempts { .. }
                | Note::WorkflowTaskAttempts { .. } => {}
            },
        }
        let task_is_known =
            self.rows.contains_key(&EventId::NONE) || self.changed.contains(&EventId::NONE);
        if task_is_known
            && !execution
                .workflow_task()
                .is_some_and(history::execution::WorkflowTaskState::is_transient)
        {
            self.ends(Some(EventId::NONE));
        }
    }

    fn ends(&mut self, about: Option<EventId>) {
        let Some(about) = about else { return };
        self.changed.remove(&about);
        self.beats.remove(&about);
        if self.rows.remove(&about).is_some() {
            self.over.insert(about);
        }
    }

    /// Says whether a row is to be written.
    pub(crate) fn are_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Has a row written with the next commit.
    pub(crate) fn change(&mut self, about: EventId) {
        self.changed.insert(about);
    }

    /// Takes note of a heartbeat that says something new; says whether all before it are written.
    pub(crate) fn beat(&mut self, about: EventId) -> bool {
        self.beats.insert(about)
    }

    /// Adds the rows that are to be written and those that go.
    pub(crate) fn flush(
        &mut self,
        run_id: RunId,
        execution: &Execution,
        rows: &mut Vec<AttemptRow>,
    ) {
        for about in std::mem::take(&mut self.changed) {
            self.beats.remove(&about);
            match execution.attempts(about) {
                Some(noted) => {
                    self.rows.insert(about, noted.note.started_attempt());
                    rows.push(written(run_id, about, noted));
                }
                None => self.ends(Some(about)),
            }
        }
        rows.extend(
            std::mem::take(&mut self.over)
                .into_iter()
                .map(|event_id| AttemptRow {
                    run_id,
                    event_id,
                    note: None,
                }),
        );
    }

    /// Says whether something of an activity or of the workflow task is not written that may be.
    pub(crate) fn is_behind(&self, execution: &Execution, about: EventId) -> bool {
        let started = if about.is_none() {
            let task = execution.workflow_task().filter(|task| task.is_transient());
            task.and_then(|task| task.is_started().then_some(task.attempt))
        } else {
            let activity = execution.activity(about);
            activity.and_then(|activity| {
                let started = activity.is_started() && !activity.is_once();
                started.then_some(activity.attempt)
            })
        };
        self.beats.contains(&about)
            || started.is_some_and(|attempt| self.rows.get(&about) != Some(&Some(attempt)))
    }

    /// Has everything written that is not.
    pub(crate) fn catch_up(&mut self, execution: &Execution) {
        let activities = execution.activities();
        let started =
            activities.filter(|activity| matches!(activity.state, AttemptState::Started { .. }));
        for about in started
            .map(history::execution::ActivityState::scheduled_event_id)
            .chain([EventId::NONE])
        {
            if self.is_behind(execution, about) {
                self.changed.insert(about);
            }
        }
    }
}

pub(crate) fn written(run_id: RunId, event_id: EventId, noted: Noted) -> AttemptRow {
    let record = Record::Note(noted);
    #[cfg(test)]
    let record = crate::sim::planted::misremember(record);
    AttemptRow {
        run_id,
        event_id,
        // Our own types have no key or value that JSON could refuse.
        note: Some(serde_json::to_string(&record).unwrap_or_default()),
    }
}

/// Returns the activity that an event ends.
pub(crate) fn ended(kind: &EventKind) -> Option<EventId> {
    let RefersTo {
        event_id,
        subject,
        relation,
    } = kind.refers_to()?;
    let ends = subject == Subject::Activity && matches!(relation, Relation::Ends { .. });
    ends.then_some(event_id)
}
