//! What a workflow's code saw, held against its history and against what its activities did.

use std::{collections::HashMap, sync::Arc, time::Duration};

use history::{
    Event, EventId, EventKind, FailureInfo, Payloads, RunId,
    event::WorkflowTaskFailedCause as Cause,
};
use serde::de::DeserializeOwned;

use super::{
    code::{ATTEMPTS, Became, Effects, Item, Op, Seen, Told},
    program::{How, Program},
};

/// The time for a workflow task.
const TASK_TIMEOUT: Duration = Duration::from_secs(10);

/// A closed run, and what is known of it.
pub(super) struct Closed {
    pub(super) run_id: RunId,
    pub(super) program: Program,
    pub(super) events: Vec<Arc<Event>>,
    /// What its activities did.
    pub(super) effects: HashMap<String, Effects>,
    /// It may be terminated: it has a parent, which takes it along.
    pub(super) ends_with_parent: bool,
}

/// How something ended, as an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done(u64),
    Failed,
    Canceled,
    Terminated,
}

/// What a history says of something that was waited for.
#[derive(Debug, Clone, Copy)]
struct Fact {
    begun: EventId,
    /// The completion whose commands asked to cancel it.
    asked: Option<EventId>,
    end: Option<(EventId, End)>,
    attempt: u32,
}

impl Fact {
    fn end_before(&self, turn: EventId) -> Option<End> {
        self.end.filter(|(id, _)| *id < turn).map(|(_, end)| end)
    }
}

/// What a history says.
#[derive(Default)]
struct Facts {
    of: HashMap<Op, Fact>,
    by_event: HashMap<EventId, Op>,
    /// Signals in their order.
    signals: Vec<(EventId, u64)>,
    request: Option<EventId>,
    /// The starts of the workflow tasks that were completed.
    turns: Vec<EventId>,
}

/// Says what is wrong with a run.
pub(super) fn check(run: &Closed) -> Result<(), String> {
    let facts = Facts::of(&run.events)?;
    facts.effects_are_made(&run.effects)?;
    let told = match run.events.last().map(|event| &event.kind) {
        Some(EventKind::WorkflowExecutionCompleted(e)) => read::<Told>(&e.result)?,
        Some(EventKind::WorkflowExecutionCanceled(e)) => {
            ensure(facts.request.is_some(), || {
                "canceled without a request".to_owned()
            })?;
            read(&e.details)?
        }
        Some(EventKind::WorkflowExecutionFailed(e)) => match &e.failure.info {
            FailureInfo::Application { details, .. } => read(details)?,
            other => return Err(format!("failed with {other:?}")),
        },
        // Nobody knows what its code saw.
        Some(EventKind::WorkflowExecutionTerminated(_)) if run.ends_with_parent => return Ok(()),
        other => return Err(format!("ended with {other:?}")),
    };
    let check = Check { run, facts, told };
    check.all_agrees()?;
    check.all_is_told()?;
    check.signals_are_read_in_order()?;
    check.request_is_heard()?;
    check.what_ended_goes_before_the_request()
}

/// Says what is wrong with what a parent was told of its child.
pub(super) fn check_child(parent: &Closed, id: &str, child: &Closed) -> Result<(), String> {
    let facts = Facts::of(&parent.events)?;
    let told = facts.of.get(&Op::Child(id.to_owned()));
    let Some((_, told)) = told.and_then(|fact| fact.end) else {
        // It was told nothing, because it closed before.
        return Ok(());
    };
    let ended = match child.events.last().map(|event| &event.kind) {
        Some(EventKind::WorkflowExecutionCompleted(e)) => End::Done(length(&e.result)?),
        Some(EventKind::WorkflowExecutionFailed(_)) => End::Failed,
        Some(EventKind::WorkflowExecutionCanceled(_)) => End::Canceled,
        _ => End::Terminated,
    };
    ensure(told == ended, || {
        format!("its parent was told that {id} ended as {told:?}, and it ended as {ended:?}")
    })
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

fn read<T: DeserializeOwned>(payloads: &Payloads) -> Result<T, String> {
    let payload = payloads.0.first().ok_or("a payload is missing")?;
    payload.read().map_err(|error| error.to_string())
}

fn length(result: &Payloads) -> Result<u64, String> {
    Ok(read::<Told>(result)?.len())
}

/// Returns the number of an activity or a child in its program, by its id.
pub(super) fn number(id: &str) -> Option<u32> {
    id.rsplit('/').next()?.parse().ok()
}

struct Check<'a> {
    run: &'a Closed,
    facts: Facts,
    told: Told,
}

