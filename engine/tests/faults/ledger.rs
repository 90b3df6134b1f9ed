//! What an engine acknowledged to a test, held against the rows in Postgres.

use std::sync::{Arc, Mutex};

use engine::{Engine, Waited, audit};
use history::{RunId, Status};

use crate::support::{self, Act, PATIENCE, Script};

/// Something that was answered as done.
#[derive(Debug, Clone)]
struct Acknowledged {
    workflow_id: String,
    run_id: RunId,
    /// How many activities it ran, if its result was acknowledged as well.
    completed: Option<i64>,
}

/// All that was acknowledged in a test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Acknowledged>>>);

impl Ledger {
    /// Notes a start that was acknowledged.
    pub(crate) fn started(&self, workflow_id: &str, run_id: RunId) {
        self.note(workflow_id, run_id, None);
    }

    /// Notes a result that was acknowledged, of a workflow of so many activities.
    pub(crate) fn completed(&self, workflow_id: &str, run_id: RunId, activities: usize) {
        self.note(
            workflow_id,
            run_id,
            Some(i64::try_from(activities).unwrap()),
        );
    }

    fn note(&self, workflow_id: &str, run_id: RunId, completed: Option<i64>) {
        self.0.lock().unwrap().push(Acknowledged {
            workflow_id: workflow_id.to_owned(),
            run_id,
            completed,
        });
    }

    /// Runs a workflow of so many activities to its end, as a client would: the same request again as long as the
    /// engine says that it does not know, or that it does not own.
    pub(crate) async fn run(&self, engine: &Engine, workflow_id: &str, activities: usize) {
        let (namespace, request) = (support::namespace(), support::start("seq", workflow_id));
        let done = async {
            loop {
                match engine
                    .execute_workflow(&namespace, request.clone(), PATIENCE)
                    .await
                {
                    Ok((started, Waited::Closed(closed))) => {
                        assert_eq!(closed.status, Status::Completed);
                        self.completed(workflow_id, started.run_id, activities);
                        return;
                    }
                    Ok((started, Waited::Open(_))) => self.started(workflow_id, started.run_id),
                    Err(error) => {
                        assert!(is_passing(&error), "{error}");
                        engine.owning().await;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, done)
            .await
            .expect("it ends in time");
    }

    /// Runs many at once: `w0`, `w1` and so on.
    pub(crate) async fn run_many(&self, engine: &Engine, many: usize, activities: usize) {
        let ids: Vec<_> = (0..many).map(|n| format!("w{n}")).collect();
        futures::future::join_all(ids.iter().map(|id| self.run(engine, id, activities))).await;
    }

    /// Holds everything against the database: the histories are sound; each start that was acknowledged has its row,
    /// each workflow one run, and each result its completions; and no completion is there twice.
    pub(crate) async fn check(&self, url: &str) {
        let pool = audit::connect(url).await.unwrap();
        let report = audit::verify(&pool, audit::Scope::Everything)
            .await
            .unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(audit::check(&pool).await.unwrap(), []);
        pool.close().await;
        let postgres = support::connect(url).await;
        let doubled = "SELECT count(*) FROM (
            SELECT FROM history_event
            WHERE event_type = 'ActivityTaskCompleted'
            GROUP BY run_id, attributes ->> 'scheduled_event_id'
            HAVING count(*) > 1) AS doubled";
        let doubled: i64 = postgres.query_one(doubled, &[]).await.unwrap().get(0);
        assert_eq!(doubled, 0, "each completion is recorded once");
        let seen = "SELECT (SELECT count(*) FROM execution WHERE workflow_id = $1),
                   count(*) FILTER (WHERE event_type = 'WorkflowExecutionStarted'),
                   count(*) FILTER (WHERE event_type = 'ActivityTaskCompleted'),
                   count(*) FILTER (WHERE event_type = 'WorkflowExecutionCompleted')
            FROM history_event WHERE run_id = $2";
        let seen = postgres.prepare(seen).await.unwrap();
        let all = self.0.lock().unwrap().clone();
        for acknowledged in all {
            let Acknowledged {
                workflow_id,
                run_id,
                completed,
            } = acknowledged;
            let row = postgres
                .query_one(&seen, &[&workflow_id, &run_id.0])
                .await
                .unwrap();
            let seen: [i64; 4] = std::array::from_fn(|n| row.get(n));
            assert_eq!(seen[..2], [1, 1], "{workflow_id} has one run");
            if let Some(activities) = completed {
                assert_eq!(seen[2..], [activities, 1], "{workflow_id} is complete");
            }
        }
    }
}

/// Says whether the same request may be sent again.
pub(crate) fn is_passing(error: &engine::Error) -> bool {
    matches!(
        error.code(),
        "UNAVAILABLE" | "NOT_OWNER" | "DATABASE_UNREACHABLE"
    )
}

/// Connects a worker, and again each time the engine owns anew.
pub(crate) fn keep_working(engine: &Engine, script: Script, act: Act) {
    let engine = engine.clone();
    tokio::spawn(async move {
        loop {
            engine.owning().await;
            let (engine, script, act) = (engine.clone(), Arc::clone(&script), Arc::clone(&act));
            // It fails when the ownership is lost in between.
            let _ = tokio::spawn(async move { support::work(&engine, script, act).await }).await;
            tokio::task::yield_now().await;
        }
    });
}
