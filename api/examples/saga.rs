//! Steps that are undone, the last one first, when a later one fails.
//!
//! `coreason workflow start --type book_trip --task-queue saga --input '"Atlantis"' --wait`

use coreason::prelude::*;

#[activity]
async fn book(what: String) -> Result<String> {
    Ok(format!("{what} booked"))
}

#[activity]
async fn cancel(what: String) -> Result<String> {
    Ok(format!("{what} canceled"))
}

#[activity(retry(max_attempts = 1))]
async fn pay(place: String) -> Result<String> {
    if place == "Atlantis" {
        Err(Error::new("no bank pays for Atlantis"))
    } else {
        Ok("paid".to_owned())
    }
}

#[workflow]
async fn book_trip(wf: Workflow, place: String) -> Result<Vec<String>> {
    let mut log = Vec::new();
    let mut undo = Vec::new();
    for what in ["flight", "hotel", "car"] {
        log.push(wf.call(book, what.to_owned()).await?);
        undo.push(what.to_owned());
    }
    if let Err(error) = wf.call(pay, place).await {
        log.push(
            error
                .failure()
                .cause
                .as_ref()
                .map_or_else(|| error.to_string(), |cause| cause.message.clone()),
        );
        for what in undo.into_iter().rev() {
            log.push(wf.call(cancel, what).await?);
        }
    }
    Ok(log)
}

pub(crate) fn worker() -> Worker {
    Worker::new("saga")
        .workflow(book_trip)
        .activity(book)
        .activity(cancel)
        .activity(pay)
}

fn main() -> ExitCode {
    coreason::run(worker())
}
