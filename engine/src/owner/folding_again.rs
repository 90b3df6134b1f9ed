//! Runs that can't go on: what could not be written of them is dropped with everything decided on it, who waits is told, and they are
//! folded again from what is durable.

use history::RunId;

use crate::{
    Error,
    committer::{Command, folding},
    owner::{
        Owner,
        state::{
            run::{Run, Successor},
            writing::After,
        },
    },
    store::commit::Item,
    words::Request,
};

impl Owner {
    /// The id of a start means another run than the owner knew: the start is decided again with that run at hand.
    pub(super) fn item_conflicts(&mut self, item: &Item) {
        if item.starts.is_empty() {
            // It came after such a start, in the same batch: of the run that the id means, or of the one that was not to be.
            return self.not_written(item, || Error::Unavailable("the workflow id is in use"));
        }
        let _ = self.context.commits.send(Command::Forget(folding(item)));
        for start in &item.starts {
            // One that is gone conflicted before, or stood in an item that could not be written.
            let Some(mut run) = self.drop_run(start.run_id) else {
                continue;
            };
            let in_use = || Error::Unavailable("the workflow id is in use");
            self.give_up(&mut run, &in_use);
            self.abandon_successor(&mut run, &in_use);
            let Some(origin) = run.origin.take() else {
                continue;
            };
            let key = run.key.clone();
            let mut requests = vec![Request::Start {
                namespace: key.namespace.clone(),
                request: origin.request,
                reply: origin.reply,
            }];
            requests.extend(origin.behind);
            match self.loading.get_mut(&(key.clone(), None)) {
                Some(loading) => loading.waiting.extend(requests),
                None => self.load(key, None, requests),
            }
        }
        // A run that closed into such a start was not written either.
        self.fold_all_again(item, &|| Error::Unavailable("the workflow id is in use"));
    }

    /// Nothing of an item was written: its runs are folded again from what is durable.
    pub(super) fn not_written(&mut self, item: &Item, error: impl Fn() -> Error) {
        let _ = self.context.commits.send(Command::Forget(folding(item)));
        self.fold_all_again(item, &error);
    }

    /// Folds the runs of an item again, if they are still those that sent it.
    fn fold_all_again(&mut self, item: &Item, error: &dyn Fn() -> Error) {
        let parts = item.parts.iter().map(|part| part.run_id);
        let open = item.open.map(|open| open.run_id);
        for run_id in parts.chain(open) {
            let sent = self.runs.get(&run_id);
            if sent.is_some_and(|run| run.incarnation == item.incarnation) {
                self.fold_again_with(run_id, error);
            }
        }
    }

    /// Drops a run from memory and folds it again, telling everybody who waits that it is not known what was done.
    pub(super) fn fold_again(&mut self, run_id: RunId, why: &'static str) {
        self.fold_again_with(run_id, &|| Error::Unavailable(why));
    }

    fn fold_again_with(&mut self, run_id: RunId, error: &dyn Fn() -> Error) {
        if let Some(run) = self.drop_run(run_id) {
            self.abandon(run, error);
        }
    }

    /// Tells everybody who waits for a dropped run, and folds it again if there is anything of it to be folded.
    fn abandon(&mut self, mut run: Box<Run>, error: &dyn Fn() -> Error) {
        self.give_up(&mut run, error);
        if let Some(origin) = run.origin.take() {
            self.answer_start(origin.reply, Err(error()));
            for request in origin.behind {
                self.turn_away(request, error());
            }
        }
        self.abandon_successor(&mut run, error);
        if run.was_committed() {
            let (key, run_id) = (run.key.clone(), run.run_id());
            if matches!(error(), Error::DataRefused(_) | Error::Locked) {
                // What it wants to write will not be written yet, as far as anybody knows.
                self.load_later(key, run_id);
            } else {
                let look = Request::look(key.clone(), run_id);
                self.load(key, Some(run_id), vec![look]);
            }
        }
    }

    /// Abandons the run that was to be written with the close of a dropped one. The committer may have let it go without a word, and
    /// its id may mean another run by now.
    fn abandon_successor(&mut self, run: &mut Run, error: &dyn Fn() -> Error) {
        match std::mem::take(&mut run.successor) {
            Successor::None => {}
            Successor::Staged(next) => self.abandon(next, error),
            Successor::Sent(next) => {
                // It may be about to come into memory.
                self.follow_up();
                let is_new = |next: &Run| !next.was_committed();
                if self.runs.get(&next).is_some_and(|next| is_new(next)) {
                    self.fold_again_with(next, error);
                }
            }
        }
    }

    /// Takes a run out of memory, and out of the memory of its worker.
    pub(super) fn drop_run(&mut self, run_id: RunId) -> Option<Box<Run>> {
        let run = self.take_out(run_id)?;
        // The worker that has its task need not be the one that has it cached.
        let has = run.task.session();
        let caches = run.affinity.filter(|caches| has != Some(*caches));
        for session in has.into_iter().chain(caches) {
            self.context.evict(session, run_id);
        }
        Some(run)
    }

    /// Tells everybody who waits for a dropped run.
    pub(super) fn give_up(&mut self, run: &mut Run, error: &dyn Fn() -> Error) {
        for after in run.writing.give_up() {
            match after {
                After::Answer(answer) | After::Confirm(answer) => self.tell(answer.or(error())),
                // The attempt was not sent: its worker has the slot free.
                After::HandOut {
                    session, hand_out, ..
                } => self.context.free_attempt(session, hand_out),
                // They are outstanding still, and are found so when the run is folded again.
                After::Effect(_) => {}
            }
        }
        run.waiters.turn_away(error);
    }
}
