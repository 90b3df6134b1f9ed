//! What every handler reaches.

use std::sync::{Arc, OnceLock};

use engine::Engine;

use crate::error::Error;

/// The engine of this process, once it has opened its database. Cheap to clone.
#[derive(Clone)]
pub struct App {
    engine: Arc<OnceLock<Engine>>,
    http: reqwest::Client,
}

impl Default for App {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            http: crate::peers::http(),
        }
    }
}

impl App {
    /// Returns the app of an open engine.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(OnceLock::from(engine)),
            http: crate::peers::http(),
        }
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
