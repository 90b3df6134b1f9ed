//! Time and chance of a simulation: virtual, and from a seed.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::BoxFuture;
use history::Timestamp;
use tokio::time::Instant;

use crate::world::World;

/// When every simulation begins: 2026-11-23.
const BEGINNING: i64 = 1_795_392_000_000_000;

thread_local! {
    static CHANCE: RefCell<fastrand::Rng> =
        const { RefCell::new(fastrand::Rng::with_seed(0)) };
    static BEGUN: RefCell<Option<Instant>> = const { RefCell::new(None) };
    static INSIDE: RefCell<Option<String>> = const { RefCell::new(None) };
    static MOST_WHOLE: Cell<usize> = const { Cell::new(0) };
}

/// The world of engines in a simulation.
pub(super) const SIMULATED: World = World {
    micros: elapsed,
    random: || chance(|rng| rng.u128(..)),
};

/// Begins a simulation on this thread, inside its runtime.
pub(super) fn begin(seed: u64) {
    CHANCE.with_borrow_mut(|rng| *rng = fastrand::Rng::with_seed(seed));
    BEGUN.set(Some(Instant::now()));
    INSIDE.set(None);
    MOST_WHOLE.set(0);
}

/// Takes note of how many runs wait for a worker with the whole histories that were read for it.
pub(crate) fn wait_whole(runs: usize) {
    MOST_WHOLE.set(MOST_WHOLE.get().max(runs));
}

/// Returns the most.
pub(super) fn most_whole() -> usize {
    MOST_WHOLE.get()
}

/// Takes note of what must not be, seen inside an engine: it shows nowhere else.
pub(crate) fn violated(what: String) {
    INSIDE.with_borrow_mut(|seen| {
        seen.get_or_insert(what);
    });
}

/// Returns the first that was seen.
pub(super) fn seen_inside() -> Option<String> {
    INSIDE.take()
}

/// Draws from the seed.
pub(super) fn chance<T>(draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
    CHANCE.with_borrow_mut(draw)
}

/// Waits for up to that many milliseconds.
pub(super) async fn dawdle(most: u64) {
    let millis = chance(|rng| rng.u64(0..=most));
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    } else {
        tokio::task::yield_now().await;
    }
}

fn elapsed() -> i64 {
    let begun = BEGUN.with_borrow(|begun| *begun);
    begun.map_or(0, |begun| {
        i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX)
    })
}

/// Returns the database's time.
pub(super) fn now() -> Timestamp {
    Timestamp(BEGINNING + elapsed())
}

/// Lets a process run, or not.
#[derive(Debug, Default)]
pub(super) struct Gate {
    frozen: AtomicBool,
    gone: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    /// Freezes it for good: it is gone, and nobody was told.
    pub(super) fn vanish(&self) {
        self.gone.store(true, Ordering::Relaxed);
        self.freeze();
    }

    pub(super) fn thaw(&self) {
        if self.gone.load(Ordering::Relaxed) {
            return;
        }
        self.frozen.store(false, Ordering::Relaxed);
        if let Some(waker) = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            waker.wake();
        }
    }
}

/// A process: everything of an engine and its worker as one future, which makes no step while it is frozen.
pub(super) struct Process {
    pub(super) gate: Arc<Gate>,
    pub(super) work: BoxFuture<'static, ()>,
}

impl Future for Process {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.gate.frozen.load(Ordering::Relaxed) {
            *self
                .gate
                .waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.work.as_mut().poll(context)
    }
}
