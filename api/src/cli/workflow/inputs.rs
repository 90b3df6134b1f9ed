//! Arguments in JSON.

use std::io;

use serde_json::value::RawValue;

use crate::{cli::error::Error, workflows::input::Value};

/// Reads what `--input` says, as often as it was given.
pub(super) fn inputs(texts: &[String]) -> Result<Vec<Box<RawValue>>, Error> {
    if texts.iter().filter(|text| *text == "-").count() > 1 {
        let problem =
            "--input - is given more than once, and stdin can be read for one argument only";
        return Err(Error::Usage(problem.to_owned()));
    }
    let read = |text: &String| json_argument("--input ", text);
    texts.iter().map(read).collect()
}

/// Reads what is behind these words and is JSON: the text itself, `@` and a file that has it, or `-` for what comes on stdin.
pub(super) fn json_argument(before: &str, text: &str) -> Result<Box<RawValue>, Error> {
    let name = before.trim_end_matches([' ', '=']);
    let unread = |error: io::Error| Error::Usage(format!("{before}{text} can't be read: {error}"));
    let (text, advice) = match text.strip_prefix('@') {
        Some(file) => (
            std::fs::read_to_string(file).map_err(unread)?,
            format!("it is what the file {file} has"),
        ),
        None if text == "-" => (
            io::read_to_string(io::stdin()).map_err(unread)?,
            "it is what came on stdin".to_owned(),
        ),
        None => (
            text.to_owned(),
            format!(
                "quote it for the shell, as in {before}'{{\"a\":1}}' or {before}'\"text\"'; {before}@FILE and {before}- read it from a file and from stdin"
            ),
        ),
    };
    serde_json::from_str::<Value<'_>>(&text)
        .map(|Value(raw)| raw.to_owned())
        .map_err(|error| Error::Usage(format!("{name} is not JSON: {error}; {advice}")))
}
