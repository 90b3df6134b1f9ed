//! Workflows whose effects are written down outside of the engine, each with the attempt that made it.

use std::{fs::OpenOptions, io::Write as _};

use coreason::prelude::*;
use history::FailureInfo;

/// Appends a line to the ledger, so that what was done is known without asking the engine.
pub(crate) fn note(line: &str) -> Result<()> {
    let path = std::env::var_os("LEDGER").unwrap_or_default();
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // One write of a short line to a file opened for appending is not torn.
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

/// Writes down which attempt of which activity this is.
fn write_down(ctx: &ActivityContext) -> Result<()> {
    let info = ctx.info();
    note(&format!(
        "{} {} {} {}",
        info.activity_type, info.run_id, info.activity_id, info.attempt
    ))
}

/// Does something that may be done again.
#[activity(retry(initial = "50ms"))]
pub(crate) fn effect(ctx: &ActivityContext, n: u32) -> Result<u32> {
    write_down(ctx)?;
    Ok(n + 1)
}

/// Fails at first, and then does something that may be done again.
#[activity(retry(initial = "20ms"))]
pub(crate) fn late_effect(ctx: &ActivityContext, n: u32) -> Result<u32> {
    if ctx.attempt() == 1 {
        return Err(Error::new("not yet"));
    }
    write_down(ctx)?;
    Ok(n + 1)
}

/// Does something that must not be done twice.
#[activity(retry(max_attempts = 1))]
pub(crate) fn effect_once(ctx: &ActivityContext) -> Result<()> {
    write_down(ctx)
}

/// Says whether nobody knows the outcome of an attempt: its process was killed or frozen.
pub(crate) fn has_no_answer(error: &Error) -> bool {
    let cause = error.failure().cause.as_ref();
    cause.is_some_and(|cause| matches!(cause.info, FailureInfo::TimedOut { .. }))
}

/// Does one thing after another, two at once, something that must not be done twice, and leaves the rest to a child. Returns how
/// many effects there are to be beside the one that may be missing: an attempt that nobody knows the end of is not repeated.
#[workflow]
pub(crate) async fn effects(wf: Workflow, children: u32) -> Result<u32> {
    let mut n = 0;
    n = wf.call(effect, n).await?;
    let (one, two) = join!(wf.call(effect, n), wf.call(late_effect, n));
    n += (one? - n) + (two? - n);
    if let Err(error) = wf.call(effect_once, ()).await
        && !has_no_answer(&error)
    {
        return Err(error);
    }
    wf.sleep(Duration::from_millis(20)).await?;
    n = wf.call(effect, n).await?;
    if children > 0 {
        n += wf.child(effects, children - 1).await?;
    }
    Ok(n)
}

pub(crate) fn register(worker: Worker) -> Worker {
    worker
        .workflow(effects)
        .activity(effect)
        .activity(late_effect)
        .activity(effect_once)
}
