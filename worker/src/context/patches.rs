//! Changes of workflow code that runs on the way must not notice.

use std::collections::{BTreeMap, BTreeSet};

use history::{Event, EventKind, patch::Patch};

/// What is known of a run's patches.
#[derive(Default)]
pub(crate) struct Patches {
    /// What code was told; it hears the same again.
    told: BTreeMap<String, bool>,
    /// Those that the history has of the turn that is replayed.
    ahead: BTreeSet<String>,
}

impl Patches {
    /// Takes in the events of a turn before its code runs.
    pub(crate) fn look_ahead(&mut self, events: &[std::sync::Arc<Event>]) {
        self.ahead.clear();
        let turn = events
            .iter()
            .take_while(|event| !matches!(event.kind, EventKind::WorkflowTaskStarted(_)));
        for event in turn {
            if let EventKind::MarkerRecorded(marker) = &event.kind
                && let Some(patch) = Patch::of_marker(&marker.marker_name, &marker.details)
            {
                self.ahead.insert(patch.id);
            }
        }
    }

    /// Says whether the run has the patch, and whether it is to be noted now. A replay has it if the history does.
    pub(crate) fn ask(&mut self, id: &str, live: bool) -> (bool, bool) {
        if let Some(told) = self.told.get(id) {
            return (*told, false);
        }
        let patched = live || self.ahead.contains(id);
        self.told.insert(id.to_owned(), patched);
        (patched, patched)
    }
}
