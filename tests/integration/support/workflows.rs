//! The workflows of the stories.

use coreason::prelude::*;

/// Returns a worker that has all of them.
pub(crate) fn worker() -> Worker {
    Worker::new("default")
        .workflow(greet)
        .workflow(echo)
        .workflow(approval)
        .workflow(relay)
        .workflow(refusal)
        .workflow(patient)
        .workflow(stumbles)
        .workflow(persistent)
        .workflow(parent)
        .workflow(takes_order)
        .workflow(labels)
        .activity(greeting)
        .activity(declined)
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

/// Takes a message on the channel `approve` in each of so many runs, and returns the last one.
#[workflow]
async fn relay(wf: Workflow, runs: u32) -> Result<String> {
    let message = wf.signals_named::<String>("approve").recv().await?;
    if runs > 1 {
        return wf.continue_as_new(relay, runs - 1).await;
    }
    Ok(message)
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

/// Panics.
#[workflow]
async fn stumbles(_: Workflow) -> Result<()> {
    std::env::var_os("CHAIRS_LEFT").expect("no more chairs");
    Ok(())
}

/// Has a child that panics.
#[workflow]
async fn parent(wf: Workflow, child: String) -> Result<()> {
    wf.child(stumbles, ()).id(child).await
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    id: u32,
}

/// Takes an argument that must be given.
#[workflow]
async fn takes_order(_: Workflow, order: Order) -> Result<u32> {
    Ok(order.id)
}

#[activity(retry(initial = "1h"))]
async fn declined() -> Result<()> {
    Err(Error::new("the card was declined").of_kind("CardDeclined"))
}

/// Tries again and again.
#[workflow]
async fn persistent(wf: Workflow) -> Result<()> {
    wf.call(declined, ()).await
}

/// Says what it is found by and what is shown with it, and waits for what to say next on the channel `labels`.
#[workflow]
async fn labels(wf: Workflow, labels: serde_json::Map<String, serde_json::Value>) -> Result<()> {
    wf.upsert_search_attributes(labels.clone());
    wf.upsert_memo(labels);
    let labels = wf.signals_named::<serde_json::Map<_, serde_json::Value>>("labels");
    let labels = labels.recv().await?;
    wf.upsert_search_attributes(labels.clone());
    wf.upsert_memo(labels);
    Ok(())
}
