//! Payloads by key, which many events have.

use std::collections::BTreeMap;

use crate::payload::Payload;

/// Context that travels with calls, by key. Temporal: `Header`.
pub type Header = BTreeMap<String, Payload>;
/// Unindexed facts about a workflow, by key. Temporal: `Memo`.
pub type Memo = BTreeMap<String, Payload>;
/// Indexed facts about a workflow, by key. Temporal: `SearchAttributes`.
pub type SearchAttributes = BTreeMap<String, Payload>;
