//! Waiting for many futures, in the order given. For a fixed number there are `join!` and `try_join!`.

use std::{
    future::{Future, IntoFuture, poll_fn},
    iter::Fuse,
    pin::Pin,
    task::{Context, Poll},
};

enum Slot<F: Future> {
    Pending(Pin<Box<F>>),
    Done(F::Output),
}

fn slots<F: IntoFuture>(futures: impl IntoIterator<Item = F>) -> Vec<Slot<F::IntoFuture>> {
    futures
        .into_iter()
        .map(|future| Slot::Pending(Box::pin(future.into_future())))
        .collect()
}

fn take<F: Future>(slots: &mut Vec<Slot<F>>) -> Vec<F::Output> {
    let output = |slot| match slot {
        Slot::Done(output) => Some(output),
        Slot::Pending(_) => None,
    };
    slots.drain(..).filter_map(output).collect()
}

/// Waits for all futures and returns what they return, in their order.
pub async fn join_all<F: IntoFuture>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut slots = slots(futures);
    poll_fn(move |context| {
        let mut pending = false;
        for slot in &mut slots {
            if let Slot::Pending(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *slot = Slot::Done(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(take(&mut slots))
        }
    })
    .await
}

/// Waits for all futures to succeed, or for the first to fail; the others are then dropped and so canceled.
///
/// # Errors
/// The first error; of several in one workflow task, that of the future that comes first.
pub async fn try_join_all<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: IntoFuture<Output = Result<T, E>>,
{
    let mut slots = slots(futures);
    let outputs = poll_fn(move |context| {
        let mut pending = false;
        for slot in &mut slots {
            if let Slot::Pending(future) = slot {
                match future.as_mut().poll(context) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(output) => *slot = Slot::Done(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(Ok(take(&mut slots)))
        }
    })
    .await?;
    outputs.into_iter().collect()
}

/// Waits for many futures of which at most so many run at a time, and returns what they return, in their order. The next
/// one is taken from the iterator and begins when another one is done.
///
/// ```
/// # extern crate worker as coreason;
/// # use worker::prelude::*;
/// # #[activity] async fn fetch(page: u32) -> Result<usize> { Ok(page as usize) }
/// #[workflow]
/// async fn crawl(wf: Workflow, pages: u32) -> Result<usize> {
///     let fetched = join_bounded(10, (0..pages).map(|page| wf.call(fetch, page))).await;
///     Ok(fetched.iter().filter(|page| page.is_ok()).count())
/// }
/// # fn main() {}
/// ```
pub async fn join_bounded<F: IntoFuture>(
    most: usize,
    futures: impl IntoIterator<Item = F>,
) -> Vec<F::Output> {
    let mut bounded = Bounded::new(most, futures.into_iter());
    // Nothing ends it early.
    let _ = poll_fn(|context| bounded.poll(context, |_| false)).await;
    bounded.outputs.into_iter().flatten().collect()
}

/// Waits for many futures of which at most so many run at a time to succeed, or for the first to fail; then the others are
/// dropped and so canceled, and no further one begins.
///
/// # Errors
/// The first error; of several in one workflow task, that of the future that began first.
pub async fn try_join_bounded<F, T, E>(
    most: usize,
    futures: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, E>
where
    F: IntoFuture<Output = Result<T, E>>,
{
    let mut bounded = Bounded::new(most, futures.into_iter());
    match poll_fn(|context| bounded.poll(context, Result::is_err)).await {
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => bounded.outputs.into_iter().flatten().collect(),
    }
}

/// Futures of which some run, some are done and the others are still to begin.
struct Bounded<I: Iterator<Item: IntoFuture>> {
    most: usize,
    left: Fuse<I>,
    /// Those that run, with their places, in the order they began.
    running: Vec<(usize, Pin<Box<IntoFutureOf<I>>>)>,
    outputs: Vec<Option<OutputOf<I>>>,
}

type IntoFutureOf<I> = <<I as Iterator>::Item as IntoFuture>::IntoFuture;
type OutputOf<I> = <<I as Iterator>::Item as IntoFuture>::Output;

impl<I: Iterator<Item: IntoFuture>> Bounded<I> {
    /// None at a time would never end: it is one.
    fn new(most: usize, futures: I) -> Self {
        Self {
            most: most.max(1),
            left: futures.fuse(),
            running: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn begin(&mut self) {
        while self.running.len() < self.most
            && let Some(future) = self.left.next()
        {
            let place = self.outputs.len();
            self.running.push((place, Box::pin(future.into_future())));
            self.outputs.push(None);
        }
    }

    /// Polls what runs, and what begins in the place of what is done. Ready with the first output that ends it early, or
    /// with nothing when all are done.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        ends: impl Fn(&OutputOf<I>) -> bool,
    ) -> Poll<Option<OutputOf<I>>> {
        self.begin();
        let mut at = 0;
        while let Some((place, future)) = self.running.get_mut(at) {
            let Poll::Ready(output) = future.as_mut().poll(context) else {
                at += 1;
                continue;
            };
            let place = *place;
            drop(self.running.remove(at));
            if ends(&output) {
                return Poll::Ready(Some(output));
            }
            if let Some(slot) = self.outputs.get_mut(place) {
                *slot = Some(output);
            }
            self.begin();
        }
        if self.running.is_empty() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}
