//! `coreason workflow count`.

use std::io::Write as _;

use serde::Deserialize;

use crate::{
    cli::{Error, session::Session},
    terminal::{Screen, Table, of_state},
};

#[derive(clap::Args)]
pub(super) struct Count {
    /// Only runs that this is true of, such as `WorkflowType = 'order' AND Amount > 100`; all, by type, queue and status, unless given.
    #[arg(long)]
    query: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    count: i64,
    groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    workflow_type: String,
    task_queue: String,
    status: String,
    count: i64,
    lately: Lately,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lately {
    minute: i64,
    five_minutes: i64,
    hour: i64,
}

impl Count {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let query: Vec<_> = self.query.into_iter().map(|text| ("query", text)).collect();
        let answer = session.client.get(&["workflow-count"], &query).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
            return Ok(());
        }
        let counted: Counted = answer.read()?;
        let Some(groups) = counted.groups else {
            writeln!(out, "{}", counted.count)?;
            return Ok(());
        };
        let heading = [
            "STATUS",
            "TYPE",
            "QUEUE",
            "RUNS",
            "LAST MINUTE",
            "LAST 5 MIN",
            "LAST HOUR",
        ];
        let mut table = Table::new(&heading).coloured(0, of_state);
        for group in groups {
            table.row([
                group.status,
                group.workflow_type,
                group.task_queue,
                group.count.to_string(),
                group.lately.minute.to_string(),
                group.lately.five_minutes.to_string(),
                group.lately.hour.to_string(),
            ]);
        }
        table.write(&mut out, Screen::stdout())?;
        Ok(())
    }
}
