//! Built-in activities.

pub mod file;
