//! Workers that are connected to this process.

use history::task::{Answers, Tasks, WorkerHello};
use tokio::sync::mpsc;

use crate::{Engine, Error, owner::message::Message, words::SessionId, world::World};

/// A worker that is connected as long as this lives.
struct Connected {
    session: SessionId,
    owner: mpsc::UnboundedSender<Message>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        // An owner that has ended has let all its workers go.
        let _ = self.owner.send(Message::Disconnect {
            session: self.session,
        });
    }
}

impl Engine {
    /// Connects a worker: its tasks go straight to it from the owner, what it answers straight to the owner. `tasks` is dropped
    /// when this process loses the shards; the worker then drops its cache and connects again.
    pub fn connect_worker(&self, hello: WorkerHello, tasks: Tasks) -> Result<Answers, Error> {
        let namespace = self.inner.namespaces.get(&hello.namespace)?;
        let connected = Connected {
            session: SessionId::new(World::REAL),
            owner: self.sender()?,
        };
        let session = connected.session;
        connected
            .owner
            .send(Message::Connect {
                session,
                namespace,
                hello,
                tasks,
            })
            .map_err(|_| Error::Unavailable("the engine lost its ownership"))?;
        Ok(Answers::new(move |answer| {
            connected
                .owner
                .send(Message::Worker { session, answer })
                .is_ok()
        }))
    }
}
