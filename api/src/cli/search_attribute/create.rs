//! `coreason search-attribute create`.

use std::io::Write as _;

use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};

use crate::cli::{Error, session::Session};

/// Every type, as it is written elsewhere too.
const TYPES: [&str; 7] = [
    "Text",
    "Keyword",
    "Int",
    "Double",
    "Bool",
    "Datetime",
    "KeywordList",
];

#[derive(clap::Args)]
pub(super) struct Create {
    /// Its name: a letter, then letters, digits and underscores.
    #[arg(long)]
    name: String,
    /// What its values are; it can't be changed.
    #[arg(long = "type", value_name = "TYPE", ignore_case = true, value_parser = PossibleValuesParser::new(TYPES))]
    ty: String,
}

#[derive(Serialize)]
struct Body<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    declared: bool,
}

impl Create {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let body = Body {
            name: &self.name,
            ty: &self.ty,
        };
        let answer = session
            .client
            .post(&["search-attributes"], &[], &body)
            .await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
            return Ok(());
        }
        let Answer { name, ty, declared } = answer.read()?;
        let what = if declared {
            "declared"
        } else {
            "already declared:"
        };
        writeln!(out, "{what} {name} ({ty})")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use history::SearchAttributeType;

    #[test]
    fn every_type_can_be_declared() {
        let all = SearchAttributeType::ALL.map(|ty| ty.to_string());
        assert_eq!(super::TYPES.as_slice(), all);
    }
}
