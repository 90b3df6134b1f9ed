//! An activity and a workflow that calls it.
//!
//! `coreason workflow start --type hello --task-queue hello --input '"world"' --wait`

use coreason::prelude::*;

#[activity]
async fn greet(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[workflow]
async fn hello(wf: Workflow, name: String) -> Result<String> {
    wf.call(greet, name).await
}

pub(crate) fn worker() -> Worker {
    Worker::new("hello").workflow(hello).activity(greet)
}

fn main() -> ExitCode {
    coreason::run(worker())
}
