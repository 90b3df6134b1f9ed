//! The Postgres shell around the core.
