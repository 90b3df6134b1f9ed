//! A request counts once over all runs of a workflow id, also after the engine was started again; and what nobody has read goes on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use history::{
    EventKind, Payloads, RequestId, Status,
    decide::{RequestCancel, StartWorkflow, Terminate},
    event::{WorkflowExecutionSignaled, WorkflowIdConflictPolicy},
};

use crate::{
    commands::continue_as_new,
    support::{
        PATIENCE, Script, address, complete, database, echo, end, namespace, number, owner,
        sequence, signal, start, work,
    },
};

fn by(request_id: &str, start: StartWorkflow) -> StartWorkflow {
    StartWorkflow {
        request_id: RequestId::known(request_id),
        ..start
    }
}

pub(crate) fn terminate() -> Terminate {
    Terminate {
        reason: "enough".to_owned(),
        details: Payloads::default(),
        identity: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_starts_that_are_each_sent_twice_give_two_runs() {
    let url = database().await;
    let mut engine = owner(&url).await;
    let mut runs = Vec::new();
    for (n, request) in ["x", "y", "x", "y", "x"].into_iter().enumerate() {
        if n == 3 {
            engine.close().await;
            engine = owner(&url).await;
        }
        let worker = work(&engine, sequence(1), echo());
        let (started, closed) = engine
            .execute_workflow(&namespace(), by(request, start("seq", "twice")), PATIENCE)
            .await
            .unwrap();
        assert!(started.started);
        assert_eq!(closed.closed().unwrap().run_id, started.run_id);
        runs.push(started.run_id);
        worker.abort();
    }
    assert_eq!(runs, [runs[0], runs[1], runs[0], runs[1], runs[0]]);
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_found_an_open_run_finds_it_again_when_that_has_closed() {
    let url = database().await;
    let engine = owner(&url).await;
    let first = engine
        .start_workflow(&namespace(), start("nobody-runs-this", "found"))
        .await
        .unwrap();
    let mut attach = start("nobody-runs-this", "found");
    attach.conflict_policy = WorkflowIdConflictPolicy::UseExisting;
    let found = engine
        .start_workflow(&namespace(), attach.clone())
        .await
        .unwrap();
    assert_eq!((found.run_id, found.started), (first.run_id, false));
    engine
        .terminate(&address("found"), terminate())
        .await
        .unwrap();
    engine.close().await;
    let engine = owner(&url).await;
    let again = engine
        .start_workflow(&namespace(), attach.clone())
        .await
        .unwrap();
    assert_eq!(again, found);
    engine
        .start_workflow(&namespace(), start("nobody-runs-this", "found"))
        .await
        .unwrap();
    let again = engine.start_workflow(&namespace(), attach).await.unwrap();
    assert_eq!(again, found);
    assert_eq!(number(&url, "SELECT count(*) FROM execution").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_and_a_cancellation_do_not_reach_the_next_run_of_the_id_when_they_are_sent_again()
{
    let url = database().await;
    let engine = owner(&url).await;
    let cancel = RequestCancel {
        cause: "enough".to_owned(),
        identity: None,
        request_id: Some(RequestId::known("c")),
        external: None,
    };
    let hello = signal("hello");
    for n in 0..3 {
        engine
            .start_workflow(&namespace(), start("nobody-runs-this", "again"))
            .await
            .unwrap();
        engine
            .signal(&address("again"), hello.clone())
            .await
            .unwrap();
        engine
            .request_cancel(&address("again"), cancel.clone())
            .await
            .unwrap();
        let events = engine
            .history(
                &address("again"),
                history::EventId::NONE,
                1000,
                std::time::Duration::ZERO,
            )
            .await
            .unwrap()
            .events;
        assert_eq!(events.len(), if n == 0 { 4 } else { 2 });
        engine
            .terminate(&address("again"), terminate())
            .await
            .unwrap();
        // Nor is it refused because the run has closed.
        engine
            .signal(&address("again"), hello.clone())
            .await
            .unwrap();
    }
}

/// Reads 40 signals a run, and goes on; returns when it has had so many in all.
fn reader(in_all: usize) -> Script {
    const A_RUN: usize = 40;
    Arc::new(move |_, events| {
        let EventKind::WorkflowExecutionStarted(started) = &events[0].kind else {
            unreachable!("a history begins with its start")
        };
        let before: Vec<String> = match started.input.0.first() {
            Some(payload) => payload.read().unwrap(),
            None => Vec::new(),
        };
        let signals: Vec<WorkflowExecutionSignaled> = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::WorkflowExecutionSignaled(signal) => Some((**signal).clone()),
                _ => None,
            })
            .collect();
        let read = signals.len().min(A_RUN).min(in_all - before.len());
        let names = signals[..read].iter();
        let had: Vec<String> = before
            .into_iter()
            .chain(names.map(|signal| signal.signal_name.to_string()))
            .collect();
        if had.len() == in_all {
            return vec![complete(&had.join(" "))];
        }
        if read < A_RUN {
            return Vec::new();
        }
        vec![continue_as_new(
            Payloads::one(history::Payload::json(&had).unwrap()),
            signals[read..].to_vec(),
        )]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_signals_is_read_once_over_a_chain_of_runs() {
    let url = database().await;
    let engine = owner(&url).await;
    work(&engine, reader(100), echo());
    let request = start("reader", "reader");
    let first = engine
        .start_workflow(&namespace(), request.clone())
        .await
        .unwrap();
    let sent = AtomicUsize::new(0);
    // Four clients, each with signals of its own in order; every one is sent twice, the second time perhaps to a later run.
    join_all((0..4).map(|client| {
        let (engine, sent) = (engine.clone(), &sent);
        async move {
            let mut last = None;
            for n in 0..25 {
                let signal = signal(&format!("{client}.{n}"));
                engine
                    .signal(&address("reader"), signal.clone())
                    .await
                    .unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                if let Some(last) = last.replace(signal) {
                    engine.signal(&address("reader"), last).await.unwrap();
                }
            }
        }
    }))
    .await;
    let closed = end(&engine, "reader").await;
    assert_eq!(closed.status, Status::Completed);
    let EventKind::WorkflowExecutionCompleted(completed) = &closed.event.kind else {
        unreachable!("it has completed")
    };
    let read: String = completed.result.0[0].read().unwrap();
    let read: Vec<&str> = read.split(' ').collect();
    assert_eq!(read.len(), sent.into_inner());
    for client in 0..4 {
        let prefix = format!("{client}.");
        let mut of_client = read.clone();
        of_client.retain(|name| name.starts_with(&prefix));
        let expected: Vec<String> = (0..25).map(|n| format!("{client}.{n}")).collect();
        assert_eq!(of_client, expected);
    }
    // A start that is sent again is answered with the run that it began, not with the one that its chain has come to.
    let again = engine.start_workflow(&namespace(), request).await.unwrap();
    assert_eq!(again, first);
    assert!(number(&url, "SELECT count(*) FROM execution WHERE status = 6").await >= 2);
}
