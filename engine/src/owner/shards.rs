//! Which shards are served here: taken in when they come, given up when they belong to another member.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use history::{RunId, Timestamp, execution::AttemptState, task::ToWorker};
use tokio::time::Instant;

use crate::{
    Error,
    limits::{HAND_OVER_GRACE, HAND_OVER_SHARDS},
    owner::{
        Owner,
        context::Context,
        message::Message,
        reading::until_read,
        state::{
            run::Run,
            shards::{Folding, Leaving, Place, index},
        },
    },
    store::RunRef,
    words::Told,
};

/// How often a hand-over looks whether everything is durable.
const LOOK: Duration = Duration::from_millis(5);

impl Owner {
    /// All open runs of shards are folded.
    pub(super) fn shards_folded(&mut self, shards: Vec<i16>) {
        self.context.shards.lift_floor();
        self.register_old();
        // Whoever listens ends with this owner.
        let _ = self.context.setup.tell.send(Told::Adopted(shards));
    }

    /// Begins to give shards up.
    pub(super) fn give_up_shards(&mut self, shards: Vec<i16>) {
        for shard in &shards {
            self.context.shards.put(*shard, Place::Leaving);
        }
        self.want_heartbeats(|place| matches!(place, Place::Leaving));
        let now = Instant::now();
        self.context.shards.leaving = Some(Leaving {
            shards,
            patience_ends: now + HAND_OVER_GRACE,
            next_look: now,
            busy: Vec::new(),
        });
    }

    /// Asks for what attempts of the runs of such shards have said in heartbeats that their workers hold back; says whether there may
    /// be any. The first heartbeat of an attempt is never held back.
    pub(super) fn want_heartbeats(&mut self, of: impl Fn(&Place) -> bool) -> bool {
        let mut wanted = Vec::new();
        for id in self.context.queues.session_ids() {
            let hand_outs = self
                .context
                .queues
                .session(id)
                .map(|s| s.activities.clone());
            for hand_out in hand_outs.into_iter().flatten() {
                // One that is gone is over, or lost what it had heard when it was folded again.
                let Some(run) = self.runs.get(&hand_out.run_id) else {
                    continue;
                };
                let activity = run.execution.activity(hand_out.scheduled_event_id);
                let beats =
                    activity.is_some_and(|activity| !activity.heartbeat_details.0.is_empty());
                if beats && of(self.context.shards.place(run.shard)) {
                    wanted.push((id, hand_out.token(&run.key)));
                }
            }
        }
        let any = !wanted.is_empty();
        for (id, token) in wanted {
            // A worker that is gone holds nothing.
            self.context
                .queues
                .send(id, ToWorker::HeartbeatWanted(token));
        }
        any
    }

    /// Lets the shards go that are to leave, once everything of them is durable and their workers have answered, or have had the
    /// time to.
    pub(super) fn let_shards_go(&mut self) {
        let now = Instant::now();
        let Some(leaving) = self
            .context
            .shards
            .leaving
            .take_if(|leaving| leaving.next_look <= now)
        else {
            return;
        };
        let patient = now < leaving.patience_ends;
        let mut busy = self.send_off(leaving.busy, patient);
        if busy.is_empty() {
            busy = self.send_off(self.leaving_runs(), patient);
        }
        #[cfg(test)]
        if crate::sim::planted::hands_over_in_haste() {
            busy.clear();
        }
        if busy.is_empty() {
            return self.drop_shards(leaving.shards);
        }
        self.context.shards.leaving = Some(Leaving {
            next_look: now + LOOK,
            busy,
            ..leaving
        });
    }

    /// Returns the runs in memory of the shards that are to go.
    fn leaving_runs(&self) -> Vec<RunId> {
        let leaves = |run: &Run| matches!(self.context.shards.place(run.shard), Place::Leaving);
        let leaving = self.runs.iter().filter(|(_, run)| leaves(run));
        leaving.map(|(run_id, _)| *run_id).collect()
    }

    /// Sends what is staged of these runs on its way, and returns those that have something under way.
    fn send_off(&mut self, mut runs: Vec<RunId>, patient: bool) -> Vec<RunId> {
        runs.retain(|run_id| {
            // One that is gone has nothing under way.
            let Some(run) = self.runs.get_mut(run_id) else {
                return false;
            };
            if !patient {
                run.attempts.catch_up(&run.execution);
            }
            if run.has_staged() && (!run.task.is_out() || !patient) {
                self.context.flush(run);
                return true;
            }
            !run.may_leave() || (patient && has_tasks_out(run))
        });
        runs
    }

