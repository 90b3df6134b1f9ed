//! Why a command does not end.

use std::io::Write as _;

/// Says on stderr why a command does not end: a line of text, or of JSON.
pub(super) fn say(what: &str, message: &str, json: bool) {
    let line = if json {
        serde_json::json!({ "problem": message }).to_string()
    } else {
        format!("{what}: {message}")
    };
    // There is nowhere left to say that the terminal is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
