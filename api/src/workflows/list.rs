//! `GET …/workflows`: runs, the newest first unless the query says something else.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{ListPage, ListRequest, Summary};
use history::{InvalidId, RunId, Status, WorkflowId, WorkflowType};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::{Problem, listed};
use crate::{
    app::App,
    error::Error,
    extract::{NamespacePath, Query},
    limits::{LIST_PAGE, LIST_PAGE_MAX},
    reply::{self, Time, Value},
};

/// The query string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Which runs, and in which order: Temporal's list filter.
    query: Option<String>,
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
    let request = query.request()?;
    let page = app.engine()?.list(&namespace, &request).await?;
    Ok(reply::json(StatusCode::OK, &ListReply::new(&page)))
}

impl ListQuery {
    fn request(self) -> Result<ListRequest, Error> {
        let page_size = self.page_size.unwrap_or(LIST_PAGE);
        if !(1..=LIST_PAGE_MAX).contains(&page_size) {
            return Err(Error::InvalidQuery(format!(
                "pageSize is {page_size}; give 1 to {LIST_PAGE_MAX}"
            )));
        }
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        Ok(ListRequest {
            cursor: cursor.map_err(|_no_cursor| engine::Error::ListCursor)?,
            query: self.text()?,
            page_size,
        })
    }

    /// Returns the query: what was given as such, or what the other names of the query string come to.
    fn text(self) -> Result<String, Error> {
        let conditions = [
            self.workflow_id
                .map(|id| equal("WorkflowId", id, WorkflowId::new)),
            self.workflow_type
                .map(|name| equal("WorkflowType", name, WorkflowType::new)),
            self.status.as_deref().map(of_status),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect::<Result<_, _>>()?;
        match self.query {
            None => Ok(conditions.join(" AND ")),
            Some(query) if conditions.is_empty() => Ok(query),
            Some(_) => Err(Error::InvalidQuery(
                "give either `query` or `type`, `status` and `workflowId`; a query has them as WorkflowType, ExecutionStatus and WorkflowId"
                    .to_owned(),
            )),
        }
    }
}

/// Writes a condition on a name. One that nothing can have is refused.
fn equal<T>(
    attribute: &str,
    name: String,
    of: impl Fn(String) -> Result<T, InvalidId>,
) -> Result<String, Error> {
    let quoted = name.replace('\\', r"\\").replace('\'', "''");
    of(name)?;
    Ok(format!("{attribute} = '{quoted}'"))
}

fn of_status(name: &str) -> Result<String, Error> {
    let status = Status::named(name).ok_or_else(|| {
        Error::InvalidQuery(format!(
            "there is no status `{name}`; give Running, Completed, Failed, Canceled, Terminated, ContinuedAsNew or TimedOut"
        ))
    })?;
    Ok(format!("ExecutionStatus = '{}'", status.as_str()))
}

/// A page of runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListReply<'a> {
    /// The runs.
    workflows: Vec<ListedRun<'a>>,
    /// What to give as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<'a> ListReply<'a> {
    fn new(page: &'a ListPage) -> Self {
        Self {
            workflows: page.runs.iter().map(ListedRun::new).collect(),
            next_cursor: page.next.as_ref().map(ToString::to_string),
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
    /// When its code may begin, where that is later.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_at: Option<Time>,
    /// When it closed, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Time>,
    /// How many events it has; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_length: Option<i64>,
    /// How large they are together; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_bytes: Option<i64>,
    /// The run that started it as a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<reply::Execution<'a>>,
    /// The first of its ancestors, if it is a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<reply::Execution<'a>>,
    /// Facts by key, as they are now.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    memo: BTreeMap<&'a str, Value<'a>>,
    /// What it is found by, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    search_attributes: Option<&'a RawValue>,
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
            execution_at: (run.execution_at > run.started_at).then_some(Time(run.execution_at)),
            closed_at: run.closed_at.map(Time),
            history_length: run.history_length,
            history_bytes: run.history_bytes,
            parent: run.parent.as_ref().map(reply::Execution::of),
            root: run.root.as_ref().map(reply::Execution::of),
            memo: reply::values(&run.memo),
            search_attributes: run.search_attributes.as_deref().and_then(object),
            problem: listed(run),
        }
    }
}

/// Reads a JSON object; nothing where it has nothing.
fn object(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok().filter(|_| text != "{}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Result<ListRequest, Error> {
        let query: ListQuery = serde_json::from_str(query).unwrap();
        query.request()
    }

    #[test]
    fn shorthands_are_written_as_a_query_with_their_names_in_quotes() {
        for (given, written) in [
            ("{}", ""),
            (r#"{"type": "order"}"#, "WorkflowType = 'order'"),
            (
                r#"{"status": "TimedOut", "workflowId": "it's \\ 7", "type": "a b"}"#,
                r"WorkflowId = 'it''s \\ 7' AND WorkflowType = 'a b' AND ExecutionStatus = 'TimedOut'",
            ),
            (
                r#"{"query": "A = 1 ORDER BY StartTime"}"#,
                "A = 1 ORDER BY StartTime",
            ),
        ] {
            assert_eq!(request(given).unwrap().query, written);
        }
    }

    #[test]
    fn a_query_beside_shorthands_a_name_that_is_none_and_a_foreign_cursor_are_refused() {
        for (given, code) in [
            (r#"{"query": "A = 1", "type": "order"}"#, "INVALID_QUERY"),
            (r#"{"status": "running"}"#, "INVALID_QUERY"),
            (r#"{"workflowId": ""}"#, "INVALID_ID"),
            (r#"{"cursor": "7"}"#, "INVALID_QUERY"),
            (r#"{"pageSize": 1001}"#, "INVALID_QUERY"),
        ] {
            assert_eq!(request(given).unwrap_err().code(), code, "{given}");
        }
    }
}
