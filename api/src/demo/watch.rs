//! Following the workflow until all files are indexed, and killing what the plan says on the way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Error, Files,
    crash::{Plan, Victim},
    histories::Histories,
    progress::Progress,
    server::Server,
};
use crate::rest_client::{Client, Waits};

/// How often it is asked what keeps the workflow from going on, on a server that is not the demo's own.
const ASK: Duration = Duration::from_secs(2);
/// How often the histories are read on.
const LOOK: Duration = Duration::from_millis(2);

/// What was seen while the workflow ran.
pub(super) struct Watch {
    pub(super) histories: Histories,
    /// What was killed, each with how many files were on record by then.
    pub(super) kills: Vec<(Victim, usize)>,
    progress: Progress,
    plan: Plan,
    stuck: Stuck,
}

impl Watch {
    /// Returns a watch that has seen nothing yet.
    pub(super) fn new(client: &Client, workflow_id: &str, files: &Files, plan: Plan) -> Self {
        Self {
            histories: Histories::new(client.clone(), workflow_id),
            kills: Vec::new(),
            progress: Progress::new(files.len()),
            plan,
            stuck: Stuck::new(client, workflow_id),
        }
    }

    /// Follows until the workflow waits for its approval and everything that the plan says has been killed.
    pub(super) async fn follow(&mut self, mut server: Option<&mut Server>) -> Result<(), Error> {
        loop {
            self.histories.read_on().await?;
            self.progress.show(&self.histories)?;
            let share = if self.histories.is_indexed() {
                1.0
            } else {
                self.progress.share(&self.histories)
            };
            match (self.plan.due(share), &mut server) {
                (Some(victim), Some(server)) => self.kill(victim, server).await?,
                _ if self.histories.awaits_approval() => return self.progress.end(),
                (_, None) => {
                    self.stuck.look(&mut self.progress).await?;
                    sleep(LOOK).await;
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    async fn kill(&mut self, victim: Victim, server: &mut Server) -> Result<(), Error> {
        self.kills.push((victim, self.histories.completed()));
        match victim {
            Victim::Engine => {
                self.progress.say("kill -9 the engine")?;
                server.kill_engine().await
            }
            Victim::Postgres => {
                self.progress.say("kill -9 Postgres")?;
                server.kill_postgres()
            }
        }
    }
}

/// What keeps the workflow from going on, on a server of somebody else: nobody serves it there, or its code fails.
struct Stuck {
    client: Client,
    workflow_id: String,
    waits: Waits,
    ask_at: Instant,
}

impl Stuck {
    fn new(client: &Client, workflow_id: &str) -> Self {
        Self {
            client: client.clone(),
            workflow_id: workflow_id.to_owned(),
            waits: Waits::default(),
            ask_at: Instant::now() + ASK,
        }
    }

    async fn look(&mut self, progress: &mut Progress) -> Result<(), Error> {
        if Instant::now() < self.ask_at {
            return Ok(());
        }
        self.ask_at = Instant::now() + ASK;
        let news = self
            .waits
            .news(&self.client, &self.workflow_id, None, Vec::new());
        for said in news.await {
            progress.say(&format!("still waiting: {said}"))?;
        }
        Ok(())
    }
}
