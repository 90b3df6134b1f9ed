//! A language for tests: a line at the margin is a request, the indented lines below it are all that it leads to.
//!
//! ```text
//! complete: activity a
//!   4 WorkflowTaskCompleted             an event, with its id
//!   5 ActivityTaskScheduled a
//!   > DispatchActivityTask a            an effect
//! run a
//!   ~ ActivityAttemptStarted a          a note
//! done b
//!   ! ACTIVITY_TASK_NOT_FOUND           a rejection
//! ```
//!
//! `given` carries out requests, separated by `|`, without telling what they lead to. `wait 5s` moves the clock and
//! fires what is due on the way. `crash` folds what is stored and tells what is outstanding. [`check`] tells the story
//! again and compares; with `UPDATE_STORIES=1` in the environment it writes what it heard into the test.

use std::{collections::BTreeMap, fmt::Write as _, panic::Location};

use uuid::Uuid;

use super::telling;
use crate::{
    Command, Execution, Record,
    command::{ContinueAsNewWorkflowExecution, ScheduleActivityTask, StartChildWorkflowExecution},
    decide::{
        self, CancelActivityTask, ChildClosed, ChildOutcome, CompleteActivityTask,
        CompleteWorkflowTask, Decision, Effect, FailActivityTask, FailWorkflowTask,
        HeartbeatActivity, Parent, Rejection, RequestCancel, Signal, StartActivityTask,
        StartWorkflow, StartWorkflowTask, Sticky, Terminate,
    },
    event::{
        EventKind, ExternalFailedCause, ParentClosePolicy, SdkMetadata, StartChildFailedCause,
        WorkflowExecutionSignaled, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
        WorkflowTaskFailedCause,
    },
    failure::{Failure, RetryState},
    ids::{
        ActivityId, ActivityType, EventId, Identity, Namespace, RequestId, RunId, SignalName,
        TaskQueue, TimerId, WorkflowExecution, WorkflowId, WorkflowType,
    },
    payload::{Payload, Payloads},
    record::{Note, Noted},
    retry::RetryPolicy,
    time::{Millis, Timestamp},
};

/// Compares a story with what really happens.
#[track_caller]
pub(super) fn check(story: &str) {
    let margin = " ".repeat(
        story
            .lines()
            .nth(1)
            .map_or(0, |line| line.len() - line.trim_start().len()),
    );
    let told: String = story.lines().skip(1).fold(String::new(), |mut text, line| {
        let _ = writeln!(
            text,
            "{}",
            line.strip_prefix(margin.as_str())
                .unwrap_or(line.trim_start())
        );
        text
    });
    let told = told.trim_end().to_owned();
    let mut teller = Story::new();
    let heard = teller.tell(&told);
    teller.check_fold();
    if told == heard {
        return;
    }
    if std::env::var_os("UPDATE_STORIES").is_some() {
        let location = Location::caller();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(location.file());
        let source = std::fs::read_to_string(&path).unwrap();
        let indented: String = heard.lines().fold("\n".to_owned(), |mut text, line| {
            let _ = writeln!(text, "{margin}{line}");
            text
        });
        let last = story.rsplit('\n').next().unwrap_or_default();
        std::fs::write(&path, source.replacen(story, &(indented + last), 1)).unwrap();
        return;
    }
    panic!("the story goes otherwise:\n{heard}\n");
}

/// A run, its log and a clock.
pub(super) struct Story {
    run_id: RunId,
    /// Nothing before it has started.
    pub(super) folded: Option<Execution>,
    /// All that was applied.
    pub(super) log: Vec<Record>,
    /// What of it is in the log that is stored.
    pub(super) stored: Vec<Record>,
    /// What is kept beside that: failures of attempts, at once; not that one has started, which comes later.
    pub(super) kept: BTreeMap<EventId, Noted>,
    pub(super) now: Timestamp,
    pub(super) names: BTreeMap<String, EventId>,
    pub(super) subjects: BTreeMap<EventId, String>,
    /// The run that was asked for when this one closed.
    follows: Option<Box<StartWorkflow>>,
}

