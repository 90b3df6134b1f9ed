//! Why a command failed, in one line.

use std::{io, path::PathBuf};

use engine::{
    audit::{DumpError, NoProof, NotProved},
    seal::{KeyError, Refusal},
};
use serde::Serialize;

use super::exit::{FAILURE, OK, UNCHECKED, USAGE};
use crate::{audit, demo, dev, rest_client, shutdown::ENDED};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The server refused, or is not there.
    #[error(transparent)]
    Server(#[from] rest_client::Error),
    /// The words make no sense.
    #[error("{0}")]
    Usage(String),
    /// The workflow ended otherwise than by returning.
    #[error("workflow {workflow_id} {ending}")]
    Workflow { workflow_id: String, ending: String },
    /// The terminal is gone, or the machine has no threads left.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// A file that is to be audited can't be read.
    #[error("{}: {problem}", file.display())]
    Unreadable { file: PathBuf, problem: io::Error },
    /// The audit found something.
    #[error("the audit found {0} problems")]
    AuditFailed(u64),
    /// The database could not be checked.
    #[error("{0}")]
    Unchecked(Box<Self>),
    /// There is no proof.
    #[error("{}", chain(.0))]
    NoProof(#[from] NoProof),
    /// A proof proves nothing.
    #[error("{0}")]
    NotProved(#[from] NotProved),
    /// The key can't be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The log is not signed.
    #[error("{0}")]
    NotSealed(Refusal),
    /// No dump was written.
    #[error("{}", chain(.0))]
    Dump(#[from] DumpError),
    /// No run to be checked.
    #[error("there is no run {0} in this database: nothing was checked")]
    NoRun(history::RunId),
    /// The database could not be looked at.
    #[error("{}", chain(.0))]
    Audit(#[from] audit::Error),
    /// The database can't be read.
    #[error("{}", chain(.0))]
    Engine(#[from] engine::Error),
    /// Postgres can't be reached.
    #[error("{}", chain(.0))]
    Postgres(#[from] crate::postgres::Error),
    /// The server failed.
    #[error("{}", chain(.0))]
    Dev(#[from] dev::Error),
    /// The demo failed.
    #[error("{}", chain(.0))]
    Demo(#[from] demo::Error),
}

impl Error {
    /// Returns the stable code, if there is one.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Server(error) => error.code(),
            Self::Usage(_) => "USAGE",
            Self::Workflow { .. } => "WORKFLOW_DID_NOT_COMPLETE",
            Self::Output(_) | Self::Dump(DumpError::Io(_)) => "OUTPUT_FAILED",
            Self::Unreadable { .. } => "DUMP_UNREADABLE",
            Self::AuditFailed(_) => "AUDIT_FAILED",
            Self::Unchecked(error) => error.code(),
            Self::NoProof(error) => error.code(),
            Self::NotProved(_) => "NOT_PROVED",
            Self::Key(_) => "SEAL_KEY_UNUSABLE",
            Self::NotSealed(_) => "SEAL_REFUSED",
            Self::Dump(DumpError::Store(error)) => error.code(),
            Self::NoRun(_) => "WORKFLOW_NOT_FOUND",
            Self::Audit(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Postgres(error) => error.code(),
            Self::Dev(error) => error.code(),
            Self::Demo(error) => error.code(),
        }
    }

    /// Returns what the user can do, where the message does not say it.
    fn advice(&self) -> Option<&str> {
        match self {
            Self::Server(error) | Self::Demo(demo::Error::Server(error)) => error.advice(),
            Self::NoRun(_) => {
                Some("look for its id with `coreason workflow show` or in the table execution")
            }
            Self::NoProof(NoProof::NoRun) => Some(
                "look for its id with `coreason workflow list`; name its namespace with --namespace",
            ),
            Self::NotProved(NotProved::Stranger) => Some(
                "take the key from whom you trust, not from the database: `coreason audit key` shows it where the server runs",
            ),
            Self::AuditFailed(_) => Some("docs/audit.md says what each problem means"),
            Self::Unchecked(error) => error.advice(),
            _ => None,
        }
    }

    /// Returns all of it in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{self} [{}]", self.code());
        if let Some(advice) = self.advice() {
            line.push_str("; ");
            line.push_str(advice);
        }
        line.replace(['\n', '\r'], " ")
    }

    /// Returns all of it as the server would answer it.
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            advice: Option<&'a str>,
        }
        let error = Body {
            code: self.code(),
            message: self.to_string(),
            advice: self.advice(),
        };
        // Text and keys that are text can be written.
        serde_json::to_string(&Envelope { error }).unwrap_or_default()
    }

    /// Says whether there is nothing to say: whoever read the output has left.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Server(error) if error.is_of_words() => USAGE,
            Self::Audit(audit::Error::Interrupted) | Self::Dev(dev::Error::Interrupted) => ENDED,
            Self::Unchecked(_) | Self::Unreadable { .. } => UNCHECKED,
            Self::Output(_) if self.is_silent() => OK,
            _ => FAILURE,
        }
    }
}

/// Returns an error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest_client::error::Refusal;

    #[test]
    fn an_error_is_one_line_with_code_and_advice() {
        let error = Error::from(rest_client::Error::Refused(Refusal {
            code: "WORKFLOW_NOT_FOUND".to_owned(),
            message: "there is no workflow a\nb".to_owned(),
            advice: Some("look for it".to_owned()),
            owner: None,
        }));
        assert_eq!(
            error.line(),
            "there is no workflow a b [WORKFLOW_NOT_FOUND]; look for it"
        );
        assert_eq!(
            error.json(),
            r#"{"error":{"code":"WORKFLOW_NOT_FOUND","message":"there is no workflow a\nb","advice":"look for it"}}"#
        );
        assert_eq!(error.exit_code(), FAILURE);
        assert_eq!(Error::Usage("no".to_owned()).exit_code(), USAGE);
    }
}
