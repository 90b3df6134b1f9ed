//! What every verb works with that asks a server: which one, of which namespace, and how to answer.

use std::time::Duration;

use super::Error;
use crate::rest_client::Client;

/// How long a server may be away while a command waits, or be about to start while any asks: a takeover or a restart takes less.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Where the server is and how to answer.
#[derive(clap::Args)]
pub(super) struct Server {
    /// Where the server answers HTTP.
    #[arg(
        long,
        global = true,
        env = "COREASON_ADDRESS",
        default_value = "http://127.0.0.1:8000"
    )]
    address: String,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// A namespace on a server.
#[derive(clap::Args)]
pub(super) struct OnServer {
    #[command(flatten)]
    server: Server,
    /// The namespace.
    #[arg(
        long,
        global = true,
        env = "COREASON_NAMESPACE",
        default_value = "default"
    )]
    namespace: String,
}

/// What every verb works with.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) json: bool,
}

impl Server {
    /// Returns a session about all namespaces.
    pub(super) fn session(&self) -> Result<Session, Error> {
        let session = self.session_in("default")?;
        Ok(Session {
            client: session.client.of_all_namespaces(),
            ..session
        })
    }

    fn session_in(&self, namespace: &str) -> Result<Session, Error> {
        Ok(Session {
            client: Client::new(&self.address, namespace)?
                .waits_for_start(PATIENCE)
                .tells(self.json),
            json: self.json,
        })
    }
}

impl OnServer {
    /// Returns a session about the namespace.
    pub(super) fn session(&self) -> Result<Session, Error> {
        self.server.session_in(&self.namespace)
    }
}
