//! Which listed runs have a task that no worker takes: each owner is asked once for a page.

use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use history::RunId;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    Summary, UntakenTask,
    limits::LIST_TIMEOUT,
    membership::Membership,
    owner::message::Message,
    peers::{PeerAnswer, PeerClient, PeerRequest},
    shard,
    store::namespaces::Ns,
    words::{Asked, Untaken},
};

/// Takes note of it in the list.
pub(crate) async fn name(
    state: Membership,
    peers: &PeerClient,
    namespace: &Ns,
    runs: &mut [Summary],
) {
    let asked: Vec<Asked> = runs
        .iter()
        .filter(|run| run.status.is_open())
        .map(|run| Asked {
            shard: shard::of(&namespace.name, &run.workflow_id),
            run_id: run.run_id,
            task_queue: run.task_queue.clone(),
        })
        .collect();
    let Membership::Member { sender, .. } = state else {
        return;
    };
    if asked.is_empty() {
        return;
    }
    let (reply, answer) = oneshot::channel();
    let message = Message::Untaken {
        namespace: namespace.clone(),
        asked,
        reply,
    };
    // When the owner has ended, the answer fails as well.
    let _ = sender.send(message);
    let Ok(Ok(Untaken { found, elsewhere })) = timeout(LIST_TIMEOUT, answer).await else {
        return;
    };
    let elsewhere = elsewhere
        .into_iter()
        .map(|(address, asked)| ask(peers, address, namespace, asked));
    let others = join_all(elsewhere).await.into_iter().flatten();
    let mut found: HashMap<RunId, UntakenTask> = found.into_iter().chain(others).collect();
    for run in runs {
        run.untaken = found.remove(&run.run_id);
    }
}

/// Asks the member at an address about its runs.
async fn ask(
    peers: &PeerClient,
    address: Arc<str>,
    namespace: &Ns,
    asked: Vec<Asked>,
) -> Vec<(RunId, UntakenTask)> {
    let request = PeerRequest::Untaken {
        namespace: namespace.name.clone(),
        asked,
    };
    match peers.ask(&address, request, LIST_TIMEOUT).await {
        Ok(PeerAnswer::Untaken(found)) => found,
        Ok(_) => Vec::new(),
        Err(unreached) => {
            tracing::debug!(%unreached, "what the runs of another member wait for is not listed");
            Vec::new()
        }
    }
}
