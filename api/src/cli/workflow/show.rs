//! `coreason workflow show`.

use std::io::{self, Write as _};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    request::Run,
    steps::{Pending, Steps},
};
use crate::{
    cli::{
        Error,
        session::{PATIENCE, Session},
    },
    patience::Looks,
    rest_client::{Client, Event, Waits},
    terminal::{Screen, Table, one_line},
    workflows::problem::Problem,
};

#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    run: Run,
    /// Show every event, instead of a line for each activity, timer, child and signal.
    #[arg(long)]
    events: bool,
    /// Show every event, and go on with new ones until the run closes, and with the run that follows it.
    #[arg(long, short)]
    follow: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    run_id: String,
    events: Vec<Box<RawValue>>,
    last_event_id: i64,
    closed: bool,
}

/// What an open run waits for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    pending_activities: Vec<Pending>,
    #[serde(default)]
    problems: Vec<Problem>,
}

impl Show {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        match (self.follow, session.json) {
            (false, true) => self.whole(&session.client).await,
            (true, json) => self.following(session.client.patient(PATIENCE), json).await,
            (false, false) if self.events => self.table(&session.client).await,
            (false, false) => self.steps(&session.client).await,
        }
    }

    /// Prints the history in short, and what keeps the run from going on.
    async fn steps(&self, client: &Client) -> Result<(), Error> {
        let mut steps = Steps::default();
        let (run_id, events) = self.all(client).await?;
        for event in events {
            steps.add(&Event::read(&event)?);
        }
        let mut problems = Vec::new();
        if steps.is_open() {
            // Of this run: meanwhile the workflow may go on in another one.
            let run: State = client
                .get(&["workflows", &self.run.workflow_id], &[("runId", run_id)])
                .await?
                .read()?;
            steps.pending(&run.pending_activities);
            problems = run.problems;
        }
        let mut out = io::stdout().lock();
        steps.table().write(&mut out, Screen::stdout())?;
        for problem in problems {
            writeln!(out, "{}", one_line(&problem.message))?;
        }
        Ok(())
    }

    /// Prints all events there are, in Temporal's form of an exported history.
    async fn whole(&self, client: &Client) -> Result<(), Error> {
        let (_, events) = self.all(client).await?;
        let texts: Vec<&str> = events.iter().map(|event| event.get()).collect();
        writeln!(io::stdout().lock(), "{{\"events\":[{}]}}", texts.join(","))?;
        Ok(())
    }

    /// Prints a table of all events there are.
    async fn table(&self, client: &Client) -> Result<(), Error> {
        let mut table = Table::new(&["ID", "TIME", "EVENT", "DETAILS"]);
        for event in self.all(client).await?.1 {
            let event = Event::read(&event)?;
            table.row([
                event.id().to_owned(),
                event.time(),
                event.name(),
                event.details(),
            ]);
        }
        table.write(&mut io::stdout().lock(), Screen::stdout())?;
        Ok(())
    }

    /// Returns all events there are, and the run that they are of.
    async fn all(&self, client: &Client) -> Result<(String, Vec<Box<RawValue>>), Error> {
        let mut events = Vec::new();
        let mut run_id = self.run.run_id.clone();
        let mut after = 0;
        loop {
            let page = self.page(client, run_id.as_deref(), after, None).await?;
            let done = page.closed || page.events.is_empty();
            after = page.last_event_id;
            events.extend(page.events);
            if done {
                return Ok((page.run_id, events));
            }
            run_id = Some(page.run_id);
        }
    }

    /// Prints each event as it comes: a line of text, or a line of JSON.
    async fn following(&self, client: Client, json: bool) -> Result<(), Error> {
        let mut run_id = self.run.run_id.clone();
        let mut after = 0;
        let (mut waits, mut looks) = (Waits::default(), Looks::new());
        // Of the last event. That the run is closed may be said in a page after it.
        let mut next: Option<String> = None;
        loop {
            let wait = looks.wait();
            let page = self
                .page(&client, run_id.as_deref(), after, Some(&wait))
                .await?;
            if page.events.is_empty() && !page.closed {
                let (id, run) = (&self.run.workflow_id, Some(page.run_id.as_str()));
                waits.tell(&client, id, run, Vec::new(), json).await;
            } else {
                looks = Looks::new();
            }
            for text in &page.events {
                let event = Event::read(text)?;
                let line = if json {
                    text.get().to_owned()
                } else {
                    event.line(Screen::stdout())
                };
                writeln!(io::stdout().lock(), "{line}")?;
                next = event.next_run_id();
            }
            (run_id, after) = match (page.closed, next.take()) {
                (false, follows) => {
                    next = follows;
                    (Some(page.run_id), page.last_event_id)
                }
                (true, Some(next)) => {
                    if !json {
                        writeln!(io::stdout().lock(), "goes on in run {next}")?;
                    }
                    (Some(next), 0)
                }
                (true, None) => return Ok(()),
            };
        }
    }

    async fn page(
        &self,
        client: &Client,
        run_id: Option<&str>,
        after: i64,
        wait: Option<&str>,
    ) -> Result<Page, Error> {
        let mut query = vec![
            ("after", after.to_string()),
            ("pageSize", "1000".to_owned()),
        ];
        query.extend(run_id.map(|run_id| ("runId", run_id.to_owned())));
        query.extend(wait.map(|wait| ("wait", wait.to_owned())));
        let answer = client
            .get(&["workflows", &self.run.workflow_id, "history"], &query)
            .await?;
        Ok(answer.read()?)
    }
}
