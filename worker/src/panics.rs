//! Catching panics of user code with their message, place and, if asked for by `RUST_BACKTRACE`, stack.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::{Cell, RefCell},
    fmt,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

use history::Failure;

use crate::error::application;

/// A caught panic.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    location: String,
    /// Empty unless `RUST_BACKTRACE` asks for it or `always` wants it.
    pub(crate) stack: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.location, self.message)
    }
}

/// Says for which messages a stack is wanted whatever the environment says.
type WantsStack = fn(&str) -> bool;

thread_local! {
    static CATCHING: Cell<Option<WantsStack>> = const { Cell::new(None) };
    static CAUGHT: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs code and returns its panic, which the hook then neither prints nor passes on.
pub(crate) fn catch<T>(wants_stack: WantsStack, code: impl FnOnce() -> T) -> Result<T, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match CATCHING.get() {
            Some(wants_stack) => CAUGHT.set(Some(describe(info, wants_stack))),
            None => before(info),
        }));
    });
    let before = CATCHING.replace(Some(wants_stack));
    let result = panic::catch_unwind(AssertUnwindSafe(code));
    CATCHING.set(before);
    result.map_err(|_| {
        CAUGHT.take().unwrap_or_else(|| Panic {
            message: "no message".to_owned(),
            location: "an unknown place".to_owned(),
            stack: String::new(),
        })
    })
}

fn describe(info: &PanicHookInfo<'_>, wants_stack: WantsStack) -> Panic {
    let message = info.payload_as_str().unwrap_or("no message").to_owned();
    let stack = if wants_stack(&message) {
        Backtrace::force_capture()
    } else {
        Backtrace::capture()
    };
    Panic {
        location: info
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string),
        stack: match stack.status() {
            BacktraceStatus::Captured => stack.to_string(),
            _ => String::new(),
        },
        message,
    }
}

/// Returns the failure of a panic.
pub(crate) fn panic_failure(panic: Panic) -> Failure {
    let mut failure = application(panic.to_string(), "Panic".to_owned());
    failure.stack_trace = panic.stack;
    failure
}
