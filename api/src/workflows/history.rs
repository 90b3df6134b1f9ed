//! `GET …/workflows/{id}/history`: events in Temporal's exported JSON, by pages, and new ones as they come.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::HistoryPage;
use history::{EventId, RunId, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    app::App,
    error::Error,
    extract::{Query, WorkflowPath, run_id},
    limits::HISTORY_PAGE,
    reply,
    wait::Wait,
};

/// The query string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// The event after which the page begins; it begins with the first unless given.
    #[serde(default)]
    after: i64,
    /// The most events of a page.
    page_size: Option<usize>,
    /// How long to wait for a new event where there is none.
    #[serde(default)]
    wait: Wait,
    /// The run; the latest one unless given.
    run_id: Option<String>,
}

/// Returns the events after a given one.
pub(crate) async fn history(
    State(app): State<App>,
    path: WorkflowPath,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    let size = page_size(query.page_size)?;
    let after = EventId(query.after.max(0));
    let address = path.run(run_id(query.run_id.as_deref())?);
    let page = app
        .engine()?
        .history(&address, after, size, query.wait.or_not())
        .await?;
    Ok(reply::json(
        StatusCode::OK,
        &HistoryReply::new(&address.workflow_id, after, &page)?,
    ))
}

fn page_size(given: Option<usize>) -> Result<usize, Error> {
    let max = engine::limits::HISTORY_PAGE_MAX;
    match given.unwrap_or(HISTORY_PAGE) {
        size if (1..=max).contains(&size) => Ok(size),
        size => Err(Error::InvalidQuery(format!(
            "pageSize is {size}; give 1 to {max}"
        ))),
    }
}

/// A page of a history.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryReply<'a> {
    /// The workflow.
    workflow_id: &'a WorkflowId,
    /// Its run.
    run_id: RunId,
    /// The events, in Temporal's exported JSON.
    events: Vec<Box<RawValue>>,
    /// What to give as `after` for the next page.
    last_event_id: EventId,
    /// Whether the last event closed the run: nothing will follow.
    closed: bool,
}

impl<'a> HistoryReply<'a> {
    fn new(workflow_id: &'a WorkflowId, after: EventId, page: &HistoryPage) -> Result<Self, Error> {
        let events = page
            .events
            .iter()
            .map(|event| history::export::event(event))
            .collect::<Result<_, _>>();
        Ok(Self {
            workflow_id,
            run_id: page.run_id,
            events: events.map_err(Error::ExportFailed)?,
            last_event_id: page.events.last().map_or(after, |event| event.id),
            closed: page.closed,
        })
    }
}
