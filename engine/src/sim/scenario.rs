//! What a simulation does: drawn from a seed, and made smaller while it still fails.

use super::{
    odds::Odds,
    planted::Bug,
    program::{Activity, Orphaned, Program, Step},
};

/// How many processes share the database.
pub(super) const PROCESSES: usize = 3;

/// Everything about a simulation that is not drawn while it runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scenario {
    /// What is drawn while it runs comes from here.
    pub(super) seed: u64,
    pub(super) workflows: Vec<Workflow>,
    pub(super) faults: Vec<Fault>,
    pub(super) odds: Odds,
    pub(super) slots: u32,
    /// Each process is another program: it serves a queue of its own, and no other does.
    pub(super) apart: bool,
    pub(super) leaves_after: u32,
    pub(super) park_after_millis: u64,
    pub(super) memory_bytes: usize,
    pub(super) bug: Option<Bug>,
}

/// A workflow, and what its client does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Workflow {
    pub(super) starts_at: u64,
    pub(super) program: Program,
    /// Signals: when, and with which value.
    pub(super) signals: Vec<(u64, i64)>,
    /// When it is terminated, if it is still open then.
    pub(super) terminated_at: Option<u64>,
    /// When somebody else wants to start a workflow of this id.
    pub(super) wanted_at: Vec<u64>,
    /// When somebody wants to have it run, whoever started it.
    pub(super) attached_at: Vec<u64>,
    /// Another run takes the id over when it has ended.
    pub(super) taken_over: bool,
    /// How many want to run the id at once when it has ended, each in the place of whatever runs.
    pub(super) replaced: usize,
}

/// A bad day of a process.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) process: usize,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FaultKind {
    /// It dies and is started again after so many milliseconds.
    Killed { back_after: u64 },
    /// It makes no step for so many milliseconds.
    Frozen { for_millis: u64 },
    /// No request reaches it for so many milliseconds, though its own arrive.
    Deaf { for_millis: u64 },
    /// Its machine is gone without a word to anybody, Postgres included; it is started elsewhere after so many milliseconds.
    Vanished { back_after: u64 },
    /// It is asked to stop, and started again after so many milliseconds.
    Stopped { back_after: u64 },
}

impl Scenario {
    /// Draws one.
    pub(super) fn drawn(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rng = &mut rng;
        let workflows = (0..rng.usize(1..=6)).map(|_| workflow(rng)).collect();
        let faults = (0..rng.usize(0..=6)).map(|_| fault(rng)).collect();
        let calm = rng.u32(0..4) == 0;
        let odds = if calm {
            Odds::default()
        } else {
            Odds {
                refused: rng.u32(0..50),
                cut_before: rng.u32(0..50),
                cut_after: rng.u32(0..50),
                slow: rng.u32(0..50),
                read_fails: rng.u32(0..50),
                lost_requests: rng.u32(0..100),
                short_reads: 0,
            }
        };
        let mut drawn = Self {
            seed,
            workflows,
            faults,
            odds,
            slots: rng.u32(1..8),
            apart: false,
            leaves_after: if rng.bool() { 0 } else { rng.u32(2..20) },
            park_after_millis: *rng.choice(&[0, 300, 30_000]).unwrap_or(&0),
            memory_bytes: if rng.u32(0..4) == 0 { 0 } else { usize::MAX },
            bug,
        };
        if rng.u32(0..3) == 0 {
            drawn.apart = true;
            for workflow in &mut drawn.workflows {
                workflow
                    .program
                    .spread(&mut || Some(rng.usize(0..PROCESSES)));
            }
        }
        if !calm {
            drawn.odds.short_reads = rng.u32(0..200);
        }
        drawn
    }

