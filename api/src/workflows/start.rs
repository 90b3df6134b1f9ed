//! `POST …/workflows`: starts a workflow, and waits for its result if told.

use std::borrow::Cow;

use axum::{extract::State, http::StatusCode, response::Response};
use engine::{Address, Started};
use history::{
    Millis, RequestId, RetryPolicy, TaskQueue, WorkflowId, WorkflowType,
    decide::StartWorkflow,
    event::{Header, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
};
use serde::{Deserialize, Serialize};

use super::{
    input::{Facts, Value, arguments, facts, identity, present},
    outcome::reply_waited,
};
use crate::{
    app::App,
    duration::Human,
    error::Error,
    extract::{Json, NamespacePath, Query},
    forward::Fresh,
    reply,
    wait::Wait,
};

/// The task queue of a start that names none.
const TASK_QUEUE: &str = "default";

/// The query string.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartQuery {
    /// How long to wait for the result; the answer is not an outcome unless given.
    #[serde(default)]
    wait: Wait,
}

/// Starts a workflow.
pub(crate) async fn start(
    State(app): State<App>,
    NamespacePath { namespace }: NamespacePath,
    Query(query): Query<StartQuery>,
    fresh: Fresh,
    body: Json,
) -> Result<Response, Error> {
    let request = body.read::<StartBody<'_>>()?.request(&fresh)?;
    let engine = app.engine()?;
    let workflow_id = request.workflow_id.clone();
    let Wait(Some(wait)) = query.wait else {
        let started = engine.start_workflow(&namespace, request).await?;
        return Ok(reply_started(&workflow_id, started));
    };
    let (started, waited) = engine.execute_workflow(&namespace, request, wait).await?;
    let run = Address {
        namespace,
        workflow_id,
        run_id: None,
    };
    Ok(reply_waited(engine, run, &waited, Some(started.started)).await)
}

/// The answer to a start that does not wait: 201, or 200 where the run was there before.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartReply<'a> {
    /// The workflow.
    workflow_id: &'a WorkflowId,
    /// The run that was started, or was open.
    run_id: history::RunId,
    /// Whether this request started it.
    started: bool,
}

fn reply_started(workflow_id: &WorkflowId, started: Started) -> Response {
    let status = if started.started {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    reply::json(
        status,
        &StartReply {
            workflow_id,
            run_id: started.run_id,
            started: started.started,
        },
    )
}

/// The body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StartBody<'a> {
    /// The name of its code.
    #[serde(borrow)]
    workflow_type: Cow<'a, str>,
    /// Its id; a new UUID unless given.
    #[serde(borrow)]
    workflow_id: Option<Cow<'a, str>>,
    /// The queue whose workers run it; `default` unless given.
    #[serde(borrow)]
    task_queue: Option<Cow<'a, str>>,
    /// Its argument; `null` is a value.
    #[serde(borrow, default, deserialize_with = "present")]
    input: Option<Value<'a>>,
    /// Its arguments, where there are several.
    #[serde(borrow)]
    inputs: Option<Vec<Value<'a>>>,
    /// The most time for the whole chain of runs, such as `30s`.
    workflow_execution_timeout: Option<Human>,
    /// The most time for one run.
    workflow_run_timeout: Option<Human>,
    /// The most time for one workflow task.
    workflow_task_timeout: Option<Human>,
    /// How long its code waits before it begins.
    start_delay: Option<Human>,
    /// Names the request, so that its repetition has no second effect; a new one unless given.
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    /// Who asks; it is on record.
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
    /// Whether the id may have been used before.
    #[serde(default)]
    workflow_id_reuse_policy: WorkflowIdReusePolicy,
    /// What happens if a run of the id is open.
    #[serde(default)]
    workflow_id_conflict_policy: WorkflowIdConflictPolicy,
    /// How failed runs are repeated; they are not unless given.
    retry_policy: Option<RetryPolicyBody>,
    /// Facts by key, shown with the run.
    #[serde(borrow, default)]
    memo: Facts<'a>,
    /// What lists find it by: values of what the namespace has declared.
    #[serde(borrow, default)]
    search_attributes: Facts<'a>,
}

