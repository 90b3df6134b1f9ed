//! The workflows of the stories.

use coreason::prelude::*;

/// Returns a worker that has all of them.
pub(crate) fn worker() -> Worker {
    Worker::new("default")
        .workflow(greet)
        .workflow(echo)
        .workflow(approval)
        .workflow(refusal)
        .workflow(patient)
        .activity(greeting)
}

#[activity]
async fn greeting(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

/// One activity.
#[workflow]
async fn greet(wf: Workflow, name: String) -> Result<String> {
    wf.call(greeting, name).await
}

/// Returns what it is given.
#[workflow]
async fn echo(_: Workflow, value: serde_json::Value) -> Result<serde_json::Value> {
    Ok(value)
}

/// Returns the first message on the channel `approve`.
#[workflow]
async fn approval(wf: Workflow) -> Result<String> {
    Ok(wf.signals_named::<String>("approve").recv().await?)
}

/// Fails.
#[workflow]
async fn refusal(_: Workflow) -> Result<()> {
    Err(Error::new("the card was declined")
        .of_kind("CardDeclined")
        .non_retryable())
}

/// Sleeps for an hour.
#[workflow]
async fn patient(wf: Workflow) -> Result<()> {
    wf.sleep(Duration::from_hours(1)).await?;
    Ok(())
}
