//! What events do to signals and cancellations that others were sent.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    event::Event,
    execution::{
        external::{External, ExternalState},
        memory,
        run::Execution,
    },
    ids::EventId,
};

impl Execution {
    pub(super) fn external_initiated(&mut self, what: External, event: &Arc<Event>) {
        self.pending_bytes += memory::kept_bytes(event);
        let state = Box::new(ExternalState {
            initiated: Arc::clone(event),
            end_is_buffered: false,
        });
        self.externals(what).insert(event.id, state);
    }

    pub(super) fn external_answer_was_buffered(
        &mut self,
        what: External,
        initiated_event_id: EventId,
    ) -> Result<(), &'static str> {
        let state = self
            .externals(what)
            .get_mut(&initiated_event_id)
            .filter(|state| !state.end_is_buffered)
            .ok_or("it was not asked for, or is answered")?;
        state.end_is_buffered = true;
        Ok(())
    }

    pub(super) fn external_answered(
        &mut self,
        what: External,
        initiated_event_id: EventId,
    ) -> Result<(), &'static str> {
        let state = self
            .externals(what)
            .remove(&initiated_event_id)
            .ok_or("it was not asked for, or is answered")?;
        self.pending_bytes -= memory::kept_bytes(&state.initiated);
        Ok(())
    }

    fn externals(&mut self, what: External) -> &mut BTreeMap<EventId, Box<ExternalState>> {
        match what {
            External::Signal => &mut self.external_signals,
            External::Cancel => &mut self.external_cancels,
        }
    }
}
