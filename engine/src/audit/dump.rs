//! A dump as `pg_dump` writes it in plain text: where each row is. What a row says is read when it is asked for.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
    ops::RangeInclusive,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    cells::Cells,
    script::{self, Said, Script},
};
use crate::{
    seal::{Entry, Tombstone},
    store::{
        Error,
        audit::{Key, Place, Row},
        seal::{
            audit::{Checkpoint, Deleted, Pruned},
            entries,
        },
    },
};

/// What the last line of a dump ends with; `pg_dump` says so in any language of its messages.
const COMPLETE: &[u8] = b" database dump complete";
/// A dump of a database.
#[derive(Debug)]
pub struct Dump {
    path: PathBuf,
    file: File,
    /// The names of the columns of each part of it.
    parts: Vec<Vec<String>>,
    namespaces: BTreeMap<i16, String>,
    /// By key.
    executions: Vec<Execution>,
    /// By key.
    rows: Vec<(Place, Line)>,
    /// By number.
    tiles: Vec<(i64, Line)>,
    roots: BTreeMap<i64, Vec<u8>>,
    /// By number.
    checkpoints: Vec<Checkpoint>,
    /// By id.
    deleted: Vec<(Uuid, Line)>,
    pruned: Vec<Pruned>,
}

/// What is read of a row of `execution`.
#[derive(Debug, Clone, Copy)]
struct Execution {
    run: Key,
    namespace: i16,
    history_length: Option<i64>,
    line: Line,
}

/// Where a row is.
#[derive(Debug, Clone, Copy)]
struct Line {
    at: u64,
    length: u32,
    /// Which part it is in.
    part: u32,
}

