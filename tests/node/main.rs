//! A process of its own for the stories that kill and freeze, and for those of the command line: the built-in workflows,
//! and some that leave a trace outside of the engine.

mod effects;
mod programs;

use coreason::{prelude::*, worker::workflows};

use effects::note;

/// Does something that may be done again.
#[activity]
fn step(workflow: String, n: u32) -> Result<u32> {
    note(&format!("step {workflow} {n}"))?;
    Ok(n + 1)
}

/// Does something that must not be done twice.
#[activity(retry(max_attempts = 1))]
fn once(workflow: String) -> Result<String> {
    note(&format!("once {workflow}"))?;
    Ok("done".to_owned())
}

/// Runs so many steps, and one that must not be done twice; an end of that one without an answer is an answer too.
#[workflow]
async fn ledger(wf: Workflow, workflow: String, steps: u32) -> Result<u32> {
    let mut n = 0;
    while n < steps {
        n = wf.call(step, (workflow.clone(), n)).await?;
    }
    if let Err(error) = wf.call(once, workflow).await
        && !effects::has_no_answer(&error)
    {
        return Err(error);
    }
    Ok(n)
}

/// Runs until a file is there.
#[activity]
fn held(file: String) -> Result<()> {
    while !std::path::Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Waits for a file.
#[workflow]
async fn hold(wf: Workflow, file: String) -> Result<()> {
    wf.call(held, file).await
}

/// Adds up so many messages on the channel `add`.
#[workflow]
async fn tally(wf: Workflow, messages: u32) -> Result<u32> {
    let added = wf.signals_named::<u32>("add");
    let mut sum = 0;
    for _ in 0..messages {
        sum += added.recv().await?;
    }
    Ok(sum)
}

/// Sends 1, 2, … to another workflow, a step between each two.
#[workflow]
async fn teller(wf: Workflow, to: String, messages: u32) -> Result<u32> {
    for n in 1..=messages {
        wf.external(&to).signal_named("add", &n).await?;
        wf.call(step, (to.clone(), n)).await?;
    }
    Ok(messages)
}

/// Keeps a text until it is told to go, and returns its length.
#[workflow]
async fn holder(wf: Workflow, text: String) -> Result<usize> {
    wf.signals_named::<()>("go").recv().await?;
    Ok(text.len())
}

fn main() -> ExitCode {
    if let Some(program) = std::env::var("PROGRAM")
        .ok()
        .as_deref()
        .and_then(programs::named)
    {
        return coreason::run(program);
    }
    coreason::run(
        effects::register(workflows::register(Worker::new("default")))
            .workflow(ledger)
            .workflow(hold)
            .workflow(tally)
            .workflow(teller)
            .workflow(holder)
            .activity(step)
            .activity(once)
            .activity(held),
    )
}
