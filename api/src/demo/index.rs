//! The workflow of the demo as a client sees it: started, approved, and its result.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Error, Files};
use crate::rest_client::Client;

/// The workflow's type.
const WORKFLOW: &str = "index_folder";
/// The activity that reads one file.
pub(super) const FILE_ACTIVITY: &str = "count_file";
/// The search attribute by which its runs are found.
const FOLDER_ATTRIBUTE: &str = "DemoFolder";
/// The signal that the workflow waits for.
const APPROVE: &str = "approve";

/// What the workflow returns.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    /// Whether the signal came before its deadline.
    pub(super) approved: bool,
    /// One entry per file.
    pub(super) files: Vec<Entry>,
}

/// What it says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Entry {
    /// Its path in the folder.
    pub(super) path: String,
    /// Its size.
    pub(super) bytes: u64,
    /// How many newlines it has.
    pub(super) lines: u64,
    /// How many words.
    pub(super) words: u64,
    /// Its SHA-256 in hexadecimal.
    pub(super) sha256: String,
}

/// Starts the workflow and returns its id.
pub(super) async fn start(client: &Client, files: &Files) -> Result<String, Error> {
    let workflow_id = format!("index-{}", uuid::Uuid::new_v4().simple());
    let attribute = json!({ "name": FOLDER_ATTRIBUTE, "type": "Keyword" });
    client.post(&["search-attributes"], &[], &attribute).await?;
    let folder = files.folder();
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    let body = json!({
        "searchAttributes": { FOLDER_ATTRIBUTE: name.to_string_lossy() },
        "workflowType": WORKFLOW, "workflowId": workflow_id, "requestId": workflow_id,
        "input": { "folder": files.folder().to_string_lossy() },
    });
    client.post(&["workflows"], &[], &body).await?;
    Ok(workflow_id)
}

/// Sends the signal that lets the workflow end.
pub(super) async fn approve(client: &Client, workflow_id: &str) -> Result<(), Error> {
    let body = json!({ "signalName": APPROVE, "input": { "by": "demo" }, "requestId": format!("approve-{workflow_id}"), "identity": "demo" });
    match client
        .post(&["workflows", workflow_id, "signal"], &[], &body)
        .await
    {
        // The workflow failed before it could be approved; its result says how.
        Err(error) if error.code() == "WORKFLOW_CLOSED" => Ok(()),
        done => Ok(done.map(drop)?),
    }
}

/// Waits for the result.
pub(super) async fn result(client: &Client, workflow_id: &str) -> Result<Index, Error> {
    #[derive(Deserialize)]
    struct Outcome {
        status: String,
        result: Option<Box<RawValue>>,
        failure: Option<Box<RawValue>>,
    }
    loop {
        let answer = client
            .get(
                &["workflows", workflow_id, "result"],
                &[("wait", "true".to_owned())],
            )
            .await?;
        let outcome: Outcome = answer.read()?;
        match (outcome.status.as_str(), outcome.result) {
            ("Running", _) => tokio::time::sleep(Duration::from_millis(10)).await,
            ("Completed", Some(result)) => {
                return serde_json::from_str(result.get())
                    .map_err(|error| Error::NotCompleted(error.to_string()));
            }
            (status, _) => {
                let why = outcome
                    .failure
                    .map(|failure| failure.get().to_owned())
                    .unwrap_or_default();
                return Err(Error::NotCompleted(format!("{status} {why}")));
            }
        }
    }
}
