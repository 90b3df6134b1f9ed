//! A program as workflow code, which notes all that it sees.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use coreason::{prelude::*, worker::context::Child};
use history::{Failure, FailureInfo, Payload, Payloads, RunId};
use serde::{Deserialize, Serialize};

use super::program::{End, How, Kin, Program, Step, With, Work};

/// How many attempts [`effect`] has.
pub(super) const ATTEMPTS: u32 = 3;

/// What a workflow saw, in order. It is in the event that closes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Told(pub(super) Vec<Seen>);

/// The outcome of something that was waited for, and in which turn: the one that this event started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) turn: i64,
    pub(super) of: Op,
    pub(super) how: Became,
}

/// Something that is waited for, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Op {
    Timer(String),
    Activity(String),
    Child(String),
    /// A signal on its way to that workflow.
    Delivery(String),
    Signal,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Became {
    Begun,
    /// With this value.
    Done(u64),
    Failed,
    Canceled,
    Dropped,
}

/// How often activities were tried and made their effect, by run and id. It lies outside of the engine.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<HashMap<RunId, HashMap<String, Effects>>>>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effects {
    pub(super) tried: u32,
    pub(super) made: u32,
}

impl Ledger {
    fn write(&self, ctx: &ActivityContext, write: impl FnOnce(&mut Effects)) {
        let info = ctx.info();
        let mut runs = self.0.lock().unwrap();
        let run = runs.entry(info.run_id).or_default();
        write(run.entry(info.activity_id.to_string()).or_default());
    }

    /// Takes out what is written of a run, by activity.
    pub(super) fn take(&self, run: RunId) -> HashMap<String, Effects> {
        self.0.lock().unwrap().remove(&run).unwrap_or_default()
    }
}

#[signal]
pub(super) struct Item {
    pub(super) n: u64,
}

/// Fails as often as it is told, and makes an effect.
#[activity(retry(max_attempts = 3, initial = "2ms"))]
pub(super) async fn effect(ledger: &Ledger, ctx: &ActivityContext, work: Work) -> Result<u64> {
    ledger.write(ctx, |effects| effects.tried += 1);
    let over = tokio::time::sleep(Duration::from_millis(work.millis));
    if work.hears {
        tokio::select! {
            () = over => {}
            _ = ctx.cancelled() => ctx.check()?,
        }
    } else {
        over.await;
    }
    if ctx.attempt() <= work.fails {
        return Err(Error::new("planned"));
    }
    ledger.write(ctx, |effects| effects.made += 1);
    Ok(u64::from(work.n))
}

#[workflow]
pub(super) async fn family(wf: Workflow, program: Program) -> Result<Told> {
    let code = Code {
        wf,
        seen: RefCell::default(),
        timers: Cell::default(),
    };
    let canceled = code.steps(&program.steps).await == Err(Stop::Canceled);
    if canceled {
        // Whatever comes of it.
        let _ = code.call(&program.cleanup).await;
    }
    let told = Told(code.seen.take());
    match program.end {
        End::Fails => Err(Error::new("planned").with_details(&told)),
        End::AsAsked if canceled => Err(Error::from_failure(Failure::new(
            "canceled",
            FailureInfo::Canceled {
                details: Payloads::one(Payload::json(&told)?),
            },
        ))),
        End::AsAsked | End::Returns => Ok(told),
    }
}

/// Why a step ends what it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Canceled,
    Failed,
}

type Going<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + 'a>>;

struct Code {
    wf: Workflow,
    seen: RefCell<Vec<Seen>>,
    timers: Cell<u32>,
}

/// Something that has begun. Dropped before it has ended, it was dropped by the code.
struct Begun<'a> {
    code: &'a Code,
    of: Option<Op>,
}

impl Begun<'_> {
    /// Notes how it ended: with a value, or an error.
    fn ended<T, E: Into<Error>>(
        mut self,
        ended: Result<T, E>,
        value: impl FnOnce(&T) -> u64,
    ) -> Result<T, Stop> {
        let (how, ended) = match ended.map_err(Into::into) {
            Ok(output) => (Became::Done(value(&output)), Ok(output)),
            Err(error) if error.is_canceled() => (Became::Canceled, Err(Stop::Canceled)),
            Err(_) => (Became::Failed, Err(Stop::Failed)),
        };
        if let Some(of) = self.of.take() {
            self.code.note(of, how);
        }
        ended
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(of) = self.of.take() {
            self.code.note(of, Became::Dropped);
        }
    }
}

impl Code {
    fn note(&self, of: Op, how: Became) {
        let turn = self.wf.info().history_length.0;
        self.seen.borrow_mut().push(Seen { turn, of, how });
    }

