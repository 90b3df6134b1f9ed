//! `GET …/workflows`: runs, the newest first.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{ListFilter, Summary};
use history::{InvalidId, RunId, Status, WorkflowId, WorkflowType};
use serde::{Deserialize, Serialize};

use super::problem::{Problem, listed};
use crate::{
    app::App,
    error::Error,
    extract::{NamespacePath, Query},
    limits::{LIST_PAGE, LIST_PAGE_MAX},
    reply::{self, Time},
};

/// The query string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only runs of this code.
    #[serde(rename = "type")]
    workflow_type: Option<String>,
    /// Only runs of this status.
    status: Option<String>,
    /// Only runs of this workflow.
    workflow_id: Option<String>,
    /// Where to go on: the `nextCursor` of the page before.
    cursor: Option<String>,
    /// How many runs a page has.
    page_size: Option<u32>,
}

/// Lists runs.
pub(crate) async fn list(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    Query(query): Query<ListQuery>,
) -> Result<Response, Error> {
    let filter = query.filter()?;
    let runs = app.engine()?.list(&namespace, &filter).await?;
    Ok(reply::json(
        StatusCode::OK,
        &ListReply::new(&runs, filter.page_size),
    ))
}

impl ListQuery {
    fn filter(self) -> Result<ListFilter, Error> {
        let page_size = self.page_size.unwrap_or(LIST_PAGE);
        if !(1..=LIST_PAGE_MAX).contains(&page_size) {
            return Err(Error::InvalidQuery(format!(
                "pageSize is {page_size}; give 1 to {LIST_PAGE_MAX}"
            )));
        }
        Ok(ListFilter {
            workflow_type: known(self.workflow_type, WorkflowType::new)?,
            status: self.status.as_deref().map(status).transpose()?,
            workflow_id: known(self.workflow_id, WorkflowId::new)?,
            page_size,
            cursor: self.cursor.as_deref().map(cursor).transpose()?,
        })
    }
}

/// Refuses a name that nothing can have; Postgres would not even take it.
fn known<T>(
    name: Option<String>,
    of: impl Fn(String) -> Result<T, InvalidId>,
) -> Result<Option<String>, Error> {
    if let Some(name) = &name {
        of(name.clone())?;
    }
    Ok(name)
}

fn status(name: &str) -> Result<Status, Error> {
    Status::named(name).ok_or_else(|| {
        Error::InvalidQuery(format!(
            "there is no status `{name}`; give Running, Completed, Failed, Canceled, Terminated, ContinuedAsNew or TimedOut"
        ))
    })
}

fn cursor(text: &str) -> Result<RunId, Error> {
    text.parse().map_err(|_| {
        Error::InvalidQuery("the cursor is not one that a page gave as `nextCursor`".to_owned())
    })
}

/// A page of runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListReply<'a> {
    /// The runs.
    workflows: Vec<ListedRun<'a>>,
    /// What to give as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<RunId>,
}

impl<'a> ListReply<'a> {
    fn new(runs: &'a [Summary], page_size: u32) -> Self {
        let full = runs.len() >= page_size as usize;
        Self {
            workflows: runs.iter().map(ListedRun::new).collect(),
            next_cursor: runs.last().filter(|_| full).map(|run| run.run_id),
        }
    }
}

/// A run in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedRun<'a> {
    /// The workflow.
    workflow_id: &'a WorkflowId,
    /// Its run.
    run_id: RunId,
    /// The name of its code.
    workflow_type: &'a WorkflowType,
    /// The queue whose workers run it.
    task_queue: &'a history::TaskQueue,
    /// Its status.
    status: &'static str,
    /// When it started.
    started_at: Time,
    /// When it closed, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Time>,
    /// How many events it has; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_length: Option<i64>,
    /// The run that started it as a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<reply::Execution<'a>>,
    /// What keeps it from going on; its description says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl<'a> ListedRun<'a> {
    fn new(run: &'a Summary) -> Self {
        Self {
            workflow_id: &run.workflow_id,
            run_id: run.run_id,
            workflow_type: &run.workflow_type,
            task_queue: &run.task_queue,
            status: run.status.as_str(),
            started_at: Time(run.started_at),
            closed_at: run.closed_at.map(Time),
            history_length: run.history_length,
            parent: run.parent.as_ref().map(reply::Execution::of),
            problem: listed(run),
        }
    }
}
