//! The requests that a run has heard, and those that earlier runs of its id have heard.

use super::run::Execution;
use crate::{
    ids::RequestId,
    limits::{
        ATTACHED_MAX, MESSAGES_KEPT, MESSAGES_KEPT_AFTER_START, REQUESTS_KEPT_FOR, STARTS_KEPT,
    },
    requests::{Asks, RequestDigest, RequestsHeard, StartHeard},
    time::Timestamp,
};

impl Execution {
    fn has_heard(&self, asks: Asks, request_id: &RequestId) -> bool {
        self.requests.as_ref().is_some_and(|requests| {
            requests
                .known
                .contains(&RequestDigest::of(asks, request_id))
        })
    }

    /// Says whether a signal by this request was heard by this run, or by one before it.
    pub fn has_heard_signal(&self, request_id: &RequestId) -> bool {
        self.has_heard(Asks::Signal, request_id)
    }

    /// Says whether a cancellation by this request was heard by this run, or by one before it.
    pub fn has_heard_cancel(&self, request_id: &RequestId) -> bool {
        self.has_heard(Asks::Cancel, request_id)
    }

    /// Returns what a start was answered that this run, or one before it, has heard.
    pub fn start_heard(&self, request_id: &RequestId) -> Option<StartHeard> {
        let request = RequestDigest::of(Asks::Start, request_id);
        let started = self.started();
        if started.request_id.as_ref() == Some(request_id) {
            return Some(StartHeard {
                request,
                run_id: started.first_execution_run_id,
                began: true,
            });
        }
        let requests = self.requests.as_ref()?;
        if requests.attached.contains(&request) {
            return Some(StartHeard {
                request,
                run_id: self.run_id,
                began: false,
            });
        }
        let before = requests.before.iter().flat_map(|heard| &heard.starts);
        before.rev().find(|heard| heard.request == request).copied()
    }

    /// Says whether one more start that attaches would be remembered.
    pub(crate) fn remembers_attached(&self) -> bool {
        self.requests
            .as_ref()
            .is_none_or(|requests| requests.attached.len() < ATTACHED_MAX)
    }

    /// Returns what the next run of the id is to know, the oldest first: what is not too old, and of that the latest. When the next
    /// run belongs to the same chain, it has the request that began that in its own start.
    pub(crate) fn requests_for_next(&self, same_chain: bool, now: Timestamp) -> Vec<RequestsHeard> {
        let mut own = RequestsHeard {
            until: self.close_event.as_ref().map_or(now, |closed| closed.at),
            messages: Vec::new(),
            starts: Vec::new(),
        };
        let mut all = Vec::new();
        if let Some(requests) = &self.requests {
            all.extend(requests.before.iter().cloned());
            own.messages.clone_from(&requests.messages);
            let attached = requests.attached.iter().map(|request| StartHeard {
                request: *request,
                run_id: self.run_id,
                began: false,
            });
            own.starts.extend(attached);
        }
        // Behind those that only attached: it is to be the last one that is forgotten.
        let started = self.started();
        if let Some(request_id) = started.request_id.as_ref().filter(|_| !same_chain) {
            own.starts.push(StartHeard {
                request: RequestDigest::of(Asks::Start, request_id),
                run_id: started.first_execution_run_id,
                began: true,
            });
        }
        all.push(own);
        let messages = if same_chain {
            MESSAGES_KEPT
        } else {
            MESSAGES_KEPT_AFTER_START
        };
        latest(all, messages, now)
    }
}

/// Returns what is to be kept of what was heard.
fn latest(mut all: Vec<RequestsHeard>, mut messages: usize, now: Timestamp) -> Vec<RequestsHeard> {
    all.retain(|heard| heard.until.after(REQUESTS_KEPT_FOR) > now);
    let mut starts = STARTS_KEPT;
    for heard in all.iter_mut().rev() {
        drop_oldest(&mut heard.messages, &mut messages);
        drop_oldest(&mut heard.starts, &mut starts);
    }
    all.retain(|heard| !heard.messages.is_empty() || !heard.starts.is_empty());
    all
}

/// Takes away the first ones so that no more are left than may be, and counts those that are.
fn drop_oldest<T>(items: &mut Vec<T>, left: &mut usize) {
    items.drain(..items.len().saturating_sub(*left));
    *left -= items.len();
}
