//! Requests are heard.

use crate::{
    execution::{heard::Requests, memory, run::Execution},
    ids::RequestId,
    requests::{Asks, RequestDigest, RequestsHeard},
};

impl Execution {
    pub(super) fn requests_were_heard(
        &mut self,
        before: &[RequestsHeard],
    ) -> Result<(), &'static str> {
        if self.requests.is_some() {
            return Err("the run has had requests");
        }
        let requests = Requests {
            known: before
                .iter()
                .flat_map(|heard| heard.messages.iter().copied())
                .collect(),
            before: before.into(),
            ..Requests::default()
        };
        self.pending_bytes += requests.bytes();
        self.requests = Some(Box::new(requests));
        Ok(())
    }

    pub(super) fn message_was_heard(&mut self, asks: Asks, request_id: Option<&RequestId>) {
        let Some(request_id) = request_id else { return };
        let request = RequestDigest::of(asks, request_id);
        let requests = self.requests.get_or_insert_default();
        if requests.known.insert(request) {
            requests.messages.push(request);
            self.pending_bytes += memory::request_bytes(2);
        }
    }

    pub(super) fn start_was_attached(&mut self, request_id: &RequestId) {
        let request = RequestDigest::of(Asks::Start, request_id);
        let requests = self.requests.get_or_insert_default();
        requests.attached.push(request);
        self.pending_bytes += memory::request_bytes(1);
    }
}
