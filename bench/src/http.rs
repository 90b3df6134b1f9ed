//! The load over HTTP: each client has one connection and writes its requests by hand, so that the client costs little.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use uuid::Uuid;

use crate::{load::Figures, workflows::QUEUE};

/// Runs clients in a closed loop of `start?wait` for a while.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    clients: usize,
    time: Duration,
    activities: u32,
) -> Result<Figures> {
    let begun = Instant::now();
    let until = begun + time;
    let running: Vec<_> = (0..clients)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await?;
                let mut latencies = Vec::with_capacity(4096);
                while Instant::now() < until {
                    let sent = Instant::now();
                    client.execute(activities).await?;
                    latencies.push(sent.elapsed());
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut all = Vec::with_capacity(clients);
    for client in running {
        all.push(client.await??);
    }
    Ok(Figures::of(begun.elapsed(), all))
}

/// One connection that is kept.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(4096),
        })
    }

    /// Starts a workflow and waits for its result in the same call.
    async fn execute(&mut self, activities: u32) -> Result<()> {
        let body = format!(
            r#"{{"workflowType":"sequence","workflowId":"{}","taskQueue":"{QUEUE}","input":{activities}}}"#,
            Uuid::new_v4()
        );
        let request = format!(
            "POST /api/v1/namespaces/default/workflows?wait=20s HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
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
            anyhow::ensure!(
                self.stream.read_buf(&mut self.answer).await? > 0,
                "the server hung up"
            );
        };
        let text = std::str::from_utf8(&self.answer[..head])?.to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .context("an answer without a length")?
            .trim()
            .parse()?;
        while self.answer.len() < head + length {
            anyhow::ensure!(
                self.stream.read_buf(&mut self.answer).await? > 0,
                "the server hung up"
            );
        }
        let answer = std::str::from_utf8(&self.answer[head..])?;
        let expected = format!(r#""result":{activities}"#);
        anyhow::ensure!(
            text.starts_with("http/1.1 20") && answer.contains(&expected),
            "{text}{answer}"
        );
        Ok(())
    }
}
