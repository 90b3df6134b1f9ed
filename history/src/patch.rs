//! Patches: the markers by which workflow code notes that it goes the way of a change. As Temporal's SDKs write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    command::Command,
    event::Header,
    payload::{Payload, Payloads},
};

/// The name of the markers. Temporal: `PATCH_MARKER_NAME`.
const MARKER: &str = "core_patch";
/// The key of their details. Temporal: `PATCH_MARKER_DETAILS_KEY`.
const DETAILS: &str = "patch-data";

/// A change that workflow code has noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The name that the code gives it.
    pub id: String,
    /// Code without the change is gone: a replay may leave the marker out.
    #[serde(default)]
    pub deprecated: bool,
}

impl Patch {
    /// Returns the command that notes it.
    pub fn command(&self) -> Command {
        let text = serde_json::json!({ "id": self.id, "deprecated": self.deprecated }).to_string();
        Command::RecordMarker {
            marker_name: MARKER.to_owned(),
            details: BTreeMap::from([(
                DETAILS.to_owned(),
                Payloads::one(Payload::json_text(text)),
            )]),
            header: Header::new(),
            failure: None,
        }
    }

    /// Returns the patch that a marker notes, if it is one.
    pub fn of_marker(name: &str, details: &BTreeMap<String, Payloads>) -> Option<Self> {
        if name != MARKER {
            return None;
        }
        details.get(DETAILS)?.0.first()?.read().ok()
    }
}
