//! Workflows from one's own program, by their types: start, wait for the result, signal, cancel.

use history::Namespace;
use worker::definition::WorkflowDefinition;

mod arguments;
mod door;
mod error;
mod handle;
mod requests;
mod signal;
mod start;

use door::Door;
use requests::Requests;

pub use error::{Error, NoResult};
pub use handle::Handle;
pub use signal::SendSignal;
pub use start::{Start, ToHandle, ToResult};

/// A client of the engines of one database. Cheap to clone.
///
/// ```no_run
/// use coreason::{Client, prelude::*};
///
/// #[workflow]
/// async fn hello(_: Workflow, name: String) -> Result<String> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// # async fn greet() -> Result<()> {
/// let client = Client::connect("http://127.0.0.1:8000")?;
/// let greeting = client.execute(hello, "world".to_owned()).await?;
/// let run = client.start(hello, "you".to_owned()).id("greeting-1").await?;
/// assert_eq!(run.result().await?, "Hello, you!");
/// # let _ = greeting;
/// # Ok(())
/// # }
/// # fn main() {}
/// ```
///
/// A request whose answer is lost, or that meets an engine which starts or hands over, is sent again with the same
/// request id for [`CLIENT_PATIENCE`](crate::limits::CLIENT_PATIENCE) from its first failure on: it has one effect.
#[derive(Debug, Clone)]
pub struct Client(Requests);

impl Client {
    /// Returns a client of the engine at this address, `http://host:port`. The first request connects.
    ///
    /// # Errors
    /// When the text is no such address.
    pub fn connect(url: &str) -> Result<Self, Error> {
        Ok(Self::through(Door::http(url)?))
    }

    /// Returns a client of the engine in this process.
    pub fn in_process(engine: engine::Engine) -> Self {
        Self::through(Door::Router(crate::router(crate::App::new(engine))))
    }

    fn through(door: Door) -> Self {
        Self(Requests {
            door,
            namespace: "default".to_owned(),
        })
    }

    /// Speaks of another namespace than `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: &Namespace) -> Self {
        namespace.as_str().clone_into(&mut self.0.namespace);
        self
    }

    /// Starts a workflow: awaited, it returns a handle to the run. Options go before the `await`.
    ///
    /// Several arguments are a tuple, none are `()`.
    pub fn start<W: WorkflowDefinition>(
        &self,
        workflow: fn() -> W,
        input: W::Input,
    ) -> Start<W, ToHandle> {
        let _ = workflow;
        Start::new(self.0.clone(), input)
    }

    /// Starts a workflow and waits for its result: awaited, it returns that. Options go before the `await`, as with
    /// [`start`](Self::start): `execute(index, text).task_queue("gpu").await`.
    ///
    /// It fails when the workflow was not started, or did not return. What keeps the workflow from going on, such as that no worker
    /// polls its task queue, is a warning in the log (`tracing`) of the program that waits.
    pub fn execute<W: WorkflowDefinition>(
        &self,
        workflow: fn() -> W,
        input: W::Input,
    ) -> Start<W, ToResult> {
        let _ = workflow;
        Start::new(self.0.clone(), input)
    }

    /// Returns a handle to a workflow that was started before, here or elsewhere.
    pub fn handle<W: WorkflowDefinition>(
        &self,
        workflow: fn() -> W,
        workflow_id: impl Into<String>,
    ) -> Handle<W> {
        let _ = workflow;
        Handle::new(self.0.clone(), workflow_id.into(), None)
    }
}
