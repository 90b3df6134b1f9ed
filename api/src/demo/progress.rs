//! What the terminal shows while the workflows run.

use std::io::{self, IsTerminal as _, Write as _};

use super::{Error, histories::Histories};

/// How many characters the bar has.
const BAR: usize = 30;

/// Progress on stderr: one line that is written over on a terminal, a line for each tenth elsewhere.
pub(super) struct Progress {
    total: usize,
    terminal: bool,
    shown: Option<usize>,
}

impl Progress {
    /// Returns the progress of that many files.
    pub(super) fn new(total: usize) -> Self {
        Self {
            total,
            terminal: io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// Returns how much of the work is on record.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a folder has fewer than 2^52 files"
    )]
    pub(super) fn share(&self, histories: &Histories) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            histories.completed() as f64 / self.total as f64
        }
    }

    /// Shows where the work stands, if that has changed enough to be worth a line.
    pub(super) fn show(&mut self, histories: &Histories) -> Result<(), Error> {
        let done = histories.completed();
        let step = if self.terminal {
            done
        } else {
            done * 10 / self.total.max(1)
        };
        if self.shown == Some(step) {
            return Ok(());
        }
        self.shown = Some(step);
        let text = format!(
            "{done} of {} files, {} children",
            self.total,
            histories.children()
        );
        if self.terminal {
            let filled = BAR * done.min(self.total) / self.total.max(1);
            self.write(&format!(
                "\r[{:#<filled$}{:.<rest$}] {text}\u{1b}[K",
                "",
                "",
                rest = BAR - filled
            ))
        } else {
            self.write(&format!("{text}\n"))
        }
    }

    /// Says something in a line of its own.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Error> {
        if self.terminal {
            self.shown = None;
        }
        let start = if self.terminal { "\r\u{1b}[K" } else { "" };
        self.write(&format!("{start}{text}\n"))
    }

    /// Leaves the line.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.terminal {
            self.write("\n")
        } else {
            Ok(())
        }
    }

    #[expect(clippy::unused_self, reason = "all output goes through the progress")]
    fn write(&self, text: &str) -> Result<(), Error> {
        let mut err = io::stderr().lock();
        err.write_all(text.as_bytes())
            .and_then(|()| err.flush())
            .map_err(Error::io("write to the terminal"))
    }
}
