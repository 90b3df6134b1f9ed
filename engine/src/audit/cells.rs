//! The cells of a row of a dump, as `COPY` writes them.

use std::{path::Path, str::FromStr};

use history::{Timestamp, rfc3339};

use crate::store::{Error, audit::Key};

/// A cell that has nothing in it.
const NULL: &str = "\\N";

/// The cells of a row, as they are written.
pub(super) struct Cells<'a> {
    path: &'a Path,
    at: u64,
    columns: &'a [String],
    texts: Vec<&'a str>,
}

impl<'a> Cells<'a> {
    /// Cuts a row of a file, which is at this byte, and has these columns.
    pub(super) fn new(path: &'a Path, at: u64, columns: &'a [String], row: &'a str) -> Self {
        Self {
            path,
            at,
            columns,
            texts: row.split('\t').collect(),
        }
    }

    fn bad(&self, column: &str) -> Error {
        let at = self.at;
        Error::Dump {
            path: self.path.to_owned(),
            problem: format!("the row at byte {at} has no readable column {column}"),
        }
    }

    fn raw(&self, column: &str) -> Result<&'a str, Error> {
        let at = self.columns.iter().position(|name| name == column);
        let cell = at.and_then(|at| self.texts.get(at).copied());
        cell.ok_or_else(|| self.bad(column))
    }

    pub(super) fn text(&self, column: &str) -> Result<String, Error> {
        unescaped(self.raw(column)?).ok_or_else(|| self.bad(column))
    }

    /// Reads a cell that may have nothing in it.
    pub(super) fn if_any<T>(
        &self,
        column: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.raw(column)? {
            NULL => Ok(None),
            _ => read(self, column).map(Some),
        }
    }

    pub(super) fn number<T: FromStr>(&self, column: &str) -> Result<T, Error> {
        self.raw(column)?.parse().map_err(|_| self.bad(column))
    }

    pub(super) fn run(&self) -> Result<Key, Error> {
        Ok(Key {
            shard: self.number("shard")?,
            run_id: self.number("run_id")?,
        })
    }

    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>, Error> {
        bytes(&self.text(column)?).ok_or_else(|| self.bad(column))
    }

    pub(super) fn moment(&self, column: &str) -> Result<Timestamp, Error> {
        // Postgres writes an offset of whole hours without minutes.
        let text = self.raw(column)?;
        let read = rfc3339::read(text).or_else(|| rfc3339::read(&format!("{text}:00")));
        read.ok_or_else(|| self.bad(column))
    }

    /// Reads an array.
    fn items(&self, column: &str) -> Result<Vec<String>, Error> {
        let text = self.text(column)?;
        let inside = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let inside = inside.ok_or_else(|| self.bad(column))?;
        let items = inside.split(',').filter(|item| !item.is_empty());
        Ok(items
            .map(|item| item.trim_matches('"').replace("\\\\", "\\"))
            .collect())
    }

    pub(super) fn numbers<T: FromStr>(&self, column: &str) -> Result<Vec<T>, Error> {
        let items = self
            .items(column)?
            .into_iter()
            .map(|item| item.parse().ok());
        items.collect::<Option<_>>().ok_or_else(|| self.bad(column))
    }

    pub(super) fn byte_strings(&self, column: &str) -> Result<Vec<Vec<u8>>, Error> {
        let items = self.items(column)?.into_iter().map(|item| bytes(&item));
        items.collect::<Option<_>>().ok_or_else(|| self.bad(column))
    }
}

/// Reads `\x00ff`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?;
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Reads the text of a cell; nothing for one that has none.
fn unescaped(cell: &str) -> Option<String> {
    if cell == NULL {
        return None;
    }
    let mut text = String::with_capacity(cell.len());
    let mut rest = cell.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            text.push(next);
            continue;
        }
        text.push(match rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_as_it_was_before_it_was_dumped() {
        assert_eq!(unescaped(r"a\tb\\n\n\\").as_deref(), Some("a\tb\\n\n\\"));
        assert_eq!(unescaped("\\N"), None);
        assert_eq!(bytes("\\x00fF"), Some(vec![0, 255]));
        assert_eq!(bytes("00ff"), None);
        assert_eq!(bytes("\\x0"), None);
    }
}
