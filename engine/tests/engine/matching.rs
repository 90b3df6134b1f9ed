//! Workers of one member that serve the shards of others.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use engine::{
    Config, Engine, ListRequest, Starved, WhyStarved,
    peers::{Peers, Unreached},
};
use futures::{FutureExt as _, future::BoxFuture, future::join_all};
use history::{
    decide::StartWorkflow,
    event::SdkMetadata,
    task::{ActivityTaskAnswer, FromWorker, ToWorker, WorkflowTaskAnswer},
};
use tokio::time::{Duration, sleep, timeout};

use crate::support::{
    PATIENCE, address, connect_worker, database, echo, end, hello, namespace, owner, owner_with,
    sequence, start, work,
};

/// The members of one process, by their addresses.
#[derive(Default, Clone)]
struct Directory(Arc<Mutex<HashMap<String, Engine>>>);

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Peers for Directory {
    fn send(
        &self,
        address: &str,
        request: String,
    ) -> BoxFuture<'static, Result<String, Unreached>> {
        let engine = self.0.lock().unwrap().get(address).cloned();
        async move {
            let engine = engine.ok_or_else(|| Unreached("not there yet".to_owned()))?;
            let answer = engine.answer_peer(&request).await;
            answer.map_err(|error| Unreached(error.to_string()))
        }
        .boxed()
    }
}

impl Directory {
    async fn open(&self, url: &str, address: &str) -> Engine {
        let engine = owner_with(Config {
            peers: Arc::new(self.clone()),
            ..Config::new(url, address)
        })
        .await;
        self.0
            .lock()
            .unwrap()
            .insert(address.to_owned(), engine.clone());
        engine
    }
}

/// Opens two members that share the shards.
async fn two_members() -> (Engine, Engine) {
    let (url, directory) = (database().await, Directory::default());
    let first = directory.open(&url, "first").await;
    let second = directory.open(&url, "second").await;
    timeout(PATIENCE, second.serving(400)).await.unwrap();
    (first, second)
}

