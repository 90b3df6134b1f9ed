//! What every handler reaches.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use engine::{Engine, Role, limits::COMMITS_STALLED_AFTER};
use uuid::Uuid;

use crate::{error::Error, hosts::Hosts};

/// How long this process may take to answer itself at the address that it gives the others, before it is taken for not ready.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The engine of this process, once it has opened its database. Cheap to clone: that happens several times a request.
#[derive(Clone)]
pub struct App {
    here: Arc<Here>,
}

/// What this process has, and what tells it from others.
struct Here {
    engine: OnceLock<Engine>,
    http: reqwest::Client,
    hosts: Hosts,
    instance: Uuid,
    /// Where the other members reach it.
    address: OnceLock<String>,
    stopping: AtomicBool,
}

impl Default for App {
    fn default() -> Self {
        Self::answering_to(Hosts::default())
    }
}

impl App {
    /// Returns the app of an open engine, which answers to `localhost` and to addresses.
    pub fn new(engine: Engine) -> Self {
        let app = Self::default();
        app.opened(engine);
        app
    }

    /// Returns the app of an engine that is not open yet, which answers to these names as well.
    pub(crate) fn answering_to(hosts: Hosts) -> Self {
        Self {
            here: Arc::new(Here {
                engine: OnceLock::new(),
                http: crate::peers::http(),
                hosts,
                instance: Uuid::new_v4(),
                address: OnceLock::new(),
                stopping: AtomicBool::new(false),
            }),
        }
    }

    /// Returns the names to which it answers.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.here.hosts
    }

    /// Hands over the engine; before that, requests are answered with `STARTING`.
    pub(crate) fn opened(&self, engine: Engine) {
        // There is one opening per process.
        let _ = self.here.engine.set(engine);
    }

    /// Says where the other members are told to reach this process.
    pub(crate) fn advertised(&self, address: String) {
        // There is one address per process.
        let _ = self.here.address.set(address);
    }

    /// Says that this process is about to end: whoever asks is told to go elsewhere.
    pub(crate) fn stopping(&self) {
        self.here.stopping.store(true, Ordering::Relaxed);
    }

    /// Says whether new work should come here: its epoch, and how many shards it serves.
    pub(crate) async fn check_ready(&self) -> Result<(i64, usize), Error> {
        if self.here.stopping.load(Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let engine = self.engine()?;
        if let Some(address) = self.here.address.get().filter(|_| !engine.is_alone()) {
            let elsewhere = |problem| Error::NotReached {
                address: address.clone(),
                problem,
            };
            if engine.shares_its_address() {
                return Err(elsewhere("another process gives the same".to_owned()));
            }
            let asked = self.is_at(address, ANSWER_MAX).await;
            asked.map_err(elsewhere)?;
        }
        let stalled_for = engine.stalled_for();
        if stalled_for >= COMMITS_STALLED_AFTER {
            let seconds = stalled_for.as_secs();
            return Err(Error::NotReady(format!(
                "nothing was committed for {seconds} s, though something waits for it"
            )));
        }
        match (engine.role(), engine.refusal()) {
            (Role::Member { epoch, shards }, _) => Ok((epoch, shards)),
            (Role::Outside, engine::Error::NotOwner { .. }) => Err(Error::NotReady(
                "it is not one of those that share the work yet, or not any more; it joins by itself"
                    .to_owned(),
            )),
            (Role::Outside, refusal) => Err(refusal.into()),
        }
    }

    /// Asks at an address whether this process answers there; if not, says what does.
    pub(crate) async fn is_at(&self, address: &str, within: Duration) -> Result<(), String> {
        let asked = self
            .here
            .http
            .get(format!("{address}{}", crate::peers::IDENTITY))
            .timeout(within)
            .send()
            .await;
        let answer = asked.map_err(|error| engine::innermost(&error))?;
        let text = answer
            .text()
            .await
            .map_err(|error| engine::innermost(&error))?;
        if text.trim() == self.here.instance.to_string() {
            Ok(())
        } else {
            Err("another process answers there".to_owned())
        }
    }

    /// Returns the number of this process, by which it knows itself.
    pub(crate) fn instance(&self) -> Uuid {
        self.here.instance
    }

    /// Returns the way to other members.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.here.http
    }

    /// Returns the engine.
    pub(crate) fn engine(&self) -> Result<&Engine, Error> {
        self.here.engine.get().ok_or(Error::Starting)
    }
}
