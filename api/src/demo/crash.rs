//! When what is killed: a plan drawn at the beginning, followed as the work goes on.

use std::fmt;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    /// The engine's process, with its worker and its HTTP server.
    Engine,
    /// The first process of Postgres.
    Postgres,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "the engine",
            Self::Postgres => "Postgres",
        })
    }
}

/// What is still to be killed, the next one first.
#[derive(Debug)]
pub(super) struct Plan {
    /// Victims, and after which share of the work.
    left: Vec<(f64, Victim)>,
}

/// After which share of the work the victims fall, before chance moves each by up to [`JITTER`].
const MOMENTS: [(f64, Victim); 4] = [
    (0.10, Victim::Engine),
    (0.30, Victim::Engine),
    (0.45, Victim::Postgres),
    (0.60, Victim::Engine),
];
/// How far chance moves a moment: little enough that the order stays.
const JITTER: f64 = 0.06;

impl Plan {
    /// Returns the plan without victims.
    pub(super) fn peaceful() -> Self {
        Self { left: Vec::new() }
    }

    /// Returns a plan of three engines and one Postgres; `chance` yields numbers from 0 to 1.
    pub(super) fn draw(mut chance: impl FnMut() -> f64) -> Self {
        let moved = |(share, victim)| (share + JITTER * (2.0 * chance() - 1.0), victim);
        Self {
            left: MOMENTS.into_iter().map(moved).collect(),
        }
    }

    /// Returns the next victim once its moment has come; `share` is how much of the work is done.
    pub(super) fn due(&mut self, share: f64) -> Option<Victim> {
        let (moment, victim) = *self.left.first()?;
        (share >= moment).then(|| {
            self.left.remove(0);
            victim
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_fall_one_by_one_as_the_work_goes_on() {
        let mut plan = Plan::draw(|| 0.5);
        assert_eq!(plan.due(0.05), None);
        assert_eq!(plan.due(0.11), Some(Victim::Engine));
        assert_eq!(plan.due(0.11), None);
        assert_eq!(plan.due(1.0), Some(Victim::Engine));
        assert_eq!(plan.due(1.0), Some(Victim::Postgres));
        assert_eq!(plan.due(1.0), Some(Victim::Engine));
        assert_eq!(plan.due(1.0), None);
    }

    #[test]
    fn chance_never_changes_the_order() {
        for chance in [0.0, 1.0] {
            let mut flip = chance;
            let plan = Plan::draw(|| {
                flip = 1.0 - flip;
                flip
            });
            assert!(plan.left.is_sorted_by(|a, b| a.0 < b.0), "{plan:?}");
        }
    }
}