/// Starts a workflow with whoever owns it, and returns that one.
async fn start_anywhere(engines: [&Engine; 2], request: StartWorkflow) -> usize {
    for (n, engine) in engines.into_iter().enumerate() {
        if engine
            .start_workflow(&namespace(), request.clone())
            .await
            .is_ok()
        {
            return n;
        }
    }
    unreachable!("one of them owns it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_one_member_serves_the_shards_of_both() {
    let (first, second) = two_members().await;
    let _working = work(&second, sequence(3), echo());
    let ids: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
    let mut owners = [0, 0];
    for id in &ids {
        let owner = start_anywhere([&first, &second], start("seq", id)).await;
        owners[owner] += 1;
        end([&first, &second][owner], id).await;
    }
    assert!(owners.iter().all(|owned| *owned > 0), "{owners:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_lent_to_one_member_at_a_time() {
    let (first, second) = two_members().await;
    // Workflow code runs with each of them, activities only here and one at a time.
    let turns = |engine: &Engine| {
        let (answers, mut tasks) = connect_worker(engine, hello("elsewhere", 100, 0));
        let script = sequence(1);
        tokio::spawn(async move {
            let mut cached = HashMap::new();
            while let Some(task) = tasks.recv().await {
                let ToWorker::WorkflowTask(task) = task else {
                    continue;
                };
                let events: &mut Vec<_> = cached.entry(task.token.run_id).or_default();
                if task.events[0].id.0 == 1 {
                    events.clear();
                }
                events.extend(task.events);
                let answer = FromWorker::WorkflowTask {
                    token: task.token,
                    answer: WorkflowTaskAnswer::Completed {
                        commands: script(&task.workflow_type, events),
                        sdk_metadata: SdkMetadata::default(),
                        sticky: true,
                        unread_signals: Vec::new(),
                    },
                };
                if !answers.send(answer) {
                    return;
                }
            }
        })
    };
    let _turning = (turns(&first), turns(&second));
    let (answers, mut tasks) = connect_worker(&second, hello("elsewhere", 0, 1));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let _acting = tokio::spawn({
        let most = Arc::clone(&most);
        async move {
            while let Some(task) = tasks.recv().await {
                let ToWorker::ActivityTask(task) = task else {
                    continue;
                };
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (answers, running) = (answers.clone(), Arc::clone(&running));
                tokio::spawn(async move {
                    sleep(Duration::from_millis(2)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    answers.send(FromWorker::ActivityTask {
                        token: task.token,
                        answer: ActivityTaskAnswer::Completed {
                            result: Default::default(),
                        },
                    });
                });
            }
        }
    });
    let ids: Vec<String> = (0..40).map(|n| format!("w{n}")).collect();
    let mut ends = Vec::new();
    let mut owners = [0, 0];
    for id in &ids {
        let owner = start_anywhere([&first, &second], start("seq", id)).await;
        owners[owner] += 1;
        ends.push(end([&first, &second][owner], id));
    }
    join_all(ends).await;
    assert!(owners.iter().all(|owned| *owned > 0), "{owners:?}");
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_polls_for_is_named_until_a_worker_comes() {
    let engine = owner(&database().await).await;
    engine
        .start_workflow(&namespace(), start("seq", "alone"))
        .await
        .unwrap();
    let described = engine.describe(&address("alone")).await.unwrap();
    let starved = described.workflow_task_starved.unwrap();
    assert!(starved.since >= described.started_at, "{starved:?}");
    assert_eq!(starved.why, WhyStarved::NoPollers);
    // One that takes only activities is no help.
    let _only_activities = connect_worker(&engine, hello("elsewhere", 0, 1));
    let described = engine.describe(&address("alone")).await.unwrap();
    let by_others = Starved {
        why: WhyStarved::OtherKind,
        ..starved
    };
    assert_eq!(described.workflow_task_starved, Some(by_others));

    let (answers, mut tasks) = connect_worker(&engine, hello("elsewhere", 1, 0));
    let Some(ToWorker::WorkflowTask(task)) = tasks.recv().await else {
        panic!("a worker of that queue gets the task");
    };
    let described = engine.describe(&address("alone")).await.unwrap();
    assert_eq!(described.workflow_task_starved, None);
    answers.send(FromWorker::WorkflowTask {
        token: task.token,
        answer: WorkflowTaskAnswer::Completed {
            commands: sequence(1)(&task.workflow_type, &task.events),
            sdk_metadata: SdkMetadata::default(),
            sticky: true,
            unread_signals: Vec::new(),
        },
    });
    end_of_schedule(&engine).await;
    let described = engine.describe(&address("alone")).await.unwrap();
    // The worker of activities has it.
    assert_eq!(described.pending_activities[0].starved, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_what_no_worker_takes_on_any_member() {
    let (first, second) = two_members().await;
    let (mut owners, mut ends) = ([0; 2], Vec::new());
    for n in 0..16 {
        let id = format!("w{n}");
        let owner = start_anywhere([&first, &second], start("seq", &id)).await;
        owners[owner] += 1;
        ends.push((owner, id));
    }
    assert!(owners.iter().all(|owned| *owned > 0), "{owners:?}");
    let filter = ListRequest {
        page_size: 100,
        ..ListRequest::default()
    };
    for engine in [&first, &second] {
        let runs = engine.list(&namespace(), &filter).await.unwrap().runs;
        assert_eq!(runs.len(), 16);
        for run in runs {
            let task = run.untaken.expect("no worker is there");
            assert_eq!((task.task_queue, task.activity), (run.task_queue, None));
            assert_eq!(task.starved.why, WhyStarved::NoPollers);
        }
    }
    let _worker = work(&first, sequence(1), echo());
    for (owner, id) in ends {
        end([&first, &second][owner], &id).await;
    }
    for run in first.list(&namespace(), &filter).await.unwrap().runs {
        assert_eq!(run.untaken, None);
    }
}

/// Waits until an activity is scheduled.
async fn end_of_schedule(engine: &Engine) {
    let alone = address("alone");
    let wait = engine.history(&alone, history::EventId(4), 1, PATIENCE);
    wait.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_busy_elsewhere_still_polls() {
    let (first, second) = two_members().await;
    let engines = [&first, &second];
    // One slot for workflow tasks, with the second member; what is answered when is said here.
    let (answers, mut tasks) = connect_worker(&second, hello("elsewhere", 1, 0));
    let answer = async |task: history::task::WorkflowTask| {
        answers.send(FromWorker::WorkflowTask {
            token: task.token,
            answer: WorkflowTaskAnswer::Completed {
                commands: Vec::new(),
                sdk_metadata: SdkMetadata::default(),
                sticky: true,
                unread_signals: Vec::new(),
            },
        });
    };
    let mut next = async || match timeout(PATIENCE, tasks.recv()).await.unwrap() {
        Some(ToWorker::WorkflowTask(task)) => task,
        other => panic!("a workflow task, not {other:?}"),
    };
    let mut ids = (0..).map(|n| format!("busy {n}"));
    // One after the other, until the first member has had a slot of it twice and the second has it now.
    let (mut lent, mut held) = (0, None);
    while held.is_none() {
        let id = ids.next().unwrap();
        let owner = start_anywhere(engines, start("seq", &id)).await;
        let task = next().await;
        if owner == 0 {
            lent += 1;
            answer(task).await;
        } else if lent >= 2 {
            held = Some(task);
        } else {
            answer(task).await;
        }
    }
    let id = loop {
        let id = ids.next().unwrap();
        if start_anywhere(engines, start("seq", &id)).await == 0 {
            break id;
        }
    };
    let polled = async {
        while first
            .describe(&address(&id))
            .await
            .unwrap()
            .workflow_task_starved
            .is_some()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, polled)
        .await
        .expect("a worker polls its task queue");
}
