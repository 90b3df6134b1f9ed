//! Runs that left memory while they only wait: most for a worker that takes from the queue in which a task of theirs waits. When one does,
//! they are read again, some at a time, in the order in which they wait.
//!
//! Such a run leaves without a word to the database: `open_run` calls it hot, so a takeover folds it and lets it wait again.

use history::RunId;

use crate::{
    limits::{READ_A_SLOT, READ_BATCH, READ_BYTES, READ_BYTES_SHORT},
    owner::{
        Owner,
        state::{backlog::Left, reading::Cause, run::Run, task_place::TaskPlace},
        step::missed,
    },
    store::{RunRef, commit::OpenRow},
    words::{Kind, QueueKey},
};

impl Run {
    /// Says whether it only waits for workers, time or messages, and a takeover would find it.
    pub(super) fn may_leave_for_backlog(&self) -> bool {
        let queued = self
            .execution
            .workflow_task()
            .is_none_or(|task| self.task == TaskPlace::Queued || !task.is_ready());
        let found = self.open_row == Some(OpenRow::Hot) && !self.registering;
        queued && found && self.execution.is_waiting_for_workers() && self.is_at_rest()
    }
}

impl Owner {
    /// Lets a run leave memory that [may](Run::may_leave_for_backlog), and notes what waits for it.
    pub(super) fn leave_for_backlog(&mut self, run_id: RunId) {
        let Some(run) = self.runs.get(&run_id) else {
            return missed(run_id);
        };
        let left = Left {
            shard: run.shard,
            is_queued: run.task == TaskPlace::Queued,
        };
        self.leave_memory(run_id);
        #[cfg(test)]
        if crate::sim::planted::forgets_backlog() {
            return;
        }
        self.context.backlog.left.insert(run_id, left);
    }

    /// Says whether the first run of a queue has left; then it is being read, and the queue goes on when some read has ended.
    pub(super) fn must_read(&mut self, queue: &QueueKey, kind: Kind) -> bool {
        let first = self.context.queues.waiting(queue, kind).next();
        let Some(first) = first.filter(|run_id| self.context.backlog.has(*run_id)) else {
            return false;
        };
        if !self.context.reading.is_asked(first) {
            self.read_backlog(queue, kind);
        }
        self.context.backlog.waiting.insert(queue.clone());
        true
    }

    /// Reads the next runs of a queue that have left: those for which its workers have room, and as many behind them. Their places in the
    /// queue wait for them.
    fn read_backlog(&mut self, queue: &QueueKey, kind: Kind) {
        let most = self
            .context
            .queues
            .free_slots(queue, kind)
            .saturating_mul(READ_A_SLOT);
        let left = &self.context.backlog.left;
        let asked = self
            .context
            .queues
            .waiting(queue, kind)
            .take(READ_BATCH)
            .filter_map(|run_id| {
                let shard = left.get(&run_id)?.shard;
                Some(RunRef { shard, run_id })
            })
            .filter(|run| !self.context.reading.is_asked(run.run_id))
            .take(most)
            .collect();
        // Its worker has room: that is how the memory comes free again. So it need not wait, but is little when memory is short.
        let bytes = if self.context.is_short() {
            READ_BYTES_SHORT
        } else {
            READ_BYTES
        };
        self.read_all(asked, Cause::Queue, bytes);
    }

    /// A read has ended: the queues go on whose first run may be back.
    pub(super) fn refill_waiting(&mut self) {
        for queue in std::mem::take(&mut self.context.backlog.waiting) {
            self.refill(&queue);
        }
    }
}
