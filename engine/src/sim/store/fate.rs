//! The outcome of a batch whose answer was lost.

use foldhash::HashSet;
use history::RunId;

use super::{
    super::{
        planted::{Bug, planted},
        world::dawdle,
    },
    lock::Lock,
    memory::Memory,
    tables::State,
};
use crate::{
    limits::LOCK_WAIT_MAX,
    store::{Error, Term, acknowledged::Held, feed::Slot, session::Session},
};

/// What the database says of a batch.
pub(super) struct Found {
    pub(super) held: Held,
    pub(super) member: bool,
    pub(super) committed: Option<HashSet<RunId>>,
}

impl Found {
    fn of(state: &State, lost: &Lost) -> Self {
        let slot = Slot {
            epoch: lost.term.epoch,
            n: lost.slot,
        };
        let there = state.feed.has(slot, lost.batch);
        let starts = lost.starts.iter().copied();
        let not_started = starts.filter(|run_id| !state.run_exists(*run_id));
        Self {
            held: state.held_of(lost.term.owner),
            member: !state.fenced(lost.term),
            committed: (there && !planted(Bug::DoubledCompletion)).then(|| not_started.collect()),
        }
    }
}

/// A batch whose answer was lost.
pub(super) struct Lost {
    pub(super) term: Term,
    pub(super) slot: i16,
    pub(super) batch: i64,
    /// The runs that it was to start.
    pub(super) starts: Vec<RunId>,
}

impl Memory {
    /// Ends the session of a slot and finds out the outcome of its batch, as one statement of the server.
    pub(super) async fn find_fate(self, lost: Lost) -> Result<Found, Error> {
        let session = Session::Fate(lost.term.owner, lost.slot);
        let backend = self.state().open_backend(Some(session));
        let row = self.end_lost(&lost);
        let locked = self.lock(row, backend, LOCK_WAIT_MAX).await;
        let found = Found::of(&self.state(), &lost);
        self.end_backend(backend);
        locked.map(|()| found)
    }

    /// The same, as a transaction of several statements that nothing ends.
    pub(super) async fn find_fate_slowly(&self, lost: Lost) -> Result<Found, Error> {
        let row = self.end_lost(&lost);
        let transaction = self.begin_for_ever().await;
        transaction.lock(row).await?;
        dawdle(5).await;
        let found = |state: &mut State| Found::of(state, &lost);
        transaction.commit(found).await
    }

    /// Ends the session that had a batch. Returns the row that it may hold still.
    fn end_lost(&self, lost: &Lost) -> Lock {
        let session = Session::Commit(lost.term.owner, lost.slot);
        self.state().end_sessions(|other| other == session);
        self.changed.notify_waiters();
        Lock::Slot(lost.term.owner, lost.slot)
    }
}
