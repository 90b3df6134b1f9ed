//! What the commands of one completion have in common.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    decide::{
        draft::Draft,
        size::{facts_problem, keys_problem},
    },
    effect::Effect,
    event::{EventKind, Memo, SearchAttributes, WorkflowTaskFailedCause as Cause},
    execution::{Execution, merge},
    ids::{ActivityId, EventId, InvalidId, RunId, TimerId},
    limits::PENDING_MAX,
};

/// Why a command can't be carried out.
#[derive(Debug)]
pub(in crate::decide) struct Refused {
    pub(in crate::decide) cause: Cause,
    /// What to change.
    pub(in crate::decide) message: String,
}

/// Returns a refusal.
pub(super) fn refused<T>(cause: Cause, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        cause,
        message: message.into(),
    })
}

/// Refuses when there is a problem with a field.
pub(super) fn check(cause: Cause, field: &str, problem: Option<String>) -> Result<(), Refused> {
    match problem {
        None => Ok(()),
        Some(problem) => refused(cause, format!("{field}: {problem}")),
    }
}

/// Refuses facts with a key that nobody may have, or that are too large.
pub(super) fn check_facts(cause: Cause, field: &str, facts: &Memo) -> Result<(), Refused> {
    check(cause, field, keys_problem(facts.keys()))?;
    check_size(field, facts_problem(facts))
}

/// Refuses an id that is not legal.
pub(super) fn check_id(cause: Cause, problem: Option<InvalidId>) -> Result<(), Refused> {
    match problem {
        None => Ok(()),
        Some(problem) => refused(cause, problem.to_string()),
    }
}

/// Refuses what is too large to be recorded.
pub(super) fn check_size(field: &str, problem: Option<String>) -> Result<(), Refused> {
    check(Cause::PayloadsTooLarge, field, problem)
}

/// One completion's commands on their way to events, and what they changed so far.
pub(in crate::decide) struct Turn<'t, 'a> {
    pub(super) draft: &'t mut Draft<'a>,
    pub(super) exec: &'a Execution,
    pub(super) completed: EventId,
    pub(super) new_run_id: Option<RunId>,
    /// Another workflow task must follow.
    pub(in crate::decide) needs_task: bool,
    /// Activities scheduled in this turn and still pending.
    pub(super) scheduled: BTreeMap<ActivityId, EventId>,
    /// Activities that ended in this turn.
    pub(super) ended: BTreeSet<EventId>,
    /// Activities whose cancellation was requested in this turn.
    pub(super) cancel_requested: BTreeSet<EventId>,
    /// Timers started in this turn and still running.
    pub(super) timers: BTreeMap<TimerId, EventId>,
    /// Timers canceled in this turn.
    pub(super) canceled_timers: BTreeSet<EventId>,
    /// What changed of the memo in this turn.
    pub(super) memo: Memo,
    /// What changed of the search attributes in this turn.
    pub(super) search_attributes: SearchAttributes,
    pub(super) children: usize,
    pub(super) signals: usize,
    pub(super) cancels: usize,
}

impl<'t, 'a> Turn<'t, 'a> {
    pub(in crate::decide) fn new(
        draft: &'t mut Draft<'a>,
        completed: EventId,
        new_run_id: Option<RunId>,
    ) -> Self {
        let exec = draft.exec;
        Self {
            draft,
            exec,
            completed,
            new_run_id,
            needs_task: false,
            scheduled: BTreeMap::new(),
            ended: BTreeSet::new(),
            cancel_requested: BTreeSet::new(),
            timers: BTreeMap::new(),
            canceled_timers: BTreeSet::new(),
            memo: Memo::new(),
            search_attributes: SearchAttributes::new(),
            children: exec.children().len(),
            signals: exec.external_signals().len(),
            cancels: exec.external_cancels().len(),
        }
    }

    /// Returns the memo and the search attributes as this turn leaves them.
    pub(super) fn facts(&self) -> (Memo, SearchAttributes) {
        let (mut memo, mut search_attributes) = self.exec.facts();
        merge(&mut memo, &self.memo);
        merge(&mut search_attributes, &self.search_attributes);
        (memo, search_attributes)
    }

    /// Adds an initiated event and what it asks of others.
    pub(super) fn initiate(&mut self, kind: impl Into<EventKind>) -> EventId {
        let id = self.draft.event(kind);
        let effect = self
            .draft
            .last_event()
            .and_then(|event| Effect::of_initiated(self.exec, event));
        self.draft.effects.extend(effect);
        id
    }
}

/// Refuses one more of what is pending.
pub(super) fn check_pending(pending: usize, cause: Cause, what: &str) -> Result<(), Refused> {
    if pending < PENDING_MAX {
        return Ok(());
    }
    refused(
        cause,
        format!("{PENDING_MAX} {what} are pending, the most a run may have; wait for some first"),
    )
}
