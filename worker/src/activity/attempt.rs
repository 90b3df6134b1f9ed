//! Running the code of an attempt: on the async runtime, or on its blocking threads.

use std::{future::Future, sync::Arc};

use history::Payloads;

use super::{
    cancel_reason::CancelReason,
    context::ActivityContext,
    running::{Running, Supervised, left},
};
use crate::{
    definition::{self, ActivityDefinition},
    error::{Fails as _, application, cause_of, is_canceled},
    panics::{self, Panic, panic_failure},
};

/// The code of an activity, as the worker knows it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [definition::Need],
    pub(crate) run: fn(Attempt),
}

/// An attempt of an activity, about to start. What the attributes generate calls it.
pub struct Attempt {
    running: Arc<Running>,
}

/// What an activity may take by reference.
pub struct Scope {
    context: ActivityContext,
}

impl Scope {
    /// Returns the context, or the dependency of that type.
    ///
    /// # Panics
    /// Never in a worker that runs: it has checked that every need is met.
    pub fn get<T: 'static>(&self) -> &T {
        let any: &dyn std::any::Any = &self.context;
        any.downcast_ref()
            .or_else(|| self.context.running.home.dependencies.get())
            .expect("the worker checked its dependencies before it ran")
    }

    /// Waits for a future on this blocking thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.context.running.home.runtime.block_on(future)
    }
}

impl Attempt {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// Runs an async activity on the runtime. One that takes no `&ActivityContext` can't see its cancellation;
    /// it is dropped where it waits.
    pub fn run<A, F, Fut>(self, body: F)
    where
        A: ActivityDefinition,
        F: FnOnce(Scope, A::Input) -> Fut,
        Fut: Future<Output = Result<A::Output, A::Error>> + Send + 'static,
    {
        let Some((scope, input)) = self.begin::<A>() else {
            return;
        };
        let sees_cancellation = A::NEEDS
            .iter()
            .any(|need| (need.id)() == std::any::TypeId::of::<ActivityContext>());
        let running = self.running;
        let future = body(scope, input);
        running.home.runtime.clone().spawn(async move {
            let outcome =
                Supervised::new(&running, !sees_cancellation, std::pin::pin!(future)).await;
            end::<A>(&running, outcome);
        });
    }

    /// Runs an activity that blocks on a thread for such.
    pub fn run_blocking<A, F>(self, body: F)
    where
        A: ActivityDefinition,
        A::Input: Send + 'static,
        F: FnOnce(Scope, A::Input) -> Result<A::Output, A::Error> + Send + 'static,
    {
        let Some((scope, input)) = self.begin::<A>() else {
            return;
        };
        let running = self.running;
        running.home.runtime.clone().spawn_blocking(move || {
            let outcome = panics::catch(|_| false, || body(scope, input));
            end::<A>(&running, Some(outcome));
        });
    }

    fn begin<A: ActivityDefinition>(&self) -> Option<(Scope, A::Input)> {
        let context = ActivityContext {
            running: self.running.clone(),
        };
        match A::decode(&self.running.task.input) {
            Ok(input) => Some((Scope { context }, input)),
            Err(error) => {
                let mut failure = application(
                    format!("the input of activity `{}` can't be read: {error}", A::NAME),
                    "PayloadMismatch".to_owned(),
                );
                failure.cause = cause_of(&error);
                self.running.fail(Box::new(failure));
                None
            }
        }
    }
}

/// How the code of an attempt ended: it returned or panicked, or was dropped because it was canceled.
type End<A> = Option<
    Result<Result<<A as ActivityDefinition>::Output, <A as ActivityDefinition>::Error>, Panic>,
>;

/// Answers for an attempt that ended.
fn end<A: ActivityDefinition>(running: &Running, outcome: End<A>) {
    match outcome {
        None => running.cancel(Payloads::default()),
        Some(Ok(Ok(output))) => match panics::catch(|_| false, || definition::encode(&output)) {
            Ok(Ok(payload)) => running.complete(Payloads::one(payload)),
            Err(panic) => running.fail(Box::new(panic_failure(panic))),
            Ok(Err(error)) => {
                let mut failure = application(error.to_string(), "PayloadMismatch".to_owned());
                failure.cause = cause_of(&error);
                running.fail(Box::new(failure));
            }
        },
        Some(Ok(Err(error))) => {
            let failure = error.into_failure();
            let reason = running.cancel_reason().filter(|_| is_canceled(&failure));
            match reason {
                Some(CancelReason::Requested) => running.cancel(Payloads::default()),
                Some(CancelReason::WorkerShutdown) => running.fail(Box::new(left())),
                None => running.fail(failure),
            }
        }
        Some(Err(panic)) => running.fail(Box::new(panic_failure(panic))),
    }
}
