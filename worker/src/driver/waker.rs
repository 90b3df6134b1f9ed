//! The waker of a run's root future. It knows whether it is woken from inside the run, as it must be.

use std::{
    backtrace::Backtrace,
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Wake,
    thread,
};

use super::foreign;

thread_local! {
    /// The run that this thread works on; 0 for none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Woken from inside, it asks for another poll. Woken from elsewhere, it keeps who did it.
pub(super) struct RootWaker {
    serial: u64,
    woken: AtomicBool,
    foreign: Mutex<Option<String>>,
}

impl RootWaker {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            woken: AtomicBool::new(false),
            foreign: Mutex::new(None),
        })
    }

    /// Runs what belongs to the run: wakes during it come from inside.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(self.serial);
        let result = work();
        CURRENT.set(before);
        result
    }

    /// Says whether a poll was asked for since the last question.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// Returns who woke the run from outside.
    pub(super) fn take_foreign(&self) -> Option<String> {
        self.foreign
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if CURRENT.get() == self.serial {
            self.woken.store(true, Ordering::Relaxed);
            return;
        }
        let by = foreign::outermost(&Backtrace::force_capture().to_string());
        let thread = thread::current();
        let thread = thread.name().unwrap_or("without a name").to_owned();
        let by = by.unwrap_or_else(|| "a future".to_owned());
        self.foreign
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(format!("{by} on thread `{thread}`"));
    }
}
