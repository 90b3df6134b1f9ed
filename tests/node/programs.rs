//! Three programs, each with a task queue, a workflow and activities of its own, that call each other's.

use coreason::prelude::*;

use crate::effects::write_down;

/// Does something that may be done again.
#[activity(retry(initial = "50ms"))]
fn alpha_effect(ctx: &ActivityContext, n: u32) -> Result<u32> {
    write_down(ctx)?;
    Ok(n + 1)
}

/// Does something that may be done again.
#[activity(retry(initial = "50ms"))]
fn beta_effect(ctx: &ActivityContext, n: u32) -> Result<u32> {
    write_down(ctx)?;
    Ok(n + 1)
}

/// Fails at first, and then does something that may be done again.
#[activity(retry(initial = "20ms"))]
fn gamma_effect(ctx: &ActivityContext, n: u32) -> Result<u32> {
    if ctx.attempt() == 1 {
        return Err(Error::new("not yet"));
    }
    write_down(ctx)?;
    Ok(n + 1)
}

/// Does something that must not be done twice.
#[activity(retry(max_attempts = 1))]
fn gamma_once(ctx: &ActivityContext) -> Result<()> {
    write_down(ctx)
}

/// Has each program do something, two of them at once, and one of them something that must not be done twice. Returns how many
/// effects there are to be beside the one that may be missing.
async fn one_of_each(wf: &Workflow) -> Result<u32> {
    let n = wf.call(alpha_effect, 0).task_queue("alpha").await?;
    let beta = wf.call(beta_effect, n).task_queue("beta");
    let gamma = wf.call(gamma_effect, n).task_queue("gamma");
    let (beta, gamma) = join!(beta, gamma);
    let n = n + (beta? - n) + (gamma? - n);
    // Without an answer: its process was killed or frozen.
    if let Err(error) = wf.call(gamma_once, ()).task_queue("gamma").await
        && !error
            .failure()
            .cause
            .as_ref()
            .is_some_and(|cause| cause.message.contains("timeout"))
    {
        return Err(error);
    }
    wf.sleep(Duration::from_millis(20)).await?;
    wf.call(alpha_effect, n).task_queue("alpha").await
}

/// Does one of each, and leaves the rest to a child in the next program.
#[workflow]
async fn alpha(wf: Workflow, children: u32) -> Result<u32> {
    let mut n = one_of_each(&wf).await?;
    if children > 0 {
        n += wf.child(beta, children - 1).task_queue("beta").await?;
    }
    Ok(n)
}

/// As `alpha`.
#[workflow]
async fn beta(wf: Workflow, children: u32) -> Result<u32> {
    let mut n = one_of_each(&wf).await?;
    if children > 0 {
        n += wf.child(gamma, children - 1).task_queue("gamma").await?;
    }
    Ok(n)
}

/// As `alpha`.
#[workflow]
async fn gamma(wf: Workflow, children: u32) -> Result<u32> {
    let mut n = one_of_each(&wf).await?;
    if children > 0 {
        n += wf.child(alpha, children - 1).task_queue("alpha").await?;
    }
    Ok(n)
}

/// Returns the worker of one of the programs.
pub(crate) fn named(program: &str) -> Option<Worker> {
    let worker = Worker::new(program);
    match program {
        "alpha" => Some(worker.workflow(alpha).activity(alpha_effect)),
        "beta" => Some(worker.workflow(beta).activity(beta_effect)),
        "gamma" => Some(
            worker
                .workflow(gamma)
                .activity(gamma_effect)
                .activity(gamma_once),
        ),
        _ => None,
    }
}
