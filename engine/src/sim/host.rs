//! One process of a simulation.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    namespace::ns,
    network,
    worker::{Outside, work},
    world::{Gate, Process, SIMULATED},
};
use crate::{
    Config,
    feed::{Limits, Tail},
    membership::Membership,
    peers::PeerClient,
    store::namespaces::Namespaces,
    tenure::Tenure,
};

/// So little that readers of the feed lag behind what is kept.
const TAIL: Limits = Limits {
    batches: 4,
    bytes: 64 * 1024,
};

/// Where a process runs, or does not.
pub(super) struct Host {
    pub(super) gate: Arc<Gate>,
    pub(super) task: JoinHandle<()>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) state: watch::Receiver<Membership>,
    pub(super) tail: Arc<Tail>,
}

impl Host {
    pub(super) fn boot(outside: &Outside, config: Config, n: usize) -> Self {
        let peers = PeerClient {
            peers: Arc::new(outside.network.clone()),
            secret: uuid::Uuid::nil(),
        };
        let config = Config {
            address: network::address(n),
            peers: Arc::clone(&peers.peers),
            ..config
        };
        let (stop, stopping) = watch::channel(false);
        let (tell, state) = watch::channel(Membership::Outside { away: None });
        outside.network.connect(n, state.clone());
        let tail = Arc::new(Tail::of(TAIL));
        let tenure = Tenure {
            config,
            store: Arc::new(outside.memory.of_process(n)),
            namespaces: Namespaces::only(&ns()),
            peers,
            world: SIMULATED,
            tail: Arc::clone(&tail),
            membership: tell,
        };
        let owning = tenure.run(stopping);
        let working = work(outside.clone(), n, state.clone());
        let gate = Arc::new(Gate::default());
        let process = Process {
            gate: Arc::clone(&gate),
            work: async move {
                tokio::select! {
                    biased;
                    () = owning => {}
                    () = working => {}
                }
            }
            .boxed(),
        };
        Self {
            gate,
            task: tokio::spawn(process),
            stop,
            state,
            tail,
        }
    }
}
