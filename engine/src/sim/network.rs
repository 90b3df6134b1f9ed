//! The way between simulated processes: requests take a while, get lost, or arrive and their answers get lost.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;

use super::{
    namespace::ns,
    scenario::PROCESSES,
    store::Memory,
    world::{chance, dawdle},
};
use crate::{
    membership::Membership,
    peers::{self, FromMember, PeerRequest, Peers, Unreached},
    store::namespaces::Namespaces,
};

/// Who answers at which address.
#[derive(Clone)]
pub(super) struct Network {
    processes: Arc<Mutex<Vec<Option<watch::Receiver<Membership>>>>>,
    /// Processes that no request reaches, though theirs arrive; with how many causes.
    deaf: Arc<Mutex<Vec<u32>>>,
    memory: Memory,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

/// Returns the address of a process.
pub(super) fn address(process: usize) -> String {
    format!("process {process}")
}

/// Returns the process at an address.
pub(super) fn number(address: &str) -> Option<usize> {
    address.strip_prefix("process ")?.parse().ok()
}

impl Network {
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            processes: Arc::new(Mutex::new(vec![None; PROCESSES])),
            deaf: Arc::new(Mutex::new(vec![0; PROCESSES])),
            memory,
        }
    }

    /// Puts a process at its address, in the place of the one that was there.
    pub(super) fn connect(&self, process: usize, state: watch::Receiver<Membership>) {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        processes[process] = Some(state);
    }

    /// Lets a process hear nothing.
    pub(super) fn deafen(&self, process: usize) {
        self.deaf.lock().unwrap_or_else(PoisonError::into_inner)[process] += 1;
    }

    /// Lets it hear again.
    pub(super) fn heal(&self, process: usize) {
        self.deaf.lock().unwrap_or_else(PoisonError::into_inner)[process] -= 1;
    }

    fn is_deaf(&self, address: &str) -> bool {
        let deaf = self.deaf.lock().unwrap_or_else(PoisonError::into_inner);
        number(address).is_some_and(|process| deaf[process] > 0)
    }

    fn state(&self, address: &str) -> Option<Membership> {
        let processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let state = processes[number(address)?].as_ref()?.borrow().clone();
        Some(state)
    }

    /// Waits as long as a request is on its way: now and then so long that those sent after it arrive first.
    async fn travel(&self) {
        let lossy = self.memory.state().odds.lost_requests > 0;
        let late = lossy && chance(|rng| rng.u32(0..20)) == 0;
        dawdle(if late { 500 } else { 3 }).await;
    }

    fn loses(&self) -> bool {
        let lost = self.memory.state().odds.lost_requests;
        lost > 0 && chance(|rng| rng.u32(0..1000)) < lost
    }
}

impl Peers for Network {
    fn send(
        &self,
        address: &str,
        request: String,
    ) -> BoxFuture<'static, Result<String, Unreached>> {
        let (network, address) = (self.clone(), address.to_owned());
        let lost = || Err(Unreached("lost".to_owned()));
        self.memory.state().posted += 1;
        let (sent, answer) = tokio::sync::oneshot::channel();
        let carried = async move {
            network.travel().await;
            if network.loses() || network.is_deaf(&address) {
                return;
            }
            let Some(state) = network.state(&address) else {
                return;
            };
            let request: FromMember = serde_json::from_str(&request).unwrap();
            if !matches!(request.request, PeerRequest::Look) {
                network.memory.state().sent += 1;
            }
            let namespaces = Namespaces::only(&ns());
            let answer = peers::receive(state, &namespaces, request.request).await;
            network.travel().await;
            if !network.loses() {
                let _ = sent.send(serde_json::to_string(&answer).unwrap());
            }
        };
        // A request that was sent is not stopped by the end of its sender.
        tokio::spawn(carried);
        async move { answer.await.or_else(|_| lost()) }.boxed()
    }
}
