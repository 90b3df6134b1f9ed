//! The load over HTTP: each client has one connection and writes its requests by hand, so that the client costs little.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use uuid::Uuid;

use crate::{load, workflows::QUEUE};

/// What is asked for over HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    /// Our REST interface: start to result in one call.
    Ours,
    /// A handler behind Restate's ingress, by its path.
    Restate(&'static str),
}

/// One connection that is kept.
pub(crate) struct Client {
    service: Service,
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, service: Service) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            service,
            stream,
            answer: Vec::with_capacity(4096),
        })
    }

    /// Sends JSON and returns what is answered, which must say how long it is.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Result<&str> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        let head = loop {
            if let Some(end) = self
                .answer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                break end + 4;
            }
            self.read().await?;
        };
        let text = std::str::from_utf8(&self.answer[..head])?.to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .with_context(|| format!("an answer without a length: {text}"))?
            .trim()
            .parse()?;
        while self.answer.len() < head + length {
            self.read().await?;
        }
        let answer = std::str::from_utf8(&self.answer[head..])?;
        anyhow::ensure!(text.starts_with("http/1.1 20"), "{text}{answer}");
        Ok(answer)
    }

    async fn read(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.answer).await?;
        anyhow::ensure!(read > 0, "the server hung up");
        Ok(())
    }
}

impl load::Client for Client {
    async fn execute(&mut self, activities: u32) -> Result<()> {
        let right = match self.service {
            Service::Ours => {
                let body = format!(
                    r#"{{"workflowType":"sequence","workflowId":"{}","taskQueue":"{QUEUE}","input":{activities}}}"#,
                    Uuid::new_v4()
                );
                self.post("/api/v1/namespaces/default/workflows?wait=20s", &body)
                    .await?
                    .contains(&format!(r#""result":{activities}"#))
            }
            Service::Restate(path) => {
                let body = activities.to_string();
                self.post(path, &body).await? == body
            }
        };
        anyhow::ensure!(right, "a workflow ended with another result");
        Ok(())
    }
}
