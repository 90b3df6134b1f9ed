//! The partitions of `history`: one per week of the time in the run id.

mod drop;
mod make;
mod week;

pub(crate) use drop::drop_emptied;
pub(crate) use make::ensure_partitions;
