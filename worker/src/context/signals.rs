//! Signals, as channels that fill whether or not anybody reads.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use history::{Event, EventKind, Payloads};
use serde::de::DeserializeOwned;

use super::{
    operation::{Done, Kind, OpId},
    state::RunState,
};
use crate::{definition, error::Canceled};

/// The signals that have come and were not read, by name.
#[derive(Default)]
pub(crate) struct Inbox(BTreeMap<Box<str>, VecDeque<Arc<Event>>>);

impl Inbox {
    pub(crate) fn put(&mut self, name: &str, event: Arc<Event>) {
        match self.0.get_mut(name) {
            Some(channel) => channel.push_back(event),
            None => {
                self.0.insert(name.into(), VecDeque::from([event]));
            }
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Arc<Event>> {
        self.0.get_mut(name)?.pop_front()
    }
}

/// The signals of one name, in the order they came. Those that came before anybody asked are kept.
///
/// A message that is not a `T` is logged and passed over: a client's mistake must not stop the run.
pub struct Signals<T> {
    state: Rc<RunState>,
    name: Rc<str>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Signals<T> {
    pub(super) fn new(state: Rc<RunState>, name: &str) -> Self {
        Self {
            state,
            name: name.into(),
            of: PhantomData,
        }
    }

    /// Waits for the next signal.
    ///
    /// # Errors
    /// When the workflow is asked to cancel while it waits.
    pub fn recv(&self) -> Receive<T> {
        Receive {
            signals: Self::new(self.state.clone(), &self.name),
            op: None,
        }
    }

    /// Returns the next signal if one has come.
    pub fn try_recv(&self) -> Option<T> {
        loop {
            let event = self.state.take_signal(&self.name)?;
            if let Some(message) = read(&event) {
                return Some(message);
            }
        }
    }
}

/// The wait for a signal; see [`Signals::recv`].
#[must_use = "futures do nothing unless awaited"]
pub struct Receive<T> {
    signals: Signals<T>,
    op: Option<OpId>,
}

impl<T: DeserializeOwned> Future for Receive<T> {
    type Output = Result<T, Canceled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Signals { state, name, .. } = &this.signals;
        let op = *this
            .op
            .get_or_insert_with(|| state.wait_for(Kind::Signal(name.clone())));
        loop {
            match ready!(state.poll_signal(op, name, context)) {
                Done::Canceled => return Poll::Ready(Err(Canceled::new())),
                Done::Event(event) => {
                    if let Some(message) = read(&event) {
                        state.release(op, false);
                        this.op = None;
                        return Poll::Ready(Ok(message));
                    }
                }
            }
        }
    }
}

impl<T> Drop for Receive<T> {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.signals.state.release(op, false);
        }
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    static NONE: Payloads = Payloads(Vec::new());
    let (name, input) = match &event.kind {
        EventKind::WorkflowExecutionSignaled(signal) => {
            (signal.signal_name.as_str(), &signal.input)
        }
        other => (other.name(), &NONE),
    };
    match definition::argument(input, 0) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::warn!(signal = name, event_id = event.id.0, error = %error, "signal passed over");
            None
        }
    }
}
