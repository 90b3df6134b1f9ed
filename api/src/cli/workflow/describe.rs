//! `coreason workflow describe`.

use std::io::{self, Write};

use serde::Deserialize;

use super::{
    ending::{Failure, Outcome},
    facts::{Facts, line},
    request::Run,
};
use crate::{
    cli::{Error, session::Session},
    rest_client::Client,
    terminal::{Colour, Screen, Table, of_state, one_line},
    workflows::problem::Problem,
};

#[derive(clap::Args)]
pub(super) struct Describe {
    #[command(flatten)]
    run: Run,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    workflow_id: String,
    run_id: String,
    workflow_type: String,
    task_queue: String,
    status: String,
    started_at: String,
    closed_at: Option<String>,
    history_length: i64,
    history_bytes: u64,
    parent: Option<Parent>,
    #[serde(default)]
    memo: Facts,
    #[serde(default)]
    search_attributes: Facts,
    cancel_requested: bool,
    #[serde(default)]
    problems: Vec<Problem>,
    pending_workflow_task: Option<WorkflowTask>,
    pending_activities: Vec<Activity>,
    pending_timers: Vec<Timer>,
    pending_children: Vec<Child>,
    #[serde(default)]
    unread_signals: Vec<Unread>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parent {
    workflow_id: String,
    run_id: String,
}

#[derive(Deserialize)]
struct WorkflowTask {
    attempt: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are Temporal's names")]
struct Activity {
    activity_id: String,
    activity_type: String,
    state: String,
    attempt: u32,
    next_attempt_at: Option<String>,
    last_failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timer {
    timer_id: String,
    fires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Child {
    workflow_id: String,
    run_id: Option<String>,
    workflow_type: String,
}

/// Signals of one name that the code has not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unread {
    signal_name: String,
    count: u64,
    first_event_at: String,
}

/// How a run ended, which is not in its description.
enum Ending {
    /// It is open, or another run goes on from it.
    None,
    Returned(String),
    Failed(String),
    Unread {
        name: &'static str,
        reason: String,
    },
}

impl Ending {
    fn fact(&self, screen: Screen) -> (&'static str, Option<String>) {
        let bad = |text: &str| Some(screen.paint(&one_line(text), Some(Colour::Bad)));
        match self {
            Self::None => ("result", None),
            Self::Returned(result) => ("result", Some(one_line(result))),
            Self::Failed(failure) => ("failure", bad(failure)),
            Self::Unread { name, reason } => (name, bad(&format!("can't be read: {reason}"))),
        }
    }
}

impl Describe {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let answer = session
            .client
            .get(&["workflows", &self.run.workflow_id], &self.run.query())
            .await?;
        if session.json {
            writeln!(io::stdout().lock(), "{}", answer.text)?;
            return Ok(());
        }
        let run: Description = answer.read()?;
        let ending = run.ending(&session.client).await;
        let mut out = io::stdout().lock();
        let screen = Screen::stdout();
        run.write_facts(&ending, &mut out, screen)?;
        run.write_pending(&mut out, screen)?;
        Ok(())
    }
}

impl Description {
    /// Asks how the run ended. The description is worth showing without that.
    async fn ending(&self, client: &Client) -> Ending {
        let name = match (&self.closed_at, self.status.as_str()) {
            (None, _) | (_, "ContinuedAsNew") => return Ending::None,
            (Some(_), "Completed") => "result",
            (Some(_), _) => "failure",
        };
        let path = ["workflows", &self.workflow_id, "result"];
        let of_run = [("runId", self.run_id.clone())];
        let answer = client.clone().hasty().get(&path, &of_run).await;
        match answer.and_then(|answer| answer.read::<Outcome>()) {
            // It may be that of a run that follows.
            Ok(outcome) if outcome.run_id.as_ref() != Some(&self.run_id) => Ending::None,
            Ok(outcome) => match (outcome.why(), outcome.result) {
                (Some(failure), _) => Ending::Failed(failure),
                (None, Some(result)) => Ending::Returned(result.get().to_owned()),
                (None, None) => Ending::None,
            },
            Err(error) => Ending::Unread {
                name,
                reason: format!("{error} [{}]", error.code()),
            },
        }
    }

    fn write_facts(&self, ending: &Ending, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let facts = [
            ("workflow id", Some(one_line(&self.workflow_id))),
            ("run id", Some(one_line(&self.run_id))),
            ("type", Some(one_line(&self.workflow_type))),
            ("task queue", Some(one_line(&self.task_queue))),
            (
                "status",
                Some(screen.paint(&self.status, of_state(&self.status))),
            ),
            ("started", Some(self.started_at.clone())),
            ("closed", self.closed_at.clone()),
            ending.fact(screen),
            (
                "history",
                Some(format!(
                    "{} events, {} bytes",
                    self.history_length, self.history_bytes
                )),
            ),
            (
                "parent",
                self.parent.as_ref().map(|parent| {
                    format!("{} (run {})", one_line(&parent.workflow_id), parent.run_id)
                }),
            ),
            ("memo", line(&self.memo)),
            ("found by", line(&self.search_attributes)),
            (
                "cancel",
                self.cancel_requested.then(|| "requested".to_owned()),
            ),
            (
                "workflow task",
                self.pending_workflow_task
                    .as_ref()
                    .map(|task| format!("pending, attempt {}", task.attempt)),
            ),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                writeln!(out, "{name:14}{value}")?;
            }
        }
        for problem in &self.problems {
            let message = screen.paint(&one_line(&problem.message), Some(Colour::Bad));
            writeln!(out, "{:14}{message}", "problem")?;
        }
        Ok(())
    }

    fn write_pending(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let mut activities = Table::new(&[
            "ACTIVITY",
            "ID",
            "STATE",
            "ATTEMPT",
            "NEXT ATTEMPT",
            "LAST FAILURE",
        ]);
        for activity in &self.pending_activities {
            activities.row([
                activity.activity_type.clone(),
                activity.activity_id.clone(),
                activity.state.clone(),
                activity.attempt.to_string(),
                activity.next_attempt_at.clone().unwrap_or_default(),
                activity
                    .last_failure
                    .as_ref()
                    .map(Failure::line)
                    .unwrap_or_default(),
            ]);
        }
        let mut timers = Table::new(&["TIMER", "FIRES"]);
        for timer in &self.pending_timers {
            timers.row([timer.timer_id.clone(), timer.fires_at.clone()]);
        }
        let mut children = Table::new(&["CHILD", "WORKFLOW ID", "RUN ID"]);
        for child in &self.pending_children {
            let run_id = child.run_id.clone().unwrap_or_default();
            children.row([
                child.workflow_type.clone(),
                child.workflow_id.clone(),
                run_id,
            ]);
        }
        let mut unread = Table::new(&["UNREAD SIGNAL", "COUNT", "SINCE"]);
        for signal in &self.unread_signals {
            unread.row([
                signal.signal_name.clone(),
                signal.count.to_string(),
                signal.first_event_at.clone(),
            ]);
        }
        for table in [activities, timers, children, unread] {
            if !table.is_empty() {
                writeln!(out)?;
                table.write(out, screen)?;
            }
        }
        Ok(())
    }
}
