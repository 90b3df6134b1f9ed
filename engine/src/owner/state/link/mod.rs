//! The way to one other member: parcels in batches, one batch under way at a time, each taken once and in order.
//!
//! Each side counts its rounds. It begins a new one when it gives the other up; whatever was said in an earlier round of either side is void, and both
//! then forget what they had of each other. A batch names both rounds, so that a late one does no harm.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use foldhash::{HashMap, HashSet};
use serde_json::value::RawValue;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    limits::{EXCHANGE_BYTES_MAX, EXCHANGE_PARCELS_MAX, SESSION_LOST_AFTER},
    peers::{Batch, Number, Parcel, PeerClient, PeerRequest, Piece},
    words::{Waiting, order},
};

/// After how long without a batch the other side is asked whether it is there, while either has something of the other.
pub(crate) const ASK_AFTER: Duration = Duration::from_secs(5);
/// How many lists of members may leave out one that has sent something: it may have joined since they were read.
pub(crate) const ABSENCES_MAX: u8 = 3;

/// Who is who in a batch.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) from: Uuid,
    pub(crate) address: &'a str,
    pub(crate) to: Uuid,
}

/// What a batch that has come turns out to be.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is new. If `anew`, the other side had given this one up before.
    Parcels { parcels: Vec<Parcel>, anew: bool },
    /// It was taken before.
    Again,
    /// It is of a round that is over, on this side or the other; this side is in that one.
    Void { round: u64, anew: bool },
}