impl Check<'_> {
    fn fact(&self, of: &Op) -> Option<Fact> {
        self.facts.of.get(of).copied()
    }

    fn how(&self, of: &Op) -> How {
        let how = match of {
            Op::Activity(id) | Op::Child(id) => number(id).and_then(|n| self.run.program.how(n)),
            Op::Timer(_) | Op::Delivery(_) | Op::Signal | Op::Request => None,
        };
        how.unwrap_or(How::Try)
    }

    /// Says whether the code has it by a handle: that leaves a child alone when it is dropped.
    fn is_held(&self, of: &Op) -> bool {
        let Op::Child(id) = of else { return false };
        number(id).is_some_and(|n| self.run.program.holds(n))
    }

    fn is_requested(&self, turn: EventId) -> bool {
        self.facts.request.is_some_and(|id| id < turn)
    }

    /// Each thing that the code saw is so in the history, and was when it saw that.
    fn all_agrees(&self) -> Result<(), String> {
        for seen in &self.told.0 {
            self.agrees(seen)
                .map_err(|problem| format!("the code saw {seen:?}: {problem}"))?;
        }
        Ok(())
    }

    fn agrees(&self, seen: &Seen) -> Result<(), String> {
        let turn = EventId(seen.turn);
        let fact = self.fact(&seen.of);
        let before = fact.and_then(|fact| fact.end_before(turn));
        let as_told =
            |told: End| ensure(before == Some(told), || format!("the history has {fact:?}"));
        match (&seen.of, seen.how) {
            (Op::Request, Became::Done(_)) => {
                ensure(self.is_requested(turn), || "nobody asked".to_owned())
            }
            (Op::Signal, Became::Done(_)) | (_, Became::Begun) => Ok(()),
            (_, Became::Done(value)) => as_told(End::Done(value)),
            (_, Became::Failed) => as_told(End::Failed),
            (of, Became::Canceled) => self.was_canceled(of, turn, fact, before),
            (of, Became::Dropped) => {
                let goes_on = fact.is_some()
                    && before.is_none()
                    && self.facts.turns.last() != Some(&turn)
                    && self.how(of) != How::Abandon
                    && !matches!(of, Op::Delivery(_))
                    && !self.is_held(of);
                let asked = fact.is_some_and(|fact| fact.asked.is_some());
                ensure(!goes_on || asked, || {
                    format!("it was left to go on: {fact:?}")
                })
            }
        }
    }

    fn was_canceled(
        &self,
        of: &Op,
        turn: EventId,
        fact: Option<Fact>,
        before: Option<End>,
    ) -> Result<(), String> {
        if before == Some(End::Canceled) {
            return Ok(());
        }
        ensure(self.is_requested(turn), || "nobody asked".to_owned())?;
        ensure(before.is_none(), || format!("it had ended: {fact:?}"))?;
        let Some(fact) = fact else {
            // It was taken back before anybody was asked for it.
            return Ok(());
        };
        let timer = matches!(of, Op::Timer(_));
        ensure(!timer || fact.end.is_none(), || {
            format!("the timer fired: {fact:?}")
        })?;
        match self.how(of) {
            How::Try => ensure(fact.asked.is_some(), || {
                format!("it was not asked to cancel: {fact:?}")
            }),
            How::Wait => Err(format!("its end was to be waited for: {fact:?}")),
            How::Abandon => Ok(()),
        }
    }

    /// What the history has was begun by the code.
    fn all_is_told(&self) -> Result<(), String> {
        let begun = |of: &Op| {
            let begun = |seen: &Seen| seen.of == *of && seen.how == Became::Begun;
            self.told.0.iter().any(begun)
        };
        match self.facts.of.iter().find(|(of, _)| !begun(of)) {
            None => Ok(()),
            Some((of, fact)) => Err(format!("the code has not begun {of:?}: {fact:?}")),
        }
    }

    fn signals_are_read_in_order(&self) -> Result<(), String> {
        let mut sent = self.facts.signals.iter();
        for seen in self.told.0.iter().filter(|seen| seen.of == Op::Signal) {
            let Became::Done(n) = seen.how else { continue };
            let next = sent.next();
            let is_next = next.is_some_and(|(id, sent)| *sent == n && id.0 < seen.turn);
            ensure(is_next, || {
                format!(
                    "the code read signal {n} in turn {}, and the next one was {next:?}",
                    seen.turn
                )
            })?;
        }
        Ok(())
    }

    /// The code does not wait for anything when it has taken the request in, and go on before it was told.
    fn request_is_heard(&self) -> Result<(), String> {
        let request = self.facts.request.unwrap_or(EventId(i64::MAX));
        let mut turns = self.facts.turns.iter().filter(|turn| **turn > request);
        let mut dues = turns.clone().filter(|turn| self.waits_after(**turn));
        let (Some(taken_in), Some(due)) = (turns.next(), dues.next()) else {
            return Ok(());
        };
        for seen in self.told.0.iter().filter(|seen| seen.turn > due.0) {
            let told = |told: &Seen| {
                let heard = told.of == Op::Request && matches!(told.how, Became::Done(_));
                let within = (request.0..=seen.turn).contains(&told.turn);
                within && (heard || told.how == Became::Canceled)
            };
            // What has to end first may have ended otherwise than as canceled.
            let waits = |(of, fact): (&Op, &Fact)| {
                let asked = fact.asked.is_some_and(|asked| asked.0 <= seen.turn + 1);
                let pending = asked && fact.end_before(*taken_in).is_none();
                pending && self.how(of) == How::Wait && !self.is_over(of, *taken_in)
            };
            let heard = self.told.0.iter().any(told) || self.facts.of.iter().any(waits);
            ensure(heard, || {
                format!(
                    "the request was lost: it was to be told in turn {due}, and the code went on: {seen:?}"
                )
            })?;
        }
        Ok(())
    }

    /// Says whether the code waits for something at the end of a turn that a request ends. It does not end a message on its way, nor a
    /// child that is held by a handle and not waited for.
    fn waits_after(&self, turn: EventId) -> bool {
        self.told.0.iter().any(|seen| {
            let ends = match &seen.of {
                Op::Timer(_) | Op::Activity(_) => true,
                Op::Child(_) => !self.is_held(&seen.of),
                // There may be several at once, beside something else.
                Op::Signal | Op::Request | Op::Delivery(_) => false,
            };
            ends && seen.turn <= turn.0 && !self.is_over(&seen.of, turn)
        })
    }

    /// Says whether the code has seen the end of something, or dropped it, by the end of a turn.
    fn is_over(&self, of: &Op, turn: EventId) -> bool {
        let over = |seen: &Seen| seen.of == *of && seen.how != Became::Begun && seen.turn <= turn.0;
        self.told.0.iter().any(over)
    }

    /// The request is told when the code has taken in all that came with it: what has ended by then is not dropped because of it.
    fn what_ended_goes_before_the_request(&self) -> Result<(), String> {
        for (at, canceled) in self.told.0.iter().enumerate() {
            let turn = EventId(canceled.turn);
            let end = |of: &Op| self.fact(of).and_then(|fact| fact.end_before(turn));
            if canceled.how != Became::Canceled || end(&canceled.of).is_some() {
                continue;
            }
            let later = self.told.0[at + 1..].iter();
            // What is held by a handle need not be waited for.
            let dropped = |seen: &&Seen| {
                seen.how == Became::Dropped && end(&seen.of).is_some() && !self.is_held(&seen.of)
            };
            if let Some(dropped) = later
                .take_while(|seen| seen.turn == canceled.turn)
                .find(dropped)
            {
                return Err(format!(
                    "the code saw {canceled:?} before it saw the end of {:?}: {:?}",
                    dropped.of,
                    self.fact(&dropped.of)
                ));
            }
        }
        Ok(())
    }
}

