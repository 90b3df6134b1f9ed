//! What we aim at, as ratios of one run.

use std::fmt;

use crate::{kind::Kind, meter::Measured, system::Case};

/// What was measured, by the name of the way it was loaded.
pub(crate) struct Results {
    pub(crate) ways: Vec<(&'static str, Case, Measured)>,
    /// The median of a commit of one row, in milliseconds.
    pub(crate) one_row_ms: Option<f64>,
    /// What a bare script reaches, in workflows a second.
    pub(crate) limit: Option<f64>,
}

/// A target, and how far it was reached.
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
    pub(crate) aim: Aim,
}

/// Where a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Aim {
    pub(crate) fn reached(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(aim) => ratio >= aim,
            Self::AtMost(aim) => ratio <= aim,
            Self::Below(aim) => ratio < aim,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(aim) => write!(f, "≥ {aim}"),
            Self::AtMost(aim) => write!(f, "≤ {aim}"),
            Self::Below(aim) => write!(f, "< {aim}"),
        }
    }
}

/// How often we want to be as fast: our way, theirs, activities in a workflow, times.
const FASTER: [(Kind, (Kind, usize), u32, f64); 7] = [
    (Kind::InProcess, (Kind::DbosRust, 0), 1, 5.0),
    (Kind::Http, (Kind::DbosRust, 0), 1, 5.0),
    (Kind::Http, (Kind::Restate, 0), 1, 5.0),
    (Kind::Http, (Kind::Restate, 1), 1, 10.0),
    (Kind::Http, (Kind::DbosPython, 0), 1, 25.0),
    (Kind::Http, (Kind::Temporal, 0), 1, 150.0),
    (Kind::Http, (Kind::Restate, 0), 10, 5.0),
];

/// Whose median at 1 we want to be below, over HTTP.
const QUICKER: [(Kind, usize); 3] = [
    (Kind::Restate, 0),
    (Kind::DbosRust, 0),
    (Kind::DbosPython, 0),
];

/// What HTTP may add to two commits, in milliseconds.
const OVER_TWO_COMMITS_MS: f64 = 0.4;

impl Results {
    fn of(&self, kind: Kind, way: usize, activities: u32, clients: usize) -> Option<&Measured> {
        let name = kind.names().get(way)?;
        let case = Case {
            activities,
            clients,
        };
        self.ways
            .iter()
            .find(|(found, at, _)| found == name && *at == case)
            .map(|(_, _, measured)| measured)
    }

    /// Judges all targets that were measured; `clients` is how many the large loop has.
    pub(crate) fn verdicts(&self, clients: usize) -> Vec<Verdict> {
        let faster = FASTER
            .into_iter()
            .filter_map(|(ours, theirs, activities, times)| {
                self.faster(ours, theirs, activities, times, clients)
            });
        let quicker = QUICKER
            .into_iter()
            .filter_map(|(kind, way)| self.quicker(kind, way));
        faster
            .chain(quicker)
            .chain(self.two_commits())
            .chain(self.half_the_limit(clients))
            .collect()
    }

    fn faster(
        &self,
        kind: Kind,
        theirs: (Kind, usize),
        activities: u32,
        times: f64,
        clients: usize,
    ) -> Option<Verdict> {
        let (peer, way) = theirs;
        let steps = f64::from(activities);
        let ours = self.of(kind, 0, activities, clients)?.rate() * steps;
        let theirs = self.of(peer, way, activities, clients)?.rate() * steps;
        let what = if activities == 1 {
            "workflows/s".to_owned()
        } else {
            format!("activities/s of {activities} in a row")
        };
        Some(Verdict {
            name: format!(
                "{} at {clients}, {what}: {}",
                kind.names()[0],
                peer.names()[way]
            ),
            ours,
            theirs,
            ratio: ours / theirs,
            aim: Aim::AtLeast(times),
        })
    }

    fn quicker(&self, peer: Kind, way: usize) -> Option<Verdict> {
        let ours = self.of(Kind::Http, 0, 1, 1)?.figures.p50_ms;
        let theirs = self.of(peer, way, 1, 1)?.figures.p50_ms;
        Some(Verdict {
            name: format!("HTTP at 1, p50 ms: {}", peer.names()[way]),
            ours,
            theirs,
            ratio: ours / theirs,
            aim: Aim::Below(1.0),
        })
    }

    fn two_commits(&self) -> Option<Verdict> {
        let ours = self.of(Kind::Http, 0, 1, 1)?.figures.p50_ms;
        let theirs = 2.0 * self.one_row_ms? + OVER_TWO_COMMITS_MS;
        Some(Verdict {
            name: format!("HTTP at 1, p50 ms: 2 C + {OVER_TWO_COMMITS_MS}"),
            ours,
            theirs,
            ratio: ours / theirs,
            aim: Aim::AtMost(1.0),
        })
    }

    fn half_the_limit(&self, clients: usize) -> Option<Verdict> {
        let ours = self.of(Kind::InProcess, 0, 1, clients)?.rate();
        let theirs = self.limit?;
        Some(Verdict {
            name: format!("in process at {clients}, workflows/s: the limit"),
            ours,
            theirs,
            ratio: ours / theirs,
            aim: Aim::AtLeast(0.5),
        })
    }
}
