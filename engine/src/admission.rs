//! Which requests are let in: so many at once, with so many bytes, and while there is memory for what they begin.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use history::{
    decide::{RequestCancel, Signal, StartWorkflow, Terminate},
    event::Memo,
};

use crate::{
    Error,
    limits::{REQUEST_BYTES_MAX, REQUESTS_MAX},
};

/// What waits inside the engine for an answer.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// A request that waits, until this is dropped.
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Admission {
    /// Lets a request in that has so many bytes.
    pub(crate) fn admit(self: &Arc<Self>, bytes: usize) -> Result<Admitted, Error> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let admitted = Admitted {
            admission: Arc::clone(self),
            bytes,
        };
        if requests >= REQUESTS_MAX {
            return Err(Error::Unavailable("too many requests wait for an answer"));
        }
        // One is let in whatever it has: it has a limit of its own.
        if bytes > 0 && before > 0 && before + bytes > REQUEST_BYTES_MAX {
            return Err(Error::Unavailable(
                "the requests that wait for an answer have too many bytes",
            ));
        }
        Ok(admitted)
    }
}

impl Admitted {
    /// Gives the bytes back while the request goes on waiting.
    pub(crate) fn gives_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.admission.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gives_back();
        self.admission.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request brings that stays in memory until it is durable.
pub(crate) trait Bytes {
    /// Returns the bytes of its payloads and facts.
    fn bytes(&self) -> usize;
}

fn facts(facts: &Memo) -> usize {
    let sizes = facts.iter().map(|(key, value)| key.len() + value.size());
    sizes.sum()
}

impl Bytes for StartWorkflow {
    fn bytes(&self) -> usize {
        self.input.size() + facts(&self.memo) + facts(&self.search_attributes) + facts(&self.header)
    }
}

impl Bytes for Signal {
    fn bytes(&self) -> usize {
        self.input.size() + facts(&self.header)
    }
}

impl Bytes for RequestCancel {
    fn bytes(&self) -> usize {
        self.cause.len()
    }
}

impl Bytes for Terminate {
    fn bytes(&self) -> usize {
        self.reason.len() + self.details.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_wait_and_no_more_and_they_are_given_back() {
        let admission = Arc::new(Admission::default());
        let half = REQUEST_BYTES_MAX / 2;
        let first = admission.admit(half).unwrap();
        let second = admission.admit(half).unwrap();
        assert_eq!(
            admission.admit(1).err().map(|e| e.code()),
            Some("UNAVAILABLE")
        );
        admission.admit(0).expect("what brings nothing is let in");
        drop(first);
        let third = admission.admit(half).unwrap();
        drop((second, third));
        admission
            .admit(REQUEST_BYTES_MAX + 1)
            .expect("one alone has a limit of its own");
        assert_eq!(admission.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(admission.requests.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn so_many_requests_wait_and_no_more() {
        let admission = Arc::new(Admission::default());
        let waiting: Vec<Admitted> = (0..REQUESTS_MAX)
            .map(|_| admission.admit(0).unwrap())
            .collect();
        assert!(admission.admit(0).is_err());
        drop(waiting);
        admission.admit(0).unwrap();
    }
}