impl StartBody<'_> {
    /// Returns the start; `fresh` gives the id where it names none.
    fn request(self, fresh: &Fresh) -> Result<StartWorkflow, Error> {
        let fresh = (self.workflow_id.is_none() || self.request_id.is_none()).then(|| fresh.id());
        let named = |given: &Option<Cow<'_, str>>| {
            given
                .as_deref()
                .or(fresh.as_deref())
                .unwrap_or_default()
                .to_owned()
        };
        Ok(StartWorkflow {
            workflow_id: WorkflowId::new(named(&self.workflow_id))?,
            workflow_type: WorkflowType::new(&self.workflow_type)?,
            task_queue: TaskQueue::new(self.task_queue.as_deref().unwrap_or(TASK_QUEUE))?,
            input: arguments(self.input, self.inputs)?,
            workflow_execution_timeout: millis(self.workflow_execution_timeout),
            workflow_run_timeout: millis(self.workflow_run_timeout),
            workflow_task_timeout: millis(self.workflow_task_timeout),
            request_id: RequestId::new(named(&self.request_id))?,
            identity: identity(self.identity.as_deref())?,
            reuse_policy: self.workflow_id_reuse_policy,
            conflict_policy: self.workflow_id_conflict_policy,
            retry_policy: self.retry_policy.map(RetryPolicyBody::policy),
            cron_schedule: String::new(),
            start_delay: millis(self.start_delay),
            memo: facts(self.memo),
            search_attributes: facts(self.search_attributes),
            header: Header::new(),
            parent: None,
            continued: None,
        })
    }
}

fn millis(given: Option<Human>) -> Millis {
    given.map_or(Millis::ZERO, |Human(duration)| Millis::from(duration))
}

/// How failed runs are repeated.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RetryPolicyBody {
    /// The time before the first repetition.
    initial_interval: Option<Human>,
    /// By how much each interval is longer than the one before.
    backoff_coefficient: Option<f64>,
    /// The longest interval.
    maximum_interval: Option<Human>,
    /// How many attempts there are; 0 is any number.
    #[serde(default)]
    maximum_attempts: u32,
    /// Types of errors that are not repeated.
    #[serde(default)]
    non_retryable_error_types: Vec<String>,
}

impl RetryPolicyBody {
    fn policy(self) -> RetryPolicy {
        let usual = RetryPolicy::default();
        RetryPolicy {
            initial_interval: self
                .initial_interval
                .map_or(usual.initial_interval, |Human(d)| d.into()),
            backoff_coefficient: self
                .backoff_coefficient
                .unwrap_or(usual.backoff_coefficient),
            maximum_interval: millis(self.maximum_interval),
            maximum_attempts: self.maximum_attempts,
            non_retryable_error_types: self.non_retryable_error_types,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<StartWorkflow, Error> {
        serde_json::from_str::<StartBody<'_>>(text)
            .map_err(|error| Error::InvalidBody(error.to_string()))?
            .request(&Fresh::new())
    }

    #[test]
    fn everything_that_is_absent_has_a_default() {
        let request = request(r#"{"workflowType":"hello"}"#).unwrap();
        assert_eq!(request.task_queue.as_str(), "default");
        assert_eq!(request.workflow_id.as_str().len(), 36);
        assert!(request.input.is_empty());
        assert_eq!(request.workflow_run_timeout, Millis::ZERO);
        assert_eq!(request.retry_policy, None);
    }

    #[test]
    fn input_is_kept_byte_for_byte() {
        let one = request(r#"{"workflowType":"t","input": {"b": 1.50,  "a":[]}}"#).unwrap();
        assert_eq!(one.input.0.len(), 1);
        assert_eq!(one.input.0[0].data, r#"{"b": 1.50,  "a":[]}"#);
        let null = request(r#"{"workflowType":"t","input":null}"#).unwrap();
        assert_eq!(null.input.0[0].data, "null");
        let several = request(r#"{"workflowType":"t","inputs":[1,"two"]}"#).unwrap();
        assert_eq!(several.input.0.len(), 2);
    }

    #[test]
    fn durations_and_policies_are_read() {
        let request = request(
            r#"{"workflowType":"t","workflowRunTimeout":"1m30s","startDelay":"500ms","workflowIdConflictPolicy":"UseExisting",
                "workflowIdReusePolicy":"RejectDuplicate","retryPolicy":{"initialInterval":"2s","maximumAttempts":3},
                "memo":{"who":"me"}}"#,
        )
        .unwrap();
        assert_eq!(request.workflow_run_timeout, Millis(90_000));
        assert_eq!(request.start_delay, Millis(500));
        assert_eq!(
            request.conflict_policy,
            WorkflowIdConflictPolicy::UseExisting
        );
        assert_eq!(request.reuse_policy, WorkflowIdReusePolicy::RejectDuplicate);
        let policy = request.retry_policy.unwrap();
        assert_eq!(
            (policy.initial_interval, policy.maximum_attempts),
            (Millis(2000), 3)
        );
        assert!((policy.backoff_coefficient - 2.0).abs() < f64::EPSILON);
        assert_eq!(request.memo["who"].data, r#""me""#);
    }
}
