//! What the attributes make of a function: a type with a name, inputs, an output and defaults.

use std::{any::TypeId, future::Future, pin::Pin, time::Duration};

use history::{
    ActivityType, Failure, Payload, Payloads, RetryPolicy, WorkflowType, payload::ReadError,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::Fails, options::Retry};

/// An activity, as `#[activity]` makes it of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "expected a function under `#[activity]`"
)]
pub trait ActivityDefinition: Copy + 'static {
    /// The name by which histories know it.
    const NAME: &'static str;
    /// The options of the definition.
    const DEFAULTS: ActivityDefaults;
    /// The types of what is injected by reference.
    const NEEDS: &'static [Need];
    /// All arguments.
    type Input;
    /// What it returns.
    type Output: Serialize + DeserializeOwned;
    /// What it fails with.
    type Error: Fails;

    /// Returns the name, made once.
    fn activity_type() -> ActivityType;
    /// Returns the payloads of the arguments.
    fn encode(input: Self::Input) -> Result<Payloads, EncodeError>;
    /// Returns the arguments of the payloads.
    fn decode(payloads: &Payloads) -> Result<Self::Input, DecodeError>;
}

/// A workflow, as `#[workflow]` makes it of an async function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "expected a function under `#[workflow]`"
)]
pub trait WorkflowDefinition: Copy + 'static {
    /// The name by which histories know it.
    const NAME: &'static str;
    /// The options of the definition.
    const DEFAULTS: WorkflowDefaults;
    /// All arguments.
    type Input;
    /// What it returns.
    type Output: Serialize + DeserializeOwned;
    /// What it fails with.
    type Error: Fails;

    /// Returns the name, made once.
    fn workflow_type() -> WorkflowType;
    /// Returns the payloads of the arguments.
    fn encode(input: Self::Input) -> Result<Payloads, EncodeError>;
    /// Returns the arguments of the payloads.
    fn decode(payloads: &Payloads) -> Result<Self::Input, DecodeError>;
}

/// A signal, as `#[signal]` makes it of a struct or an enum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a signal",
    label = "expected a type under `#[signal]`"
)]
pub trait SignalDefinition: Serialize + DeserializeOwned + 'static {
    /// The name of the channel it arrives on.
    const NAME: &'static str;
}

/// Workflow code, on its way.
pub type Coroutine = Pin<Box<dyn Future<Output = Ended>>>;

/// How workflow code ended.
#[derive(Debug)]
pub enum Ended {
    /// It returned.
    Returned(Payloads),
    /// It failed.
    Failed(Box<Failure>),
    /// Its result can't be encoded.
    Unencodable(EncodeError),
}

/// Returns how workflow code ended.
#[doc(hidden)]
pub fn ended<W: WorkflowDefinition>(result: Result<W::Output, W::Error>) -> Ended {
    match result {
        Ok(output) => match encode(&output) {
            Ok(payload) => Ended::Returned(Payloads::one(payload)),
            Err(error) => Ended::Unencodable(error),
        },
        Err(error) => Ended::Failed(error.into_failure()),
    }
}

/// The parts of a function's `Result`.
#[diagnostic::on_unimplemented(
    message = "workflows and activities return a `Result`",
    label = "not a `Result`"
)]
pub trait Outcome {
    /// What it returns.
    type Output;
    /// What it fails with.
    type Error;
}

impl<T, E> Outcome for Result<T, E> {
    type Output = T;
    type Error = E;
}

/// A type that an activity takes by reference.
#[derive(Debug)]
pub struct Need {
    pub(crate) id: fn() -> TypeId,
    pub(crate) name: fn() -> &'static str,
}

impl Need {
    /// Returns the need for a `T`.
    pub const fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>,
            name: std::any::type_name::<T>,
        }
    }
}

/// The options of an activity's definition.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each is documented at the call option of its name"
)]
pub struct ActivityDefaults {
    pub schedule_to_close: Option<Duration>,
    pub schedule_to_start: Option<Duration>,
    pub start_to_close: Option<Duration>,
    pub heartbeat: Option<Duration>,
    pub retry: Option<RetryDefaults>,
}

/// The retry options of an activity's definition.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each is documented at the method of `Retry` of its name"
)]
pub struct RetryDefaults {
    pub max_attempts: Option<u32>,
    pub initial: Option<Duration>,
    pub max_interval: Option<Duration>,
    pub backoff: Option<f64>,
    pub non_retryable: &'static [&'static str],
}