pub(super) const RUN: RunId = RunId(Uuid::from_u128(1));
pub(super) const NEXT_RUN: RunId = RunId(Uuid::from_u128(2));
pub(super) const CHILD_RUN: RunId = RunId(Uuid::from_u128(3));
const NEXT_CHILD_RUN: RunId = RunId(Uuid::from_u128(4));

pub(super) type Outcome = Result<Decision, Rejection>;

impl Story {
    pub(super) fn new() -> Self {
        Self {
            run_id: RUN,
            folded: None,
            log: Vec::new(),
            stored: Vec::new(),
            kept: BTreeMap::new(),
            now: Timestamp(0),
            names: BTreeMap::new(),
            subjects: BTreeMap::new(),
            follows: None,
        }
    }

    /// Returns the run as it stands.
    pub(super) fn execution(&self) -> &Execution {
        self.folded.as_ref().unwrap()
    }

    pub(super) fn execution_mut(&mut self) -> &mut Execution {
        self.folded.as_mut().unwrap()
    }

    fn tell(&mut self, story: &str) -> String {
        let mut heard = Vec::new();
        for line in story
            .lines()
            .filter(|line| !line.starts_with(' ') && !line.is_empty())
        {
            heard.push(line.to_owned());
            if let Some(requests) = line.strip_prefix("given ") {
                for request in requests.split('|') {
                    let lines = self.ask(request.trim());
                    let refused = lines.iter().find(|line| line.starts_with("  !"));
                    assert_eq!(refused, None, "given {request}");
                }
            } else {
                heard.extend(self.ask(line));
            }
        }
        heard.join("\n")
    }

    /// Carries out one line.
    pub(super) fn ask(&mut self, line: &str) -> Vec<String> {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        let words = Words::of(rest);
        match verb {
            "wait" => return self.wait(duration(words.first())),
            "crash" => return self.crash(),
            "next" | "restart" => return self.next(verb == "next", &words),
            "heard" => return self.heard(&words),
            "deadline" => {
                let next = self.execution().next_deadline();
                return vec![format!(
                    "  = {}",
                    next.map_or_else(|| "none".to_owned(), telling::moment)
                )];
            }
            _ => {}
        }
        let outcome = self.decide(verb, &words, line);
        self.hear(outcome)
    }

    /// Returns what a request leads to, without carrying it out.
    pub(super) fn outcome(&self, line: &str) -> Outcome {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        self.decide(verb, &Words::of(rest), line)
    }

    pub(super) fn hear(&mut self, outcome: Outcome) -> Vec<String> {
        match outcome {
            Err(rejection) => vec![format!("  ! {}", telling::rejection(&rejection))],
            Ok(decision) => {
                let mut lines = Vec::new();
                for record in decision.records {
                    self.name(&record);
                    self.keep(&record);
                    lines.push(format!("  {}", telling::record(self, &record)));
                    self.log.push(record);
                }
                for effect in &decision.effects {
                    if let Effect::StartNewRun { start, .. } = effect {
                        self.follows = Some(start.clone());
                    }
                }
                lines.extend(
                    decision
                        .effects
                        .iter()
                        .map(|effect| format!("  > {}", telling::effect(self, effect))),
                );
                lines.extend(
                    decision
                        .refusal
                        .iter()
                        .map(|refusal| format!("  ! {}", telling::rejection(refusal))),
                );
                lines
            }
        }
    }

    /// Applies a record, and stores what is to be stored of it.
    fn keep(&mut self, record: &Record) {
        let logged = self.folded.as_ref().is_none_or(|run| run.logs(record));
        Execution::fold(&mut self.folded, &default(), self.run_id, record).unwrap();
        if logged {
            self.stored.push(record.clone());
        } else if let Record::Note(noted) = record
            && matches!(
                noted.note,
                Note::ActivityAttemptFailed { .. } | Note::WorkflowTaskAttemptFailed { .. }
            )
            && let Some(about) = noted.note.about()
        {
            let noted = self.execution().attempts(about);
            self.kept.extend(noted.map(|noted| (about, noted)));
        }
        let execution = self.folded.as_ref();
        self.kept.retain(|about, _| {
            execution.is_some_and(|execution| execution.attempts(*about).is_some())
        });
    }

