//! Random programs: what a workflow does, and what happens to it meanwhile.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kills::Dice;

/// How deep steps stand in each other.
const DEPTH: u32 = 3;
/// How many generations a family has.
const GENERATIONS: u32 = 3;
/// What is waited for takes so many milliseconds at most: as long as a turn takes, so that things happen in the middle of turns.
const MILLIS_MAX: u64 = 25;

/// The code of a workflow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) worker: Home,
    pub(super) steps: Vec<Step>,
    /// What it does after it was canceled.
    pub(super) cleanup: Work,
    pub(super) end: End,
}

/// The worker that its workflow tasks go to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Home {
    /// Keeps the code of one run: each turn of any other is a replay.
    Forgetful,
    /// Keeps the code of all.
    Mindful,
}

impl Home {
    pub(super) fn queue(self) -> &'static str {
        match self {
            Self::Forgetful => "forgetful",
            Self::Mindful => "mindful",
        }
    }
}

/// How it ends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum End {
    /// As canceled if it was canceled.
    AsAsked,
    /// As completed, whatever happened.
    Returns,
    /// As failed, whatever happened.
    Fails,
}

/// What it does, and waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Step {
    Sleep(u64),
    Call(Work),
    /// Waits for the result of a child.
    Child(Kin),
    /// Starts a child and does something with it before its result is waited for.
    Start(Kin, With),
    /// Waits for a signal. It may never come, so something else is waited for beside it.
    Receive,
    /// Waits for the request to cancel, likewise.
    Heed,
    /// The first of the two; the other one is dropped.
    First(Box<Step>, Box<Step>),
    /// Both.
    Both(Box<Step>, Box<Step>),
    /// Both, unless one fails: then the other one is dropped.
    TryBoth(Box<Step>, Box<Step>),
    /// All of them, so many at a time.
    Many(usize, Vec<Step>),
    /// All of them, so many at a time, until one fails.
    TryMany(usize, Vec<Step>),
    /// Whatever comes of it, the program goes on.
    Shield(Box<Step>),
}

/// What a cancellation does to a call; as in the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    Try,
    Wait,
    Abandon,
}

/// An activity: how long it takes, how many of its attempts fail, whether it hears that it is canceled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) n: u32,
    pub(super) millis: u64,
    pub(super) fails: u32,
    pub(super) hears: bool,
    pub(super) how: How,
}

/// A child.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kin {
    pub(super) n: u32,
    pub(super) program: Program,
    pub(super) how: How,
    /// It lives on when its parent closes.
    pub(super) abandoned: bool,
}

/// What is done with a child that has started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum With {
    /// It is left alone.
    Leave,
    /// It is asked to cancel after so many milliseconds.
    Cancel(u64),
    /// It gets a signal.
    Signal(u64),
}

/// A program, and what happens to it meanwhile.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) program: Program,
    /// When each of its signals is sent.
    pub(super) signals: Vec<Moment>,
    /// When it is asked to cancel.
    pub(super) cancel: Option<Moment>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// So long after the start.
    After(Duration),
    /// As soon as so many events are on record.
    Events(i64),
}

impl Plan {
    /// Returns the plan of a seed.
    pub(super) fn drawn(seed: u64) -> Self {
        let mut maker = Maker {
            dice: Dice(seed),
            named: 0,
        };
        Self {
            program: maker.program(GENERATIONS),
            signals: (0..maker.dice.below(4)).map(|_| maker.moment()).collect(),
            cancel: (maker.dice.below(4) > 0).then(|| maker.moment()),
        }
    }
}

/// Draws programs, and gives what has an id a number of its own.
struct Maker {
    dice: Dice,
    named: u32,
}

impl Maker {
    fn one_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    fn moment(&mut self) -> Moment {
        if self.one_in(2) {
            return Moment::After(self.dice.up_to(Duration::from_millis(6 * MILLIS_MAX)));
        }
        Moment::Events(i64::try_from(1 + self.dice.below(40)).unwrap())
    }

    fn program(&mut self, generations: u32) -> Program {
        let steps = 1 + self.dice.below(1 + u64::from(generations));
        Program {
            worker: if self.one_in(3) {
                Home::Mindful
            } else {
                Home::Forgetful
            },
            steps: (0..steps).map(|_| self.step(DEPTH, generations)).collect(),
            cleanup: self.work(),
            end: match self.dice.below(6) {
                0 => End::Fails,
                1 | 2 => End::Returns,
                _ => End::AsAsked,
            },
        }
    }

