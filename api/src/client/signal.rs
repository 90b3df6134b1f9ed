//! A signal to a workflow, with its request id.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use history::Payloads;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use worker::definition::encode;

use super::{Error, arguments::raw, requests::Requests};

/// A signal about to be sent; see [`Handle::signal`](super::Handle::signal).
#[must_use = "nothing is sent before it is awaited"]
#[derive(Debug)]
pub struct SendSignal<'a> {
    client: &'a Requests,
    workflow_id: &'a str,
    body: Result<Body<'a>, Error>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    signal_name: &'a str,
    inputs: Vec<Box<RawValue>>,
    request_id: String,
}

/// An answer that says only that it is done.
#[derive(Deserialize)]
struct Done {}

impl<'a> SendSignal<'a> {
    pub(super) fn new<T: Serialize + ?Sized>(
        client: &'a Requests,
        workflow_id: &'a str,
        signal_name: &'a str,
        message: &T,
    ) -> Self {
        let inputs = encode(message).map_err(Error::from);
        let inputs = inputs.and_then(|message| raw(&Payloads::one(message)));
        Self {
            client,
            workflow_id,
            body: inputs.map(|inputs| Body {
                signal_name,
                inputs,
                request_id: Uuid::new_v4().to_string(),
            }),
        }
    }

    /// An id under which it counts once, however often it is sent; a random one unless told.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        if let Ok(body) = &mut self.body {
            body.request_id = request_id.into();
        }
        self
    }

    async fn send(self) -> Result<(), Error> {
        let path = [self.workflow_id, "signal"];
        let Done {} = self.client.post(&path, &self.body?).await?;
        Ok(())
    }
}

impl<'a> IntoFuture for SendSignal<'a> {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
