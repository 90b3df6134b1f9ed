//! Signals, as channels that fill whether or not anybody reads.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use history::{Event, EventId, EventKind, Payloads};
use serde::de::DeserializeOwned;

use super::{
    names,
    operation::{Done, Kind, OpId},
    state::RunState,
};
use crate::{
    definition::{self, DecodeError},
    error::Canceled,
};

/// The signals of one name, in the order they came. Those that came before anybody asked are kept.
///
/// A message that is not a `T` is passed over, because a client's mistake must not stop the run: it is logged, it stays
/// unread, which a description of the run shows with the reason, and [`recv_raw`](Self::recv_raw) reads it. When the run
/// continues as new, the latest [`MISFITS_CARRIED_MAX`](super::MISFITS_CARRIED_MAX) of these go over to the next one.
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
        Receive::new(self, read)
    }

    /// Returns the next signal if one has come.
    pub fn try_recv(&self) -> Option<T> {
        read(&self.state, &self.name)
    }

    /// Waits for the next signal, whatever its shape, those too that [`recv`](Self::recv) passed over.
    ///
    /// # Errors
    /// When the workflow is asked to cancel while it waits.
    pub fn recv_raw(&self) -> Receive<RawSignal> {
        Receive::new(self, read_raw)
    }

    /// Returns the next signal if one has come, whatever its shape.
    pub fn try_recv_raw(&self) -> Option<RawSignal> {
        read_raw(&self.state, &self.name)
    }
}

/// A signal as it came.
#[derive(Clone)]
pub struct RawSignal(Arc<Event>);

impl RawSignal {
    /// Reads the message.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        definition::argument(self.input(), 0)
    }

    /// Returns the message.
    pub fn input(&self) -> &Payloads {
        static NONE: Payloads = Payloads(Vec::new());
        match &self.0.kind {
            EventKind::WorkflowExecutionSignaled(signal) => &signal.input,
            _ => &NONE,
        }
    }

    /// Returns its event.
    pub fn event_id(&self) -> EventId {
        self.0.id
    }

    /// Returns when it came.
    pub fn at(&self) -> SystemTime {
        names::time(self.0.at)
    }
}

impl fmt::Debug for RawSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawSignal({:?})", self.0.kind)
    }
}

/// The wait for a signal; see [`Signals::recv`] and [`Signals::recv_raw`].
#[must_use = "futures do nothing unless awaited"]
pub struct Receive<M> {
    state: Rc<RunState>,
    name: Rc<str>,
    take: fn(&RunState, &str) -> Option<M>,
    op: Option<OpId>,
}

impl<M> Receive<M> {
    fn new<T>(signals: &Signals<T>, take: fn(&RunState, &str) -> Option<M>) -> Self {
        Self {
            state: signals.state.clone(),
            name: signals.name.clone(),
            take,
            op: None,
        }
    }
}

impl<M> Future for Receive<M> {
    type Output = Result<M, Canceled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (state, name) = (&this.state, &this.name);
        let op = *this
            .op
            .get_or_insert_with(|| state.wait_for(Kind::Signal(name.clone())));
        if let Some(message) = (this.take)(state, name) {
            state.release(op, false);
            this.op = None;
            return Poll::Ready(Ok(message));
        }
        match ready!(state.poll(op, context)) {
            Done::Canceled => Poll::Ready(Err(Canceled::new())),
            // No event is the end of such a wait.
            Done::Event(_) => Poll::Pending,
        }
    }
}

impl<M> Drop for Receive<M> {
    fn drop(&mut self) {
        if let Some(op) = self.op {
            self.state.release(op, false);
        }
    }
}

/// Takes the first signal that is a `T`. What it is not is known by the type's name, so that it is tried once.
fn read<T: DeserializeOwned>(state: &RunState, name: &str) -> Option<T> {
    let of = std::any::type_name::<T>();
    loop {
        let (at, event) = state.inbox(|inbox| inbox.candidate(name, of))?;
        match RawSignal(event).read() {
            Ok(message) => {
                state.inbox(|inbox| inbox.take(name, at));
                return Some(message);
            }
            Err(error) => state.pass_over(name, at, of, &error),
        }
    }
}

fn read_raw(state: &RunState, name: &str) -> Option<RawSignal> {
    state.inbox(|inbox| inbox.take(name, 0)).map(RawSignal)
}
