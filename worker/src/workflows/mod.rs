//! Built-in workflows.

use crate::{
    Worker,
    activities::file::{count_file, list_files},
};

pub mod index_folder;

/// Adds all built-in workflows and activities to a worker.
#[must_use]
pub fn register(worker: Worker) -> Worker {
    worker
        .workflow(index_folder::index_folder)
        .workflow(index_folder::index_batch)
        .activity(list_files)
        .activity(count_file)
}
