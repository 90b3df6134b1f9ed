//! The lines of the log on their way to whoever reads them: nobody who logs waits for him.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::limits::{LOG_BYTES_MAX, LOG_FLUSH_MAX};

/// A way to write lines that neither waits nor fails. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// What is not written yet.
#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many lines were left out since the last one here.
    left_out: u64,
    /// One is being written.
    writing: bool,
}

impl Lines {
    /// Writes them to this from now on, in their order, on a thread of its own. What can't be written is lost.
    pub(super) fn write_to(&self, mut out: impl Write + Send + 'static) -> io::Result<()> {
        let queue = Arc::clone(&self.0);
        let writing = move || {
            loop {
                let line = queue.next();
                let _ = out.write_all(&line).and_then(|()| out.flush());
            }
        };
        thread::Builder::new()
            .name("coreason-log".to_owned())
            .spawn(writing)
            .map(drop)
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().push(line);
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next line, after the one before is written.
    fn next(&self) -> Vec<u8> {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = waiting.pop() {
                waiting.writing = true;
                return line;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until everything is written, and says whether it is.
    fn is_written(&self, within: Duration) -> bool {
        let waits = self
            .changed
            .wait_timeout_while(self.lock(), within, |waiting| !waiting.is_over());
        let (waiting, _) = waits.unwrap_or_else(PoisonError::into_inner);
        waiting.is_over()
    }
}

impl Waiting {
    fn push(&mut self, line: &[u8]) {
        if self.bytes + line.len() > LOG_BYTES_MAX && !self.lines.is_empty() {
            self.left_out += 1;
            return;
        }
        self.tell_left_out();
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        if self.lines.is_empty() {
            self.tell_left_out();
        }
        let line = self.lines.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }

    /// Puts their number where they would stand.
    fn tell_left_out(&mut self) {
        let line = match std::mem::take(&mut self.left_out) {
            0 => return,
            1 => "(a line is left out here: nobody read the log in time)\n".to_owned(),
            n => format!("({n} lines are left out here: nobody read the log in time)\n"),
        };
        self.bytes += line.len();
        self.lines.push_back(line.into_bytes());
    }

    fn is_over(&self) -> bool {
        self.lines.is_empty() && self.left_out == 0 && !self.writing
    }
}

/// Whether the end of this process has waited in vain for somebody to read its log.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Says whether nobody reads the log: then nobody reads what else is said there.
pub(crate) fn is_unread() -> bool {
    IS_UNREAD.load(Ordering::Relaxed)
}

/// Waits, when it is dropped, until what was logged is written, but not for long.
#[must_use = "without it the last lines are lost"]
pub(crate) struct Flush(pub(super) Lines);

impl Drop for Flush {
    fn drop(&mut self) {
        let Lines(queue) = &self.0;
        if !queue.is_written(LOG_FLUSH_MAX) {
            IS_UNREAD.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};

    use super::*;

    /// Returns the lines that wait.
    fn all(waiting: &mut Waiting) -> Vec<String> {
        let lines = std::iter::from_fn(|| waiting.pop());
        lines.map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn lines_for_which_there_is_no_room_are_counted_where_they_would_stand() {
        let mut waiting = Waiting::default();
        let line = |n: usize| format!("{n:07}\n");
        let fit = LOG_BYTES_MAX / line(0).len();
        for n in 0..fit + 3 {
            waiting.push(line(n).as_bytes());
        }
        assert!(waiting.bytes <= LOG_BYTES_MAX);
        assert_eq!(waiting.pop(), Some(line(0).into_bytes()));
        waiting.push(b"next\n");
        waiting.push(b"one too many\n");
        waiting.push(b"one too many\n");

        let lines = all(&mut waiting);

        let first: Vec<String> = (1..fit).map(line).collect();
        assert_eq!(lines[..first.len()], first);
        assert_eq!(
            lines[first.len()..],
            [
                "(3 lines are left out here: nobody read the log in time)\n",
                "next\n",
                "(2 lines are left out here: nobody read the log in time)\n",
            ]
        );
        assert!(waiting.is_over() && waiting.bytes == 0);
    }

    #[test]
    fn a_line_that_is_longer_than_all_may_be_waits_alone() {
        let mut waiting = Waiting::default();
        waiting.push(&vec![b'x'; LOG_BYTES_MAX + 1]);
        waiting.push(b"y\n");
        assert_eq!(waiting.lines.len(), 1);
    }

    #[test]
    fn lines_are_written_in_order_and_what_has_no_reader_is_lost() {
        let (mut reader, writer) = pipe().unwrap();
        let mut lines = Lines::default();
        let expected: Vec<String> = (0..100).map(|n| format!("{n}\n")).collect();
        for line in &expected {
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert!(!lines.0.is_written(Duration::ZERO));
        lines.write_to(writer).unwrap();
        assert!(lines.0.is_written(Duration::from_mins(1)));

        let mut text = [0; 290];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(text, expected.concat().as_bytes());
        drop(reader);
        lines.write_all(b"lost\n").unwrap();
        assert!(lines.0.is_written(Duration::from_mins(1)));
    }
}
