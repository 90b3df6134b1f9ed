//! Text in columns.

use std::io::{self, Write};

use super::{
    screen::{Colour, Screen},
    text::one_line,
};

/// The most characters that a terminal shows of a cell which is not the last of its row, and of one that is.
const CELL_MAX: usize = 60;
const LAST_MAX: usize = 160;

/// Says which colour a cell has.
type Colouring = fn(&str) -> Option<Colour>;

/// Rows of text under a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// A column that has colours, and which.
    coloured: Option<(usize, Colouring)>,
}

impl Table {
    /// Returns a table with a heading.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()],
            coloured: None,
        }
    }

    /// Colours a column.
    #[must_use]
    pub(crate) fn coloured(mut self, column: usize, colour: Colouring) -> Self {
        self.coloured = Some((column, colour));
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row = cells.into_iter().map(|cell| one_line(&cell)).collect();
        self.rows.push(row);
    }

    /// Says whether there is no row under the heading.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Writes the heading and the rows.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| fitted(row, screen)).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in &rows {
            let cells: Vec<String> = (0..)
                .zip(row)
                .zip(&widths)
                .map(|((column, cell), width)| {
                    screen.paint(&format!("{cell:width$}"), self.colour(column, cell))
                })
                .collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    fn colour(&self, column: usize, cell: &str) -> Option<Colour> {
        let (coloured, colour) = self.coloured?;
        if column == coloured {
            colour(cell)
        } else {
            None
        }
    }
}

fn fitted(row: &[String], screen: Screen) -> Vec<String> {
    let last = row.len().saturating_sub(1);
    let max = |at: usize| if at == last { LAST_MAX } else { CELL_MAX };
    (0..)
        .zip(row)
        .map(|(at, cell)| screen.cut(cell, max(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::of_state;

    fn written(table: &Table, screen: Screen) -> String {
        let mut out = Vec::new();
        table.write(&mut out, screen).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["ID", "STATUS"]).coloured(1, of_state);
        table.row(["order-1".to_owned(), "Running".to_owned()]);
        table.row(["é\n".to_owned(), "Completed".to_owned()]);
        assert_eq!(
            written(&table, Screen::Elsewhere),
            "ID       STATUS\norder-1  Running\né\u{fffd}       Completed\n"
        );
        let painted = written(&table, Screen::Terminal { colours: true });
        assert!(
            painted.contains("order-1  \u{1b}[33mRunning  \u{1b}[0m\n"),
            "{painted:?}"
        );
    }

    #[test]
    fn long_cells_are_cut_on_a_terminal_only() {
        let mut table = Table::new(&["ID", "FAILURE"]);
        let long = "x".repeat(200);
        table.row([long.clone(), long.clone()]);
        assert!(written(&table, Screen::Elsewhere).ends_with(&format!("{long}  {long}\n")));
        let cut = written(&table, Screen::Terminal { colours: false });
        assert_eq!(
            cut.lines().nth(1).unwrap().chars().count(),
            CELL_MAX + 2 + LAST_MAX
        );
    }
}
