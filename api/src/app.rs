//! What every handler reaches.

use std::sync::{Arc, OnceLock};

use engine::Engine;

use crate::error::Error;

/// The engine of this process, once it has opened its database. Cheap to clone.
#[derive(Clone, Default)]
pub struct App {
    engine: Arc<OnceLock<Engine>>,
}

impl App {
    /// Returns the app of an open engine.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(OnceLock::from(engine)),
        }
    }

    /// Hands over the engine; before that, requests are answered with `STARTING`.
    pub(crate) fn opened(&self, engine: Engine) {
        // There is one opening per process.
        let _ = self.engine.set(engine);
    }

    /// Returns the engine.
    pub(crate) fn engine(&self) -> Result<&Engine, Error> {
        self.engine.get().ok_or(Error::Starting)
    }
}
