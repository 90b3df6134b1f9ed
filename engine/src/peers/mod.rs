//! What members tell each other: requests for workflows of shards that another member owns, and that something has changed.
//!
//! A request is answered when what it did is durable. Whoever gets no answer sends it again; receivers know what they have had.

mod parcel;
mod receive;
mod wire;

pub(crate) use parcel::{Batch, Number, Parcel, Piece};
pub(crate) use receive::receive;
pub(crate) use wire::{FromMember, PeerAnswer, PeerRequest, Receipt};

use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use uuid::Uuid;

/// The way to the other members.
pub trait Peers: fmt::Debug + Send + Sync {
    /// Takes a request to the member at an address, and returns what [`crate::Engine::answer_peer`] answers there.
    fn send(&self, address: &str, request: String)
    -> BoxFuture<'static, Result<String, Unreached>>;
}

/// Nothing is known of the outcome of a request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the member can't be reached: {0}")]
pub struct Unreached(pub String);

/// No way to anybody: for a process that is alone.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Peers for Nobody {
    fn send(
        &self,
        address: &str,
        _request: String,
    ) -> BoxFuture<'static, Result<String, Unreached>> {
        let problem = format!("there is no way to {address}");
        Box::pin(std::future::ready(Err(Unreached(problem))))
    }
}

/// How one member reaches the others.
#[derive(Debug, Clone)]
pub(crate) struct PeerClient {
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) secret: Uuid,
}

impl PeerClient {
    /// Asks something of the member at an address, and waits for the answer so long.
    pub(crate) fn ask(
        &self,
        address: &str,
        request: PeerRequest,
        patience: Duration,
    ) -> BoxFuture<'static, Result<PeerAnswer, Unreached>> {
        self.send(address, self.body(request), patience)
    }

    /// Returns a request as it is sent.
    pub(crate) fn body(&self, request: PeerRequest) -> String {
        let request = FromMember {
            secret: self.secret,
            request,
        };
        // Our own types have no key or value that JSON could refuse.
        serde_json::to_string(&request).unwrap_or_default()
    }

    /// Sends a request that may be sent again, and waits for the answer so long.
    pub(crate) fn send(
        &self,
        address: &str,
        body: String,
        patience: Duration,
    ) -> BoxFuture<'static, Result<PeerAnswer, Unreached>> {
        let answer = self.peers.send(address, body);
        async move {
            let answer = tokio::time::timeout(patience, answer).await;
            let answer = answer.map_err(|_| Unreached("it does not answer".to_owned()))??;
            serde_json::from_str(&answer).map_err(|error| Unreached(error.to_string()))
        }
        .boxed()
    }

    /// Tells the member at an address that something has changed. It sees that by itself, too, but later.
    pub(crate) fn poke(&self, address: &str) -> BoxFuture<'static, ()> {
        let body = self.body(PeerRequest::Look);
        self.peers.send(address, body).map(drop).boxed()
    }
}