/// The way to another member.
#[derive(Debug)]
pub(crate) struct Link {
    address: Option<Arc<str>>,
    /// It was in a list of members.
    listed: bool,
    /// How many lists of members have left it out, one after the other.
    absences: u8,
    round: u64,
    their_round: u64,
    /// The number of the last batch sent, and of the last one taken.
    sent: u64,
    taken: u64,
    /// How many waiting tasks of each queue the other side was told of, less those that it has granted a slot since.
    told: HashMap<Waiting, u32>,
    /// Queues of which it may have to be told that tasks wait, when the next batch goes.
    unsure: HashSet<Waiting>,
    /// Serialized parcels.
    outgoing: VecDeque<Piece>,
    /// The batch whose receipt is waited for.
    under_way: Option<String>,
    /// An empty batch is to be sent, so that the other side answers.
    asks: bool,
    last_sent_at: Option<Instant>,
    /// Since when there is no receipt.
    silent_since: Option<Instant>,
    /// It was silent for too long. Nothing but a question goes to it until it answers.
    given_up: bool,
    /// What has come of a parcel of several pieces.
    partly: String,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            address: None,
            listed: false,
            absences: 0,
            round: 1,
            their_round: 1,
            sent: 0,
            taken: 0,
            told: HashMap::default(),
            unsure: HashSet::default(),
            outgoing: VecDeque::new(),
            under_way: None,
            asks: false,
            last_sent_at: None,
            silent_since: None,
            given_up: false,
            partly: String::new(),
        }
    }

    /// Takes note that it is a member, and where.
    pub(crate) fn list(&mut self, address: Arc<str>) {
        self.address = Some(address);
        self.listed = true;
    }

    /// Takes note that it is not in the list of members, and says whether it is gone for good.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.absences += 1;
        // One that was never in it may have joined after it was read.
        self.listed || self.absences >= ABSENCES_MAX
    }

    /// Says whether what is told reaches the other side, as far as it is known.
    pub(crate) fn is_heard(&self) -> bool {
        !self.given_up
    }

    /// Takes note of queues in which other tasks wait than before. It is told of them when a batch can go, however often that changes.
    pub(crate) fn is_unsure(&mut self, queues: &HashSet<Waiting>) {
        if !self.given_up {
            self.unsure.extend(queues.iter().cloned());
        }
    }

    /// It knows nothing of what waits here: all of it is to be told.
    pub(crate) fn knows_nothing(&mut self, waiting: impl IntoIterator<Item = Waiting>) {
        self.told.clear();
        self.unsure = waiting.into_iter().collect();
    }

    /// Says whether the other side was told that tasks wait in a queue.
    pub(crate) fn was_told(&self, queue: &Waiting) -> bool {
        !self.told.is_empty() && self.told.contains_key(queue)
    }

    /// It has granted so many slots, and taken them off what it was told.
    pub(crate) fn has_granted(&mut self, queue: &Waiting, slots: u32) {
        if let Some(told) = self.told.get_mut(queue) {
            *told = told.saturating_sub(slots);
        }
    }

    /// Returns what the other side is to be told of what waits, if a batch can go: each queue with how many tasks.
    pub(crate) fn demands(&mut self, count: impl Fn(&Waiting) -> u32) -> Vec<(Waiting, u32)> {
        if self.under_way.is_some() || self.given_up {
            return Vec::new();
        }
        let mut demands = Vec::new();
        for queue in std::mem::take(&mut self.unsure) {
            let waiting = count(&queue);
            match self.told.get_mut(&queue) {
                // Whoever was told of some is told that there are none, also when it has granted a slot for each: it lets go of the queue.
                Some(_) if waiting == 0 => {
                    self.told.remove(&queue);
                    demands.push((queue, 0));
                }
                Some(told) if is_far(*told, waiting) => {
                    *told = waiting;
                    demands.push((queue, waiting));
                }
                None if waiting > 0 => {
                    self.told.insert(queue.clone(), waiting);
                    demands.push((queue, waiting));
                }
                Some(_) | None => {}
            }
        }
        // The order of a set is no order.
        demands.sort_unstable_by(|(one, _), (other, _)| order(one).cmp(&order(other)));
        demands
    }

    /// Adds a parcel to what is to be sent.
    pub(crate) fn push(&mut self, parcel: &Parcel) {
        if self.given_up {
            return;
        }
        // Our own types have no key or value that JSON could refuse.
        let text = serde_json::to_string(parcel).unwrap_or_default();
        if text.len() <= EXCHANGE_BYTES_MAX {
            let whole = RawValue::from_string(text).map(Piece::Whole);
            self.outgoing.extend(whole.ok());
            return;
        }
        let mut rest = text.as_str();
        while rest.len() > EXCHANGE_BYTES_MAX {
            let (part, left) = rest.split_at(rest.floor_char_boundary(EXCHANGE_BYTES_MAX));
            self.outgoing.push_back(Piece::Part(part.to_owned()));
            rest = left;
        }
        self.outgoing.push_back(Piece::Last(rest.to_owned()));
    }

    /// Says whether a batch can be sent that was not sent before.
    pub(crate) fn is_ready(&self) -> bool {
        let something = self.asks || !self.outgoing.is_empty();
        something && self.under_way.is_none() && self.address.is_some()
    }

    /// Says whether something is on its way, or will be, to one that is there.
    pub(crate) fn is_sending(&self) -> bool {
        !self.given_up && (self.under_way.is_some() || !self.outgoing.is_empty())
    }

    /// Sees to it that the other side shows that it is there, if it has not for a while.
    pub(crate) fn ask(&mut self, now: Instant) {
        let long_ago = |at: Instant| now.saturating_duration_since(at) >= ASK_AFTER;
        self.asks |= self.last_sent_at.is_none_or(long_ago);
    }

    /// Returns the batch that is under way, or else the next one, with its number and where it goes.
    pub(crate) fn send(
        &mut self,
        names: Names<'_>,
        peers: &PeerClient,
        now: Instant,
    ) -> Option<(Number, Arc<str>, String)> {
        let address = self.address.clone()?;
        if self.under_way.is_none() {
            self.asks = false;
            self.sent += 1;
            self.under_way =
                Some(peers.body(PeerRequest::Exchange(Box::new(self.next_batch(names)))));
        }
        self.last_sent_at = Some(now);
        self.silent_since.get_or_insert(now);
        Some((self.number(), address, self.under_way.clone()?))
    }

    fn next_batch(&mut self, names: Names<'_>) -> Batch {
        let mut pieces = Vec::new();
        let mut bytes = 0;
        while let Some(piece) = self.outgoing.front() {
            bytes += piece.bytes();
            let fits = bytes <= EXCHANGE_BYTES_MAX && pieces.len() < EXCHANGE_PARCELS_MAX;
            if !(fits || pieces.is_empty()) {
                break;
            }
            pieces.extend(self.outgoing.pop_front());
        }
        Batch {
            from: names.from,
            address: names.address.to_owned(),
            to: names.to,
            round: self.round,
            their_round: self.their_round,
            number: self.sent,
            pieces,
        }
    }

    fn number(&self) -> Number {
        (self.round, self.their_round, self.sent)
    }

    /// Says whether this batch is the one whose receipt is waited for.
    pub(crate) fn is_under_way(&self, number: Number) -> bool {
        self.under_way.is_some() && number == self.number()
    }

    /// The batch under way has arrived. Says whether the other side had been given up: it knows nothing of this one.
    pub(crate) fn arrived(&mut self) -> bool {
        self.under_way = None;
        self.silent_since = None;
        std::mem::take(&mut self.given_up)
    }

    /// Returns for how long no batch has arrived.
    pub(crate) fn silent_for(&self, now: Instant) -> Duration {
        self.silent_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Gives the other side up if it was silent for too long, and says so.
    pub(crate) fn give_up(&mut self, now: Instant) -> bool {
        if self.given_up || self.silent_for(now) < SESSION_LOST_AFTER {
            return false;
        }
        self.begin_anew(None);
        self.given_up = true;
        true
    }

    /// Gives the other side up, or learns that it has begun a new round: what was said before is void.
    pub(crate) fn begin_anew(&mut self, their_round: Option<u64>) {
        match their_round {
            Some(round) => {
                self.their_round = round;
                // It is there after all.
                self.given_up = false;
            }
            None => self.round += 1,
        }
        self.sent = 0;
        self.taken = 0;
        self.outgoing.clear();
        self.told.clear();
        self.unsure.clear();
        self.under_way = None;
        self.asks = their_round.is_none();
        self.silent_since = None;
        self.partly.clear();
    }

    /// Takes what the other side has sent.
    pub(crate) fn take(&mut self, batch: Batch) -> Taken {
        if self.address.is_none() {
            // It is in no list yet.
            self.address = Some(Arc::from(batch.address));
        }
        let anew = batch.round > self.their_round;
        if anew {
            self.begin_anew(Some(batch.round));
        }
        if batch.round < self.their_round || batch.their_round != self.round {
            return Taken::Void {
                round: self.round,
                anew,
            };
        }
        if batch.number <= self.taken && !taken_twice() {
            return Taken::Again;
        }
        if batch.number > self.taken + 1 {
            tracing::error!(from = %batch.from, "a batch of another member is missing; both begin anew");
            self.begin_anew(None);
            return Taken::Void {
                round: self.round,
                anew: true,
            };
        }
        match self.unpack(batch.pieces) {
            Ok(parcels) => {
                self.taken = batch.number;
                Taken::Parcels { parcels, anew }
            }
            // A newer member says something that this one does not know. It may be a task or an answer that somebody waits for.
            Err(error) => {
                tracing::error!(from = %batch.from, %error, "another member is not understood; both begin anew");
                self.begin_anew(None);
                Taken::Void {
                    round: self.round,
                    anew: true,
                }
            }
        }
    }

    fn unpack(&mut self, pieces: Vec<Piece>) -> Result<Vec<Parcel>, serde_json::Error> {
        let mut parcels = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Whole(parcel) => parcels.push(serde_json::from_str(parcel.get())?),
                Piece::Part(part) => self.partly.push_str(&part),
                Piece::Last(part) => {
                    let mut whole = std::mem::take(&mut self.partly);
                    whole.push_str(&part);
                    parcels.push(serde_json::from_str(&whole)?);
                }
            }
        }
        Ok(parcels)
    }
}

/// Says whether so many waiting tasks are so many more or fewer than the other side was told that it has to be told. Of a few each
/// counts; of many, one more or less changes nothing.
pub(crate) fn is_far(told: u32, waiting: u32) -> bool {
    const FEW: u32 = 16;
    told != waiting && (told.min(waiting) < FEW || told / 2 >= waiting || waiting / 2 >= told)
}

/// Says whether a batch that comes again is taken again: never, unless a simulation has planted that.
pub(crate) fn taken_twice() -> bool {
    #[cfg(test)]
    return crate::sim::planted::takes_batches_twice();
    #[cfg(not(test))]
    false
}
