//! Which shard a workflow belongs to: fixed for ever, because it is part of every row's key.

use history::{Namespace, WorkflowId};
use xxhash_rust::xxh3::Xxh3Default;

use crate::limits::SHARDS;

/// Returns the shard of a workflow: XXH3 (64 bits, seed 0) over the namespace, a zero byte and the workflow id, modulo [`SHARDS`].
pub fn of(namespace: &Namespace, workflow_id: &WorkflowId) -> i16 {
    let mut hasher = Xxh3Default::new();
    hasher.update(namespace.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(workflow_id.as_str().as_bytes());
    i16::try_from(hasher.digest() % u64::from(SHARDS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_workflow_never_changes() {
        let shard = |namespace, workflow_id| {
            of(
                &Namespace::known(namespace),
                &WorkflowId::known(workflow_id),
            )
        };
        let shards = [
            shard("default", "order-1"),
            shard("default", "order-2"),
            shard("other", "order-1"),
            shard("default", "Bestellung-ä"),
        ];
        assert_eq!(shards, [118, 471, 857, 498]);
    }
}
