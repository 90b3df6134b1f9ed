//! What was done to rows whose hash is wrong: each one is tried at the other places near it.
//!
//! A row's hash tells where it was committed: with its own content, its number then and the row that was before it
//! then, it comes out right. So a row that fits nowhere was changed, and one that fits elsewhere was moved.

use std::ops::RangeInclusive;

use history::chain::{GENESIS, Hash};

use super::{
    chain::hash_at,
    finding::{Finding, Problem},
};
use crate::store::audit::Row;

/// How many rows of a run are tried against each other; those beyond are reported as changed.
const WINDOW: i32 = 32;
/// How many rows before the first wrong one and after the last are tried along.
const MARGIN: i32 = 2;
/// How far a row's number may lie from the one that it was committed with.
const SHIFT: i32 = 4;

/// Where a row was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    /// Its number then.
    seq: i32,
    /// The place of the row that was before it, among those tried; -1 for the start of the run.
    after: i32,
}

/// What a row may have been committed after.
struct Previous {
    /// As of [`Origin::after`].
    place: i32,
    hash: Hash,
}

/// Returns the first and the last row to be tried, if any is wrong.
pub(super) fn window(wrong: &[i32]) -> Option<RangeInclusive<i32>> {
    let (first, last) = (*wrong.first()?, *wrong.last()?);
    let from = first.saturating_sub(MARGIN).max(0);
    Some(from..=last.saturating_add(MARGIN).min(from + WINDOW - 1))
}

/// Returns a finding for each thing that was done to the wrong rows; `rows` are those of the window.
pub(super) fn explain(rows: &[Row], wrong: &[i32]) -> Vec<Finding> {
    let origins: Vec<Option<Origin>> = rows.iter().map(|row| origin(row, rows)).collect();
    let mut findings: Vec<Finding> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some((problem, sentence)) = verdict(at, rows, &origins, wrong) {
            findings.push(finding(row, row.seq, problem, sentence));
        }
    }
    if let Some(last) = rows.last() {
        for seq in wrong.iter().filter(|seq| **seq > last.seq) {
            findings.push(finding(
                last,
                *seq,
                Problem::Changed,
                "the row is not what was committed here".to_owned(),
            ));
        }
    }
    findings
}

fn finding(row: &Row, seq: i32, problem: Problem, sentence: String) -> Finding {
    Finding {
        run: Some(row.run().run_ref()),
        seq: Some(seq),
        problem,
        sentence,
    }
}

/// Says what was done to the row at a place in the window, if anything.
fn verdict(
    at: usize,
    rows: &[Row],
    origins: &[Option<Origin>],
    wrong: &[i32],
) -> Option<(Problem, String)> {
    let place = i32::try_from(at).ok()?;
    let next = origins.get(at + 1).copied().flatten();
    // The next row was committed directly after the one before this: this one was put between them.
    let skipped = next.is_some_and(|next| next.after == place - 1 && next.seq < rows[at + 1].seq);
    match origins[at] {
        None if skipped => Some((
            Problem::Inserted,
            "the row was put in; it was never committed here".to_owned(),
        )),
        Some(origin) if skipped && origin.after == place - 1 => Some((
            Problem::Inserted,
            "the row was put in; the next one was committed in its place".to_owned(),
        )),
        None if !wrong.contains(&rows[at].seq) => None,
        None if next.is_some_and(|next| next.after == place && next.seq > rows[at + 1].seq) => {
            Some((
                Problem::Removed,
                "a row before this one was taken out, and the rest numbered anew".to_owned(),
            ))
        }
        None => Some((
            Problem::Changed,
            "the row, or the one before it, is not what was committed".to_owned(),
        )),
        // It follows the row that it was committed after, or the one before it was put in.
        Some(origin) if origin.after == place - 1 || origin.seq == rows[at].seq => None,
        Some(origin) if origin.after == place - 2 && is_inserted(at.wrapping_sub(1), origins) => {
            None
        }
        Some(origin) => Some((
            Problem::Reordered,
            format!("the row was committed as row {}", origin.seq),
        )),
    }
}

/// Says whether the row at a place was put in, when the next one was committed after the row before it.
fn is_inserted(at: usize, origins: &[Option<Origin>]) -> bool {
    let before = i32::try_from(at).map_or(-1, |place| place - 1);
    origins
        .get(at)
        .is_some_and(|origin| origin.is_none_or(|origin| origin.after == before))
}

/// Returns where a row was committed, if its hash comes out right anywhere near.
fn origin(row: &Row, rows: &[Row]) -> Option<Origin> {
    let stored: Hash = row.hash.as_slice().try_into().ok()?;
    let namespace = row.namespace.as_deref()?;
    let start = Previous {
        place: -1,
        hash: GENESIS,
    };
    let places = rows.iter().enumerate().filter_map(|(at, row)| {
        Some(Previous {
            place: i32::try_from(at).ok()?,
            hash: row.hash.as_slice().try_into().ok()?,
        })
    });
    let places: Vec<Previous> = std::iter::once(start).chain(places).collect();
    near(row.seq).find_map(|seq| {
        let fits = |previous: &&Previous| hash_at(row, namespace, seq, &previous.hash) == stored;
        let after = places.iter().find(fits)?.place;
        Some(Origin { seq, after })
    })
}

fn near(seq: i32) -> RangeInclusive<i32> {
    seq.saturating_sub(SHIFT).max(0)..=seq.saturating_add(SHIFT)
}