impl Dump {
    /// Looks through a dump.
    ///
    /// # Errors
    /// When it can't be read, or is none of an engine's database in plain text.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Dump {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let mut dump = Self {
            path: path.to_owned(),
            file: File::open(path).map_err(failed)?,
            parts: Vec::new(),
            namespaces: BTreeMap::new(),
            executions: Vec::new(),
            rows: Vec::new(),
            tiles: Vec::new(),
            roots: BTreeMap::new(),
            checkpoints: Vec::new(),
            deleted: Vec::new(),
            pruned: Vec::new(),
        };
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
        let (mut at, mut rows, mut bytes) = (0_u64, Rows::None, Vec::new());
        let schema = schema_of(path).map_err(failed)?;
        let schema = schema.ok_or_else(|| dump.unreadable(&script::no_engine()))?;
        let (mut script, mut is_whole) = (Script::new(schema), false);
        loop {
            bytes.clear();
            let length = reader.read_until(b'\n', &mut bytes).map_err(failed)?;
            if length == 0 {
                break;
            }
            let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            match &rows {
                Rows::None => {
                    is_whole |= text.ends_with(COMPLETE);
                    let said = script
                        .read(text)
                        .map_err(|problem| dump.unreadable(&problem))?;
                    match said {
                        Said::Begins(name, columns) => {
                            dump.parts.push(columns);
                            rows = Rows::Of(name);
                        }
                        Said::BeginsOther => rows = Rows::Other,
                        Said::Nothing => {}
                    }
                }
                _ if text == b"\\." => rows = Rows::None,
                Rows::Other => {}
                Rows::Of(name) => {
                    let line = Line {
                        at,
                        length: u32::try_from(text.len())
                            .map_err(|_| dump.unreadable("a row is larger than 4 GiB"))?,
                        part: u32::try_from(dump.parts.len() - 1).unwrap_or(u32::MAX),
                    };
                    dump.take(name, line, text)?;
                }
            }
            at += u64::try_from(length).unwrap_or(u64::MAX);
        }
        script
            .finish()
            .map_err(|problem| dump.unreadable(&problem))?;
        if !matches!(rows, Rows::None) || !is_whole {
            return Err(dump.unreadable(
                "it was cut off: its last line says that it is complete, and is missing",
            ));
        }
        dump.executions
            .sort_unstable_by_key(|execution| execution.run);
        dump.rows.sort_unstable_by_key(|(place, _)| *place);
        dump.tiles.sort_unstable_by_key(|(n, _)| *n);
        dump.checkpoints
            .sort_unstable_by_key(|checkpoint| checkpoint.n);
        dump.pruned.sort_unstable_by_key(|pruned| pruned.id);
        dump.deleted.sort_unstable_by_key(|(id, _)| *id);
        Ok(dump)
    }

    /// Notes where a row is.
    fn take(&mut self, table: &str, line: Line, text: &[u8]) -> Result<(), Error> {
        let cells = self.cells(line, text)?;
        match table {
            "namespace" => {
                self.namespaces
                    .insert(cells.number("id")?, cells.text("name")?);
            }
            "execution" => {
                let execution = Execution {
                    run: cells.run()?,
                    namespace: cells.number("namespace")?,
                    history_length: cells.if_any("history_length", Cells::number)?,
                    line,
                };
                self.executions.push(execution);
            }
            "seal_tile" => {
                let n = cells.number("n")?;
                self.tiles.push((n, line));
            }
            "seal_node" => {
                if cells.number::<i16>("level")? == 1 {
                    self.roots.insert(cells.number("n")?, cells.bytes("hash")?);
                }
            }
            "checkpoint" => {
                let checkpoint = Checkpoint {
                    n: cells.number("n")?,
                    size: cells.number("size")?,
                    root: cells.bytes("root")?,
                    at: cells.moment("at")?,
                    complete_until: cells.if_any("complete_until", Cells::moment)?,
                    note: cells.text("note")?,
                };
                self.checkpoints.push(checkpoint);
            }
            "tombstone" => {
                let id = cells.number("id")?;
                self.deleted.push((id, line));
            }
            "seal_pruned" => {
                let pruned = Pruned {
                    id: cells.number("id")?,
                    tiles: cells.numbers("tiles")?,
                };
                self.pruned.push(pruned);
            }
            // The partitions of `history`, or the whole of it.
            _ => {
                let run = cells.run()?;
                let seq = cells.number("seq")?;
                self.rows.push((Place { run, seq }, line));
            }
        }
        Ok(())
    }

    fn unreadable(&self, problem: &str) -> Error {
        Error::Dump {
            path: self.path.clone(),
            problem: problem.to_owned(),
        }
    }

    fn cells<'a>(&'a self, line: Line, text: &'a [u8]) -> Result<Cells<'a>, Error> {
        let text = std::str::from_utf8(text).map_err(|_| {
            self.unreadable(&format!("the row at byte {} is not in UTF-8", line.at))
        })?;
        let columns = &self.parts[usize::try_from(line.part).unwrap_or(usize::MAX)];
        Ok(Cells::new(&self.path, line.at, columns, text))
    }

    /// Reads a row.
    fn read<T>(
        &self,
        line: Line,
        read: impl FnOnce(&Cells<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut text = vec![0; usize::try_from(line.length).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut text, line.at)
            .map_err(|error| self.unreadable(&error.to_string()))?;
        read(&self.cells(line, &text)?)
    }

    /// Returns the rows behind a place, in order.
    pub(super) fn rows_after(&self, after: Place) -> impl Iterator<Item = Result<Row, Error>> {
        let from = self.rows.partition_point(|(place, _)| *place <= after);
        self.rows[from..]
            .iter()
            .map(|(place, line)| self.row(*place, *line))
    }

    pub(super) fn rows_of(&self, run: Key, seqs: RangeInclusive<i32>) -> Result<Vec<Row>, Error> {
        let first = Place {
            run,
            seq: *seqs.start(),
        };
        let from = self.rows.partition_point(|(place, _)| *place < first);
        (self.rows[from..].iter())
            .take_while(|(place, _)| place.run == run && place.seq <= *seqs.end())
            .map(|(place, line)| self.row(*place, *line))
            .collect()
    }

    fn row(&self, place: Place, line: Line) -> Result<Row, Error> {
        let execution = self.execution(place.run);
        // The first row says which workflow it is.
        let of = execution.filter(|_| place.seq == 0).map(|execution| {
            self.read(execution.line, |cells| {
                Ok((cells.text("workflow_id")?, cells.text("workflow_type")?))
            })
        });
        let (workflow_id, workflow_type) = of.transpose()?.unzip();
        self.read(line, |cells| {
            Ok(Row {
                shard: place.run.shard,
                run_id: place.run.run_id,
                seq: place.seq,
                first_event_id: cells.number("first_event_id")?,
                version: cells.number("version")?,
                records: cells.text("records")?,
                hash: cells.bytes("hash")?,
                namespace: execution.and_then(|it| self.namespaces.get(&it.namespace).cloned()),
                history_length: execution.and_then(|it| it.history_length),
                workflow_id,
                workflow_type,
            })
        })
    }

    fn execution(&self, run: Key) -> Option<&Execution> {
        let at = self
            .executions
            .binary_search_by_key(&run, |it| it.run)
            .ok()?;
        self.executions.get(at)
    }

    pub(super) fn knows(&self, run: Key) -> bool {
        self.execution(run).is_some() || self.has_history(run)
    }

    fn has_history(&self, run: Key) -> bool {
        let at = self.rows.partition_point(|(place, _)| place.run < run);
        self.rows.get(at).is_some_and(|(place, _)| place.run == run)
    }

    pub(super) fn runs_without_history(&self, after: Key, limit: i64) -> Vec<Key> {
        let from = self.executions.partition_point(|it| it.run <= after);
        (self.executions[from..].iter())
            .map(|it| it.run)
            .filter(|run| !self.has_history(*run))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect()
    }

    pub(super) fn checkpoints(&self, n: i64) -> Vec<Checkpoint> {
        let known = usize::try_from(n).unwrap_or(0).min(self.checkpoints.len());
        self.checkpoints[known..].to_vec()
    }

    pub(super) fn tiles(&self, from: i64, most: i64) -> Result<Vec<(i64, Vec<Entry>)>, Error> {
        let first = self.tiles.partition_point(|(n, _)| *n < from);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let tiles = self.tiles[first..].iter().take(most).map(|(n, line)| {
            let tile = self.read(*line, |cells| {
                let entries = entries(
                    cells.numbers("shards")?,
                    cells.numbers("ids")?,
                    cells.numbers("seqs")?,
                    cells.byte_strings("hashes")?,
                );
                Ok(entries.unwrap_or_default())
            });
            Ok((*n, tile?))
        });
        tiles.collect()
    }

    pub(super) fn tile_root(&self, n: i64) -> Option<Vec<u8>> {
        self.roots.get(&n).cloned()
    }

    pub(super) fn deleted(&self, after: Uuid, most: i64) -> Result<Vec<Deleted>, Error> {
        let from = self.deleted.partition_point(|(id, _)| *id <= after);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let rows = self.deleted[from..].iter().take(most).map(|(id, line)| {
            self.read(*line, |cells| {
                Ok(Deleted {
                    tombstone: Tombstone {
                        id: *id,
                        namespace: cells.number("namespace")?,
                        at: cells.moment("at")?,
                        reason: cells.number("reason")?,
                        runs: cells.number("runs")?,
                        closed_from: cells.moment("closed_from")?,
                        closed_until: cells.moment("closed_until")?,
                        events: cells.number("events")?,
                        bytes: cells.number("bytes")?,
                        run_id: cells.if_any("run_id", Cells::number)?,
                        workflow_id: cells.if_any("workflow_id", Cells::text)?,
                        hash: cells.bytes("hash")?,
                        runs_hash: cells.bytes("runs_hash")?,
                        archive: cells.if_any("archive", Cells::text)?,
                    },
                    leaf: cells.if_any("leaf", Cells::number)?,
                    run_ids: cells.if_any("run_ids", Cells::numbers)?,
                })
            })
        });
        rows.collect()
    }

    pub(super) fn pruned(&self) -> Vec<Pruned> {
        self.pruned.clone()
    }
}