    /// Returns the run as it is read from what is stored.
    pub(super) fn read_back(&self, kept: impl IntoIterator<Item = Noted>) -> Execution {
        let kept = kept.into_iter().map(Record::Note);
        let records: Vec<Record> = self.stored.iter().cloned().chain(kept).collect();
        let stored = serde_json::to_string(&records).unwrap();
        fold(&serde_json::from_str::<Vec<Record>>(&stored).unwrap())
    }

    /// Learns the names that later lines use.
    fn name(&mut self, record: &Record) {
        let Some(event) = record.event() else { return };
        let name = match &event.kind {
            EventKind::ActivityTaskScheduled(a) => a.activity_id.as_str(),
            EventKind::TimerStarted(a) => a.timer_id.as_str(),
            EventKind::StartChildWorkflowExecutionInitiated(a) => a.workflow_id.as_str(),
            EventKind::SignalExternalWorkflowExecutionInitiated(a) => a.workflow_id.as_str(),
            EventKind::RequestCancelExternalWorkflowExecutionInitiated(a) => a.workflow_id.as_str(),
            _ => return,
        };
        self.names.insert(name.to_owned(), event.id);
        self.subjects.insert(event.id, name.to_owned());
    }

    fn wait(&mut self, time: Millis) -> Vec<String> {
        let end = self.now.after(time);
        let mut lines = Vec::new();
        let next = |folded: &Option<Execution>| folded.as_ref()?.next_deadline();
        while let Some(at) = next(&self.folded).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let decision = decide::fire_due(self.execution(), NEXT_RUN, self.now);
            assert!(!decision.records.is_empty(), "nothing is due at a deadline");
            lines.extend(self.hear(Ok(decision)));
        }
        self.now = end;
        lines
    }

    /// Goes on with the run that follows, or with one that takes the id over by a start of its own.
    fn next(&mut self, asked_for: bool, words: &Words<'_>) -> Vec<String> {
        let request = if asked_for {
            *self.follows.take().unwrap()
        } else {
            StartWorkflow {
                request_id: RequestId::known(words.get("id").unwrap()),
                ..start_of(words)
            }
        };
        let run_id = RunId(Uuid::from_u128(self.execution().run_id().0.as_u128() + 10));
        let outcome = decide::start_after(self.execution(), run_id, &request, self.now);
        (self.run_id, self.folded) = (run_id, None);
        self.log.clear();
        self.stored.clear();
        self.kept.clear();
        self.hear(outcome)
    }

    /// Tells what a start is answered that may have been heard before.
    fn heard(&self, words: &Words<'_>) -> Vec<String> {
        let request_id = RequestId::known(words.get("id").unwrap());
        let heard = self.execution().start_heard(&request_id);
        vec![heard.map_or_else(
            || "  = never".to_owned(),
            |heard| {
                let did = if heard.began { "began" } else { "found" };
                format!("  = {did} run {}", heard.run_id.0.as_u128())
            },
        )]
    }

    /// Forgets what is not kept, and tells what is outstanding.
    fn crash(&mut self) -> Vec<String> {
        let kept = self.kept.values().cloned().map(Record::Note);
        self.log = self.stored.iter().cloned().chain(kept).collect();
        self.folded = fold_as(self.run_id, &self.log);
        self.execution()
            .outstanding()
            .iter()
            .map(|effect| format!("  > {}", telling::effect(self, effect)))
            .collect()
    }

    /// Checks that the stored log makes the same execution.
    pub(super) fn check_fold(&self) {
        let stored = serde_json::to_string(&self.log).unwrap();
        let read: Vec<Record> = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, self.log, "the stored text reads back as it was");
        assert_eq!(
            fold_as(self.run_id, &read),
            self.folded,
            "the stored log makes the same execution"
        );
    }

    fn decide(&self, verb: &str, words: &Words<'_>, line: &str) -> Outcome {
        if verb == "start" {
            return decide::start(&default(), RUN, &start_of(words), self.now);
        }
        let (exec, now) = (self.execution(), self.now);
        let identity = Some(Identity::known("worker"));
        let request_id = words.get("id").map(RequestId::known);
        let task = exec.workflow_task();
        let scheduled_event_id = task.map_or(EventId(0), |task| task.scheduled_event_id);
        let task_attempt = words
            .number("attempt")
            .or(task.map(|task| task.attempt))
            .unwrap_or(1);
        let started_event_id = task
            .and_then(|task| task.start())
            .map_or(EventId(0), |start| start.started_event_id);
        match verb {
            "take" => {
                let history_bytes = words.number("bytes").unwrap_or(1000).into();
                let request = StartWorkflowTask {
                    scheduled_event_id,
                    attempt: task_attempt,
                    identity,
                    history_bytes,
                };
                decide::start_workflow_task(exec, &request, now)
            }
            "complete" => {
                let (options, commands) = line.split_once(':').unwrap_or((line, ""));
                let request = CompleteWorkflowTask {
                    scheduled_event_id,
                    started_event_id,
                    attempt: task_attempt,
                    identity,
                    commands: commands
                        .split(';')
                        .map(str::trim)
                        .filter(|text| !text.is_empty())
                        .map(|text| self.command(text))
                        .collect(),
                    sdk_metadata: SdkMetadata::default(),
                    sticky: options.contains("sticky").then(|| Sticky {
                        task_queue: TaskQueue::known("its-own"),
                        schedule_to_start_timeout: Millis::seconds(10),
                    }),
                    force_create_new_workflow_task: options.contains("force"),
                    new_run_id: Some(NEXT_RUN),
                };
                decide::complete_workflow_task(exec, &request, now)
            }
            "fail-task" => {
                let failure = Some(Failure::application("panicked", "Panic", false));
                let cause = WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
                let request = FailWorkflowTask {
                    scheduled_event_id,
                    started_event_id,
                    attempt: task_attempt,
                    cause,
                    failure,
                    identity,
                };
                decide::fail_workflow_task(exec, &request, now)
            }
            "lose-task" => decide::lose_workflow_task(exec, now),
            "signal" => {
                let request = Signal {
                    signal_name: SignalName::known(words.first()),
                    input: sized_payloads(words),
                    header: BTreeMap::new(),
                    identity: None,
                    request_id,
                    external: None,
                };
                decide::signal(exec, &request, now)
            }
            "cancel" => {
                let request = RequestCancel {
                    cause: "enough".to_owned(),
                    identity: None,
                    request_id,
                    external: None,
                };
                decide::request_cancel(exec, &request, now)
            }
            "terminate" => {
                let request = Terminate {
                    reason: "enough".to_owned(),
                    details: Payloads::default(),
                    identity: None,
                };
                decide::terminate(exec, &request, now)
            }
            "attach" => Ok(decide::attach_start(exec, &request_id.unwrap(), now)),
            "due" => Ok(decide::fire_due(exec, NEXT_RUN, now)),
            "run" | "done" | "err" | "canceled" | "beat" | "lose" => self.attempt(verb, words),
            _ => self.answer(verb, words),
        }
    }

    /// Requests about an attempt of an activity.
    fn attempt(&self, verb: &str, words: &Words<'_>) -> Outcome {
        let (exec, now) = (self.execution(), self.now);
        let identity = Some(Identity::known("worker"));
        let scheduled_event_id = self.id(words.first());
        let known = exec
            .activity(scheduled_event_id)
            .map(|activity| activity.attempt);
        let attempt = words.number("attempt").or(known).unwrap_or(1);
        match verb {
            "run" => decide::start_activity_task(
                exec,
                &StartActivityTask {
                    scheduled_event_id,
                    attempt,
                    identity,
                },
                now,
            ),
            "done" => {
                let result = sized_payloads(words);
                decide::complete_activity_task(
                    exec,
                    &CompleteActivityTask {
                        scheduled_event_id,
                        attempt,
                        result,
                        identity,
                    },
                    now,
                )
            }
            "err" => {
                let mut failure = Failure::application(
                    "no",
                    words.get("type").unwrap_or("Error"),
                    words.has("final"),
                );
                if let (
                    Some(text),
                    crate::FailureInfo::Application {
                        next_retry_delay, ..
                    },
                ) = (words.get("delay"), &mut failure.info)
                {
                    *next_retry_delay = Some(duration(text));
                }
                for _ in 0..words.number("depth").unwrap_or(0) {
                    failure = Failure::application("no", "Error", false).because(failure);
                }
                failure.stack_trace = "x".repeat(words.number("size").unwrap_or(0) as usize);
                decide::fail_activity_task(
                    exec,
                    &FailActivityTask {
                        scheduled_event_id,
                        attempt,
                        failure,
                        identity,
                    },
                    now,
                )
            }
            "canceled" => {
                let details = sized_payloads(words);
                decide::cancel_activity_task(
                    exec,
                    &CancelActivityTask {
                        scheduled_event_id,
                        attempt,
                        details,
                        identity,
                    },
                    now,
                )
            }
            "beat" => {
                let details = words.get("details").map_or_else(
                    || sized_payloads(words),
                    |text| Payloads::one(Payload::json_text(text.to_owned())),
                );
                decide::heartbeat_activity(
                    exec,
                    &HeartbeatActivity {
                        scheduled_event_id,
                        attempt,
                        details,
                        identity,
                    },
                    now,
                )
            }
            _ => decide::lose_activity_task(exec, scheduled_event_id, attempt, now),
        }
    }

    /// What others answer.
    fn answer(&self, verb: &str, words: &Words<'_>) -> Outcome {
        let (exec, now) = (self.execution(), self.now);
        let id = self.id(words.first());
        match verb {
            "child-started" => decide::child_started(exec, id, CHILD_RUN, now),
            "child-not-started" => decide::child_start_failed(
                exec,
                id,
                StartChildFailedCause::WorkflowAlreadyExists,
                now,
            ),
            "child-closed" => {
                let outcome = match words.0.get(1).copied().unwrap_or_default() {
                    "failed" => ChildOutcome::Failed(
                        Failure::application("no", "Error", false),
                        RetryState::RetryPolicyNotSet,
                    ),
                    "canceled" => ChildOutcome::Canceled(Payloads::default()),
                    "timed-out" => ChildOutcome::TimedOut(RetryState::RetryPolicyNotSet),
                    "terminated" => ChildOutcome::Terminated,
                    _ => ChildOutcome::Completed(Payloads::default()),
                };
                let closed = ChildClosed {
                    initiated_event_id: id,
                    execution: WorkflowExecution {
                        workflow_id: WorkflowId::known(words.first()),
                        run_id: if words.has("later") {
                            NEXT_CHILD_RUN
                        } else {
                            CHILD_RUN
                        },
                    },
                    first_run_id: CHILD_RUN,
                    workflow_type: WorkflowType::known("Child"),
                    outcome,
                };
                decide::child_closed(exec, &closed, now)
            }
            "signal-delivered" => decide::external_signaled(exec, id, now),
            "signal-failed" => decide::external_signal_failed(
                exec,
                id,
                ExternalFailedCause::ExternalWorkflowExecutionNotFound,
                now,
            ),
            "cancel-delivered" => decide::external_cancel_requested(exec, id, now),
            "cancel-failed" => decide::external_cancel_failed(
                exec,
                id,
                ExternalFailedCause::ExternalWorkflowExecutionNotFound,
                now,
            ),
            other => panic!("no story knows the verb {other}"),
        }
    }

    fn id(&self, name: &str) -> EventId {
        self.names
            .get(name)
            .copied()
            .or_else(|| name.parse().ok().map(EventId))
            .unwrap_or(EventId(999))
    }

    /// Reads a command.
    fn command(&self, text: &str) -> Command {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words = Words::of(rest);
        let namespace = || Namespace::known("default");
        match verb {
            "activity" => Command::ScheduleActivityTask(Box::new(activity_of(&words))),
            "cancel-activity" => Command::RequestCancelActivityTask {
                scheduled_event_id: self.id(words.first()),
            },
            "timer" => Command::StartTimer {
                timer_id: TimerId::known(words.first()),
                start_to_fire_timeout: duration(words.0.get(1).copied().unwrap_or("5s")),
            },
            "cancel-timer" => Command::CancelTimer {
                timer_id: TimerId::known(words.first()),
            },
            "return" => Command::CompleteWorkflowExecution {
                result: sized_payloads(&words),
            },
            "fail" => Command::FailWorkflowExecution {
                failure: Box::new(Failure::application("no", "Error", words.has("final"))),
            },
            "end-canceled" => Command::CancelWorkflowExecution {
                details: Payloads::default(),
            },
            "continue" => {
                Command::ContinueAsNewWorkflowExecution(Box::new(ContinueAsNewWorkflowExecution {
                    workflow_type: None,
                    task_queue: None,
                    input: sized_payloads(&words),
                    workflow_run_timeout: words.time("run"),
                    workflow_task_timeout: Millis::ZERO,
                    backoff_start_interval: words.time("delay"),
                    retry_policy: None,
                    initiator: crate::event::ContinueAsNewInitiator::Unspecified,
                    header: BTreeMap::new(),
                    memo: BTreeMap::new(),
                    search_attributes: BTreeMap::new(),
                    unread_signals: signals(&words),
                }))
            }
            "child" => Command::StartChildWorkflowExecution(Box::new(child_of(&words))),
            "signal-external" => Command::SignalExternalWorkflowExecution {
                namespace: namespace(),
                workflow_id: WorkflowId::known(words.first()),
                run_id: None,
                signal_name: SignalName::known("hello"),
                input: Payloads::default(),
                child_workflow_only: words.has("child-only"),
                header: BTreeMap::new(),
            },
            "cancel-external" => Command::RequestCancelExternalWorkflowExecution {
                namespace: namespace(),
                workflow_id: WorkflowId::known(words.first()),
                run_id: None,
                child_workflow_only: words.has("child-only"),
                reason: "enough".to_owned(),
            },
            "marker" => Command::RecordMarker {
                marker_name: words.first().to_owned(),
                details: BTreeMap::new(),
                header: BTreeMap::new(),
                failure: None,
            },
            "memo" => Command::ModifyWorkflowProperties {
                upserted_memo: facts(&words),
            },
            "upsert" => Command::UpsertWorkflowSearchAttributes {
                search_attributes: facts(&words),
            },
            "message" => Command::ProtocolMessage {
                message_id: "m".to_owned(),
            },
            "nexus" => Command::RequestCancelNexusOperation {
                scheduled_event_id: EventId(5),
            },
            other => panic!("no story knows the command {other}"),
        }
    }
}

