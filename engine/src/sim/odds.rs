//! What goes wrong in a database and between processes, and how likely it is.

use super::world::chance;

/// How likely it is, in a thousand, that a thing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Odds {
    /// A batch fails before it is applied, and the connection lives.
    pub(super) refused: u32,
    /// The connection ends before the batch is applied.
    pub(super) cut_before: u32,
    /// The connection ends after the batch was applied.
    pub(super) cut_after: u32,
    /// A batch, or the answer to a read, takes up to half a second.
    pub(super) slow: u32,
    /// A read fails.
    pub(super) read_fails: u32,
    /// There is room for only some of the runs that are read at once.
    pub(super) short_reads: u32,
    /// A request between processes is lost, or its answer is.
    pub(super) lost_requests: u32,
}

/// What comes instead of a whole history.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instead {
    Failure,
    /// Less than is there, as a server has it that was replaced.
    Part,
}

/// Says whether something happens now.
pub(super) fn happens(in_a_thousand: u32) -> bool {
    in_a_thousand > 0 && chance(|rng| rng.u32(0..1000)) < in_a_thousand
}
