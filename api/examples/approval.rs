//! A wait for a person, with a deadline.
//!
//! `coreason workflow start --type expense --task-queue approval --id lunch --input 42`
//! `coreason workflow signal lunch --name decide --input '{"by": "Ada", "approved": true}'`

use coreason::prelude::*;

#[signal]
struct Decide {
    by: String,
    approved: bool,
}

#[workflow]
async fn expense(wf: Workflow, amount: u32) -> Result<String> {
    let decisions = wf.signals::<Decide>();
    select! {
        decision = decisions.recv() => {
            let Decide { by, approved } = decision?;
            let verb = if approved { "approved" } else { "refused" };
            Ok(format!("{amount} {verb} by {by}"))
        },
        passed = wf.sleep(Duration::from_hours(72)) => {
            passed?;
            Ok(format!("{amount} expired"))
        },
    }
}

pub(crate) fn worker() -> Worker {
    Worker::new("approval").workflow(expense)
}

fn main() -> ExitCode {
    coreason::run(worker())
}
