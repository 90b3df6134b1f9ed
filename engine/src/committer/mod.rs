//! The one place that writes. While one batch is under way the next gathers: latency is one flush
//! when idle, and batches grow under load. Two connections take turns, out of step: one executes while the answers to the other's
//! batch are worked on. No workflow is in two batches at once.

mod command;
mod doubts;
mod gathered;
mod lane;
mod suspects;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    committer::{
        gathered::{Batch, Gathered, HOUSEWORK_AFTER},
        lane::Lane,
    },
    limits::GATHER,
    store::Connection,
};

pub(crate) use command::{Command, Folding, Outcome, Refusal, folding};
pub(crate) use lane::{Lost, Setup};

/// Commits until the owner hangs up or the ownership is lost.
pub(crate) async fn run(
    setup: Setup,
    connections: Vec<Box<dyn Connection>>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    outcomes: mpsc::UnboundedSender<Outcome>,
) -> Result<(), Lost> {
    let progress = Arc::clone(&setup.progress);
    let mut gathered = Gathered::default();
    let mut idle: Vec<Lane> = connections
        .into_iter()
        .enumerate()
        .map(|(n, connection)| Lane::new(n, connection, setup.clone()))
        .collect();
    let mut under_way: FuturesUnordered<BoxFuture<'static, Result<(Lane, Outcome), Lost>>> =
        FuturesUnordered::new();
    let mut inbox = Vec::with_capacity(256);
    let mut open = true;
    let mut waited = false;
    // Nothing of any workflow can be written, as far as it is known.
    let mut blocked = false;
    while open || !under_way.is_empty() || gathered.waiting() > 0 {
        tokio::select! {
            biased;
            Some(done) = under_way.next(), if !under_way.is_empty() => {
                let (lane, mut outcome) = done?;
                idle.push(lane);
                blocked = outcome.blocked.unwrap_or(blocked && !outcome.has_written());
                if !blocked {
                    progress.committed();
                }
                gathered.finish(&mut outcome);
                // When the owner is gone nobody waits for the outcome.
                let _ = outcomes.send(outcome);
            }
            received = commands.recv_many(&mut inbox, 256), if open => {
                open = received > 0;
                for command in inbox.drain(..) {
                    gathered.take(command);
                }
            }
            () = tokio::time::sleep(GATHER), if !waited && !idle.is_empty() && gathered.waiting() > 0 => {
                waited = true;
            }
            () = tokio::time::sleep(HOUSEWORK_AFTER), if (blocked || gathered.has_housework()) && under_way.is_empty() => {
                if (blocked || !gathered.delivered.is_empty()) && let Some(lane) = idle.pop() {
                    let batch = if blocked { Batch::question() } else { gathered.batch() };
                    under_way.push(lane.commit(batch).boxed());
                }
            }
        }
        if gathered
            .put_off_until
            .is_some_and(|until| Instant::now() >= until)
            && let Some(lane) = idle.pop()
        {
            under_way.push(lane.commit(gathered.what_was_put_off()).boxed());
        }
        while gathered.waiting() > 0 && (waited || gathered.is_ripe()) {
            let Some(lane) = idle.pop() else { break };
            let batch = gathered.batch();
            if batch.is_empty() {
                gathered.delivered = batch.delivered;
                idle.push(lane);
                break;
            }
            waited = false;
            under_way.push(lane.commit(batch).boxed());
        }
        progress.waits(blocked || !under_way.is_empty());
    }
    Ok(())
}
