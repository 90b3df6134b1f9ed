//! The workflow routes, a file per verb.

pub(crate) mod cancel;
pub(crate) mod count;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod result;
pub(crate) mod signal;
pub(crate) mod start;
pub(crate) mod terminate;

pub(crate) mod failure_info;
pub(crate) mod problem;

pub(crate) mod input;
mod outcome;
mod run;