    /// Draws one in which a bug is planted, and which is likely to show it.
    pub(super) fn likely(seed: u64, bug: Bug) -> Self {
        let mut drawn = Self::drawn(seed, Some(bug));
        if bug == Bug::OldRead {
            // Runs leave memory whenever they can, and are read again.
            drawn.memory_bytes = 0;
            drawn.park_after_millis = 0;
            drawn.odds.slow = 200;
        }
        if bug == Bug::SharedHandOut {
            // Owners are lost while a worker of another member has their attempts.
            drawn.slots = 2;
            drawn.leaves_after = 0;
            drawn.apart = true;
            for workflow in &mut drawn.workflows {
                let program = &mut workflow.program;
                program.spread(&mut || Some(0));
                program.change_activities(&mut |activity| activity.millis = 400);
            }
            for fault in &mut drawn.faults {
                fault.process = fault.process.max(1);
                fault.kind = FaultKind::Killed { back_after: 100 };
            }
        }
        if bug == Bug::StaleAnswer {
            // A member is frozen until another one has its shards, and goes on with what it knew while somebody asks all the time.
            for fault in &mut drawn.faults {
                fault.kind = FaultKind::Frozen { for_millis: 2000 };
            }
            for workflow in &mut drawn.workflows {
                let wanted = (1..20).map(|n| workflow.starts_at + 200 * n);
                workflow.wanted_at = wanted.collect();
            }
        }
        if matches!(bug, Bug::HeldFate | Bug::NoTimeouts) {
            // Answers to batches get lost, and who looks for their fate is gone in the middle of it.
            drawn.odds.cut_before = 200;
            drawn.odds.cut_after = 200;
            for fault in &mut drawn.faults {
                fault.kind = FaultKind::Vanished { back_after: 100 };
            }
        }
        drawn
    }

    /// Returns one in which nothing goes wrong and nothing is done.
    pub(super) fn quiet() -> Self {
        Self {
            seed: 0,
            workflows: Vec::new(),
            faults: Vec::new(),
            odds: Odds::default(),
            slots: 1,
            apart: false,
            leaves_after: 0,
            park_after_millis: 30_000,
            memory_bytes: usize::MAX,
            bug: None,
        }
    }

    /// Returns scenarios that are a little smaller, the smallest first.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        for n in 0..self.workflows.len() {
            let mut less = self.clone();
            less.workflows.remove(n);
            smaller.push(less);
        }
        for n in 0..self.faults.len() {
            let mut less = self.clone();
            less.faults.remove(n);
            smaller.push(less);
        }
        if self.odds != Odds::default() {
            let mut less = self.clone();
            less.odds = Odds::default();
            smaller.push(less);
        }
        for (n, workflow) in self.workflows.iter().enumerate() {
            for program in programs_less(&workflow.program) {
                let mut less = self.clone();
                less.workflows[n].program = program;
                let waits = less.workflows[n].program.signals();
                less.workflows[n].signals.truncate(waits);
                smaller.push(less);
            }
            if workflow.terminated_at.is_some() {
                let mut less = self.clone();
                less.workflows[n].terminated_at = None;
                smaller.push(less);
            }
            if workflow.taken_over {
                let mut less = self.clone();
                less.workflows[n].taken_over = false;
                smaller.push(less);
            }
            if workflow.replaced > 0 {
                let mut less = self.clone();
                less.workflows[n].replaced -= 1;
                smaller.push(less);
            }
            if !workflow.attached_at.is_empty() {
                let mut less = self.clone();
                less.workflows[n].attached_at.clear();
                smaller.push(less);
            }
            for k in 0..workflow.wanted_at.len() {
                let mut less = self.clone();
                less.workflows[n].wanted_at.remove(k);
                smaller.push(less);
            }
        }
        smaller
    }
}

fn programs_less(program: &Program) -> Vec<Program> {
    let mut less = Vec::new();
    for n in 0..program.steps.len() {
        let mut without = program.clone();
        without.steps.remove(n);
        less.push(without);
    }
    if program.then.is_some() {
        less.push(Program {
            then: None,
            ..program.clone()
        });
    }
    less
}

