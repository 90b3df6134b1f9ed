//! What waits to be committed, and what goes together.

use std::{collections::VecDeque, time::Duration};

use foldhash::HashSet;
use tokio::time::Instant;

use crate::{
    committer::{
        Command, Folding, Outcome, Refusal,
        command::{Workflow, workflow},
        folding,
        suspects::{Suspects, Suspicion},
    },
    limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, GATHER_ITEMS},
    store::RunRef,
    store::commit::Item,
    words::Answer,
};

/// How long what was put off waits, and rows of `outbox` that may go for a batch to go with.
pub(crate) const HOUSEWORK_AFTER: Duration = Duration::from_secs(1);

/// What is committed in one go.
#[derive(Default)]
pub(crate) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) delivered: Vec<RunRef>,
    /// What may be told when it is.
    pub(super) answers: Vec<Answer>,
    /// Somebody kept a lock that its only workflow needs, or what was put off: whether it still does is looked at shortly.
    pub(super) looks: bool,
    /// It asks whether a whole table is kept.
    pub(super) asks: bool,
}

impl Batch {
    /// Returns one that asks for nothing else.
    pub(crate) fn question() -> Self {
        Self {
            asks: true,
            ..Self::default()
        }
    }

    /// Says whether nobody waits for it.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.answers.is_empty()
    }
}

/// What waits to be committed.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(super) pending: VecDeque<Item>,
    pub(super) delivered: Vec<RunRef>,
    pub(super) answers: Vec<Answer>,
    /// What was put off goes by itself then: a lock kept the batch waiting with which it went.
    pub(super) put_off: Vec<RunRef>,
    pub(super) put_off_until: Option<Instant>,
    /// The workflows in a batch under way.
    pub(super) busy: HashSet<Workflow>,
    /// The foldings whose item was not written: what else they sent must not be.
    pub(super) dead: HashSet<Folding>,
    /// The workflows at whose items the database failed: until one is written, they go alone, one after the other. What they wait for
    /// keeps one connection busy, and no more.
    pub(super) suspects: Suspects,
    /// The one that is in a batch under way.
    pub(super) alone: Option<Workflow>,
}

impl Gathered {
    /// Takes a command. Items of a dead folding go no further: the owner drops that folding when it
    /// hears of the first, and answers everybody who waits for it.
    pub(crate) fn take(&mut self, command: Command) {
        match command {
            Command::Commit(item) if self.is_dead(&item) => {}
            Command::Commit(item) => self.pending.push_back(item),
            Command::Delivered(delivered) => self.delivered.push(delivered),
            Command::Confirm(answer) => self.answers.push(answer),
            Command::Forget(folding) => {
                self.dead.remove(&folding);
            }
        }
    }

    fn is_dead(&self, item: &Item) -> bool {
        !self.dead.is_empty() && self.dead.contains(&folding(item))
    }

    /// Says whether a batch may begin: at once when none is under way. Else the first answers to that one would go alone and the
    /// rest of them wait for a whole commit; so it begins when as much has gathered as the other one took.
    pub(crate) fn is_ripe(&self) -> bool {
        self.waiting() >= self.busy.len().min(GATHER_ITEMS)
    }

    /// Returns how much waits that somebody waits for.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len() + self.answers.len()
    }

    /// Says whether there is something that nobody waits for.
    pub(crate) fn has_housework(&self) -> bool {
        !self.delivered.is_empty() || !self.put_off.is_empty()
    }

    /// Returns the batch of what was put off.
    pub(crate) fn what_was_put_off(&mut self) -> Batch {
        self.put_off_until = None;
        Batch {
            delivered: std::mem::take(&mut self.put_off),
            looks: true,
            ..Batch::default()
        }
    }

    /// Returns the next batch: in order, at most one start a workflow, nothing of a workflow that is in another batch.
    pub(crate) fn batch(&mut self) -> Batch {
        let mut items = Vec::with_capacity(self.pending.len().min(BATCH_ROWS_MAX));
        let mut skipped = VecDeque::new();
        let mut taken = HashSet::default();
        let mut held_back: HashSet<Workflow> = HashSet::default();
        let (mut rows, mut bytes) = (0, 0);
        let mut goes_alone = None;
        while rows < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(item) = self.pending.pop_front() else {
                break;
            };
            let workflow = workflow(&item);
            let starts_twice = !item.starts.is_empty() && taken.contains(&workflow);
            let suspicion = self.suspects.of(&workflow);
            if starts_twice
                || (suspicion.is_some() && (!items.is_empty() || self.alone.is_some()))
                || self.busy.contains(&workflow)
                || held_back.contains(&workflow)
            {
                held_back.insert(workflow);
                skipped.push_back(item);
                continue;
            }
            rows += (item.rows.len() + item.attempts.len()).max(1);
            bytes += item.bytes();
            if suspicion.is_some() {
                goes_alone = suspicion;
                self.alone = Some(workflow.clone());
            }
            taken.insert(workflow);
            items.push(item);
            if goes_alone.is_some() {
                break;
            }
        }
        while let Some(item) = skipped.pop_back() {
            self.pending.push_front(item);
        }
        self.busy.extend(taken);
        match goes_alone {
            // Nothing else waits for what that one waits for.
            Some(suspicion) => Batch {
                items,
                looks: suspicion == Suspicion::Waits,
                ..Batch::default()
            },
            None => Batch {
                items,
                delivered: std::mem::take(&mut self.delivered),
                answers: std::mem::take(&mut self.answers),
                ..Batch::default()
            },
        }
    }

    /// Frees the workflows of a batch, and marks those whose items were not written.
    pub(crate) fn finish(&mut self, outcome: &mut Outcome) {
        if !outcome.put_off.is_empty() {
            self.put_off.append(&mut outcome.put_off);
            self.put_off_until = Some(Instant::now() + HOUSEWORK_AFTER);
        }
        let refused = outcome.refused.iter().map(|(item, _)| item);
        let mut back = (outcome.committed.iter())
            .chain(&outcome.conflicting)
            .chain(refused);
        if let Some(alone) = &self.alone
            && back.any(|item| workflow(item) == *alone)
        {
            self.alone = None;
        }
        for item in &outcome.committed {
            let workflow = workflow(item);
            self.busy.remove(&workflow);
            self.suspects.remove(&workflow);
        }
        for (item, refusal) in &outcome.refused {
            let suspicion = match refusal {
                Refusal::Failing(_) => Suspicion::Fails,
                Refusal::Locked => Suspicion::Waits,
                Refusal::Data(_) => continue,
            };
            self.suspects.add(workflow(item), suspicion);
        }
        for item in outcome
            .conflicting
            .iter()
            .chain(outcome.refused.iter().map(|(item, _)| item))
        {
            self.busy.remove(&workflow(item));
            self.dead.insert(folding(item));
        }
        if !self.dead.is_empty() {
            let dead = &self.dead;
            self.pending.retain(|item| !dead.contains(&folding(item)));
        }
    }
}

