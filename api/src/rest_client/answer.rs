//! What a server answers to one request.

use engine::innermost;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};

use super::error::{Error, Refusal};

/// The JSON text of an answer, and where it came from.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    address: String,
}

impl Answer {
    /// Reads the answer.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|error| Error::Answer {
            address: self.address.clone(),
            problem: error.to_string(),
        })
    }
}

/// Sends a request once.
pub(super) async fn answer(request: RequestBuilder, address: Url) -> Result<Answer, Error> {
    let lost = |error: reqwest::Error| {
        let (address, problem) = (address.to_string(), innermost(&error));
        if error.is_connect() {
            Error::Unreachable { address, problem }
        } else {
            Error::Unanswered { address, problem }
        }
    };
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let text = response.text().await.map_err(lost)?;
    if status.is_success() {
        return Ok(Answer {
            text,
            address: address.to_string(),
        });
    }
    Err(refused(status, &text, &address))
}

fn refused(status: StatusCode, text: &str, address: &Url) -> Error {
    #[derive(Deserialize)]
    struct Envelope {
        error: Refusal,
    }
    match serde_json::from_str(text) {
        Ok(Envelope { error }) => Error::Refused(error),
        Err(_) => Error::Answer {
            address: address.to_string(),
            problem: format!("HTTP status {status}"),
        },
    }
}
