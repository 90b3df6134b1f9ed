//! What events do to running timers.

use crate::{
    event::{Event, TimerStarted},
    execution::{memory, run::Execution, timer::TimerState},
    ids::{EventId, TimerId},
};

impl Execution {
    pub(super) fn timer_started(
        &mut self,
        event: &Event,
        attributes: &TimerStarted,
    ) -> Result<(), &'static str> {
        if self.timer_ids.contains_key(&attributes.timer_id) {
            return Err("the timer id is in use");
        }
        let timer = Box::new(TimerState {
            timer_id: attributes.timer_id.clone(),
            started_event_id: event.id,
            fires_at: event.at.after(attributes.start_to_fire_timeout),
            end_is_buffered: false,
        });
        self.pending_bytes += memory::TIMER_BYTES;
        self.deadlines.insert((timer.fires_at, event.id));
        self.timer_ids.insert(timer.timer_id.clone(), event.id);
        self.timers.insert(event.id, timer);
        Ok(())
    }

    pub(super) fn timer_fire_was_buffered(
        &mut self,
        timer_id: &TimerId,
        started_event_id: EventId,
    ) -> Result<(), &'static str> {
        let timer = self
            .timers
            .get_mut(&started_event_id)
            .filter(|timer| timer.timer_id == *timer_id && !timer.end_is_buffered)
            .ok_or("the timer is not running")?;
        timer.end_is_buffered = true;
        self.deadlines.remove(&(timer.fires_at, started_event_id));
        Ok(())
    }

    pub(super) fn timer_ended(
        &mut self,
        timer_id: &TimerId,
        started_event_id: EventId,
    ) -> Result<(), &'static str> {
        if self.timer_ids.get(timer_id) != Some(&started_event_id) {
            return Err("the timer is not running");
        }
        self.timer_ids.remove(timer_id);
        if let Some(timer) = self.timers.remove(&started_event_id) {
            self.pending_bytes -= memory::TIMER_BYTES;
            self.deadlines.remove(&(timer.fires_at, started_event_id));
        }
        Ok(())
    }
}
