//! A table of figures in Markdown.

use std::fmt::Write as _;

/// A table in Markdown.
pub(super) struct Table(pub(super) String);

impl Table {
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table.row(&vec!["--:"; columns.len()]);
        table
    }

    pub(super) fn row(&mut self, cells: &[impl AsRef<str>]) {
        for cell in cells {
            // Writing into a string can't fail.
            let _ = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }
}

/// Returns a size in MiB, for a table.
pub(super) fn mebibytes(bytes: u64) -> String {
    (bytes / 1024 / 1024).to_string()
}
