//! Engines whose lease is a test's own: short, where a takeover is waited for.

use std::time::Duration;

use engine::Config;

/// Returns the set-up of an engine with this lease.
pub(crate) fn with_lease(url: impl Into<String>, lease: Duration) -> Config {
    Config {
        lease,
        ..Config::new(url, "http://127.0.0.1:1")
    }
}
