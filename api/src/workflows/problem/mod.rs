//! What keeps a run from going on, in sentences: the one place where they are made. The description, the answer to a wait and the
//! command line show them.

use engine::{Description, Summary, Unreadable};
use history::{Timestamp, task::UnreadSignals};

use crate::limits::PROBLEMS_MAX;

mod attempts;
mod sentence;
mod starved;
#[cfg(test)]
mod tests;
mod told;

use attempts::{failing_activity, kept_activity, kept_workflow_task, workflow_task};
pub(crate) use sentence::Problem;
use sentence::{cut, moment};
use starved::{starved, untaken};
pub(crate) use told::Told;

/// Returns what keeps a run from going on: nothing for one that is well, or closed.
pub(crate) fn problems(run: &Description) -> Vec<Problem> {
    if !run.status.is_open() {
        return Vec::new();
    }
    let now = run.described_at;
    let task = run.pending_workflow_task.as_ref();
    let failing = task.and_then(|task| workflow_task(task, now));
    let activities = run.pending_activities.iter();
    failing
        .into_iter()
        .chain(run.unreadable.as_ref().map(|why| unreadable(why, now)))
        .chain(starved(run))
        .chain(run.unread_signals.iter().filter_map(misfits))
        .chain(activities.filter_map(|activity| failing_activity(activity, now)))
        .take(PROBLEMS_MAX)
        .collect()
}

/// Returns what keeps a run in a list from going on, as far as a list knows.
pub(crate) fn listed(run: &Summary) -> Option<Problem> {
    if !run.status.is_open() {
        return None;
    }
    let now = run.listed_at;
    let failing = run.failing.as_ref();
    let task = failing.and_then(|note| kept_workflow_task(note, now));
    task.or_else(|| run.untaken.as_ref().map(|task| untaken(task, now)))
        .or_else(|| failing.and_then(|note| kept_activity(note, now)))
}

fn unreadable(unreadable: &Unreadable, now: Timestamp) -> Problem {
    let since = moment(unreadable.since, now);
    let reason = cut(&unreadable.problem);
    Problem {
        message: format!(
            "workflow task waits since {since}, because the history can't be read for its worker: {reason}"
        ),
        about: "history".to_owned(),
        reason,
    }
}

fn misfits(unread: &UnreadSignals) -> Option<Problem> {
    let misfit = unread.first_misfit.as_ref()?;
    let about = format!("signal `{}`", unread.signal_name);
    let reason = cut(&misfit.problem);
    Some(Problem {
        message: format!(
            "{about}: {} of {} unread are not what the code reads them as, first that of event {}: {reason}",
            unread.misfits, unread.count, misfit.event_id
        ),
        about,
        reason,
    })
}
