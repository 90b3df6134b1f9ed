//! What the stories need: a fresh database, an engine on it, its HTTP server, and a worker.

pub(crate) mod client;
mod database;
mod node;
mod server;
mod workflows;

pub(crate) use client::Client;
pub(crate) use database::Database;
pub(crate) use node::{Node, PATIENCE, remove, scratch};
pub(crate) use server::Server;
