//! A workflow that starts others and waits for them.
//!
//! `coreason workflow start --type ship_order --task-queue child-workflows --input '["book", "pen"]' --wait`

use coreason::prelude::*;

#[activity]
async fn pack(item: String) -> Result<String> {
    Ok(format!("{item} in a box"))
}

#[workflow]
async fn ship_item(wf: Workflow, item: String) -> Result<String> {
    wf.call(pack, item).await
}

#[workflow]
async fn ship_order(wf: Workflow, items: Vec<String>) -> Result<Vec<String>> {
    try_join_all(items.into_iter().map(|item| wf.child(ship_item, item))).await
}

pub(crate) fn worker() -> Worker {
    Worker::new("child-workflows")
        .workflow(ship_order)
        .workflow(ship_item)
        .activity(pack)
}

fn main() -> ExitCode {
    coreason::run(worker())
}