/// Returns the fold of a log.
pub(super) fn fold(log: &[Record]) -> Execution {
    fold_as(RUN, log).unwrap()
}

fn fold_as(run_id: RunId, log: &[Record]) -> Option<Execution> {
    let mut folded = None;
    for record in log {
        Execution::fold(&mut folded, &default(), run_id, record).unwrap();
    }
    folded
}

/// Returns the namespace of all stories.
pub(super) fn default() -> Namespace {
    Namespace::known("default")
}

/// The words after a verb: plain ones and `key=value`.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.split_whitespace().collect())
    }

    fn first(&self) -> &'a str {
        self.0.first().copied().unwrap_or_default()
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.get(key).map(|text| text.parse().unwrap())
    }

    fn time(&self, key: &str) -> Millis {
        self.get(key).map_or(Millis::ZERO, duration)
    }
}

fn duration(text: &str) -> Millis {
    if let Some(number) = text.strip_suffix("ms") {
        Millis(number.parse().unwrap())
    } else if let Some(number) = text.strip_suffix('h') {
        Millis::seconds(3600 * number.parse::<u64>().unwrap())
    } else {
        Millis::seconds(text.strip_suffix('s').unwrap().parse().unwrap())
    }
}

fn sized_payloads(words: &Words<'_>) -> Payloads {
    let bytes = words.number("size").unwrap_or(0) as usize;
    if bytes == 0 {
        return Payloads::default();
    }
    Payloads::one(Payload::binary(vec![0; bytes]))
}

