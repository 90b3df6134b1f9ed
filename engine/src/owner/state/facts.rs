//! The memo and the search attributes of a run, as `execution` has them.

use std::collections::BTreeMap;

use history::{
    Execution,
    event::{Memo, SearchAttributes},
};
use serde_json::value::RawValue;

use crate::store::commit::Facts;

/// Returns them as they are now.
pub(crate) fn of(execution: &Execution) -> Facts {
    Facts {
        memo: Some(memo(&execution.memo())),
        search_attributes: Some(search_attributes(&execution.search_attributes())),
    }
}

/// Returns them as a run begins with them, if it does.
pub(crate) fn at_start(execution: &Execution) -> Facts {
    let none = execution.memo().is_empty() && execution.search_attributes().is_empty();
    if none {
        Facts::default()
    } else {
        of(execution)
    }
}

fn memo(memo: &Memo) -> String {
    // Payloads have no key or value that JSON could refuse.
    serde_json::to_string(memo).unwrap_or_default()
}

/// Writes values as they are: each was found to be of its type, and so is JSON, when it came.
fn search_attributes(attributes: &SearchAttributes) -> String {
    let values = attributes.iter().filter_map(|(name, payload)| {
        let value: &RawValue = serde_json::from_slice(&payload.data).ok()?;
        Some((name.as_str(), value))
    });
    let values: BTreeMap<&str, &RawValue> = values.collect();
    serde_json::to_string(&values).unwrap_or_default()
}
