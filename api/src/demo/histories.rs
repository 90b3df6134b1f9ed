//! The histories of the demo's workflow and its children, read on as they grow.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Error, index::FILE_ACTIVITY};
use crate::rest_client::{Client, Event};

/// What is known of all runs.
pub(super) struct Histories {
    client: Client,
    root: String,
    runs: BTreeMap<String, History>,
}

/// What is known of one run.
#[derive(Default)]
pub(super) struct History {
    run_id: Option<String>,
    /// The events as they came.
    pub(super) events: Vec<Box<RawValue>>,
    closed: bool,
    /// The input of each file's activity, by its scheduled event.
    files: HashMap<String, String>,
    /// How often each of them completed.
    completions: HashMap<String, usize>,
    timers_started: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    run_id: String,
    events: Vec<Box<RawValue>>,
    closed: bool,
}

impl Histories {
    /// Returns the histories of a workflow and its children, nothing of them read yet.
    pub(super) fn new(client: Client, root: &str) -> Self {
        let runs = BTreeMap::from([(root.to_owned(), History::default())]);
        Self {
            client,
            root: root.to_owned(),
            runs,
        }
    }

    /// Reads all there is of a workflow that is closed.
    pub(super) async fn read(client: &Client, root: &str) -> Result<Self, Error> {
        let mut histories = Self::new(client.clone(), root);
        loop {
            let before = histories.events();
            histories.read_on().await?;
            if histories.events() == before {
                return Ok(histories);
            }
        }
    }

    /// Reads what is new.
    pub(super) async fn read_on(&mut self) -> Result<(), Error> {
        let open: Vec<String> = self
            .runs
            .iter()
            .filter(|(_, run)| !run.closed)
            .map(|(id, _)| id.clone())
            .collect();
        for workflow_id in open {
            let page = self.page(&workflow_id).await?;
            let mut children = Vec::new();
            if let Some(run) = self.runs.get_mut(&workflow_id) {
                children = run.add(page)?;
            }
            for child in children {
                self.runs.entry(child).or_default();
            }
        }
        Ok(())
    }

    async fn page(&self, workflow_id: &str) -> Result<Page, Error> {
        let run = &self.runs[workflow_id];
        let mut query = vec![
            ("after", run.events.len().to_string()),
            ("pageSize", "1000".to_owned()),
        ];
        query.extend(run.run_id.clone().map(|run_id| ("runId", run_id)));
        Ok(self
            .client
            .get(&["workflows", workflow_id, "history"], &query)
            .await?
            .read()?)
    }

    /// Says whether the workflow itself is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.runs[&self.root].closed
    }

    /// Says whether all files are indexed: the workflow has gone on to its first timer.
    pub(super) fn is_indexed(&self) -> bool {
        self.is_closed() || self.runs[&self.root].timers_started > 0
    }

    /// Says whether the workflow waits for its approval: the deadline of that is its second timer.
    pub(super) fn awaits_approval(&self) -> bool {
        self.is_closed() || self.runs[&self.root].timers_started > 1
    }

    /// Returns how many completions of files are on record.
    pub(super) fn completed(&self) -> usize {
        self.completions().sum()
    }

    /// Returns how often each file that was asked for completed.
    pub(super) fn completions(&self) -> impl Iterator<Item = usize> {
        self.runs.values().flat_map(|run| {
            run.files
                .keys()
                .map(|event| run.completions.get(event).copied().unwrap_or(0))
        })
    }

    /// Returns the inputs of the files' activities.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &str> {
        self.runs
            .values()
            .flat_map(|run| run.files.values().map(String::as_str))
    }

    /// Returns how many children there are.
    pub(super) fn children(&self) -> usize {
        self.runs.len() - 1
    }

    /// Returns how many events there are.
    pub(super) fn events(&self) -> usize {
        self.runs.values().map(|run| run.events.len()).sum()
    }

    /// Returns how many events that were read before are not the same now.
    pub(super) fn lost_since(&self, seen: &Self) -> usize {
        let same = |id: &String, at: usize, event: &RawValue| {
            self.runs
                .get(id)
                .and_then(|run| run.events.get(at))
                .is_some_and(|now| now.get() == event.get())
        };
        let lost = |(id, run): (&String, &History)| {
            run.events
                .iter()
                .enumerate()
                .filter(|(at, event)| !same(id, *at, event))
                .count()
        };
        seen.runs.iter().map(lost).sum()
    }
}

impl History {
    /// Adds events; returns the ids of new children.
    fn add(&mut self, page: Page) -> Result<Vec<String>, Error> {
        let mut children = Vec::new();
        for text in page.events {
            let event = Event::read(&text)?;
            let attributes = event.attributes().unwrap_or(&Value::Null);
            let scheduled = || {
                attributes["scheduledEventId"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            match event.name().as_str() {
                "ActivityTaskScheduled" if attributes["activityType"]["name"] == FILE_ACTIVITY => {
                    self.files
                        .insert(event.id().to_owned(), attributes["input"].to_string());
                }
                "ActivityTaskCompleted" => *self.completions.entry(scheduled()).or_default() += 1,
                "ChildWorkflowExecutionStarted" => {
                    children.extend(
                        attributes["workflowExecution"]["workflowId"]
                            .as_str()
                            .map(str::to_owned),
                    );
                }
                "TimerStarted" => self.timers_started += 1,
                _ => {}
            }
            self.events.push(text);
        }
        self.run_id = Some(page.run_id);
        self.closed = page.closed;
        Ok(children)
    }
}
