//! The signals that have come and that nobody has read.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use history::{
    Event, EventId, EventKind, SignalName,
    event::WorkflowExecutionSignaled,
    task::{Misfit, UnreadSignals},
};

/// The most names in a report of what is unread.
const NAMES_MAX: usize = 100;
/// The most characters of a reason in it.
const REASON_MAX: usize = 300;
/// So many signals that are not what the code reads them as go over to a next run, the latest.
pub const MISFITS_CARRIED_MAX: usize = 100;
/// So many bytes of them do: a quarter of what a run may leave unread, so that they never keep it from going on.
pub const MISFIT_BYTES_CARRIED_MAX: usize = history::limits::UNREAD_SIGNALS_BYTES_MAX / 4;

/// Unread signals by name, in the order they came.
#[derive(Default)]
pub(crate) struct Inbox {
    channels: BTreeMap<Box<str>, Channel>,
    unread: usize,
}

#[derive(Default)]
struct Channel {
    unread: VecDeque<Unread>,
    /// The last event that was tried, by the name of the type as which: of those up to it none is of that type.
    tried: HashMap<&'static str, EventId>,
}

struct Unread {
    event: Arc<Event>,
    /// Why it is not what it was last read as.
    misfit: Option<String>,
}

impl Unread {
    fn signal(&self) -> Option<&WorkflowExecutionSignaled> {
        match &self.event.kind {
            EventKind::WorkflowExecutionSignaled(signal) => Some(signal),
            _ => None,
        }
    }
}

/// What goes over to the next run, and what does not.
pub(crate) struct Carried {
    pub(crate) signals: Vec<WorkflowExecutionSignaled>,
    /// The events of the misfits that stay behind, the oldest first.
    pub(crate) left: Vec<EventId>,
}

impl Inbox {
    pub(crate) fn put(&mut self, name: &str, event: Arc<Event>) {
        self.unread += 1;
        let unread = Unread {
            event,
            misfit: None,
        };
        if let Some(channel) = self.channels.get_mut(name) {
            channel.unread.push_back(unread);
            return;
        }
        let channel = Channel {
            unread: VecDeque::from([unread]),
            tried: HashMap::new(),
        };
        self.channels.insert(name.into(), channel);
    }

    /// Returns the first that is not known to be no `of`, and its place.
    pub(crate) fn candidate(&self, name: &str, of: &'static str) -> Option<(usize, Arc<Event>)> {
        let channel = self.channels.get(name)?;
        let tried = channel.tried.get(of);
        let at = tried.map_or(0, |tried| {
            channel
                .unread
                .partition_point(|unread| unread.event.id <= *tried)
        });
        Some((at, channel.unread.get(at)?.event.clone()))
    }

    /// Takes the one at that place.
    pub(crate) fn take(&mut self, name: &str, at: usize) -> Option<Arc<Event>> {
        let taken = self.channels.get_mut(name)?.unread.remove(at)?;
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
        let channel = self.channels.get_mut(name)?;
        let unread = channel.unread.get_mut(at)?;
        channel.tried.insert(of, unread.event.id);
        let reason = reason.chars().take(REASON_MAX).collect();
        let before = unread.misfit.replace(reason);
        before.is_none().then_some(unread.event.id)
    }

    /// Returns what is unread, in the order it came, without the oldest misfits where there are too many.
    pub(crate) fn carried(&self) -> Carried {
        let channels = self.channels.values();
        let mut unread: Vec<_> = channels.flat_map(|channel| &channel.unread).collect();
        unread.sort_by_key(|unread| unread.event.id);
        let (mut misfits, mut bytes) = (0, 0);
        let (mut signals, mut left) = (Vec::new(), Vec::new());
        for unread in unread.into_iter().rev() {
            let Some(signal) = unread.signal() else {
                continue;
            };
            if unread.misfit.is_some() {
                misfits += 1;
                let headers = signal.header.iter();
                bytes += signal.input.size();
                bytes += headers
                    .map(|(key, value)| key.len() + value.size())
                    .sum::<usize>();
                if misfits > MISFITS_CARRIED_MAX || bytes > MISFIT_BYTES_CARRIED_MAX {
                    left.push(unread.event.id);
                    continue;
                }
            }
            signals.push(signal.clone());
        }
        signals.reverse();
        left.reverse();
        Carried { signals, left }
    }

    /// Says of each name how many are unread, and why the first one does not fit that was tried.
    pub(crate) fn report(&self) -> Vec<UnreadSignals> {
        if self.unread == 0 {
            return Vec::new();
        }
        self.channels
            .iter()
            .filter_map(|(name, channel)| {
                let unread = &channel.unread;
                let misfits = || unread.iter().filter(|unread| unread.misfit.is_some());
                Some(UnreadSignals {
                    signal_name: SignalName::known(name),
                    count: u32::try_from(unread.len()).unwrap_or(u32::MAX),
                    first_event_id: unread.front()?.event.id,
                    first_event_at: unread.front()?.event.at,
                    misfits: u32::try_from(misfits().count()).unwrap_or(u32::MAX),
                    first_misfit: misfits().find_map(|unread| {
                        Some(Misfit {
                            event_id: unread.event.id,
                            problem: unread.misfit.clone()?,
                        })
                    }),
                })
            })
            .take(NAMES_MAX)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(id: i64) -> Arc<Event> {
        let signal = serde_json::json!({ "signal_name": "a", "input": [] });
        let event =
            serde_json::json!({ "id": id, "t": 1, "e": { "WorkflowExecutionSignaled": signal } });
        Arc::new(serde_json::from_value(event).unwrap())
    }

    #[test]
    fn each_type_tries_a_signal_once_whatever_others_try() {
        let mut inbox = Inbox::default();
        for id in 1..=3 {
            inbox.put("a", signal(id));
        }
        let mut tried = Vec::new();
        for of in ["A", "B", "A", "B"] {
            while let Some((at, event)) = inbox.candidate("a", of) {
                tried.push((of, event.id.0));
                inbox.misfit("a", at, of, "no");
            }
        }
        let each = |of| (1..=3).map(move |id| (of, id));
        assert_eq!(tried, each("A").chain(each("B")).collect::<Vec<_>>());
        // What was taken does not move the others to where they were tried.
        inbox.take("a", 0);
        inbox.put("a", signal(4));
        assert_eq!(inbox.candidate("a", "A").unwrap().1.id, EventId(4));
        assert_eq!(inbox.carried().signals.len(), 3);
    }
}
