//! The lines of a dump that are no rows: which tables begin, which are the parts of `history`, and what would change rows when the dump is restored.

use std::collections::BTreeSet;

use crate::store::dump::TABLES;

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

/// What was read of the script so far.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// What ends the text of a function that was begun.
    quote: Option<String>,
    /// Tables whose rows were read, with their schema.
    seen: BTreeSet<String>,
    /// Parts of `history`, as the script attaches them.
    attached: BTreeSet<String>,
}

impl Script {
    /// Reads a line that is no row.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Said, String> {
        let line = String::from_utf8_lossy(line);
        if self.quote.is_some() || line.starts_with("--") {
            if !line.starts_with("--") || self.quote.is_some() {
                self.follow_quotes(&line);
            }
            return Ok(Said::Nothing);
        }
        self.follow_quotes(&line);
        if let Some((table, columns)) = copy(&line) {
            return self.begin(table, &columns);
        }
        if let Some(part) = attached(&line) {
            self.attached.insert(part.to_owned());
            return Ok(Said::Nothing);
        }
        let first = line.trim_start().to_ascii_lowercase();
        let first = first
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '\\')
            .next()
            .unwrap_or_default();
        let changes_rows = matches!(
            first,
            "copy" | "insert" | "update" | "delete" | "truncate" | "merge" | "do" | "call"
        );
        let runs_others = first.starts_with('\\')
            && !matches!(first, "\\restrict" | "\\unrestrict" | "\\connect");
        if changes_rows || runs_others || line.contains("/*") {
            return Err(format!(
                "beside its rows it has {:?}, which may change them when it is restored: make one with `coreason audit dump`, or `pg_dump` in plain text and without --inserts",
                line.trim().chars().take(60).collect::<String>()
            ));
        }
        Ok(Said::Nothing)
    }

    fn begin(&mut self, table: &str, columns: &[String]) -> Result<Said, String> {
        let name = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
        let is_of_history = name.starts_with("history_") || name == "history";
        // What has the columns of history, and another name, may be one of its parts.
        let has_its_columns = [
            "shard",
            "run_id",
            "seq",
            "first_event_id",
            "records",
            "hash",
        ]
        .iter()
        .all(|column| columns.iter().any(|it| it == column));
        if has_its_columns && !is_of_history {
            return Err(format!(
                "the table {table} has what histories have, and is none of theirs"
            ));
        }
        if !is_of_history && !TABLES.contains(&name) {
            return Ok(Said::BeginsOther);
        }
        if !self.seen.insert(table.to_owned()) {
            return Err(format!("it has the table {table} twice"));
        }
        Ok(Said::Begins(name.to_owned(), columns.to_vec()))
    }

    /// Sees that all tables are there, once, and of one schema, and that the parts of `history` are those that were read.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn finish(&self) -> Result<(), String> {
        let name = |table: &str| table.rsplit('.').next().map(str::to_owned);
        let names: BTreeSet<String> = self.seen.iter().filter_map(|table| name(table)).collect();
        let is_there = |table: &str| {
            names.contains(table)
                || (table == "history" && names.iter().any(|it| it.starts_with("history_")))
        };
        if let Some(missing) = TABLES.iter().find(|table| !is_there(table)) {
            return Err(format!(
                "it has no rows of the table {missing}: make one with `coreason audit dump`, or `pg_dump` in plain text; one in another format becomes one with `pg_restore --file FILE`, and one that is compressed is to be unpacked"
            ));
        }
        let schema = |table: &str| table.rsplit_once('.').map(|(schema, _)| schema.to_owned());
        let schemas: BTreeSet<_> = self.seen.iter().map(|table| schema(table)).collect();
        if schemas.len() > 1 {
            return Err(format!("it has tables of several schemas: {:?}", self.seen));
        }
        let parts = self.seen.iter().filter(|table| {
            let name = name(table).unwrap_or_default();
            name.starts_with("history_")
        });
        let parts: BTreeSet<&String> = parts.collect();
        let attached: BTreeSet<&String> = self.attached.iter().collect();
        // One whose rows are all written to the whole table has none of its parts.
        if !attached.is_empty() && !parts.is_empty() && parts != attached {
            let other: Vec<_> = parts.symmetric_difference(&attached).collect();
            return Err(format!(
                "the parts of history are not those whose rows it has: {other:?}"
            ));
        }
        Ok(())
    }

    /// Looks where the texts of functions begin and end: what is in them is not run.
    fn follow_quotes(&mut self, line: &str) {
        let mut rest = line;
        loop {
            if let Some(quote) = &self.quote {
                let Some((_, after)) = rest.split_once(quote.as_str()) else {
                    return;
                };
                rest = after;
                self.quote = None;
            } else {
                let Some((tag, after)) = dollar_quote(rest) else {
                    return;
                };
                rest = after;
                self.quote = Some(tag);
            }
        }
    }
}

