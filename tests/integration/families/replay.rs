//! Replays: a history's turns once more, by a worker that knows nothing.

use std::sync::Arc;

use history::{
    Command, Event, EventId, EventKind, Millis, RunId,
    replay::compare,
    task::{
        Answers, FromWorker, Tasks, ToWorker, WorkflowTask, WorkflowTaskAnswer, WorkflowTaskToken,
    },
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};
use worker::{BuildError, Worker};

/// A worker without an engine.
pub(super) struct Replays {
    tasks: Tasks,
    /// One history after the other.
    answers: Mutex<UnboundedReceiver<FromWorker>>,
    running: JoinHandle<()>,
}

impl Replays {
    pub(super) async fn on(worker: Worker) -> Self {
        let (answered, answers) = unbounded_channel();
        let (connected, tasks) = oneshot::channel();
        let connect = move |_, tasks: Tasks| {
            let _ = connected.send(tasks);
            Ok::<_, BuildError>(Answers::new(move |answer| answered.send(answer).is_ok()))
        };
        let running = tokio::spawn(async move {
            let never = std::future::pending::<()>();
            worker.cached_runs(0).run(connect, never).await.unwrap();
        });
        Self {
            tasks: tasks.await.unwrap(),
            answers: Mutex::new(answers),
            running,
        }
    }

    /// Replays all turns of a closed run: the code must ask for what the history has, and come to the same end.
    pub(super) async fn same(&self, run_id: RunId, events: &[Arc<Event>]) -> Result<(), String> {
        let completed =
            |event: &Arc<Event>| matches!(event.kind, EventKind::WorkflowTaskCompleted(_));
        // One that was ended before its first turn has none.
        let Some(completed) = events.iter().rposition(completed) else {
            return Ok(());
        };
        let (before, after) = events.split_at(completed);
        let commands = self.last_turn(run_id, before).await?;
        let differs = compare(&commands, after.iter().map(AsRef::as_ref)).err();
        if let Some(differs) = differs {
            return Err(format!("the last turn is another one at replay: {differs}"));
        }
        match commands.last().filter(|command| command.closes()) {
            None => Ok(()),
            Some(end) if is_end(end, after.last().map(|event| &event.kind)) => Ok(()),
            Some(end) => Err(format!("the end is another one at replay: {end:?}")),
        }
    }

    async fn last_turn(
        &self,
        run_id: RunId,
        events: &[Arc<Event>],
    ) -> Result<Vec<Command>, String> {
        let Some(EventKind::WorkflowExecutionStarted(started)) =
            events.first().map(|event| &event.kind)
        else {
            return Err("the history does not begin with WorkflowExecutionStarted".to_owned());
        };
        let last = events.last().map_or(EventId::NONE, |event| event.id);
        let task = WorkflowTask {
            token: WorkflowTaskToken {
                namespace: history::Namespace::known("default"),
                workflow_id: started.workflow_id.clone(),
                run_id,
                scheduled_event_id: EventId(last.0 - 1),
                started_event_id: last,
                attempt: 1,
                incarnation: 1,
            },
            workflow_type: started.workflow_type.clone(),
            previous_started_event_id: EventId::NONE,
            events: events.to_vec(),
            start_to_close_timeout: Millis::ZERO,
        };
        let mut answers = self.answers.lock().await;
        self.tasks.send(ToWorker::WorkflowTask(task));
        match answers.recv().await {
            Some(FromWorker::WorkflowTask {
                answer: WorkflowTaskAnswer::Completed { commands, .. },
                ..
            }) => Ok(commands),
            answer => Err(format!("the history does not replay: {answer:?}")),
        }
    }
}

impl Drop for Replays {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Says whether an event is what a command makes that closes a run.
fn is_end(command: &Command, event: Option<&EventKind>) -> bool {
    match (command, event) {
        (
            Command::CompleteWorkflowExecution { result },
            Some(EventKind::WorkflowExecutionCompleted(event)),
        ) => *result == event.result,
        (
            Command::CancelWorkflowExecution { details },
            Some(EventKind::WorkflowExecutionCanceled(event)),
        ) => *details == event.details,
        (
            Command::FailWorkflowExecution { failure },
            Some(EventKind::WorkflowExecutionFailed(event)),
        ) => **failure == event.failure,
        _ => false,
    }
}