    fn drop_shards(&mut self, shards: Vec<i16>) {
        let mut runs = self.leaving_runs();
        let open_since = Timestamp(
            self.context
                .setup
                .open_since
                .load(std::sync::atomic::Ordering::Relaxed),
        );
        let floor = self
            .context
            .shards
            .floor
            .unwrap_or(open_since)
            .min(open_since);
        self.context.shards.floor = Some(floor);
        for shard in &shards {
            self.context.shards.put(*shard, Place::Left);
            self.context.shards.generations[index(*shard)] += 1;
        }
        // The order of a map is no order; that of the seeds is.
        runs.sort_unstable();
        for run_id in runs {
            if let Some(mut run) = self.drop_run(run_id) {
                self.give_up(&mut run, &|| Error::NotOwner { owner: None });
            }
        }
        let read: Vec<_> = self
            .loading
            .keys()
            .filter(|(key, _)| matches!(self.context.shards.place(key.shard()), Place::Left))
            .cloned()
            .collect();
        for asked in read {
            let waiting = self.loading.remove(&asked).unwrap_or_default().waiting;
            let shard = asked.0.shard();
            self.context
                .shards
                .waiting
                .entry(shard)
                .or_default()
                .extend(waiting);
        }
        self.context
            .backlog
            .keep(|shard| self.context.shards.has(shard));
        self.context
            .reading
            .keep(|shard| self.context.shards.has(shard));
        self.context
            .parked
            .keep(|shard| self.context.shards.has(shard));
        for mut waiters in self
            .context
            .memory
            .keep(|shard| self.context.shards.has(shard))
        {
            waiters.turn_away(&|| Error::NotOwner { owner: None });
        }
        // Whoever listens ends with this owner.
        let _ = self.context.setup.tell.send(Told::GivenUp(shards));
    }
}

impl Context {
    /// Takes note of where shards are that are not here.
    pub(super) fn note_places(&mut self, places: Vec<(i16, Option<Arc<str>>)>) {
        for (shard, address) in places {
            if matches!(self.shards.place(shard), Place::Left | Place::Elsewhere(_)) {
                self.shards.put(shard, Place::Elsewhere(address));
                self.handle_waiting(shard);
            }
        }
        self.shards.lift_floor();
    }

    fn handle_waiting(&mut self, shard: i16) {
        let waiting = self.shards.waiting.remove(&shard);
        self.local.extend(waiting.into_iter().flatten());
    }

    /// Takes in shards that have become this member's.
    pub(super) fn adopt(&mut self, shards: &[i16], open_since: Timestamp) {
        self.setup.tail.take();
        for shard in shards {
            self.shards.put(*shard, Place::Coming);
        }
        let floor = self.shards.floor.unwrap_or(open_since).min(open_since);
        self.shards.floor = Some(floor);
        self.lower_open_since(floor);
        let nothing_comes = self.shards.coming.is_empty();
        for some in shards.chunks(HAND_OVER_SHARDS) {
            self.shards.coming.push_back((some.to_vec(), open_since));
        }
        if nothing_comes {
            self.ask_what_is_hot();
        }
    }

    /// Asks which runs of the shards that come next are to be folded.
    fn ask_what_is_hot(&mut self) {
        let Some((shards, open_since)) = self.shards.coming.front().cloned() else {
            return;
        };
        let store = Arc::clone(&self.setup.store);
        self.elsewhere.push(
            async move {
                let hot = || store.hot(&shards, open_since);
                let runs = until_read("the open runs of shards", hot).await;
                Message::Hot { shards, runs }
            }
            .boxed(),
        );
    }

    /// Serves shards that have come here. Their open runs are folded a little at a time, or when they are asked for.
    pub(super) fn hot(&mut self, shards: Vec<i16>, runs: Vec<RunRef>) {
        for shard in &shards {
            self.shards.put(*shard, Place::Here);
        }
        self.parked.catch_up(&shards);
        self.shards.coming.pop_front();
        self.ask_what_is_hot();
        for shard in &shards {
            self.handle_waiting(*shard);
        }
        self.shards.folding.push_back(Folding {
            shards,
            runs: runs.into(),
        });
        self.shards.answer_if_ready();
    }
}

/// Says whether workers have something of a run.
fn has_tasks_out(run: &Run) -> bool {
    run.task.is_out()
        || run
            .execution
            .activities()
            .any(|activity| matches!(activity.state, AttemptState::Started { .. }))
}
