//! Memos and search attributes: read from the command line, and shown in a line.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::inputs::json_argument;
use crate::{cli::Error, terminal::one_line};

/// JSON values by key.
pub(super) type Facts = BTreeMap<String, Box<RawValue>>;

/// Reads what an option says, as often as it was given: `KEY=JSON`.
pub(super) fn facts(option: &str, texts: &[String]) -> Result<Facts, Error> {
    let mut facts = Facts::new();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Error::Usage(format!(
                "{option} {text} has no value; write {option} {text}='\"text\"'"
            )));
        };
        let value = json_argument(&format!("{option} {key}="), value)?;
        if facts.insert(key.to_owned(), value).is_some() {
            let problem = format!("{option} {key} is given more than once");
            return Err(Error::Usage(problem));
        }
    }
    Ok(facts)
}

/// Returns facts in a line; nothing where there are none.
pub(super) fn line(facts: &Facts) -> Option<String> {
    let facts: Vec<String> = facts
        .iter()
        .map(|(key, value)| one_line(&format!("{key}={}", value.get())))
        .collect();
    (!facts.is_empty()).then(|| facts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Facts, String> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        facts("--memo", &texts).map_err(|error| error.to_string())
    }

    #[test]
    fn facts_are_shown_as_they_are_written() {
        let facts = read(&[r#"who="a=b""#, "n=7"]).unwrap();
        assert_eq!(line(&facts).unwrap(), r#"n=7, who="a=b""#);
        assert_eq!(line(&Facts::new()), None);
    }

    #[test]
    fn a_fact_without_value_one_that_is_no_json_and_one_given_twice_are_refused() {
        for (texts, says) in [
            (
                ["n=1", "who"],
                r#"--memo who has no value; write --memo who='"text"'"#,
            ),
            (["n=1", "who=me"], r#"as in --memo who='{"a":1}'"#),
            (["n=1", "n=2"], "--memo n is given more than once"),
        ] {
            let problem = read(&texts).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
