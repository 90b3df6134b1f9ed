//! The routes of search attributes: what a namespace has declared that its runs are found by.

pub(crate) mod declare;
pub(crate) mod delete;
pub(crate) mod list;
