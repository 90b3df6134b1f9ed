//! Where each shard is, and what waits until one is here.

use std::{collections::VecDeque, sync::Arc};

use foldhash::HashMap;
use history::{RunId, Timestamp};
use tokio::{sync::oneshot, time::Instant};

use crate::{limits::SHARDS, store::RunRef, words::Request};

/// Where a shard is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// With the member at that address, if it is known.
    Elsewhere(Option<Arc<str>>),
    /// It comes here; which of its runs are to be folded is not known yet.
    Coming,
    Here,
    /// It is to go; what workers have is waited for.
    Leaving,
    /// Nothing of it is in memory any more; the database does not say yet who has it.
    Left,
}

/// All shards.
#[derive(Debug)]
pub(crate) struct Shards {
    places: Vec<Place>,
    /// How many of them are not simply here.
    away: usize,
    /// Grows whenever a shard leaves: what was read of it before is no good.
    pub(crate) generations: Vec<u32>,
    /// Those that come, some at a time.
    pub(crate) coming: VecDeque<(Vec<i16>, Timestamp)>,
    /// Those that are here and not folded yet, some at a time.
    pub(crate) folding: VecDeque<Folding>,
    /// Who waits until no shard is coming.
    ready: Vec<oneshot::Sender<()>>,
    /// What waits until a shard is here, or elsewhere.
    pub(crate) waiting: HashMap<i16, Vec<Request>>,
    /// The hand-over under way.
    pub(crate) leaving: Option<Leaving>,
    /// While shards come or have left, open runs may be without a row in `open_run` from this moment on.
    pub(crate) floor: Option<Timestamp>,
}

/// Shards that are being folded, a little at a time: what they have open may be more than fits into memory. They are served meanwhile;
/// a run that is asked for is folded then.
#[derive(Debug)]
pub(crate) struct Folding {
    pub(crate) shards: Vec<i16>,
    pub(crate) runs: VecDeque<RunRef>,
}

#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) shards: Vec<i16>,
    pub(crate) patience_ends: Instant,
    pub(crate) next_look: Instant,
    /// Runs that had something under way at the last look. Only when nothing of these is left are all looked at again: there may be
    /// a million.
    pub(crate) busy: Vec<RunId>,
}

pub(crate) fn index(shard: i16) -> usize {
    usize::try_from(shard).unwrap_or(0)
}

impl Shards {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![Place::Elsewhere(None); usize::from(SHARDS)],
            away: usize::from(SHARDS),
            generations: vec![0; usize::from(SHARDS)],
            coming: VecDeque::new(),
            folding: VecDeque::new(),
            ready: Vec::new(),
            waiting: HashMap::default(),
            leaving: None,
            floor: None,
        }
    }

    pub(crate) fn place(&self, shard: i16) -> &Place {
        &self.places[index(shard)]
    }

    pub(crate) fn put(&mut self, shard: i16, place: Place) {
        let before = std::mem::replace(&mut self.places[index(shard)], place);
        self.away += usize::from(matches!(before, Place::Here));
        self.away -= usize::from(self.hands_out(shard));
    }

    /// Says whether the runs of a shard may be in memory.
    pub(crate) fn has(&self, shard: i16) -> bool {
        matches!(self.place(shard), Place::Here | Place::Leaving)
    }

    /// Returns where a shard is that is not here, if that is known.
    pub(crate) fn address(&self, shard: i16) -> Option<&Arc<str>> {
        match self.place(shard) {
            Place::Elsewhere(address) => address.as_ref(),
            Place::Coming | Place::Here | Place::Leaving | Place::Left => None,
        }
    }

    /// Says whether all shards are here, and none of them is to go.
    pub(crate) fn has_all(&self) -> bool {
        self.away == 0
    }

    /// Says whether tasks of a shard's runs may be handed out.
    pub(crate) fn hands_out(&self, shard: i16) -> bool {
        matches!(self.place(shard), Place::Here)
    }

    pub(crate) fn generation(&self, shard: i16) -> u32 {
        self.generations[index(shard)]
    }

    /// Returns when a hand-over has to be looked at.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.leaving.as_ref().map(|leaving| leaving.next_look)
    }

    /// Returns the latest moment that `open_since` may say.
    pub(crate) fn floor(&self) -> Option<Timestamp> {
        self.floor
    }

    /// Returns the shards whose runs may be in memory.
    pub(crate) fn here(&self) -> Arc<[i16]> {
        (0..)
            .zip(&self.places)
            .filter(|(_, place)| matches!(place, Place::Here | Place::Leaving))
            .map(|(shard, _)| shard)
            .collect()
    }

    /// Says whether some are coming.
    pub(crate) fn comes(&self) -> bool {
        !self.coming.is_empty()
    }

    /// Says whether some are not folded yet.
    pub(crate) fn is_folding(&self) -> bool {
        !self.folding.is_empty()
    }

    /// Returns the next runs that are to be folded.
    pub(crate) fn next_to_fold(&mut self, most: usize) -> Vec<RunRef> {
        let Some(Folding { runs, .. }) = self.folding.front_mut() else {
            return Vec::new();
        };
        let next = runs.len().min(most);
        runs.drain(..next).collect()
    }

    /// Takes runs back that are to be folded next.
    pub(crate) fn fold_later(&mut self, rest: Vec<RunRef>) {
        if let Some(folding) = self.folding.front_mut() {
            for run in rest.into_iter().rev() {
                folding.runs.push_front(run);
            }
        }
    }

    /// Returns the next shards whose runs are all folded.
    pub(crate) fn folded(&mut self) -> Option<Vec<i16>> {
        let done = self.folding.pop_front_if(|folding| folding.runs.is_empty());
        done.map(|folding| folding.shards)
    }

    /// Answers when no shard is coming.
    pub(crate) fn when_ready(&mut self, reply: oneshot::Sender<()>) {
        self.ready.push(reply);
        self.answer_if_ready();
    }

    pub(crate) fn answer_if_ready(&mut self) {
        if !self.comes() {
            for reply in self.ready.drain(..) {
                // Whoever has gone does not want to know.
                let _ = reply.send(());
            }
        }
    }

    /// Lets the floor go when nothing comes or has left, and all is folded.
    pub(crate) fn lift_floor(&mut self) {
        let between = |place: &Place| matches!(place, Place::Coming | Place::Left);
        if self.folding.is_empty() && !self.places.iter().any(between) {
            self.floor = None;
        }
    }
}
