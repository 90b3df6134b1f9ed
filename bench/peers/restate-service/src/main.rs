//! The service that Restate's server calls: workflows of N steps that add one, each a `ctx.run` or a call to another service.
//! Listens on the address given.

use anyhow::{Context as _, Result};
use restate_sdk::prelude::*;

struct Adder;

#[service]
impl Adder {
    #[handler]
    async fn add_one(&self, _ctx: Context<'_>, n: u32) -> Result<u32, HandlerError> {
        Ok(n + 1)
    }
}

struct Sequence;

#[service]
impl Sequence {
    #[handler]
    async fn run(&self, ctx: Context<'_>, steps: u32) -> Result<u32, HandlerError> {
        let mut n = 0;
        while n < steps {
            n = ctx
                .run(|| async move { Ok(n + 1) })
                .name("add_one")
                .await?;
        }
        Ok(n)
    }

    #[handler]
    async fn call(&self, ctx: Context<'_>, steps: u32) -> Result<u32, HandlerError> {
        let mut n = 0;
        while n < steps {
            n = ctx.service_client::<AdderClient>().add_one(n).call().await?;
        }
        Ok(n)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("the address to listen on")?;
    let endpoint = Endpoint::builder().bind(Adder).bind(Sequence).build();
    HttpServer::new(endpoint)
        .listen_and_serve(address.parse()?)
        .await;
    Ok(())
}
