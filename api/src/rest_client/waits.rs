//! What an open run waits for, said once to whoever waits for it.

use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Client, Error, notice::say};
use crate::{
    terminal::one_line,
    workflows::problem::{Problem, Told},
};

/// How many runs are looked at below a run that waits for its children.
const RUNS_MAX: usize = 20;
/// How long a look takes at most: who waits for the result asks for that again in a moment. Runs too deep for it are left out.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// How long a child may take of it. Those beside it are asked at the same time, so that one that hangs hides none of them.
const CHILD_MAX: Duration = Duration::from_secs(1);

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
        self.look(&client, workflow_id, run_id, &mut news).await;
        news
    }

    async fn look(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
        news: &mut Vec<String>,
    ) {
        let ends_at = Instant::now() + LOOK_MAX;
        let asked = described(client, workflow_id, run_id);
        let Ok(Ok(top)) = timeout_at(ends_at, asked).await else {
            return;
        };
        self.add(workflow_id, None, top.problems, news);
        let mut children = top.pending_children;
        if let Some(first) = children.first() {
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
        let mut left = RUNS_MAX;
        while !children.is_empty() && left > 0 && Instant::now() < ends_at {
            children.truncate(left);
            left -= children.len();
            let answers_by = ends_at.min(Instant::now() + CHILD_MAX);
            let ask = |child: &Child| {
                let (id, run_id) = (child.workflow_id.clone(), child.run_id.clone());
                let asked = async move { described(client, &id, run_id.as_deref()).await };
                timeout_at(answers_by, asked)
            };
            let answers = join_all(children.iter().map(ask)).await;
            let mut below = Vec::new();
            for (Child { workflow_id, .. }, answer) in children.iter().zip(answers) {
                // One that has not started yet, or is closed by now, has nothing to tell.
                if let Ok(Ok(state)) = answer {
                    self.add(workflow_id, Some(workflow_id), state.problems, news);
                    below.extend(state.pending_children);
                }
            }
            children = below;
        }
    }

    /// Writes what has not been said yet to stderr.
    pub(crate) async fn tell(
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
