//! The engine on a real Postgres, with workers whose answers are spelled out.

mod durability;
mod lifecycle;
mod support;
