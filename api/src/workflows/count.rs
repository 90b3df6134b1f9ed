//! `GET …/workflow-count`: how many runs there are, and how many begin and end.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{Rate, WorkflowCount};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    error::Error,
    extract::{NamespacePath, Query},
    reply,
};

/// The query string.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountQuery {
    /// Only runs that this is true of.
    query: Option<String>,
}

/// Counts runs: those of a query, or all by type, queue and status.
pub(crate) async fn count(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    Query(CountQuery { query }): Query<CountQuery>,
) -> Result<Response, Error> {
    let engine = app.engine()?;
    if let Some(query) = query {
        let count = engine.count(&namespace, &query).await?;
        let reply = CountReply {
            count,
            groups: None,
        };
        return Ok(reply::json(StatusCode::OK, &reply));
    }
    let counts = engine.counts(&namespace).await?;
    let reply = CountReply {
        count: counts.iter().map(|group| group.runs).sum(),
        groups: Some(counts.iter().map(Group::new).collect()),
    };
    Ok(reply::json(StatusCode::OK, &reply))
}

/// How many runs there are.
#[derive(Serialize)]
pub(crate) struct CountReply<'a> {
    /// Of the query, or in all.
    count: i64,
    /// By type, queue and status; absent where a query was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
}

/// The runs of one type, queue and status.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group<'a> {
    /// The name of their code.
    workflow_type: &'a history::WorkflowType,
    /// The queue whose workers run them.
    task_queue: &'a history::TaskQueue,
    /// Their status.
    status: &'static str,
    /// How many there are.
    count: i64,
    /// How many have come to that status lately: have begun, where it is Running, or have ended so.
    lately: Lately,
}

/// How many within some time.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lately {
    /// Within a minute.
    minute: i64,
    /// Within five.
    five_minutes: i64,
    /// Within an hour.
    hour: i64,
}

impl<'a> Group<'a> {
    fn new(count: &'a WorkflowCount) -> Self {
        let Rate {
            minute,
            five_minutes,
            hour,
        } = count.lately;
        Self {
            workflow_type: &count.workflow_type,
            task_queue: &count.task_queue,
            status: count.status.as_str(),
            count: count.runs,
            lately: Lately {
                minute,
                five_minutes,
                hour,
            },
        }
    }
}
