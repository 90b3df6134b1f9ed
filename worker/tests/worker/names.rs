//! A workflow, an activity or a signal shares its name with whatever else goes by it.

use history::task::{ActivityTaskAnswer, FromWorker};
use serde_json::json;
use worker::{definition::SignalDefinition as _, prelude::*};

use crate::support::{Hosted, Script, value};

#[activity]
async fn charge(charge: u32) -> Result<u32> {
    Ok(charge)
}

#[activity]
async fn r#type(of: Option<u32>) -> Result<String> {
    Ok(match of {
        Some(charge) => format!("number {charge}"),
        None => "nothing".to_owned(),
    })
}

#[workflow]
async fn order(wf: Workflow, order: u32) -> Result<Vec<u32>> {
    let charge = wf.call(charge, order).await?;
    let mut all = Vec::new();
    for order in [order, charge] {
        let r#type = |charge: u32| charge * 2;
        all.push(r#type(order));
    }
    match all.len() {
        0 => {}
        order => all.push(u32::try_from(order).unwrap_or_default()),
    }
    Ok(all)
}

mod elsewhere {
    use worker::prelude::*;

    #[workflow]
    pub(super) async fn parent(wf: Workflow, order: u32) -> Result<Vec<u32>> {
        let parent = wf.child(super::order, order).await?;
        Ok(parent)
    }
}

#[signal(name = "order")]
struct Order {
    order: u32,
}

fn worker() -> Worker {
    use elsewhere::parent;
    Worker::new("q")
        .workflow(order)
        .workflow(parent)
        .activity(charge)
        .activity(r#type)
}

#[tokio::test]
async fn variables_parameters_and_patterns_may_have_the_name_of_a_workflow_or_an_activity() {
    let mut run = Script::start(worker(), "order", &[json!(7)]);
    assert_eq!(run.turn().await, ["ScheduleActivityTask charge#1 7"]);
    run.activity_completed("1", json!(8));
    assert_eq!(run.turn().await, ["CompleteWorkflowExecution [14,16,2]"]);
    run.replays().await;
}

#[tokio::test]
async fn a_raw_name_is_known_without_its_prefix() {
    let mut hosted = Hosted::new(worker());
    hosted.attempt("type", &[json!(3)]);
    match hosted.answer().await {
        FromWorker::ActivityTask {
            answer: ActivityTaskAnswer::Completed { result },
            ..
        } => {
            assert_eq!(value(&result), json!("number 3"));
        }
        other => panic!("{other:?}"),
    }
    let Order { order } = Order { order: 1 };
    assert_eq!((Order::NAME, order), ("order", 1));
}
