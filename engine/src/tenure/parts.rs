//! What runs beside each other while this process is a member.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::FuturesUnordered,
};

use crate::members::Ended;

/// What runs beside each other while this process owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Owner,
    Committer,
}

/// The parts of a tenure. They are no tasks of the runtime: a process that is an owner is one future, which ends with all it does.
#[derive(Default)]
pub(super) struct Parts<'a> {
    running: FuturesUnordered<BoxFuture<'a, (Part, Result<(), Ended>)>>,
    owner: Option<AbortHandle>,
}

impl<'a> Parts<'a> {
    pub(super) fn add(
        &mut self,
        part: Part,
        work: impl Future<Output = Result<(), Ended>> + Send + 'a,
    ) {
        let (abort, registration) = AbortHandle::new_pair();
        if part == Part::Owner {
            self.owner = Some(abort);
        }
        let work = Abortable::new(AssertUnwindSafe(work).catch_unwind(), registration);
        self.running.push(
            async move {
                let ended = match work.await {
                    Ok(Ok(ended)) => ended,
                    Ok(Err(panic)) => Err(Ended::Panicked(message(&*panic))),
                    Err(_aborted) => Ok(()),
                };
                (part, ended)
            }
            .boxed(),
        );
    }

    /// Waits until the first of them ends.
    pub(super) async fn first(&mut self) -> Result<(), Ended> {
        self.running.next().await.map_or(Ok(()), |(_, ended)| ended)
    }

    /// Waits until this part ends.
    pub(super) async fn end_of(&mut self, part: Part) -> Result<(), Ended> {
        while let Some((ended, result)) = self.running.next().await {
            result?;
            if ended == part {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn drop_owner(&self) {
        if let Some(owner) = &self.owner {
            owner.abort();
        }
    }
}

/// Returns what a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}