/// Returns the signals that were not read: `unread=name,name/request`.
fn signals(words: &Words<'_>) -> Vec<WorkflowExecutionSignaled> {
    let names = words.get("unread").into_iter();
    names
        .flat_map(|names| names.split(','))
        .map(|signal| {
            let (name, request) = signal.split_once('/').unwrap_or((signal, ""));
            WorkflowExecutionSignaled {
                signal_name: SignalName::known(name),
                input: sized_payloads(words),
                identity: None,
                header: BTreeMap::new(),
                external_workflow_execution: None,
                request_id: RequestId::new(request).ok(),
            }
        })
        .collect()
}

fn facts(words: &Words<'_>) -> BTreeMap<String, Payload> {
    words
        .0
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| {
            let payload = if value == "null" {
                Payload::null()
            } else if let Some(bytes) = value.strip_prefix('#') {
                Payload::binary(vec![b'x'; bytes.parse().unwrap()])
            } else {
                Payload::json_text(value.replace("json-null", "null"))
            };
            (key.to_owned(), payload)
        })
        .collect()
}

/// Returns the facts whose keys begin so.
fn facts_of(words: &Words<'_>, prefix: &str) -> BTreeMap<String, Payload> {
    let named = facts(words).into_iter();
    named
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value)))
        .collect()
}

