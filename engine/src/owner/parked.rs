//! Deadlines of runs that are not in memory: known in time.

use std::sync::Arc;

use futures::FutureExt as _;
use history::Timestamp;

use crate::{
    limits::{PARKED_HORIZON, PARKED_PAGE},
    owner::{Owner, context::Context, message::Message, reading::until_read},
    store::load::{Due, Window},
};

impl Owner {
    /// Takes note of a page of a window.
    pub(super) fn page_read(&mut self, window: Window, page: Vec<Due>) {
        self.context.parked.reading = false;
        self.context.parked.read_on(window, &page);
        for due in page {
            let out = self.context.shards.has(due.shard) && !self.runs.contains_key(&due.run_id);
            if out && due.at < self.context.parked.until {
                self.context.parked.leave(due, true);
            }
        }
    }
}

impl Context {
    /// Sees to it that a run that leaves memory is read when it is due. The deadline of a parked one that is far away is read in time.
    pub(super) fn wake_when_due(&mut self, due: Due, is_parked: bool) {
        if !(is_parked && due.at >= self.parked.until) {
            self.parked.leave(due, is_parked);
        }
    }

    /// Reads deadlines of parked runs ahead: more when half of what was read has come.
    pub(super) fn read_ahead(&mut self) {
        if self.parked.reading {
            return;
        }
        if !self.parked.arrived.is_empty() {
            let arrived = std::mem::take(&mut self.parked.arrived);
            self.parked
                .window(arrived.into(), Timestamp(0), self.parked.until);
        }
        let (now, until) = (self.now(), self.parked.until);
        if self.parked.windows.is_empty()
            && self.parked.stored_wakes <= PARKED_PAGE / 2
            && until.since(now) < PARKED_HORIZON / 2
        {
            let before = now.after(PARKED_HORIZON.into());
            self.parked.window(self.shards.here(), until, before);
            self.parked.until = before;
        }
        let Some(window) = self.parked.next_window() else {
            return;
        };
        self.parked.reading = true;
        let store = Arc::clone(&self.setup.store);
        self.elsewhere.push(
            async move {
                let due = || store.parked_due(&window);
                let page = until_read("the deadlines of parked runs", due).await;
                Message::Parked { window, page }
            }
            .boxed(),
        );
    }
}
