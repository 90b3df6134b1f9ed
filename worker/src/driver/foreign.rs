//! Names futures that are not the engine's, by who takes a copy of the waker.

use std::{
    backtrace::Backtrace,
    cell::RefCell,
    ptr,
    task::{RawWaker, RawWakerVTable, Waker},
};

/// Crates whose frames say nothing about who waits.
const PLUMBING: [&str; 9] = [
    "__rustc",
    "core",
    "std",
    "alloc",
    "futures_core",
    "futures_util",
    "worker",
    "coreason",
    "coreason_worker",
];

thread_local! {
    static CLONES: RefCell<Vec<Backtrace>> = const { RefCell::new(Vec::new()) };
}

#[expect(
    unsafe_code,
    reason = "std's safe Wake can't see clones; every function here ignores its pointer"
)]
mod raw {
    use super::{Backtrace, CLONES, RawWaker, RawWakerVTable, Waker, ptr};

    static PROBE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            CLONES.with_borrow_mut(|clones| clones.push(Backtrace::force_capture()));
            RawWaker::new(ptr::null(), &PROBE)
        },
        |_| {},
        |_| {},
        |_| {},
    );

    pub(super) fn probe() -> Waker {
        // SAFETY: no function of the table reads the pointer, so all hold for any pointer on any thread.
        unsafe { Waker::from_raw(RawWaker::new(ptr::null(), &PROBE)) }
    }

    pub(super) fn is_probe(waker: &Waker) -> bool {
        ptr::eq(waker.vtable(), &raw const PROBE)
    }
}

/// Says whether the waker only looks who takes a copy of it.
pub(crate) fn is_probe(waker: &Waker) -> bool {
    raw::is_probe(waker)
}

/// Polls with a waker that looks who takes a copy of it; returns their names.
pub(super) fn names(poll: impl FnOnce(&Waker)) -> Vec<String> {
    let waker = raw::probe();
    CLONES.with_borrow_mut(Vec::clear);
    poll(&waker);
    let clones = CLONES.with_borrow_mut(std::mem::take);
    let mut names: Vec<String> = clones
        .iter()
        .filter_map(|clone| outermost(&clone.to_string()))
        .collect();
    names.dedup();
    names
}

/// Returns the name of who stands next outside the plumbing in a backtrace: of the frames of the first crate that is
/// not plumbing, the outermost, `tokio::sync::oneshot::Receiver` for example.
pub(super) fn outermost(backtrace: &str) -> Option<String> {
    let mut found: Option<&str> = None;
    for line in backtrace.lines() {
        let Some((number, symbol)) = line.trim_start().split_once(": ") else {
            continue;
        };
        if number.parse::<u32>().is_err() {
            continue;
        }
        let path = path(symbol);
        let krate = path.split("::").next().unwrap_or(path);
        match found {
            None if PLUMBING.contains(&krate) || !path.contains("::") => {}
            None => found = Some(path),
            Some(before) if before.split("::").next() == Some(krate) => found = Some(path),
            Some(_) => break,
        }
    }
    found.map(|path| path.trim_end_matches("::poll").to_owned())
}

/// Returns the path of a symbol without generics: `<a::B<T> as c::D>::e` and `a::B<T>::e` are `a::B`.
fn path(symbol: &str) -> &str {
    let symbol = symbol.trim().trim_start_matches(['<', '&']);
    let end = symbol
        .find(" as ")
        .into_iter()
        .chain(symbol.find('<'))
        .min()
        .unwrap_or(symbol.len());
    symbol[..end].trim_end_matches("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_names_the_outermost_frame_of_the_first_foreign_crate() {
        let backtrace = "
   0: std::backtrace::Backtrace::force_capture
             at /rustc/library/std/src/backtrace.rs:1:2
   1: worker::driver::foreign::raw::PROBE::{{closure}}
   2: <core::task::wake::Waker as core::clone::Clone>::clone
   3: futures_core::task::__internal::atomic_waker::AtomicWaker::register
   4: tokio::sync::oneshot::Inner<T>::poll_recv
   5: <tokio::sync::oneshot::Receiver<T> as core::future::future::Future>::poll
   6: shop::checkout::{{closure}}";
        assert_eq!(
            outermost(backtrace).as_deref(),
            Some("tokio::sync::oneshot::Receiver")
        );
        assert_eq!(outermost("   0: core::task::wake::Waker::clone"), None);
    }
}
