//! One thing that workflow code waits for.

use std::{rc::Rc, sync::Arc, task::Waker};

use history::Event;

use crate::options::Cancellation;

/// The place of an operation in its run's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpId(u32);

impl OpId {
    pub(crate) fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("a run has fewer than 2^32 operations"))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What kind of thing is waited for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// An activity's end.
    Activity(Cancellation),
    /// A timer.
    Timer,
    /// A child's start and end.
    Child(Cancellation),
    /// The delivery of a signal or a cancellation to another workflow.
    External,
    /// A signal on the channel of that name.
    Signal(Rc<str>),
    /// The request to cancel this workflow.
    Cancelled,
}

impl Kind {
    pub(crate) fn cancellation(&self) -> Cancellation {
        match self {
            Self::Activity(cancellation) | Self::Child(cancellation) => *cancellation,
            Self::Timer | Self::External | Self::Signal(_) | Self::Cancelled => Cancellation::Try,
        }
    }
}

/// How far the command of an operation is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// It needs none.
    Local,
    /// It is the command at that place of the turn under way.
    Asked(usize),
    /// The history has its event.
    Recorded(Arc<Event>),
}

/// The outcome of an operation.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// This event.
    Event(Arc<Event>),
    /// The wait was canceled.
    Canceled,
}

#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// A child's start.
    pub(crate) started: Option<Done>,
    pub(crate) done: Option<Done>,
    /// Its future was polled and found it not done.
    pub(crate) waiting: bool,
    pub(crate) cancel_asked: bool,
    /// Wakers of combinators.
    pub(crate) wakers: Vec<Waker>,
}

impl Operation {
    pub(crate) fn new(kind: Kind, stage: Stage) -> Self {
        Self {
            kind,
            stage,
            started: None,
            done: None,
            waiting: false,
            cancel_asked: false,
            wakers: Vec::new(),
        }
    }

    /// Returns the wakers, which wake once.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Returns a copy that only says what the operation is.
    pub(crate) fn shallow(&self) -> Self {
        Self::new(self.kind.clone(), self.stage.clone())
    }
}
