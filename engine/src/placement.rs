//! Which member a shard belongs to: rendezvous hashing, so that a member that joins or leaves moves only its own share.

use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3Default;

/// Returns the member that a shard belongs to among these; `None` without any.
pub(crate) fn member_of(shard: i16, members: &[Uuid]) -> Option<Uuid> {
    members
        .iter()
        .copied()
        .max_by_key(|member| (weight(shard, *member), *member))
}

fn weight(shard: i16, member: Uuid) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(member.as_bytes());
    hasher.update(&shard.to_be_bytes());
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_spread_and_only_those_of_a_member_move() {
        let members: Vec<Uuid> = (1..=3)
            .map(|n| Uuid::from_u128((n << 64) | (n * 0x9e37_79b9)))
            .collect();
        let (two, all) = (&members[..2], &members[..]);
        let mut shares = [0; 3];
        for shard in 0..1024 {
            let owner = member_of(shard, all).unwrap();
            let before = member_of(shard, two).unwrap();
            assert!(owner == before || owner == members[2], "shard {shard}");
            let n = all.iter().position(|member| *member == owner).unwrap();
            shares[n] += 1;
        }
        assert!(
            shares.iter().all(|share| (270..410).contains(share)),
            "{shares:?}"
        );
        assert_eq!(member_of(1, &[]), None);
    }
}
