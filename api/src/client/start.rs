//! A start of a workflow, with its options.

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use history::{
    Millis, Payloads, RetryPolicy, RunId,
    event::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use worker::definition::{EncodeError, WorkflowDefinition};

use super::{Error, Handle, NoResult, arguments::raw, requests::Requests};

/// A workflow about to be started; see [`Client::start`](crate::Client::start). Options given here win over the definition's.
#[must_use = "nothing is started before it is awaited"]
pub struct Start<W: WorkflowDefinition, A = ToHandle> {
    client: Requests,
    input: Result<Payloads, EncodeError>,
    body: Body,
    workflow: PhantomData<fn() -> (W, A)>,
}

/// A [`Start`] that returns a handle to the run once it is started.
#[derive(Debug)]
pub enum ToHandle {}

/// A [`Start`] that returns the result once the workflow has ended.
#[derive(Debug)]
pub enum ToResult {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    workflow_type: &'static str,
    workflow_id: String,
    request_id: String,
    inputs: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_execution_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_run_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_task_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_delay: Option<String>,
    workflow_id_reuse_policy: WorkflowIdReusePolicy,
    workflow_id_conflict_policy: WorkflowIdConflictPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy: Option<Retry>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    memo: BTreeMap<String, Box<RawValue>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    search_attributes: BTreeMap<String, Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    initial_interval: String,
    backoff_coefficient: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_interval: Option<String>,
    maximum_attempts: u32,
    non_retryable_error_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    run_id: RunId,
}

impl<W: WorkflowDefinition, A> Start<W, A> {
    pub(super) fn new(client: Requests, input: W::Input) -> Self {
        let defaults = &W::DEFAULTS;
        Self {
            client,
            input: W::encode(input),
            body: Body {
                workflow_type: W::NAME,
                workflow_id: Uuid::new_v4().to_string(),
                request_id: Uuid::new_v4().to_string(),
                inputs: Vec::new(),
                task_queue: None,
                workflow_execution_timeout: defaults.execution_timeout.map(text),
                workflow_run_timeout: defaults.run_timeout.map(text),
                workflow_task_timeout: defaults.task_timeout.map(text),
                start_delay: None,
                workflow_id_reuse_policy: WorkflowIdReusePolicy::default(),
                workflow_id_conflict_policy: WorkflowIdConflictPolicy::default(),
                retry_policy: None,
                memo: BTreeMap::new(),
                search_attributes: BTreeMap::new(),
            },
            workflow: PhantomData,
        }
    }

    /// Its workflow id; a new UUID unless told.
    pub fn id(mut self, workflow_id: impl Into<String>) -> Self {
        self.body.workflow_id = workflow_id.into();
        self
    }

    /// The queue whose workers run it; `default` unless told.
    pub fn task_queue(mut self, queue: impl Into<String>) -> Self {
        self.body.task_queue = Some(queue.into());
        self
    }

    /// The most time for its whole chain of runs.
    pub fn execution_timeout(mut self, timeout: Duration) -> Self {
        self.body.workflow_execution_timeout = Some(text(timeout));
        self
    }

    /// The most time for one run of it.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.body.workflow_run_timeout = Some(text(timeout));
        self
    }

    /// The most time for one workflow task of it.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.body.workflow_task_timeout = Some(text(timeout));
        self
    }

    /// How long its code waits before it begins.
    pub fn start_delay(mut self, delay: Duration) -> Self {
        self.body.start_delay = Some(text(delay));
        self
    }

    /// How failed runs of it are repeated; they are not unless told.
    pub fn retry(mut self, policy: impl Into<RetryPolicy>) -> Self {
        let policy: RetryPolicy = policy.into();
        self.body.retry_policy = Some(Retry {
            initial_interval: millis(policy.initial_interval),
            backoff_coefficient: policy.backoff_coefficient,
            maximum_interval: policy.maximum_interval.non_zero().map(millis),
            maximum_attempts: policy.maximum_attempts,
            non_retryable_error_types: policy.non_retryable_error_types,
        });
        self
    }

    /// Whether its id may have been used before.
    pub fn id_reuse_policy(mut self, policy: WorkflowIdReusePolicy) -> Self {
        self.body.workflow_id_reuse_policy = policy;
        self
    }

    /// What happens when a run of its id is open.
    pub fn id_conflict_policy(mut self, policy: WorkflowIdConflictPolicy) -> Self {
        self.body.workflow_id_conflict_policy = policy;
        self
    }

    /// A fact that is shown with the run, by its key.
    pub fn memo(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        if let Some(value) = self.written(&value) {
            self.body.memo.insert(key.into(), value);
        }
        self
    }

    /// What lists find it by: a value of a search attribute that the namespace has declared.
    pub fn search_attribute(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        if let Some(value) = self.written(&value) {
            self.body.search_attributes.insert(name.into(), value);
        }
        self
    }

    /// Returns a value as JSON. One that is none is what the start ends with.
    fn written(&mut self, value: &impl Serialize) -> Option<Box<RawValue>> {
        let written = serde_json::value::to_raw_value(value);
        written.map_err(|error| self.input = Err(error.into())).ok()
    }

    /// Names the request, so that it has one effect however often your program sends it; new unless told.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.body.request_id = request_id.into();
        self
    }

    /// Starts it and waits for its result.
    ///
    /// # Errors
    /// When it was not started, or did not return.
    pub async fn result(self) -> Result<W::Output, NoResult<W>> {
        self.send().await?.result().await
    }

    async fn send(mut self) -> Result<Handle<W>, Error> {
        self.body.inputs = raw(&self.input?)?;
        let Started { run_id } = self.client.post(&[], &self.body).await?;
        Ok(Handle::new(
            self.client,
            self.body.workflow_id,
            Some(run_id),
        ))
    }
}

impl<W: WorkflowDefinition> IntoFuture for Start<W, ToHandle> {
    type Output = Result<Handle<W>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<W: WorkflowDefinition> IntoFuture for Start<W, ToResult> {
    type Output = Result<W::Output, NoResult<W>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result())
    }
}

fn text(duration: Duration) -> String {
    millis(Millis::from(duration))
}

fn millis(millis: Millis) -> String {
    format!("{}ms", millis.0)
}
