//! What every handler reaches.

use std::sync::{Arc, OnceLock};

use engine::Engine;

use crate::{error::Error, hosts::Hosts};

/// The engine of this process, once it has opened its database. Cheap to clone.
#[derive(Clone)]
pub struct App {
    engine: Arc<OnceLock<Engine>>,
    http: reqwest::Client,
    hosts: Hosts,
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
            engine: Arc::default(),
            http: crate::peers::http(),
            hosts,
        }
    }

    /// Returns the names to which it answers.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Hands over the engine; before that, requests are answered with `STARTING`.
    pub(crate) fn opened(&self, engine: Engine) {
        // There is one opening per process.
        let _ = self.engine.set(engine);
    }

    /// Returns the way to other members.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Returns the engine.
    pub(crate) fn engine(&self) -> Result<&Engine, Error> {
        self.engine.get().ok_or(Error::Starting)
    }
}
