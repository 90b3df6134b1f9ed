//! What workflow code sees: activities, timers, signals, children, and a clock that replays.

use std::{
    future::Future,
    ops::Range,
    rc::Rc,
    time::{Duration, SystemTime},
};

use history::{
    Command,
    command::ContinueAsNewWorkflowExecution,
    event::{ContinueAsNewInitiator, Header, Memo, SearchAttributes},
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::definition::{ActivityDefinition, SignalDefinition, WorkflowDefinition};

mod call;
mod cancelled;
mod child;
mod external;
mod facts;
mod inbox;
mod info;
mod join;
mod names;
mod operation;
mod patches;
mod pending;
mod random;
mod signals;
mod sleep;
pub(crate) mod state;

pub use call::{Call, START_TO_CLOSE_DEFAULT};
pub use cancelled::Cancelled;
pub use child::{Child, ChildHandle, ChildResult, StartChild};
pub use external::{Delivery, External, NotDelivered};
pub use inbox::{MISFIT_BYTES_CARRIED_MAX, MISFITS_CARRIED_MAX};
pub use info::Info;
pub use join::{join_all, join_bounded, try_join_all, try_join_bounded};
pub use signals::{RawSignal, Receive, Signals};
pub use sleep::Sleep;

use state::{Halt, RunState};

/// The context of a workflow: everything that its code may wait for or read from outside.
///
/// A cheap handle to clone. It stays on one thread, so workflow futures need not be `Send`.
///
/// A future does nothing until it is polled for the first time. Dropped before it is done, it cancels what it
/// started: `select!` leaves no timer and no activity behind.
///
/// **Cancellation.** When somebody asks the workflow to cancel, what it waits for at that moment ends with a
/// cancellation: `?` then ends the workflow as canceled. What it starts after that runs as ever, so clean-up is plain
/// code after the error. Code that waits for [`cancelled`](Self::cancelled) at that moment decides alone: nothing else is ended.
#[derive(Clone)]
pub struct Workflow {
    pub(crate) state: Rc<RunState>,
}

impl Workflow {
    pub(crate) fn new(state: Rc<RunState>) -> Self {
        Self { state }
    }

    /// Calls an activity: `wf.call(charge, order).await`. Options go before the `await`.
    ///
    /// Several arguments are a tuple, none are `()`.
    pub fn call<A: ActivityDefinition>(&self, activity: fn() -> A, input: A::Input) -> Call<A> {
        let _ = activity;
        Call::new(self.state.clone(), input)
    }

    /// Waits on a durable timer. It never fires early, and fires late only while no engine runs.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(self.state.clone(), duration)
    }

    /// Returns the channel of a signal: `wf.signals::<Approve>().recv().await`.
    pub fn signals<S: SignalDefinition>(&self) -> Signals<S> {
        Signals::new(self.state.clone(), S::NAME)
    }

    /// Returns the channel of a signal by its name.
    pub fn signals_named<T: DeserializeOwned>(&self, name: &str) -> Signals<T> {
        Signals::new(self.state.clone(), name)
    }

    /// Starts a child workflow and waits for its result: `wf.child(index_batch, files).await`. Options go before the
    /// `await`; [`start`](Child::start) returns a handle instead.
    pub fn child<W: WorkflowDefinition>(&self, workflow: fn() -> W, input: W::Input) -> Child<W> {
        let _ = workflow;
        Child::new(self.state.clone(), input)
    }

    /// Returns a handle to another workflow of this namespace, to signal or cancel it.
    pub fn external(&self, workflow_id: impl AsRef<str>) -> External {
        External::new(self.state.clone(), workflow_id.as_ref())
    }

    /// Returns the time of the workflow task under way; it stands still while code runs.
    pub fn now(&self) -> SystemTime {
        names::time(self.state.turn(|turn| turn.now))
    }

    /// Returns a random number, the same at every replay.
    pub fn random(&self) -> u64 {
        self.state.random(random::Random::next)
    }

    /// Returns a random number of a range, the same at every replay; the start of an empty one.
    pub fn random_in(&self, range: Range<u64>) -> u64 {
        self.state.random(|random| random.within(&range))
    }

    /// Returns a random `UUIDv4`, the same at every replay.
    pub fn uuid(&self) -> Uuid {
        self.state.random(random::Random::uuid)
    }

    /// Waits until somebody asks this workflow to cancel, and takes that into its own hands; see [`Workflow`].
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.state.clone())
    }

    /// Says whether somebody has asked this workflow to cancel.
    pub fn is_cancelled(&self) -> bool {
        self.state.cancel_requested()
    }

    /// Says whether this run goes the way of a change to its code, by a name of your choice:
    ///
    /// ```
    /// # extern crate worker as coreason;
    /// # use worker::prelude::*;
    /// # #[activity] async fn by_letter(to: String) -> Result<()> { let _ = to; Ok(()) }
    /// # #[activity] async fn by_mail(to: String) -> Result<()> { let _ = to; Ok(()) }
    /// #[workflow]
    /// async fn remind(wf: Workflow, to: String) -> Result<()> {
    ///     if wf.patched("by-mail") {
    ///         wf.call(by_mail, to).await
    ///     } else {
    ///         wf.call(by_letter, to).await
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// A run that comes here for the first time does, and its history notes it; one that was here before the change does
    /// not. When none of these is open any more, replace the `if` by [`deprecate_patch`](Self::deprecate_patch).
    pub fn patched(&self, id: &str) -> bool {
        self.state.patched(id, false)
    }

    /// Keeps the runs going whose histories note a change, now that all code goes its way. When no run is open that asked
    /// [`patched`](Self::patched), this line may go too.
    pub fn deprecate_patch(&self, id: &str) {
        self.state.patched(id, true);
    }

    /// Says what lists find this run by: values of search attributes that the namespace has declared, beside those that it has.
    /// `None` and `null` take one away. It is on record with what else the code asks for next; there is nothing to wait for.
    ///
    /// ```
    /// # extern crate worker as coreason;
    /// # use worker::prelude::*;
    /// #[workflow]
    /// async fn order(wf: Workflow, customer: String, cents: i64) -> Result<()> {
    ///     wf.upsert_search_attributes([("CustomerId", &customer)]);
    ///     wf.upsert_search_attributes([("Cents", Some(cents)), ("Refunded", None)]);
    ///     wf.upsert_memo([("step", "waiting for the bank")]);
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// An attribute that is not declared, or a value of another type, fails the workflow task, which says what to change.
    pub fn upsert_search_attributes<K: Into<String>, V: Serialize>(
        &self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) {
        facts::upsert(&self.state, "search attributes", attributes, |facts| {
            Command::UpsertWorkflowSearchAttributes {
                search_attributes: facts,
            }
        });
    }

    /// Says what is shown with this run, beside what its memo has. `None` and `null` take a key away. There is nothing to wait for.
    pub fn upsert_memo<K: Into<String>, V: Serialize>(
        &self,
        memo: impl IntoIterator<Item = (K, V)>,
    ) {
        facts::upsert(&self.state, "memo", memo, |facts| {
            Command::ModifyWorkflowProperties {
                upserted_memo: facts,
            }
        });
    }

    /// Returns what is known of this run.
    pub fn info(&self) -> Info {
        Info::of(&self.state)
    }

    /// Ends this run and goes on in a new one with an empty history. It never returns:
    /// `return wf.continue_as_new(counter, n + 1).await`. Signals that have not been read go over to the new run, in order;
    /// of those that are not what the code reads them as, the latest [`MISFITS_CARRIED_MAX`].
    pub fn continue_as_new<W: WorkflowDefinition, T>(
        &self,
        workflow: fn() -> W,
        input: W::Input,
    ) -> impl Future<Output = T> + use<W, T> {
        let _ = workflow;
        let state = self.state.clone();
        let input = W::encode(input);
        async move {
            state.halt(match input {
                Ok(input) => Halt::ContinueAsNew(Box::new(ContinueAsNewWorkflowExecution {
                    workflow_type: Some(W::workflow_type()),
                    task_queue: None,
                    input,
                    workflow_run_timeout: names::timeout(W::DEFAULTS.run_timeout),
                    workflow_task_timeout: names::timeout(W::DEFAULTS.task_timeout),
                    backoff_start_interval: names::timeout(None),
                    retry_policy: None,
                    initiator: ContinueAsNewInitiator::Workflow,
                    header: Header::new(),
                    memo: Memo::new(),
                    search_attributes: SearchAttributes::new(),
                    unread_signals: Vec::new(),
                })),
                Err(error) => Halt::Fail(names::misfit(&error, W::NAME)),
            });
            std::future::pending().await
        }
    }
}

impl std::fmt::Debug for Workflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workflow({})", self.state.facts.workflow_id())
    }
}
