//! The way between members: `POST /internal/v1/deliver`, for whoever knows the secret in the database.

mod client;
mod handlers;

pub(crate) use client::{Http, IDENTITY, http};
pub(crate) use handlers::{deliver, identity};
