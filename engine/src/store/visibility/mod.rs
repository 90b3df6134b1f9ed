//! Lists of runs: the table `visibility`, which the feed keeps in line with `execution`.

mod attributes;
mod count;
mod filter;
mod list;
mod order;
#[cfg(test)]
mod plans;
mod project;

pub(crate) use attributes::forget_attributes;
pub use count::{Rate, WorkflowCount};
pub(crate) use count::{count, counts, forget_counts};
pub use list::{ListRequest, Page, Summary};
pub(crate) use list::{failed, list};
pub(crate) use order::Ordered;
pub use order::{Cursor, NoCursor};
pub(crate) use project::{Turn, builds, rebuild, turn};
