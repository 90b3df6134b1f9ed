//! Indexes a folder of files: a child workflow per 50 files, an activity per file, a durable timer, and an approval.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    activities::file::{FileCount, count_file, list_files},
    prelude::*,
};

/// How many files one child workflow indexes.
pub const BATCH_FILES: usize = 50;

/// What to index: `{"folder": "/a/folder"}` is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexFolder {
    /// The folder, on the worker's machine.
    pub folder: String,
    /// How long to let things settle between counting and asking for approval, in milliseconds.
    #[serde(default = "one_second")]
    pub settle_ms: u64,
    /// How long to wait for the approval, in milliseconds.
    #[serde(default = "one_hour")]
    pub approval_deadline_ms: u64,
}

fn one_second() -> u64 {
    1000
}

fn one_hour() -> u64 {
    3_600_000
}

/// The index of a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// The folder.
    pub folder: String,
    /// Whether an `approve` signal came before the deadline.
    pub approved: bool,
    /// Who sent it, if it said so.
    pub approved_by: Option<String>,
    /// The sums over all files.
    pub totals: Totals,
    /// The files, in the order of their paths.
    pub files: Vec<FileCount>,
}

/// The sums over all files of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their lines.
    pub lines: u64,
    /// Their words.
    pub words: u64,
}

/// Approves an index: the signal `approve`, with or without `{"by": "name"}`.
#[signal]
#[derive(Debug, Clone)]
pub struct Approve {
    /// Who approves.
    #[serde(default)]
    pub by: Option<String>,
}

/// Indexes the regular files of a folder and waits for approval. When nobody approves in time, the index is returned
/// all the same, with `approved: false`.
#[workflow]
pub async fn index_folder(wf: Workflow, input: IndexFolder) -> Result<Index> {
    let paths = wf.call(list_files, input.folder.clone()).await?;
    let batches = paths.chunks(BATCH_FILES).map(|batch| {
        let batch = (input.folder.clone(), batch.to_vec());
        wf.child(index_batch, batch)
    });
    let files: Vec<FileCount> = try_join_all(batches).await?.into_iter().flatten().collect();

    wf.sleep(Duration::from_millis(input.settle_ms)).await?;
    let approvals = wf.signals::<Approve>();
    let approval = select! {
        approval = approvals.recv() => Some(approval?),
        passed = wf.sleep(Duration::from_millis(input.approval_deadline_ms)) => {
            passed?;
            None
        }
    };
    Ok(Index {
        folder: input.folder,
        approved: approval.is_some(),
        approved_by: approval.and_then(|approval| approval.by),
        totals: totals(&files),
        files,
    })
}

/// Indexes some files of a folder, each in an activity of its own.
#[workflow]
pub async fn index_batch(
    wf: Workflow,
    folder: String,
    files: Vec<String>,
) -> Result<Vec<FileCount>> {
    try_join_all(
        files
            .into_iter()
            .map(|file| wf.call(count_file, (folder.clone(), file))),
    )
    .await
}

fn totals(files: &[FileCount]) -> Totals {
    files.iter().fold(Totals::default(), |sum, file| Totals {
        files: sum.files + 1,
        bytes: sum.bytes + file.bytes,
        lines: sum.lines + file.lines,
        words: sum.words + file.words,
    })
}
