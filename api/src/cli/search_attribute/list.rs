//! `coreason search-attribute list`.

use std::io::Write as _;

use serde::Deserialize;

use crate::{
    cli::{Error, session::Session},
    terminal::{Screen, Table},
};

#[derive(clap::Args)]
pub(super) struct List {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    search_attributes: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    ty: String,
}

impl List {
    pub(super) async fn run(self, session: Session) -> Result<(), Error> {
        let answer = session.client.get(&["search-attributes"], &[]).await?;
        let mut out = std::io::stdout().lock();
        if session.json {
            writeln!(out, "{}", answer.text)?;
            return Ok(());
        }
        let mut table = Table::new(&["NAME", "TYPE"]);
        for row in answer.read::<Answer>()?.search_attributes {
            table.row([row.name, row.ty]);
        }
        table.write(&mut out, Screen::stdout())?;
        Ok(())
    }
}
