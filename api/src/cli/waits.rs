//! What an open run waits for, said once to whoever waits for it.

use std::{collections::VecDeque, io::Write as _, time::Duration};

use serde::Deserialize;
use tokio::time::timeout;

use super::{Client, Error, one_line};
use crate::workflows::problem::{Problem, Told};

/// How many runs are looked at below a run that waits for its children.
const RUNS_MAX: usize = 20;
/// How long a look takes at most: who waits for the result asks for that again in a moment. What was not reached is left to the next look.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Of the description of a run.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    #[serde(default)]
    problems: Vec<Problem>,
    #[serde(default)]
    pending_children: Vec<Child>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Child {
    workflow_id: String,
    run_id: Option<String>,
}

/// What was said about a wait.
#[derive(Default)]
pub(crate) struct Waits(Told);

impl Waits {
    /// Returns what has not been said yet of what keeps a run from going on, or its children, or theirs; `known` are problems of the run
    /// that an answer named. What can't be read is passed over: a look never ends a wait.
    pub(crate) async fn news(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
        known: Vec<Problem>,
    ) -> Vec<String> {
        let mut news = Vec::new();
        self.add(workflow_id, None, known, &mut news);
        let client = client.clone().hasty();
        let look = self.look(&client, workflow_id, run_id, &mut news);
        // What has been seen until then is said.
        let _ = timeout(LOOK_MAX, look).await;
        news
    }

    async fn look(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
        news: &mut Vec<String>,
    ) {
        let Ok(top) = described(client, workflow_id, run_id).await else {
            return;
        };
        self.add(workflow_id, None, top.problems, news);
        let mut children = VecDeque::from(top.pending_children);
        if let Some(first) = children.front() {
            let others = match children.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} others"),
            };
            let child = Problem {
                about: "child".to_owned(),
                reason: first.workflow_id.clone(),
                message: format!(
                    "it waits for child {}{others}, still open",
                    first.workflow_id
                ),
            };
            self.add(workflow_id, None, vec![child], news);
        }
        for _ in 0..RUNS_MAX {
            let Some(child) = children.pop_front() else {
                return;
            };
            let id = &child.workflow_id;
            // One that has not started yet, or is closed by now, has nothing to tell.
            if let Ok(state) = described(client, id, child.run_id.as_deref()).await {
                self.add(id, Some(id), state.problems, news);
                children.extend(state.pending_children);
            }
        }
    }

    /// Writes what has not been said yet to stderr.
    pub(super) async fn tell(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
        known: Vec<Problem>,
        json: bool,
    ) {
        for message in self.news(client, workflow_id, run_id, known).await {
            say("still waiting", &message, json);
        }
    }

    fn add(
        &mut self,
        workflow_id: &str,
        child: Option<&str>,
        problems: Vec<Problem>,
        news: &mut Vec<String>,
    ) {
        for message in self.0.news(workflow_id, problems) {
            let message = match child {
                Some(id) => format!("child {id}: {message}"),
                None => message,
            };
            news.push(one_line(&message));
        }
    }
}

async fn described(
    client: &Client,
    workflow_id: &str,
    run_id: Option<&str>,
) -> Result<State, Error> {
    let query: Vec<_> = run_id
        .iter()
        .map(|id| ("runId", (*id).to_owned()))
        .collect();
    client
        .get(&["workflows", workflow_id], &query)
        .await?
        .read()
}

/// Says on stderr why a command does not end: a line of text, or of JSON.
pub(super) fn say(what: &str, message: &str, json: bool) {
    let line = if json {
        serde_json::json!({ "problem": message }).to_string()
    } else {
        format!("{what}: {message}")
    };
    // There is nowhere left to say that the terminal is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