/// Returns the schema of the engine's tables.
fn schema_of(path: &Path) -> Result<Option<String>, io::Error> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        if let Some(schema) = script::schema(bytes.strip_suffix(b"\n").unwrap_or(&bytes)) {
            return Ok(Some(schema));
        }
        bytes.clear();
    }
    Ok(None)
}

/// Whose rows are read.
enum Rows {
    None,
    /// Those of a table that is not looked at.
    Other,
    Of(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dump::TABLES;

    #[test]
    fn what_is_no_dump_is_said_so() {
        let file = std::env::temp_dir().join(format!("coreason-no-dump-{}", std::process::id()));
        let refused = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Dump::open(&file).unwrap_err().to_string()
        };
        let others = TABLES.iter().filter(|table| **table != "history");
        let all = others.fold(String::new(), |all, table| {
            all + "COPY public." + table + " (id) FROM stdin;\n\\.\n"
        });
        for (text, problem) in [
            ("", "no rows of the table seal_tile"),
            ("PGDMP", "no rows of the table seal_tile"),
            (
                "COPY public.history (shard, first_event_id) FROM stdin;\n",
                "no rows of the table seal_tile",
            ),
            (
                &[all.as_str(), "COPY public.history (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;\n"].concat(),
                "cut off",
            ),
            (&all, "no rows of the table history"),
            (
                &[all.as_str(), "COPY public.history (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;\n\\.\n"].concat(),
                "cut off",
            ),
            (
                &[all.as_str(), "COPY public.history (shard, run_id, seq, first_event_id, version, records, hash) FROM stdin;\n1\tx\t2\n\\.\n"].concat(),
                "has no readable column run_id",
            ),
        ] {
            let said = refused(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}