impl RetryDefaults {
    pub(crate) fn policy(&self) -> RetryPolicy {
        let mut retry = Retry::attempts(self.max_attempts.unwrap_or(0));
        if let Some(initial) = self.initial {
            retry = retry.initial(initial);
        }
        if let Some(interval) = self.max_interval {
            retry = retry.max_interval(interval);
        }
        if let Some(coefficient) = self.backoff {
            retry = retry.backoff(coefficient);
        }
        self.non_retryable
            .iter()
            .fold(retry, |retry, kind| retry.except(*kind))
            .into()
    }
}

/// The options of a workflow's definition, for those who start it.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each is documented at the child option of its name"
)]
pub struct WorkflowDefaults {
    pub task_timeout: Option<Duration>,
    pub run_timeout: Option<Duration>,
    pub execution_timeout: Option<Duration>,
}

/// Why a value has no payload.
#[derive(Debug, thiserror::Error)]
#[error("the value can't be written as JSON")]
pub struct EncodeError(#[from] serde_json::Error);

/// Why payloads are not what the code takes.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct DecodeError {
    what: Misfit,
    source: Option<ReadError>,
}

/// What is not what the code takes.
#[derive(Debug, thiserror::Error)]
enum Misfit {
    #[error("argument {} is not what the code takes", .0 + 1)]
    Argument(usize),
    #[error("the code takes an argument, and none was given")]
    None,
    #[error("the code takes {} arguments or more, and {given} {} given", given + 1, if *given == 1 { "was" } else { "were" })]
    TooFew { given: usize },
    #[error("the result is not what the code takes")]
    Result,
}

/// Returns a value as a payload: JSON, or none for what JSON calls null.
#[doc(hidden)]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, EncodeError> {
    let payload = Payload::json(value)?;
    Ok(if payload.data == "null" {
        Payload::null()
    } else {
        payload
    })
}

/// Returns one argument. One that was not given is null, or the struct of which nothing must be given.
#[doc(hidden)]
pub fn argument<T: DeserializeOwned>(payloads: &Payloads, at: usize) -> Result<T, DecodeError> {
    let given = payloads.0.len();
    value(payloads, at).map_err(|source| match given {
        // What the code misses in nothing at all helps nobody.
        0 => DecodeError {
            what: Misfit::None,
            source: None,
        },
        given if given <= at => DecodeError {
            what: Misfit::TooFew { given },
            source: None,
        },
        _ => DecodeError {
            what: Misfit::Argument(at),
            source: Some(source),
        },
    })
}

/// Returns what an activity or a workflow returned.
#[doc(hidden)]
pub fn result<T: DeserializeOwned>(payloads: &Payloads) -> Result<T, DecodeError> {
    value(payloads, 0).map_err(|source| DecodeError {
        what: Misfit::Result,
        source: Some(source),
    })
}

fn value<T: DeserializeOwned>(payloads: &Payloads, at: usize) -> Result<T, ReadError> {
    match payloads.0.get(at) {
        Some(payload) => payload.read(),
        None => Payload::null()
            .read()
            .or_else(|_| Payload::json_text("{}").read()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "it is only asked for")]
        id: u32,
    }

    #[test]
    fn what_was_not_given_is_not_read_as_something() {
        let given = |count: usize| Payloads(vec![Payload::json_text("5"); count]);
        for (payloads, at, says) in [
            (
                given(0),
                0,
                "the code takes an argument, and none was given",
            ),
            (
                given(0),
                1,
                "the code takes an argument, and none was given",
            ),
            (
                given(1),
                1,
                "the code takes 2 arguments or more, and 1 was given",
            ),
            (
                given(2),
                3,
                "the code takes 3 arguments or more, and 2 were given",
            ),
            (given(1), 0, "argument 1 is not what the code takes"),
        ] {
            let error = argument::<Order>(&payloads, at).unwrap_err();
            assert_eq!(error.to_string(), says);
        }
        assert_eq!(argument::<Option<u32>>(&given(0), 0).unwrap(), None);
        let result = result::<Order>(&given(1)).unwrap_err();
        assert_eq!(result.to_string(), "the result is not what the code takes");
    }
}
