//! Three programs, each with a task queue and a workflow of its own and some of the [`effects`](crate::effects), that call each other's.

use coreason::prelude::*;

use crate::effects::{effect, effect_once, has_no_answer, late_effect};

/// Has each program do something, two of them at once, and one of them something that must not be done twice. Returns how many
/// effects there are to be beside the one that may be missing.
async fn one_of_each(wf: &Workflow) -> Result<u32> {
    let n = wf.call(effect, 0).task_queue("alpha").await?;
    let beta = wf.call(effect, n).task_queue("beta");
    let gamma = wf.call(late_effect, n).task_queue("gamma");
    let (beta, gamma) = join!(beta, gamma);
    let n = n + (beta? - n) + (gamma? - n);
    if let Err(error) = wf.call(effect_once, ()).task_queue("gamma").await
        && !has_no_answer(&error)
    {
        return Err(error);
    }
    wf.sleep(Duration::from_millis(20)).await?;
    wf.call(effect, n).task_queue("alpha").await
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
        "alpha" => Some(worker.workflow(alpha).activity(effect)),
        "beta" => Some(worker.workflow(beta).activity(effect)),
        "gamma" => Some(
            worker
                .workflow(gamma)
                .activity(late_effect)
                .activity(effect_once),
        ),
        _ => None,
    }
}
