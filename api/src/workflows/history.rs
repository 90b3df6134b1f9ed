//! `GET …/workflows/{id}/history`: events in Temporal's exported JSON, by pages, and new ones as they come.

use axum::{extract::State, http::StatusCode, response::Response};
use engine::HistoryPage;
use history::{EventId, RunId, WorkflowId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    app::App,
    error::Error,
    extract::{Of, Query, run_id},
    limits::HISTORY_PAGE,
    reply,
    wait::Wait,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    #[serde(default)]
    after: i64,
    page_size: Option<usize>,
    #[serde(default)]
    wait: Wait,
    run_id: Option<String>,
}

/// Returns the events after a given one.
pub(crate) async fn history(
    State(app): State<App>,
    of: Of,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Error> {
    let size = page_size(query.page_size)?;
    let after = EventId(query.after.max(0));
    let address = of.run(run_id(query.run_id.as_deref())?);
    let page = app
        .engine()?
        .history(&address, after, size, query.wait.or_not())
        .await?;
    Ok(reply::json(
        StatusCode::OK,
        &Page::new(&address.workflow_id, after, &page)?,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    workflow_id: &'a WorkflowId,
    run_id: RunId,
    events: Vec<Box<RawValue>>,
    /// What to give as `after` for the next page.
    last_event_id: EventId,
    /// Whether the last event closed the run: nothing will follow.
    closed: bool,
}

impl<'a> Page<'a> {
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
