//! The REST API as a client sees it.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Returns an HTTP client that goes straight to loopback, whatever the environment says of proxies.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A client of the namespace `default`.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    namespace: String,
    workflows: String,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let namespace = format!("{address}/api/v1/namespaces/default");
        Self {
            http: http(),
            workflows: format!("{namespace}/workflows"),
            namespace,
        }
    }

    /// Reads; the path and query follow `/workflows`.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(
            self.http
                .request(Method::GET, format!("{}{path}", self.workflows)),
        )
        .await
    }

    /// Changes something.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(
            self.http
                .request(Method::POST, format!("{}{path}", self.workflows))
                .json(&body),
        )
        .await
    }

    /// Reads or changes something of the namespace; the path follows its own.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.namespace);
        self.send(self.http.request(method, url).json(&body)).await
    }

    /// Lists runs.
    pub(crate) async fn list(&self, parameters: &[(&str, &str)]) -> (u16, Value) {
        let request = self.http.request(Method::GET, &self.workflows);
        self.send(request.query(parameters)).await
    }

    /// Declares search attributes.
    pub(crate) async fn declare(&self, attributes: &[(&str, &str)]) {
        for (name, ty) in attributes {
            let body = serde_json::json!({"name": name, "type": ty});
            let (status, declared) = self.ask(Method::POST, "/search-attributes", body).await;
            assert_eq!(status, 201, "{declared}");
        }
    }

    /// Changes something as a member asks that forwards a request; `fresh` is the id that it gave the request.
    pub(crate) async fn post_forwarded(
        &self,
        path: &str,
        fresh: &str,
        body: Value,
    ) -> (u16, Value) {
        self.send(
            self.http
                .request(Method::POST, format!("{}{path}", self.workflows))
                .header("x-coreason-forwarded", "1")
                .header("x-coreason-fresh", fresh)
                .json(&body),
        )
        .await
    }

    /// Reads; nothing when there is no answer within some seconds.
    pub(crate) async fn try_get(&self, path: &str) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.workflows);
        Self::try_send(self.http.request(Method::GET, url)).await
    }

    /// Changes something; nothing when there is no answer within some seconds.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let url = format!("{}{path}", self.workflows);
        Self::try_send(self.http.request(Method::POST, url).json(body)).await
    }

    async fn try_send(request: RequestBuilder) -> Option<(u16, Value)> {
        let within = std::time::Duration::from_secs(5);
        let response = request.timeout(within).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    async fn send(&self, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Starts a workflow and returns its run id.
    pub(crate) async fn start(&self, workflow_type: &str, workflow_id: &str) -> String {
        let body = serde_json::json!({"workflowType": workflow_type, "workflowId": workflow_id});
        let (status, started) = self.post("", body).await;
        assert_eq!(status, 201, "{started}");
        started["runId"].as_str().unwrap().to_owned()
    }

    /// Waits for the end of a workflow.
    pub(crate) async fn result(&self, workflow_id: &str) -> Value {
        let (status, outcome) = self.get(&format!("/{workflow_id}/result?wait=true")).await;
        assert_eq!(status, 200, "{outcome}");
        outcome
    }

    /// Returns the names of the events of a closed workflow's history.
    pub(crate) async fn event_names(&self, workflow_id: &str) -> Vec<String> {
        let (status, page) = self
            .get(&format!("/{workflow_id}/history?pageSize=1000"))
            .await;
        assert_eq!(status, 200, "{page}");
        let name = |event: &Value| {
            event["eventType"]
                .as_str()
                .unwrap()
                .trim_start_matches("EVENT_TYPE_")
                .to_owned()
        };
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect()
    }
}

/// Returns the workflow ids of a page.
pub(crate) fn ids(page: &Value) -> Vec<&str> {
    let runs = page["workflows"].as_array().unwrap().iter();
    runs.filter_map(|run| run["workflowId"].as_str()).collect()
}

/// Returns status and code of a refusal.
pub(crate) fn code((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["error"]["code"].as_str().unwrap_or_default())
}