    fn begin(&self, of: Op) -> Begun<'_> {
        self.note(of.clone(), Became::Begun);
        Begun {
            code: self,
            of: Some(of),
        }
    }

    async fn steps(&self, steps: &[Step]) -> Result<(), Stop> {
        for step in steps {
            match self.go(step).await {
                Ok(()) | Err(Stop::Failed) => {}
                Err(Stop::Canceled) => return Err(Stop::Canceled),
            }
        }
        Ok(())
    }

    fn go<'a>(&'a self, step: &'a Step) -> Going<'a> {
        Box::pin(async move {
            match step {
                Step::Sleep(millis) => self.sleep(*millis).await,
                Step::Call(work) => self.call(work).await,
                Step::Child(kin) => self.child(kin).await,
                Step::Start(kin, with) => self.start(kin, with).await,
                Step::Receive => self.receive().await,
                Step::Heed => self.heed().await,
                Step::First(a, b) => select! {
                    ended = self.go(a) => ended,
                    ended = self.go(b) => ended,
                },
                Step::Both(a, b) => {
                    let (a, b) = join!(self.go(a), self.go(b));
                    a.and(b)
                }
                Step::TryBoth(a, b) => try_join!(self.go(a), self.go(b)).map(|((), ())| ()),
                Step::Many(most, steps) => {
                    let steps = steps.iter().map(|step| self.go(step));
                    join_bounded(*most, steps).await.into_iter().collect()
                }
                Step::TryMany(most, steps) => {
                    let steps = steps.iter().map(|step| self.go(step));
                    try_join_bounded(*most, steps).await.map(drop)
                }
                Step::Shield(step) => {
                    let _ = self.go(step).await;
                    Ok(())
                }
            }
        })
    }

    async fn sleep(&self, millis: u64) -> Result<(), Stop> {
        self.timers.set(self.timers.get() + 1);
        let timer = self.begin(Op::Timer(self.timers.get().to_string()));
        let millis = millis + self.wf.random_in(0..3);
        let slept = self.wf.sleep(Duration::from_millis(millis)).await;
        timer.ended(slept, |()| 0)
    }

    async fn call(&self, work: &Work) -> Result<(), Stop> {
        let id = work.n.to_string();
        let activity = self.begin(Op::Activity(id.clone()));
        let called = self.wf.call(effect, work.clone()).id(id);
        let called = called.cancellation(work.how.cancellation()).await;
        activity.ended(called, |n| *n).map(drop)
    }

    async fn child(&self, kin: &Kin) -> Result<(), Stop> {
        let (id, child) = self.kin(kin);
        let begun = self.begin(Op::Child(id));
        begun.ended(child.await, Told::len).map(drop)
    }

    async fn start(&self, kin: &Kin, with: &With) -> Result<(), Stop> {
        let (id, child) = self.kin(kin);
        let begun = self.begin(Op::Child(id.clone()));
        let child = match child.start().await {
            Ok(child) => child,
            Err(error) => return begun.ended(Err::<(), _>(error), |()| 0),
        };
        match with {
            With::Leave => return Ok(()),
            With::Cancel(after) => {
                self.sleep(*after).await?;
                child.cancel();
            }
            With::Signal(n) => {
                let delivery = self.begin(Op::Delivery(id));
                let delivered = child.signal(&Item { n: *n }).await;
                // A child that has closed hears nothing.
                let _ = delivery.ended(delivered, |()| 0);
            }
        }
        let ended = begun.ended(child.result().await, Told::len);
        match with {
            // That it was canceled says nothing of this workflow.
            With::Cancel(_) if !self.wf.is_cancelled() => Ok(()),
            _ => ended.map(drop),
        }
    }

    /// Returns a child that is not asked for yet, and its id.
    fn kin(&self, kin: &Kin) -> (String, Child<family>) {
        let id = format!("{}/{}", self.wf.info().workflow_id, kin.n);
        let policy = if kin.abandoned {
            ParentClosePolicy::Abandon
        } else {
            ParentClosePolicy::Terminate
        };
        let child = self.wf.child(family, kin.program.clone()).id(&id);
        let child = child.task_queue(kin.program.worker.queue());
        let child = child.parent_close_policy(policy);
        (id, child.cancellation(kin.how.cancellation()))
    }

    async fn receive(&self) -> Result<(), Stop> {
        let signal = self.begin(Op::Signal);
        let received = self.wf.signals::<Item>().recv().await;
        signal.ended(received, |item| item.n).map(drop)
    }

    async fn heed(&self) -> Result<(), Stop> {
        let request = self.begin(Op::Request);
        self.wf.cancelled().await;
        request.ended(Ok::<(), Error>(()), |()| 0)?;
        Err(Stop::Canceled)
    }
}

impl Told {
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl How {
    fn cancellation(self) -> Cancellation {
        match self {
            Self::Try => Cancellation::Try,
            Self::Wait => Cancellation::Wait,
            Self::Abandon => Cancellation::Abandon,
        }
    }
}
