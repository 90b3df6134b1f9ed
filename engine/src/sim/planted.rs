//! Bugs that are planted to see that the simulation finds them.

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use history::{
    EventKind, Note, Record, Timestamp,
    decide::{Decision, Effect},
};

use tokio::time::Instant;

use crate::store::feed::Slot;

/// How much too early a timer fires, in microseconds.
const HASTE: i64 = 50_000;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The database does not compare owner and epoch.
    FenceLeftOut,
    /// A batch is answered before it is applied.
    EarlyReply,
    /// A signal that comes while a workflow task is out is acknowledged and not kept.
    LostBufferedSignal,
    /// A batch whose answer was lost is taken for not committed, and the key of history does not stop its repetition.
    DoubledCompletion,
    /// A timer fires some milliseconds before it is due.
    TimerEarly,
    /// A run that left memory while its task waits in a queue is not read again for it.
    ForgottenBacklog,
    /// Shards go to another member before what is under way in them is durable.
    HastyHandOver,
    /// A member tells what it decided on an old fold without finding out that it was replaced.
    StaleAnswer,
    /// A child that starts after its parent has closed is not closed.
    LateChild,
    /// A member does not hear that tasks of another one wait for its workers.
    UnheardDemand,
    /// What a member tells another is taken again when it comes again.
    DoubledBatch,
    /// A message to a child does not wait for its start.
    OvertakenStart,
    /// What was not read at continue-as-new does not go over to the next run.
    VanishedSignal,
    /// A run does not know what the runs before it have heard.
    DoubledRequest,
    /// A run comes into memory as it was read before it was there and left again.
    OldRead,
    /// A run that was read because a worker has room, and had none in what was read, is not read when it is due.
    LostDeadline,
    /// A run is folded from its log alone, so that its attempts are counted anew.
    LostAttemptCount,
    /// What a heartbeat said is not kept when the attempt fails.
    LostHeartbeat,
    /// A hand-out of an attempt is taken for another one of it.
    SharedHandOut,
    /// Who looks for the fate of a batch holds its slot's row over several statements, and no limit ends that.
    HeldFate,
    /// Who replaces a member locks what all members need before it waits for that member's batches.
    ClusterFirst,
    /// A transaction whose client is frozen or gone stays open.
    NoTimeouts,
    /// What a member that was replaced compares with what it was told is gone with its membership.
    MissedFailover,
    /// A reader of the feed takes what it has read of one slot for what it has read of all slots of that member.
    SkippedLane,
    /// A reader of the feed goes on one behind what it has read.
    CursorTooFar,
    /// A reader of the feed looks for what others commit too late.
    DeafReader,
    /// A reader of the feed takes what its process commits for what comes next, whatever others have committed before.
    TrustedTail,
}

/// How much later such a reader looks.
const LATER: Duration = Duration::from_secs(10);

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug on this thread, or none.
pub(super) fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(super) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Says whether the owner forgets a run that leaves memory while its task waits in a queue.
pub(crate) fn forgets_backlog() -> bool {
    planted(Bug::ForgottenBacklog)
}

/// Says whether shards go before what is under way in them is durable.
pub(crate) fn hands_over_in_haste() -> bool {
    planted(Bug::HastyHandOver)
}

/// Says whether a member tells what writes nothing before it has found out that it is still one.
pub(crate) fn answers_unconfirmed() -> bool {
    planted(Bug::StaleAnswer)
}

/// Says whether a child that starts after its parent has closed lives on.
pub(crate) fn leaves_late_children() -> bool {
    planted(Bug::LateChild)
}

/// Says whether a message to a child does not wait for its start.
pub(crate) fn overtakes_starts() -> bool {
    planted(Bug::OvertakenStart)
}

/// Says whether the owner does not mind that a run was in memory while it was read.
pub(crate) fn trusts_old_reads() -> bool {
    planted(Bug::OldRead)
}

/// Says whether the owner forgets that a run is due for which there was no room in a read.
pub(crate) fn forgets_deadlines() -> bool {
    planted(Bug::LostDeadline)
}

/// Says whether a member does not hear what others want of its workers.
pub(crate) fn ignores_demands() -> bool {
    planted(Bug::UnheardDemand)
}

/// Says whether the hand-outs of an attempt are not told from each other.
pub(crate) fn confuses_hand_outs() -> bool {
    planted(Bug::SharedHandOut)
}

/// Says whether a batch of another member that comes again is taken again.
pub(crate) fn takes_batches_twice() -> bool {
    planted(Bug::DoubledBatch)
}

/// What is read beside a log, or something that says nothing in its place.
pub(crate) fn forget(mut record: Record) -> Record {
    if let Record::Note(noted) = &mut record
        && planted(Bug::LostAttemptCount)
    {
        noted.note = Note::WorkflowTaskAttemptScheduled { attempt: 0 };
    }
    record
}

/// What is about to be kept beside a log, without what a heartbeat said if that is the bug.
pub(crate) fn misremember(mut record: Record) -> Record {
    if let Record::Note(noted) = &mut record
        && let Note::ActivityAttempts {
            heartbeat_details,
            started: None,
            ..
        } = &mut noted.note
        && planted(Bug::LostHeartbeat)
    {
        heartbeat_details.0.clear();
    }
    record
}

/// Returns when the owner takes a deadline for over that is at hand.
pub(crate) fn hasten(now: Timestamp) -> Timestamp {
    Timestamp(now.0 + if planted(Bug::TimerEarly) { HASTE } else { 0 })
}

/// Gives what was decided too early the time at which it was.
pub(crate) fn hide_haste(mut decision: Decision) -> Decision {
    for record in &mut decision.records {
        if let Record::Event(event) = record
            && planted(Bug::TimerEarly)
        {
            Arc::make_mut(event).at.0 -= HASTE;
        }
    }
    decision
}

/// Returns behind which batch a reader of the feed goes on that has read this one.
pub(crate) fn overshoots(batch: i64) -> i64 {
    batch + i64::from(planted(Bug::CursorTooFar))
}

/// Returns when a reader of the feed looks for what others have committed.
pub(crate) fn look_later(at: Instant) -> Instant {
    if planted(Bug::DeafReader) {
        return at + LATER;
    }
    at
}

/// Says whether a reader of the feed takes whatever its process commits for what comes next.
pub(crate) fn trusts_tail() -> bool {
    planted(Bug::TrustedTail)
}

/// Lets a reader pass the other slots of a member as well, if that is the bug.
pub(crate) fn pass_other_slots(slot: Slot, batch: i64, slots: &mut BTreeMap<Slot, i64>) {
    if planted(Bug::SkippedLane) {
        for n in 0..2 {
            let passed = slots.entry(Slot { n, ..slot }).or_insert(0);
            *passed = batch.max(*passed);
        }
    }
}

/// What the owner is about to record, with a planted bug if there is one.
pub(crate) fn alter(mut decision: Decision) -> Decision {
    if planted(Bug::LostBufferedSignal) {
        decision.records.retain(|record| {
            !matches!(record, Record::Note(noted)
                if matches!(&noted.note, Note::Buffered { event: EventKind::WorkflowExecutionSignaled(_) }))
        });
    }
    if planted(Bug::DoubledRequest) {
        decision.records.retain(|record| {
            !matches!(record, Record::Note(noted) if matches!(noted.note, Note::RequestsHeard { .. }))
        });
    }
    if planted(Bug::VanishedSignal) {
        for effect in &mut decision.effects {
            if let Effect::StartNewRun { start, .. } = effect
                && let Some(continued) = &mut start.continued
            {
                continued.unread_signals.clear();
            }
        }
    }
    decision
}