impl Facts {
    /// Reads a history, in which no workflow task may have failed.
    fn of(events: &[Arc<Event>]) -> Result<Self, String> {
        let mut facts = Self::default();
        for (at, event) in events.iter().enumerate() {
            if let EventKind::WorkflowTaskTimedOut(e) = &event.kind {
                let started = events.iter().find(|event| event.id == e.started_event_id);
                // One whose worker had evicted the run, and had no slot free when its history was read, is lost at once.
                let lost = started.is_some_and(|started| event.at.since(started.at) < TASK_TIMEOUT);
                ensure(lost, || "a workflow task timed out".to_owned())?;
            }
            facts.read(event)?;
            let next = events.get(at + 1).map(|event| &event.kind);
            if matches!(event.kind, EventKind::WorkflowTaskStarted(_))
                && matches!(next, Some(EventKind::WorkflowTaskCompleted(_)))
            {
                facts.turns.push(event.id);
            }
        }
        Ok(facts)
    }

    /// Each effect is made once where the history says that its activity completed, and never where it was not asked for.
    fn effects_are_made(&self, made: &HashMap<String, Effects>) -> Result<(), String> {
        for (id, effects) in made {
            let fact = self.of.get(&Op::Activity(id.clone()));
            let once = effects.made <= 1 && effects.tried <= ATTEMPTS;
            ensure(once && fact.is_some(), || {
                format!("activity {id} was done {effects:?}: {fact:?}")
            })?;
        }
        for (op, fact) in &self.of {
            if let (Op::Activity(id), Some((_, End::Done(_)))) = (op, fact.end) {
                let effects = made.get(id).copied().unwrap_or_default();
                ensure(effects.made == 1 && effects.tried == fact.attempt, || {
                    format!("activity {id} completed, and was done {effects:?}: {fact:?}")
                })?;
            }
        }
        Ok(())
    }

