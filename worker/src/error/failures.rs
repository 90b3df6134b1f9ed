//! Failures that this SDK makes, and what failures say.

use std::fmt;

use history::{Failure, FailureInfo};

/// The SDK's name in the failures that it makes.
pub(crate) const SOURCE: &str = "RustSDK";

/// Writes the message and its causes.
pub(super) fn write_chain(failure: &Failure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&failure.message)?;
    for cause in chain(failure).skip(1) {
        write!(f, ": {}", cause.message)?;
    }
    Ok(())
}

/// Yields the failure and its causes.
pub(crate) fn chain(failure: &Failure) -> impl Iterator<Item = &Failure> {
    std::iter::successors(Some(failure), |failure| failure.cause.as_deref())
}

pub(crate) fn is_canceled(failure: &Failure) -> bool {
    chain(failure).any(|failure| matches!(failure.info, FailureInfo::Canceled { .. }))
}

/// Returns an error and what caused it as one text, without what a text says already.
pub(crate) fn chained(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// Returns an application failure that this SDK made.
pub(crate) fn application(message: String, kind: String) -> Failure {
    let mut failure = Failure::application(message, kind, false);
    SOURCE.clone_into(&mut failure.source);
    failure
}

/// Returns the name of an error's type: its last part, or all of it when that is only `Error`.
pub(crate) fn type_name<T: ?Sized>() -> String {
    let full = std::any::type_name::<T>();
    let path = full.split('<').next().unwrap_or(full);
    match path.rsplit("::").next() {
        Some("Error") | None => path.to_owned(),
        Some(last) => last.to_owned(),
    }
}
