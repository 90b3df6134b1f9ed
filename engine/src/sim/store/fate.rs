//! What became of a batch whose answer was lost.

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
    store::{Error, Term, acknowledged::Held, session::Session},
};

/// What the database says of a batch.
pub(super) struct Found {
    pub(super) held: Held,
    pub(super) member: bool,
    pub(super) committed: Option<HashSet<RunId>>,
}

impl Found {
    fn of(state: &State, slot: i16, term: Term, batch: i64, starts: &[RunId]) -> Self {
        let there = state.batch_log.contains(&(term.owner, slot, batch));
        let lost = starts.iter().filter(|id| !state.run_exists(**id)).copied();
        Self {
            held: state.held_of(term.owner),
            member: !state.fenced(term),
            committed: (there && !planted(Bug::DoubledCompletion)).then(|| lost.collect()),
        }
    }
}

impl Memory {
    /// Ends the session of a slot and finds out what became of its batch, as one statement of the server.
    pub(super) async fn find_fate(
        self,
        slot: i16,
        term: Term,
        batch: i64,
        starts: Vec<RunId>,
    ) -> Result<Found, Error> {
        let session = Session::Fate(term.owner, slot);
        let backend = self.state().open_backend(Some(session));
        let lost = Session::Commit(term.owner, slot);
        self.state().end_sessions(|session| session == lost);
        self.changed.notify_waiters();
        let row = Lock::Slot(term.owner, slot);
        let locked = self.lock(row, backend, LOCK_WAIT_MAX).await;
        let found = Found::of(&self.state(), slot, term, batch, &starts);
        self.end_backend(backend);
        locked.map(|()| found)
    }

    /// The same, as a transaction of several statements that nothing ends.
    pub(super) async fn find_fate_slowly(
        &self,
        slot: i16,
        term: Term,
        batch: i64,
        starts: Vec<RunId>,
    ) -> Result<Found, Error> {
        let lost = Session::Commit(term.owner, slot);
        self.state().end_sessions(|session| session == lost);
        self.changed.notify_waiters();
        let transaction = self.begin_for_ever().await;
        transaction.lock(Lock::Slot(term.owner, slot)).await?;
        dawdle(5).await;
        let found = |state: &mut State| Found::of(state, slot, term, batch, &starts);
        transaction.commit(found).await
    }
}
