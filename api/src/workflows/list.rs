//! `GET …/workflows`: runs, the newest first.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{ListFilter, Summary};
use history::{InvalidId, RunId, Status, Timestamp, WorkflowId, WorkflowType};
use serde::{Deserialize, Serialize};

use super::problem::{Problem, listed};
use crate::{
    app::App,
    error::Error,
    extract::{InNamespace, Query},
    limits::{LIST_PAGE, LIST_PAGE_MAX},
    reply,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[serde(rename = "type")]
    workflow_type: Option<String>,
    status: Option<String>,
    workflow_id: Option<String>,
    cursor: Option<String>,
    page_size: Option<u32>,
}

/// Lists runs.
pub(crate) async fn list(
    State(app): State<App>,
    InNamespace(namespace): InNamespace,
    Query(query): Query<ListQuery>,
) -> Result<Response, Error> {
    let filter = query.filter()?;
    let runs = app.engine()?.list(&namespace, &filter).await?;
    Ok(reply::json(
        StatusCode::OK,
        &Page::new(&runs, filter.page_size),
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    workflows: Vec<Row<'a>>,
    /// What to give as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<RunId>,
}

impl<'a> Page<'a> {
    fn new(runs: &'a [Summary], page_size: u32) -> Self {
        let full = runs.len() >= page_size as usize;
        Self {
            workflows: runs.iter().map(Row::new).collect(),
            next_cursor: runs.last().filter(|_| full).map(|run| run.run_id),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    workflow_id: &'a WorkflowId,
    run_id: RunId,
    workflow_type: &'a WorkflowType,
    task_queue: &'a history::TaskQueue,
    status: &'static str,
    #[serde(serialize_with = "reply::time")]
    started_at: Timestamp,
    #[serde(
        serialize_with = "reply::time_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    closed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history_length: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<reply::Execution<'a>>,
    /// What keeps it from going on; its description says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl<'a> Row<'a> {
    fn new(run: &'a Summary) -> Self {
        Self {
            workflow_id: &run.workflow_id,
            run_id: run.run_id,
            workflow_type: &run.workflow_type,
            task_queue: &run.task_queue,
            status: run.status.as_str(),
            started_at: run.started_at,
            closed_at: run.closed_at,
            history_length: run.history_length,
            parent: run.parent.as_ref().map(reply::Execution::of),
            problem: listed(run),
        }
    }
}
