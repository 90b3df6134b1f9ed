//! The signals that have come and that nobody has read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use history::{
    Event, EventId, EventKind, SignalName, event::WorkflowExecutionSignaled, task::UnreadSignals,
};

/// The most names in a report of what is unread.
const NAMES_MAX: usize = 100;
/// The most characters of a reason in it.
const REASON_MAX: usize = 300;

/// Unread signals by name, in the order they came.
#[derive(Default)]
pub(crate) struct Inbox {
    channels: BTreeMap<Box<str>, VecDeque<Unread>>,
    unread: usize,
}

struct Unread {
    event: Arc<Event>,
    misfit: Option<Misfit>,
}

struct Misfit {
    /// The name of the type that it was read as.
    of: &'static str,
    reason: String,
}

impl Inbox {
    pub(crate) fn put(&mut self, name: &str, event: Arc<Event>) {
        self.unread += 1;
        let unread = Unread {
            event,
            misfit: None,
        };
        match self.channels.get_mut(name) {
            Some(channel) => channel.push_back(unread),
            None => {
                self.channels.insert(name.into(), VecDeque::from([unread]));
            }
        }
    }

    /// Returns the first that is not known to be no `of`, and its place.
    pub(crate) fn candidate(&self, name: &str, of: &'static str) -> Option<(usize, Arc<Event>)> {
        let channel = self.channels.get(name)?;
        let fits = |unread: &Unread| unread.misfit.as_ref().is_none_or(|misfit| misfit.of != of);
        let at = channel.iter().position(fits)?;
        Some((at, channel.get(at)?.event.clone()))
    }

    /// Takes the one at that place.
    pub(crate) fn take(&mut self, name: &str, at: usize) -> Option<Arc<Event>> {
        let taken = self.channels.get_mut(name)?.remove(at)?;
        self.unread -= 1;
        Some(taken.event)
    }

    /// Takes note that the one at that place is no `of`; returns its event if nobody had tried it before.
    pub(crate) fn misfit(
        &mut self,
        name: &str,
        at: usize,
        of: &'static str,
        reason: &str,
    ) -> Option<EventId> {
        let unread = self.channels.get_mut(name)?.get_mut(at)?;
        let before = unread.misfit.replace(Misfit {
            of,
            reason: reason.chars().take(REASON_MAX).collect(),
        });
        before.is_none().then_some(unread.event.id)
    }

    /// Returns all that are unread, in the order they came.
    pub(crate) fn in_order(&self) -> Vec<WorkflowExecutionSignaled> {
        let mut unread: Vec<_> = self.channels.values().flatten().collect();
        unread.sort_by_key(|unread| unread.event.id);
        let signals = unread
            .into_iter()
            .filter_map(|unread| match &unread.event.kind {
                EventKind::WorkflowExecutionSignaled(signal) => Some((**signal).clone()),
                _ => None,
            });
        signals.collect()
    }

    /// Says of each name how many are unread, and why the first one does not fit that was tried.
    pub(crate) fn report(&self) -> Vec<UnreadSignals> {
        if self.unread == 0 {
            return Vec::new();
        }
        self.channels
            .iter()
            .filter_map(|(name, channel)| {
                let misfits = || channel.iter().filter_map(|unread| unread.misfit.as_ref());
                Some(UnreadSignals {
                    signal_name: SignalName::known(name),
                    count: u32::try_from(channel.len()).unwrap_or(u32::MAX),
                    first_event_id: channel.front()?.event.id,
                    misfits: u32::try_from(misfits().count()).unwrap_or(u32::MAX),
                    problem: misfits().next().map(|misfit| misfit.reason.clone()),
                })
            })
            .take(NAMES_MAX)
            .collect()
    }
}
