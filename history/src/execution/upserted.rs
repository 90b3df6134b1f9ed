//! What workflow code changed of its memo and search attributes.

use super::memory;
use crate::event::{Memo, SearchAttributes};

/// What workflow code changed of the facts that it started with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Upserted {
    pub(super) memo: Memo,
    pub(super) search_attributes: SearchAttributes,
}

/// Adds facts to facts; a null takes one away.
pub(crate) fn merge(facts: &mut Memo, changes: &Memo) {
    for (key, value) in changes {
        if value.is_null() {
            facts.remove(key);
        } else {
            facts.insert(key.clone(), value.clone());
        }
    }
}

/// Adds changes to changes, and keeps their weight. A null stays among them: it may take away what the run started with.
pub(super) fn upsert(bytes: &mut usize, facts: &mut Memo, changes: &Memo) {
    *bytes -= memory::facts_bytes(facts);
    facts.extend(changes.clone());
    *bytes += memory::facts_bytes(facts);
}
