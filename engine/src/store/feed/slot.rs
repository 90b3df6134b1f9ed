//! Who commits: a connection of a member; and who joined last.

/// A committer's connection, in the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The epoch of the member.
    pub epoch: i64,
    /// Which of its connections.
    pub n: i16,
}

/// The member that joined last. Whoever joins an earlier state of a database, which has lost some, has the epoch of one of those and another id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latest {
    pub(crate) epoch: i64,
    /// The first 32 bits of its id; 0 where nobody has joined.
    pub(crate) mark: i64,
}
