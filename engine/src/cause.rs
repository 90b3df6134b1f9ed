//! What errors come from, in words.

use std::{error::Error, iter::successors};

/// Returns an error and its causes, from the outermost to the innermost.
fn chain<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'a)> {
    successors(Some(error), |&error| error.source().map(|cause| cause as _))
}

/// Returns what an error comes from: the others say that something failed, and this one what.
pub fn innermost(error: &dyn Error) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

/// Returns what an error says and what its causes do, in one line.
pub(crate) fn all(error: &dyn Error) -> String {
    let said: Vec<String> = chain(error).map(ToString::to_string).collect();
    said.join(": ")
}
