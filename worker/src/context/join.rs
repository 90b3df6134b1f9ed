//! Waiting for many futures, in the order given. For a fixed number there are `join!` and `try_join!`.

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    task::Poll,
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
