//! What an open run waits for, said once to whoever waits for it.

use std::{
    collections::{HashSet, VecDeque},
    io::Write as _,
};

use serde::Deserialize;

use super::{Client, Error, one_line};

/// How many runs are looked at below a run that waits for its children.
const RUNS_MAX: usize = 20;

/// What keeps a run from going on.
#[derive(Deserialize)]
pub(crate) struct Problem {
    about: String,
    reason: String,
    pub(crate) message: String,
}

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

/// What was said about a wait: each reason is said once, not each attempt that it ends.
#[derive(Default)]
pub(crate) struct Waits(HashSet<(String, String, String)>);

impl Waits {
    /// Returns what has not been said yet of what keeps a run from going on, or its children, or theirs.
    pub(crate) async fn news(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let mut news = Vec::new();
        let top = described(client, workflow_id, run_id).await?;
        self.add(workflow_id, None, top.problems, &mut news);
        let mut left = RUNS_MAX;
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
            self.add(workflow_id, None, vec![child], &mut news);
        }
        while let Some(child) = children.pop_front().filter(|_| left > 0) {
            left -= 1;
            let id = &child.workflow_id;
            // One that has not started yet, or is closed by now, has nothing to tell.
            if let Ok(state) = described(client, id, child.run_id.as_deref()).await {
                self.add(id, Some(id), state.problems, &mut news);
                children.extend(state.pending_children);
            }
        }
        Ok(news)
    }

    /// Writes what has not been said yet to stderr.
    pub(super) async fn tell(
        &mut self,
        client: &Client,
        workflow_id: &str,
        run_id: Option<&str>,
        json: bool,
    ) -> Result<(), Error> {
        for message in self.news(client, workflow_id, run_id).await? {
            say("still waiting", &message, json);
        }
        Ok(())
    }

    fn add(
        &mut self,
        workflow_id: &str,
        child: Option<&str>,
        problems: Vec<Problem>,
        news: &mut Vec<String>,
    ) {
        for Problem {
            about,
            reason,
            message,
        } in problems
        {
            if self.0.insert((workflow_id.to_owned(), about, reason)) {
                let message = match child {
                    Some(id) => format!("child {id}: {message}"),
                    None => message,
                };
                news.push(one_line(&message));
            }
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
