//! Whole histories, read for workers that have not cached their runs: as many at once as there is room for, the others in turn.

use std::{collections::VecDeque, sync::Arc};

use futures::FutureExt as _;
use history::RunId;

use super::{Message, Owner};
use crate::limits::{READ_BYTES, READ_BYTES_SHORT};

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// Runs whose histories are to be read, each of one folding.
    waiting: VecDeque<(RunId, u64)>,
    /// The stored bytes of those that are being read.
    bytes: u64,
}

impl Owner {
    /// Reads the whole history of a run, of which all but the tail is durable, to send it to a worker that has not cached it.
    pub(super) fn read_history(&mut self, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.reading = true;
            self.histories.waiting.push_back((run_id, run.incarnation));
            self.read_histories();
        }
    }

    /// A history has been read of so many stored bytes: others may be.
    pub(super) fn history_was_read(&mut self, bytes: u64) {
        self.histories.bytes -= bytes;
        self.read_histories();
    }

    /// Reads the next histories for which there is room, and any when none is being read.
    fn read_histories(&mut self) {
        let room = if self.is_short() {
            READ_BYTES_SHORT
        } else {
            READ_BYTES
        };
        while let Some((run_id, incarnation)) = self.histories.waiting.front().copied() {
            let run = self.runs.get(&run_id);
            let Some(run) = run.filter(|run| run.incarnation == incarnation) else {
                // It is gone, or was folded again.
                self.histories.waiting.pop_front();
                continue;
            };
            let (shard, bytes) = (run.shard, run.bytes);
            let reading = self.histories.bytes;
            if reading > 0 && reading.saturating_add(bytes) > room {
                return;
            }
            self.histories.waiting.pop_front();
            self.histories.bytes += bytes;
            let store = Arc::clone(&self.setup.store);
            self.elsewhere.push(
                async move {
                    Message::HistoryRead {
                        run_id,
                        incarnation,
                        bytes,
                        events: store.events(shard, run_id).await,
                    }
                }
                .boxed(),
            );
        }
    }
}