    fn read(&mut self, event: &Event) -> Result<(), String> {
        use EventKind as K;
        let id = event.id;
        match &event.kind {
            K::WorkflowTaskFailed(e) if is_planned(e.cause) => Ok(()),
            K::WorkflowTaskFailed(e) => Err(format!("a workflow task failed: {e:?}")),
            K::WorkflowExecutionCancelRequested(_) => {
                self.request = Some(id);
                Ok(())
            }
            K::WorkflowExecutionSignaled(e) => {
                self.signals.push((id, read::<Item>(&e.input)?.n));
                Ok(())
            }
            K::TimerStarted(e) => self.begun(id, Op::Timer(e.timer_id.to_string())),
            K::ActivityTaskScheduled(e) => self.begun(id, Op::Activity(e.activity_id.to_string())),
            K::StartChildWorkflowExecutionInitiated(e) => {
                self.begun(id, Op::Child(e.workflow_id.to_string()))
            }
            K::SignalExternalWorkflowExecutionInitiated(e) => {
                self.begun(id, Op::Delivery(e.workflow_id.to_string()))
            }
            K::ActivityTaskStarted(e) => {
                self.at(e.scheduled_event_id)?.attempt = e.attempt;
                Ok(())
            }
            K::TimerCanceled(e) => {
                self.asked(e.started_event_id, e.workflow_task_completed_event_id)
            }
            K::ActivityTaskCancelRequested(e) => {
                self.asked(e.scheduled_event_id, e.workflow_task_completed_event_id)
            }
            K::RequestCancelExternalWorkflowExecutionInitiated(e) => {
                let child = self.of.get_mut(&Op::Child(e.workflow_id.to_string()));
                let child = child.ok_or_else(|| format!("{} is no child", e.workflow_id))?;
                child.asked = Some(e.workflow_task_completed_event_id);
                Ok(())
            }
            kind => match end(kind)? {
                Some((begun, end)) => self.ended(begun, id, end),
                None => Ok(()),
            },
        }
    }

    fn begun(&mut self, id: EventId, of: Op) -> Result<(), String> {
        let fact = Fact {
            begun: id,
            asked: None,
            end: None,
            attempt: 0,
        };
        self.by_event.insert(id, of.clone());
        match self.of.insert(of, fact) {
            None => Ok(()),
            Some(twice) => Err(format!("events {} and {id} ask for the same", twice.begun)),
        }
    }

    fn at(&mut self, begun: EventId) -> Result<&mut Fact, String> {
        let of = self.by_event.get(&begun);
        of.and_then(|of| self.of.get_mut(of))
            .ok_or_else(|| format!("event {begun} asks for nothing"))
    }

    fn asked(&mut self, begun: EventId, completed: EventId) -> Result<(), String> {
        let fact = self.at(begun)?;
        fact.asked = Some(completed);
        ensure(fact.end.is_none(), || {
            format!("canceled after its end: {fact:?}")
        })
    }

    fn ended(&mut self, begun: EventId, id: EventId, end: End) -> Result<(), String> {
        let fact = self.at(begun)?;
        let twice = fact.end.replace((id, end));
        ensure(twice.is_none(), || {
            format!("ended twice, also in event {id}: {fact:?}")
        })
    }
}

/// Says whether a workflow task may fail like that: the code closed when something had come that it had not seen, or the run was
/// terminated meanwhile.
fn is_planned(cause: Cause) -> bool {
    matches!(cause, Cause::UnhandledCommand | Cause::ForceCloseCommand)
}

/// Returns what an event ends, by the event that asked for it, and how.
fn end(kind: &EventKind) -> Result<Option<(EventId, End)>, String> {
    use EventKind as K;
    Ok(Some(match kind {
        K::TimerFired(e) => (e.started_event_id, End::Done(0)),
        K::ActivityTaskCompleted(e) => (e.scheduled_event_id, End::Done(read(&e.result)?)),
        K::ActivityTaskFailed(e) => (e.scheduled_event_id, End::Failed),
        K::ActivityTaskTimedOut(e) => (e.scheduled_event_id, End::Failed),
        K::ActivityTaskCanceled(e) => (e.scheduled_event_id, End::Canceled),
        K::StartChildWorkflowExecutionFailed(e) => (e.initiated_event_id, End::Failed),
        K::ChildWorkflowExecutionCompleted(e) => {
            (e.initiated_event_id, End::Done(length(&e.result)?))
        }
        K::ChildWorkflowExecutionFailed(e) => (e.initiated_event_id, End::Failed),
        K::ChildWorkflowExecutionCanceled(e) => (e.initiated_event_id, End::Canceled),
        K::ChildWorkflowExecutionTerminated(e) => (e.initiated_event_id, End::Terminated),
        K::ExternalWorkflowExecutionSignaled(e) => (e.initiated_event_id, End::Done(0)),
        K::SignalExternalWorkflowExecutionFailed(e) => (e.initiated_event_id, End::Failed),
        _ => return Ok(None),
    }))
}