fn workflow(rng: &mut fastrand::Rng) -> Workflow {
    let program = program(rng, 2, true);
    let starts_at = rng.u64(0..1500);
    let signals = (0..program.signals())
        .map(|_| (starts_at + rng.u64(0..800), rng.i64(1..1000)))
        .collect();
    Workflow {
        starts_at,
        program,
        signals,
        terminated_at: (rng.u32(0..10) == 0).then(|| starts_at + rng.u64(0..1000)),
        wanted_at: (0..rng.usize(0..3))
            .map(|_| starts_at + rng.u64(0..4000))
            .collect(),
        attached_at: (0..rng.usize(0..2))
            .map(|_| starts_at + rng.u64(0..2000))
            .collect(),
        taken_over: rng.u32(0..3) == 0,
        replaced: if rng.u32(0..4) == 0 {
            rng.usize(2..=4)
        } else {
            0
        },
    }
}

fn program(rng: &mut fastrand::Rng, depth: u32, signals: bool) -> Program {
    let steps = (0..rng.usize(1..=5))
        .map(|_| step(rng, depth, signals))
        .collect();
    let then =
        (rng.u32(0..6) == 0).then(|| Box::new(program(rng, depth.saturating_sub(1), signals)));
    Program {
        queue: None,
        steps,
        then,
    }
}

fn step(rng: &mut fastrand::Rng, depth: u32, signals: bool) -> Step {
    match rng.u32(0..14) {
        0 | 1 => Step::Timer {
            millis: rng.u64(1..400),
        },
        2 | 3 if signals => Step::Signal,
        4 if depth > 0 => Step::Child(program(rng, depth - 1, false)),
        5 if depth > 0 => Step::Orphan(
            program(rng, depth - 1, false),
            if rng.bool() {
                Orphaned::Terminated
            } else {
                Orphaned::Abandoned
            },
        ),
        6 | 7 if depth > 0 => {
            let steps = (0..rng.usize(2..=5)).map(|_| step(rng, depth - 1, signals));
            Step::All(steps.collect())
        }
        8 if depth > 0 => Step::Left,
        9 if depth > 0 => Step::Canceled,
        _ => Step::Activity(Activity {
            queue: None,
            millis: if rng.u32(0..10) == 0 {
                rng.u64(100..900)
            } else {
                rng.u64(0..20)
            },
            fails: if rng.u32(0..5) == 0 { rng.u32(1..4) } else { 0 },
            attempts: match rng.u32(0..10) {
                0 | 1 => 1,
                2 | 3 => rng.u32(2..5),
                _ => 0,
            },
            beats: rng.u32(0..4) == 0,
            value: rng.i64(1..1000),
        }),
    }
}

fn fault(rng: &mut fastrand::Rng) -> Fault {
    let kind = match rng.u32(0..7) {
        6 => FaultKind::Deaf {
            // Often for longer than the others wait for it.
            for_millis: rng.u64(1..25_000),
        },
        0 => FaultKind::Vanished {
            back_after: rng.u64(0..500),
        },
        1 | 5 => FaultKind::Killed {
            back_after: rng.u64(0..500),
        },
        2 => FaultKind::Stopped {
            back_after: rng.u64(0..500),
        },
        _ => FaultKind::Frozen {
            for_millis: rng.u64(1..2500),
        },
    };
    Fault {
        at: rng.u64(0..3000),
        process: rng.usize(0..PROCESSES),
        kind,
    }
}

/// Returns a workflow of one step.
pub(super) fn waiting(step: Step) -> Workflow {
    Workflow {
        starts_at: 0,
        program: Program {
            queue: None,
            steps: vec![step],
            then: None,
        },
        signals: Vec::new(),
        terminated_at: None,
        wanted_at: Vec::new(),
        attached_at: Vec::new(),
        taken_over: false,
        replaced: 0,
    }
}
