//! What a worker refuses to run.

use worker::{BuildError, prelude::*};

struct Database;

#[activity]
async fn query(_db: &Database, _ctx: &ActivityContext, _sql: String) -> Result<u32> {
    Ok(0)
}

#[activity(name = "query")]
async fn other_query() -> Result<u32> {
    Ok(0)
}

#[test]
fn a_missing_dependency_is_named_before_the_worker_runs() {
    let error = Worker::new("q").activity(query).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "activity `query` takes &worker::registration::Database, which the worker does not have; \
         add it: Worker::new(..).with(..)"
    );
    assert_eq!(
        Worker::new("q").activity(query).with(Database).check(),
        Ok(())
    );
}

#[test]
fn two_of_one_name_and_illegal_names_are_refused() {
    let twice = Worker::new("q")
        .activity(query)
        .with(Database)
        .activity(other_query);
    assert_eq!(
        twice.check(),
        Err(BuildError::NameTwice("activity `query`".to_owned()))
    );
    let twice = BuildError::NameTwice("workflow `order`".to_owned());
    assert!(
        twice.to_string().ends_with("#[workflow(name = \"..\")]"),
        "{twice}"
    );
    assert!(matches!(
        Worker::new("").check(),
        Err(BuildError::InvalidName(_))
    ));
}

#[test]
fn a_worker_that_would_run_nothing_is_refused() {
    let worker = Worker::new("q").activity(other_query);
    let without = worker.clone().activity_slots(0);
    assert_eq!(without.check(), Err(BuildError::NoSlots("q".to_owned())));
    assert_eq!(worker.check(), Ok(()));
}

#[test]
fn a_worker_takes_no_tasks_of_a_kind_that_it_can_not_run() {
    let hello = Worker::new("q").activity(other_query).hello().unwrap();
    assert_eq!(
        (hello.workflow_slots, hello.activity_slots),
        (0, worker::ACTIVITY_SLOTS)
    );
    assert!(hello.identity.as_str().contains('@'));
}