/// Returns the next quote of the kind `$tag$`, and what is behind it.
fn dollar_quote(text: &str) -> Option<(String, &str)> {
    let (_, rest) = text.split_once('$')?;
    let (tag, after) = rest.split_once('$')?;
    let is_tag = tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_tag {
        Some((format!("${tag}$"), after))
    } else {
        dollar_quote(rest)
    }
}

/// Reads a line that begins the rows of a table: its name with the schema, and its columns.
fn copy(line: &str) -> Option<(&str, Vec<String>)> {
    let rest = line.strip_prefix("COPY ")?.strip_suffix(") FROM stdin;")?;
    let (table, columns) = rest.split_once(" (")?;
    let columns = columns
        .split(", ")
        .map(|name| name.trim_matches('"').to_owned());
    Some((table, columns.collect()))
}

/// Reads a line that attaches a part to `history`: its name with the schema.
fn attached(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("ALTER TABLE ONLY ")?;
    let (parent, rest) = rest.split_once(" ATTACH PARTITION ")?;
    let is_history = parent.rsplit('.').next() == Some("history");
    is_history.then(|| rest.split(' ').next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(parts: &[&str]) -> Result<(), String> {
        let mut script = Script::default();
        let others = TABLES.iter().filter(|table| **table != "history");
        for table in others {
            script.read(format!("COPY public.{table} (id) FROM stdin;").as_bytes())?;
        }
        for part in parts {
            script.read(part.as_bytes())?;
        }
        script.finish()
    }

    const PART: &str = "COPY public.history_w2 (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;";
    const EVIL: &str =
        "COPY public.evil (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;";
    const ELSEWHERE: &str = "COPY junk.history_w2 (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;";
    const ATTACH: &str = "ALTER TABLE ONLY public.history ATTACH PARTITION public.history_w2 FOR VALUES FROM ('a') TO ('b');";

    #[test]
    fn what_a_dump_has_is_what_is_restored_from_it() {
        assert_eq!(whole(&[ATTACH, PART]), Ok(()));
        assert_eq!(whole(&[PART]), Ok(()));
        let body = [
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $_$",
            "    UPDATE history SET records = '';",
            "$_$;",
            PART,
        ];
        assert_eq!(whole(&body), Ok(()));
        for (lines, problem) in [
            (&[ELSEWHERE][..], "several schemas"),
            (&[PART, EVIL], "none of theirs"),
            (&[PART, PART], "twice"),
            (
                &[ATTACH.replace("w2", "w3").as_str(), PART],
                "are not those",
            ),
            (&[PART, "UPDATE public.history SET records = '';"], "UPDATE"),
            (&[PART, "  insert into history select 1;"], "insert"),
            (&[PART, "copy public.history (shard) from stdin;"], "copy"),
            (&["/* ", PART], "/*"),
            (&[PART, "\\i other.sql"], "other.sql"),
            (&[], "no rows of the table history"),
        ] {
            let said = whole(lines).unwrap_err();
            assert!(said.contains(problem), "{lines:?}: {said}");
        }
    }
}
