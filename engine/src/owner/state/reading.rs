//! What is being read by ids, and why.

use foldhash::HashMap;
use history::RunId;

/// What runs are read for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    /// Their deadlines came.
    Due,
    /// A worker of a queue in which they wait has room.
    Queue,
    /// The owner before had them in memory.
    TakeOver,
    /// One of many that could not be read together.
    Alone,
}

/// The latest read of a run, by its number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) shard: i16,
    pub(crate) read: u64,
}

/// What becomes of the runs whose deadlines came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Deadlines {
    /// Nothing: there are none, as far as is known.
    #[default]
    Quiet,
    /// The next are being read.
    Read,
    /// They may not be read yet, because memory is short.
    HeldBack,
}

/// What is being read, and what is to be.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Runs being read. One that comes back otherwise meanwhile, or whose shard leaves, is not among
    /// them any more: what is read of it may be old.
    pub(crate) asked: HashMap<RunId, Asked>,
    /// The number of the latest read.
    pub(crate) latest: u64,
    pub(crate) due: Deadlines,
    /// They had the last little that was there; else those that the owner before had in memory did.
    pub(crate) due_had_the_last: bool,
    /// Runs that the owner before had in memory are being read.
    pub(crate) takes_over: bool,
}

impl Reading {
    /// Takes note that a run is in memory.
    pub(crate) fn back(&mut self, run_id: RunId) {
        self.asked.remove(&run_id);
    }

    /// Forgets the runs of other shards.
    pub(crate) fn keep(&mut self, is_here: impl Fn(i16) -> bool) {
        self.asked.retain(|_, asked| is_here(asked.shard));
    }

    /// Says whether a run is being read.
    pub(crate) fn is_asked(&self, run_id: RunId) -> bool {
        self.asked.contains_key(&run_id)
    }

    /// Says whether the runs that are due next are being read, or have to wait.
    pub(crate) fn holds_due_back(&self) -> bool {
        self.due != Deadlines::Quiet
    }

    /// Says whether what a read returned of a run is good, and takes note that it is done.
    pub(crate) fn is_done(&mut self, read: u64, run_id: RunId) -> bool {
        let asked = self.asked.get(&run_id);
        let good = asked.is_some_and(|asked| asked.read == read);
        if good {
            self.asked.remove(&run_id);
        }
        good
    }
}
