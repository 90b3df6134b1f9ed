//! The Merkle tree of a log (RFC 9162), of which only what is needed is kept: the entries in tiles, and the roots of full tiles, of tiles of these, and so on.

use tlog_tiles::tlog::{self, node_hash};

/// How many entries a tile has, and how many roots of tiles are one more root.
pub(crate) const TILE: u64 = 1 << TILE_HEIGHT;
/// The same as a length.
pub(crate) const TILE_ENTRIES: usize = 1 << TILE_HEIGHT;
/// How high the tree over a tile is.
pub(crate) const TILE_HEIGHT: u8 = 8;

/// The root of a full tile (level 1), of a tile of such roots (2), and so on; `n` counts those of its level from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Node {
    pub(crate) level: u8,
    pub(crate) n: u64,
    pub(crate) hash: tlog::Hash,
}

/// The right edge of a tree: the roots of the perfect subtrees that its entries are made of, from the left.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edge {
    size: u64,
    peaks: Vec<(u8, tlog::Hash)>,
}

impl Edge {
    /// Returns how many entries there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a subtree of 2^`height` entries, which must not be higher than the last one; returns the nodes that are whole by it.
    pub(crate) fn push(&mut self, height: u8, hash: tlog::Hash) -> Vec<Node> {
        self.size += 1 << height;
        let mut nodes = Vec::new();
        let (mut height, mut hash) = (height, hash);
        loop {
            if height > 0 && height.is_multiple_of(TILE_HEIGHT) {
                nodes.push(Node {
                    level: height / TILE_HEIGHT,
                    n: (self.size >> height) - 1,
                    hash,
                });
            }
            match self.peaks.pop_if(|(left, _)| *left == height) {
                Some((_, left)) => hash = node_hash(left, hash),
                None => break,
            }
            height += 1;
        }
        self.peaks.push((height, hash));
        nodes
    }

    /// Returns the root.
    pub(crate) fn root(&self) -> tlog::Hash {
        let mut peaks = self.peaks.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = peaks.next() else {
            return tlog::EMPTY_HASH;
        };
        peaks.fold(last, |right, left| node_hash(left, right))
    }
}

/// Returns the root of a perfect subtree by its parts, of which there is a power of two.
pub(crate) fn perfect(mut parts: Vec<tlog::Hash>) -> Option<tlog::Hash> {
    while parts.len() > 1 {
        parts = parts
            .chunks(2)
            .filter_map(|pair| Some(node_hash(*pair.first()?, *pair.get(1)?)))
            .collect();
    }
    parts.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All hashes of a tree, as `tlog` numbers them.
    struct Stored<'a>(&'a [tlog::Hash]);
    impl tlog::HashReader for Stored<'_> {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
            Ok(indexes
                .iter()
                .map(|n| self.0[usize::try_from(*n).unwrap()])
                .collect())
        }
    }

    #[test]
    fn the_root_is_that_of_the_tree_however_it_was_put_together() {
        let leaves: Vec<_> = (0..70_000_u32)
            .map(|n| tlog::record_hash(&n.to_be_bytes()))
            .collect();
        let mut edge = Edge::default();
        let mut stored: Vec<tlog::Hash> = Vec::new();
        let mut nodes = Vec::new();
        let read = |indexes: &[u64], stored: &[tlog::Hash]| -> Vec<tlog::Hash> {
            indexes
                .iter()
                .map(|n| stored[usize::try_from(*n).unwrap()])
                .collect()
        };
        assert_eq!(edge.root(), tlog::EMPTY_HASH);
        for (n, leaf) in (0..).zip(&leaves) {
            nodes.extend(edge.push(0, *leaf));
            let more = tlog::stored_hashes_for_record_hash(n, *leaf, &Stored(&stored)).unwrap();
            stored.extend(more);
            if n % 1237 == 0 || n < 600 {
                assert_eq!(
                    edge.root(),
                    tlog::tree_hash(n + 1, &Stored(&stored)).unwrap(),
                    "{n}"
                );
            }
        }
        let levels = |level| nodes.iter().filter(|node| node.level == level).count();
        assert_eq!((levels(1), levels(2), levels(3)), (70_000 / 256, 1, 0));
        for node in &nodes {
            let index = tlog::stored_hash_index(node.level * TILE_HEIGHT, node.n);
            assert_eq!(vec![node.hash], read(&[index], &stored));
        }
        // From the nodes and what is left over it is the same edge.
        let mut again = Edge::default();
        for node in nodes.iter().filter(|node| node.level == 2) {
            again.push(16, node.hash);
        }
        for node in nodes.iter().filter(|node| node.level == 1 && node.n >= 256) {
            again.push(8, node.hash);
        }
        for leaf in &leaves[70_000 / 256 * 256..] {
            again.push(0, *leaf);
        }
        assert_eq!(again, edge);
    }
}