fn policy_of(words: &Words<'_>) -> Option<RetryPolicy> {
    let maximum_attempts = words.number("attempts")?;
    let non_retryable_error_types = words.get("never").map(str::to_owned).into_iter().collect();
    Some(RetryPolicy {
        maximum_attempts,
        non_retryable_error_types,
        ..RetryPolicy::default()
    })
}

/// Returns a plain start by that request.
pub(super) fn request(request_id: &str) -> StartWorkflow {
    StartWorkflow {
        request_id: RequestId::known(request_id),
        ..start_of(&Words::of(""))
    }
}

fn start_of(words: &Words<'_>) -> StartWorkflow {
    let other = |id: &str, run_id: u128| WorkflowExecution {
        workflow_id: WorkflowId::known(id),
        run_id: RunId(Uuid::from_u128(run_id)),
    };
    StartWorkflow {
        workflow_id: WorkflowId::known("w"),
        workflow_type: WorkflowType::known("Greet"),
        task_queue: TaskQueue::known("main"),
        input: sized_payloads(words),
        workflow_execution_timeout: words.time("execution"),
        workflow_run_timeout: words.time("run"),
        workflow_task_timeout: words.time("task"),
        request_id: RequestId::known("r1"),
        identity: None,
        reuse_policy: WorkflowIdReusePolicy::AllowDuplicate,
        conflict_policy: WorkflowIdConflictPolicy::Fail,
        retry_policy: policy_of(words),
        cron_schedule: words.get("cron").unwrap_or_default().to_owned(),
        start_delay: words.time("delay"),
        memo: facts_of(words, "memo."),
        search_attributes: facts_of(words, "search."),
        header: BTreeMap::new(),
        parent: words.has("parent").then(|| Parent {
            namespace: Namespace::known("default"),
            execution: other("parent", 9),
            initiated_event_id: EventId(5),
            root: other("root", 8),
        }),
        continued: None,
    }
}

