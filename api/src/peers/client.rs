//! Asks other members.

use engine::peers::{Peers, Unreached};
use futures::{FutureExt as _, future::BoxFuture};

/// Where a process says which one it is.
pub(crate) const IDENTITY: &str = "/internal/v1/identity";

/// Reaches other members by HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Http(pub(crate) reqwest::Client);

/// Returns a client that goes straight to other members, whatever the environment says of proxies.
pub(crate) fn http() -> reqwest::Client {
    let straight = reqwest::Client::builder().no_proxy().build();
    straight.unwrap_or_default()
}

impl Peers for Http {
    fn send(
        &self,
        address: &str,
        request: String,
    ) -> BoxFuture<'static, Result<String, Unreached>> {
        let request = self
            .0
            .post(format!("{address}/internal/v1/deliver"))
            .body(request);
        async move {
            let unreached = |error: reqwest::Error| Unreached(error.to_string());
            let answer = request.send().await.map_err(unreached)?;
            let answer = answer.error_for_status().map_err(unreached)?;
            answer.text().await.map_err(unreached)
        }
        .boxed()
    }
}