    /// Returns a step that ends by itself.
    fn step(&mut self, depth: u32, generations: u32) -> Step {
        if depth == 0 {
            return self.leaf(generations);
        }
        let deeper = depth - 1;
        let boxed = |maker: &mut Self| Box::new(maker.step(deeper, generations));
        match self.dice.below(11) {
            0..=2 => self.leaf(generations),
            3 | 4 => Step::First(boxed(self), boxed(self)),
            5 => Step::First(Box::new(Step::Receive), boxed(self)),
            6 if self.one_in(2) => Step::First(boxed(self), Box::new(Step::Heed)),
            6 => Step::First(boxed(self), Box::new(Step::Receive)),
            7 => Step::Both(boxed(self), boxed(self)),
            8 => Step::TryBoth(boxed(self), boxed(self)),
            9 => {
                let steps = (0..=self.dice.below(3))
                    .map(|_| self.step(0, generations))
                    .collect();
                let most = usize::try_from(1 + self.dice.below(3)).unwrap();
                if self.one_in(2) {
                    Step::Many(most, steps)
                } else {
                    Step::TryMany(most, steps)
                }
            }
            _ => Step::Shield(boxed(self)),
        }
    }

    fn leaf(&mut self, generations: u32) -> Step {
        match self.dice.below(9) {
            0..=3 => Step::Sleep(1 + self.dice.below(MILLIS_MAX)),
            4 if generations > 1 => Step::Child(self.kin(generations - 1)),
            5 if generations > 1 => {
                let with = match self.dice.below(3) {
                    0 => With::Leave,
                    1 => With::Cancel(1 + self.dice.below(MILLIS_MAX)),
                    _ => With::Signal(self.dice.below(1000)),
                };
                Step::Start(self.kin(generations - 1), with)
            }
            _ => Step::Call(self.work()),
        }
    }

    fn number(&mut self) -> u32 {
        self.named += 1;
        self.named
    }

    fn how(&mut self) -> How {
        match self.dice.below(4) {
            0 | 1 => How::Try,
            2 => How::Wait,
            _ => How::Abandon,
        }
    }

    fn work(&mut self) -> Work {
        Work {
            n: self.number(),
            millis: self.dice.below(MILLIS_MAX),
            fails: match self.dice.below(4) {
                0 => u32::try_from(1 + self.dice.below(3)).unwrap(),
                _ => 0,
            },
            hears: self.one_in(2),
            how: self.how(),
        }
    }

    fn kin(&mut self, generations: u32) -> Kin {
        Kin {
            n: self.number(),
            // Few of them have children of their own.
            program: if self.one_in(3) {
                self.program(generations)
            } else {
                self.program(1)
            },
            how: self.how(),
            abandoned: self.one_in(4),
        }
    }
}

impl Program {
    /// Returns what a cancellation does to the call of that number, if it is of this workflow.
    pub(super) fn how(&self, n: u32) -> Option<How> {
        let of_cleanup = (self.cleanup.n == n).then_some(self.cleanup.how);
        of_cleanup.or_else(|| self.steps.iter().find_map(|step| step.how(n)))
    }

    /// Returns the child of that number.
    pub(super) fn kin(&self, n: u32) -> Option<&Kin> {
        self.steps.iter().find_map(|step| step.kin(n))
    }

    /// Says whether the child of that number is held by a handle, so that it is left alone when nobody waits for it any more.
    pub(super) fn holds(&self, n: u32) -> bool {
        self.steps.iter().any(|step| step.holds(n))
    }
}

impl Step {
    fn inside(&self) -> Vec<&Step> {
        match self {
            Self::Sleep(_)
            | Self::Call(_)
            | Self::Child(_)
            | Self::Start(..)
            | Self::Receive
            | Self::Heed => Vec::new(),
            Self::First(a, b) | Self::Both(a, b) | Self::TryBoth(a, b) => vec![a, b],
            Self::Many(_, steps) | Self::TryMany(_, steps) => steps.iter().collect(),
            Self::Shield(step) => vec![step],
        }
    }

    fn how(&self, n: u32) -> Option<How> {
        match self {
            Self::Call(work) if work.n == n => Some(work.how),
            Self::Child(kin) | Self::Start(kin, _) if kin.n == n => Some(kin.how),
            other => other.inside().into_iter().find_map(|step| step.how(n)),
        }
    }

    fn kin(&self, n: u32) -> Option<&Kin> {
        match self {
            Self::Child(kin) | Self::Start(kin, _) if kin.n == n => Some(kin),
            other => other.inside().into_iter().find_map(|step| step.kin(n)),
        }
    }

    fn holds(&self, n: u32) -> bool {
        match self {
            Self::Start(kin, _) => kin.n == n,
            other => other.inside().into_iter().any(|step| step.holds(n)),
        }
    }
}
