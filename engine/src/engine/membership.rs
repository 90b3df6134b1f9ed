//! What this process is among the members of its database.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    Engine, Error, Role,
    membership::Membership,
    peers::{self, FromMember},
};

impl Engine {
    /// Says whether this process is the only member of its database: all workflows are here.
    pub fn is_alone(&self) -> bool {
        match &*self.inner.role.borrow() {
            Membership::Member { alone, .. } => alone.load(Ordering::Relaxed),
            Membership::Leaving { .. } | Membership::Outside { .. } => false,
        }
    }

    /// Says whether another member gives the same address as this one: then neither can be reached by the others.
    pub fn shares_its_address(&self) -> bool {
        match &*self.inner.role.borrow() {
            Membership::Member { crowded, .. } => crowded.load(Ordering::Relaxed),
            Membership::Leaving { .. } | Membership::Outside { .. } => false,
        }
    }

    /// Returns for how long something has waited to be committed while nothing was.
    pub fn stalled_for(&self) -> Duration {
        match &*self.inner.role.borrow() {
            Membership::Member { progress, .. } => progress.stalled_for(),
            Membership::Leaving { .. } | Membership::Outside { .. } => Duration::ZERO,
        }
    }

    /// Returns what this process is.
    pub fn role(&self) -> Role {
        self.inner.role.borrow().role()
    }

    /// Returns what a request is answered while this process is no member.
    pub fn refusal(&self) -> Error {
        self.inner.role.borrow().refusal()
    }

    /// Waits until this process serves shards.
    pub async fn owning(&self) {
        self.serving(1).await;
    }

    /// Waits until this process serves at least so many shards.
    pub async fn serving(&self, least: usize) {
        let mut role = self.inner.role.clone();
        // The sender lives as long as the ownership task; when that has ended, nobody will own again.
        let _ = role
            .wait_for(
                |state| matches!(state, Membership::Member { shards, .. } if *shards >= least),
            )
            .await;
    }

    /// Waits until this process is no member any more.
    pub async fn disowned(&self) {
        let mut role = self.inner.role.clone();
        let _ = role.wait_for(|state| state.role() == Role::Outside).await;
    }

    /// Waits until no other member is at an address any more, because it has ended or was replaced: who has asked it waits in vain.
    pub async fn left(&self, address: &str) {
        let mut role = self.inner.role.clone();
        loop {
            let others = match &*role.borrow_and_update() {
                Membership::Member { others, .. } => Some(others.clone()),
                Membership::Leaving { .. } | Membership::Outside { .. } => None,
            };
            if let Some(mut others) = others {
                let is_gone = |others: &Vec<Arc<str>>| others.iter().all(|at| **at != *address);
                if others.wait_for(is_gone).await.is_ok() {
                    return;
                }
            }
            // Who is no member does not know.
            if role.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes a request of another member, does what it asks for, and returns the answer when that is durable.
    ///
    /// # Errors
    /// [`Error::NotAMember`] when it does not come from a member.
    pub async fn answer_peer(&self, request: &str) -> Result<String, Error> {
        let request_bytes = request.len();
        let request: FromMember = serde_json::from_str(request).map_err(|_| Error::NotAMember)?;
        if request.secret != self.inner.peers.secret {
            return Err(Error::NotAMember);
        }
        let _waits = self.inner.peer_requests.admit(request_bytes)?;
        let membership = self.inner.role.borrow().clone();
        let answer = peers::receive(membership, &self.inner.namespaces, request.request).await;
        // A plain enum has nothing that JSON could refuse.
        Ok(serde_json::to_string(&answer).unwrap_or_default())
    }
}
