//! The lines of a dump that are no rows: which tables begin, and which are the parts of `history`. What else a dump does when it is restored is not looked
//! at: verified are its rows.

use std::collections::BTreeSet;

use crate::store::dump::TABLES;

/// The table by which it is known which schema is an engine's.
const KNOWN_BY: &str = "seal_tile";
/// The columns that only the parts of `history` have together.
const OF_HISTORY: [&str; 6] = [
    "shard",
    "run_id",
    "seq",
    "first_event_id",
    "records",
    "hash",
];

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The rows of a table follow that is looked at: its name without the schema, and its columns.
    Begins(String, Vec<String>),
    /// The rows of another table follow.
    BeginsOther,
    /// Nothing that matters.
    Nothing,
}

/// What was read of a dump so far.
#[derive(Debug)]
pub(super) struct Script {
    /// That of the engine's tables.
    schema: String,
    /// Tables whose rows were read.
    seen: BTreeSet<String>,
    /// Parts of `history`, as the dump attaches them, with their schema.
    attached: BTreeSet<String>,
}

/// Returns the schema of the engine's tables, if a line begins one of them by which it is known.
pub(super) fn schema(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let (schema, table, _) = copy(line)?;
    (table == KNOWN_BY).then(|| schema.to_owned())
}

impl Script {
    pub(super) fn new(schema: String) -> Self {
        Self {
            schema,
            seen: BTreeSet::new(),
            attached: BTreeSet::new(),
        }
    }

    /// Reads a line that is no row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Said, String> {
        let Ok(line) = std::str::from_utf8(line) else {
            return Ok(Said::Nothing);
        };
        if let Some((schema, table, columns)) = copy(line) {
            return if schema == self.schema {
                self.begin(table, columns)
            } else {
                Ok(Said::BeginsOther)
            };
        }
        if let Some(part) = attached(line, &self.schema) {
            self.attached.insert(part.to_owned());
        }
        Ok(Said::Nothing)
    }

    fn begin(&mut self, table: &str, columns: Vec<String>) -> Result<Said, String> {
        // What has the columns of history, and another name, may be one of its parts.
        let is_like_history = OF_HISTORY
            .iter()
            .all(|it| columns.iter().any(|column| column == it));
        if is_like_history && !is_history(table) {
            return Err(format!(
                "the table {table} has what histories have, and is none of theirs"
            ));
        }
        let is_looked_at = TABLES.contains(&table) || (is_history(table) && is_like_history);
        if !is_looked_at {
            return Ok(Said::BeginsOther);
        }
        // All parts of history may be written to the whole of it.
        if !self.seen.insert(table.to_owned()) && table != "history" {
            return Err(format!("it has the table {table} twice"));
        }
        Ok(Said::Begins(table.to_owned(), columns))
    }

    /// Sees that all tables are there, and that the parts of `history` are those that were read.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn finish(&self) -> Result<(), String> {
        let is_there = |table: &str| {
            self.seen.contains(table)
                || (table == "history" && self.seen.iter().any(|it| is_history(it)))
        };
        if let Some(missing) = TABLES.iter().find(|table| !is_there(table)) {
            return Err(no_rows(missing));
        }
        let parts = self
            .seen
            .iter()
            .filter(|it| is_history(it) && *it != "history");
        let parts: BTreeSet<String> = parts.map(|it| format!("{}.{it}", self.schema)).collect();
        if !self.attached.is_empty() && !parts.is_empty() && parts != self.attached {
            let other: Vec<_> = parts.symmetric_difference(&self.attached).collect();
            return Err(format!(
                "the parts of history are not those whose rows it has: {other:?}"
            ));
        }
        Ok(())
    }
}

/// Says that a table is missing.
pub(super) fn no_rows(table: &str) -> String {
    format!(
        "it has no rows of the table {table}: make one with `coreason audit dump`, or `pg_dump` in plain text and without --inserts; one in another format becomes one with `pg_restore --file FILE`, and one that is compressed is to be unpacked"
    )
}

/// The same of the one by which an engine's tables are known.
pub(super) fn no_engine() -> String {
    no_rows(KNOWN_BY)
}

/// Says whether a table is `history`, or has the name of one of its parts.
fn is_history(table: &str) -> bool {
    table == "history" || table.starts_with("history_")
}

/// Reads a line that begins the rows of a table: its schema, its name, and its columns.
fn copy(line: &str) -> Option<(&str, &str, Vec<String>)> {
    let rest = line.strip_prefix("COPY ")?.strip_suffix(") FROM stdin;")?;
    let (table, columns) = rest.split_once(" (")?;
    let (schema, table) = table.rsplit_once('.')?;
    let columns = columns
        .split(", ")
        .map(|name| name.trim_matches('"').to_owned());
    Some((schema, table.trim_matches('"'), columns.collect()))
}

/// Reads a line that attaches a part to `history`: its name with the schema.
fn attached<'a>(line: &'a str, schema: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("ALTER TABLE ONLY ")?;
    let (parent, rest) = rest.split_once(" ATTACH PARTITION ")?;
    let is_ours = parent.rsplit_once('.') == Some((schema, "history"));
    is_ours.then(|| rest.split(' ').next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str =
        "(shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;";

    fn whole(lines: &[String]) -> Result<(), String> {
        let mut script = Script::new("public".to_owned());
        for table in TABLES.iter().filter(|table| **table != "history") {
            script.read(format!("COPY public.{table} (id) FROM stdin;").as_bytes())?;
        }
        for line in lines {
            script.read(line.as_bytes())?;
        }
        script.finish()
    }

    fn part(of: &str) -> String {
        format!("COPY {of} {COLUMNS}")
    }

    fn attach(part: &str) -> String {
        format!(
            "ALTER TABLE ONLY public.history ATTACH PARTITION {part} FOR VALUES FROM ('a') TO ('b');"
        )
    }

    #[test]
    fn the_parts_of_history_are_those_that_a_dump_attaches_to_it() {
        let (two, all) = (part("public.history_w2"), part("public.history"));
        for sound in [
            vec![attach("public.history_w2"), two.clone()],
            vec![two.clone()],
            // With --load-via-partition-root, and --data-only or not.
            vec![all.clone(), all.clone()],
            vec![attach("public.history_w2"), all.clone(), all],
            // What others have is theirs.
            vec![
                two.clone(),
                part("other.history_w2"),
                part("other.execution"),
            ],
            vec![
                two.clone(),
                "COPY public.history_of_prices (id) FROM stdin;".to_owned(),
            ],
            vec![
                two.clone(),
                "    call integer,".to_owned(),
                "Update this '$q$'.".to_owned(),
            ],
        ] {
            assert_eq!(whole(&sound), Ok(()), "{sound:?}");
        }
        for (lines, problem) in [
            (
                vec![part("junk.history_w2")],
                "no rows of the table history",
            ),
            (vec![two.clone(), part("public.evil")], "none of theirs"),
            (vec![two.clone(), two.clone()], "twice"),
            (
                vec![attach("public.history_w3"), two.clone()],
                "are not those",
            ),
            (
                vec![attach("public.evil"), attach("public.history_w2"), two],
                "are not those",
            ),
            (vec![], "no rows of the table history"),
        ] {
            let said = whole(&lines).unwrap_err();
            assert!(said.contains(problem), "{lines:?}: {said}");
        }
    }
}
