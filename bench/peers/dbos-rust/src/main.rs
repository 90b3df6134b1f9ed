//! DBOS for Rust in process: runs the loads that the bench asks for (`bench/src/load.rs`) on the database `DBOS_DATABASE_URL`.

#[path = "../../../src/load.rs"]
mod load;

use anyhow::Result;
use dbos::{Config, DBOS, Error, WorkflowRef};

#[tokio::main]
async fn main() -> Result<()> {
    let dbos = DBOS::new(Config {
        app_version: Some("1".to_owned()),
        ..Config::from_env("bench")
    });
    let workflow = dbos.register_workflow("sequence", |activities: u32| async move {
        let mut n = 0;
        while n < activities {
            n = dbos::step("add_one", || async move { Ok::<u32, Error>(n + 1) }).await?;
        }
        Ok::<u32, Error>(n)
    })?;
    dbos.launch().await?;
    load::on_stdin(Client(workflow)).await?;
    dbos.shutdown().await;
    Ok(())
}

#[derive(Clone)]
struct Client(WorkflowRef<u32, u32>);

impl load::Client for Client {
    async fn execute(&mut self, activities: u32) -> Result<()> {
        let n = self.0.run(activities).await?;
        anyhow::ensure!(n == activities, "a workflow ended with {n}");
        Ok(())
    }
}
