//! The sealed log: tables `seal_tile`, `seal_node`, `checkpoint` and what belongs to them.

mod append;
pub(crate) mod audit;
mod begin;
mod gather;
mod log;
mod prove;
mod prune;
mod turn;

pub(crate) use begin::begin;
pub(crate) use log::{Latest, entries, latest};
pub(crate) use prove::{
    CLOCKS_DIFFER, EntryOfRun, Places, entries_of, inclusions, places, places_by_close, proof,
    rotations, run_of,
};
pub(crate) use turn::{Turn, rotate, say_refused, turn};
