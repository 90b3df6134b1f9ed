//! The rules of the house that a machine can check.

mod circles;
mod dependencies;
mod limits;
mod sql;
mod tree;
mod words;