fn activity_of(words: &Words<'_>) -> ScheduleActivityTask {
    let start_to_close = words.get("once").map_or(Millis::seconds(10), duration);
    ScheduleActivityTask {
        activity_id: ActivityId::known(words.first()),
        activity_type: ActivityType::known("Work"),
        task_queue: words.get("queue").map(TaskQueue::known),
        header: BTreeMap::new(),
        input: sized_payloads(words),
        schedule_to_close_timeout: words.time("all"),
        schedule_to_start_timeout: words.time("queued"),
        start_to_close_timeout: start_to_close,
        heartbeat_timeout: words.time("beat"),
        retry_policy: policy_of(words),
    }
}

fn child_of(words: &Words<'_>) -> StartChildWorkflowExecution {
    StartChildWorkflowExecution {
        namespace: None,
        workflow_id: WorkflowId::known(words.first()),
        workflow_type: WorkflowType::known("Child"),
        task_queue: None,
        input: Payloads::default(),
        workflow_execution_timeout: Millis::ZERO,
        workflow_run_timeout: words.time("run"),
        workflow_task_timeout: Millis::ZERO,
        parent_close_policy: match words.get("policy") {
            Some("abandon") => ParentClosePolicy::Abandon,
            Some("cancel") => ParentClosePolicy::RequestCancel,
            _ => ParentClosePolicy::Terminate,
        },
        workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate,
        retry_policy: None,
        cron_schedule: words.get("cron").unwrap_or_default().to_owned(),
        header: BTreeMap::new(),
        memo: BTreeMap::new(),
        search_attributes: BTreeMap::new(),
    }
}