#[cfg(test)]
mod tests {
    use history::{RunId, WorkflowId};

    use super::*;
    use crate::{limits::SUSPECTS_MAX, store::commit::AttemptRow};

    fn item(n: usize) -> Item {
        Item {
            shard: 0,
            namespace: 1,
            workflow_id: WorkflowId::known(n.to_string()),
            incarnation: 0,
            parts: Vec::new(),
            attempts: Vec::new(),
            rows: Vec::new(),
            starts: Vec::new(),
            closes: Vec::new(),
            facts: Vec::new(),
            open: None,
            outbox: None,
        }
    }

    fn gather(gathered: &mut Gathered, workflows: std::ops::Range<usize>) {
        for n in workflows {
            gathered.take(Command::Commit(item(n)));
        }
    }

    #[test]
    fn rows_of_attempts_count_in_a_batch() {
        let mut gathered = Gathered::default();
        for n in 0..4 {
            let attempts = (0..BATCH_ROWS_MAX / 2).map(|_| AttemptRow {
                run_id: RunId(uuid::Uuid::nil()),
                event_id: history::EventId::NONE,
                note: None,
            });
            gathered.take(Command::Commit(Item {
                attempts: attempts.collect(),
                ..item(n)
            }));
        }
        assert_eq!(gathered.batch().items.len(), 2);
    }

    #[test]
    fn workflows_at_which_the_database_failed_are_remembered_up_to_a_number() {
        let mut gathered = Gathered::default();
        let refused = |n| (item(n), Refusal::Failing("it fails".to_owned()));
        gathered.finish(&mut Outcome {
            refused: (0..=SUSPECTS_MAX).map(refused).collect(),
            ..Outcome::default()
        });
        let suspects = &gathered.suspects;
        assert_eq!(suspects.all.len(), SUSPECTS_MAX);
        assert_eq!(suspects.of(&workflow(&item(0))), None);
        let last = workflow(&item(SUSPECTS_MAX));
        assert_eq!(suspects.of(&last), Some(Suspicion::Fails));
        gathered.finish(&mut Outcome {
            committed: (1..=SUSPECTS_MAX).map(item).collect(),
            ..Outcome::default()
        });
        assert!(gathered.suspects.order.is_empty());
    }

    #[test]
    fn what_waits_for_a_lock_goes_alone_and_takes_nothing_along() {
        let mut gathered = Gathered::default();
        gathered.finish(&mut Outcome {
            refused: (0..2).map(|n| (item(n), Refusal::Locked)).collect(),
            ..Outcome::default()
        });
        gathered.dead.clear();
        gather(&mut gathered, 0..4);
        gathered.delivered.push(RunRef {
            shard: 0,
            run_id: RunId(uuid::Uuid::nil()),
        });

        let first = gathered.batch();
        let second = gathered.batch();

        assert_eq!(first.items.len(), 1);
        assert!(first.looks && first.delivered.is_empty());
        // The other one of them waits for the first.
        let ids: Vec<String> = second
            .items
            .iter()
            .map(|item| item.workflow_id.to_string())
            .collect();
        assert_eq!(ids, ["2", "3"]);
        assert!(!second.looks && second.delivered.len() == 1);
        gathered.finish(&mut Outcome {
            refused: vec![(item(0), Refusal::Locked)],
            ..Outcome::default()
        });
        assert_eq!(gathered.batch().items.len(), 1);
    }

    #[test]
    fn a_batch_begins_at_once_unless_another_is_under_way_that_has_more() {
        let mut gathered = Gathered::default();
        gather(&mut gathered, 0..1);
        assert!(gathered.is_ripe());
        gather(&mut gathered, 1..3);
        assert_eq!(gathered.batch().items.len(), 3);
        gather(&mut gathered, 3..5);
        assert!(!gathered.is_ripe());
        gather(&mut gathered, 5..6);
        assert!(gathered.is_ripe());
    }

    #[test]
    fn no_batch_waits_for_as_many_as_a_large_one_has() {
        let mut gathered = Gathered::default();
        gather(&mut gathered, 0..200);
        assert_eq!(gathered.batch().items.len(), 200);
        gather(&mut gathered, 200..200 + GATHER_ITEMS);
        assert!(gathered.is_ripe());
    }
}
