//! Lines of the log that repeat: one of each in a while, with the number of those left out.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// For how long a line that was written is not written again.
const WINDOW: Duration = Duration::from_secs(30);
/// How many different lines are known at once. With more, the oldest are forgotten.
const LINES_MAX: usize = 64;

/// Writes events as lines, and of equal ones in a row of time only the first.
#[derive(Debug)]
pub(super) struct Collapsing {
    format: Format<Full, ()>,
    known: Mutex<Known>,
}

impl Collapsing {
    pub(super) fn new(colours: bool) -> Self {
        Self {
            format: Format::default().without_time().with_ansi(colours),
            known: Mutex::default(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Collapsing
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format
            .format_event(context, Writer::new(&mut line), event)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = known.write(line.trim_end(), Instant::now()) else {
            return Ok(());
        };
        drop(known);
        if let Some((forgotten, left_out)) = &written.forgotten {
            write_line(&mut writer, forgotten, *left_out)?;
        }
        write_line(&mut writer, line.trim_end(), written.left_out)
    }
}

fn write_line(writer: &mut Writer<'_>, line: &str, left_out: u64) -> fmt::Result {
    SystemTime.format_time(writer)?;
    write!(writer, " {line}")?;
    match left_out {
        0 => writeln!(writer),
        1 => writeln!(writer, " (and once more since the last of these lines)"),
        n => writeln!(
            writer,
            " (and {n} times more since the last of these lines)"
        ),
    }
}

/// The lines that were written lately.
#[derive(Debug, Default)]
struct Known(HashMap<String, Line>);

#[derive(Debug)]
struct Line {
    written_at: Instant,
    left_out: u64,
}

/// What is written of a line, and before it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    /// How many equal lines were left out before.
    left_out: u64,
    /// A line that is forgotten now, whose number would never be told: written a last time, which counts as one of those left out.
    forgotten: Option<(String, u64)>,
}

impl Known {
    /// Says what is to be written of a line, if it is.
    fn write(&mut self, line: &str, now: Instant) -> Option<Written> {
        if let Some(known) = self.0.get_mut(line) {
            if now.duration_since(known.written_at) < WINDOW {
                known.left_out += 1;
                return None;
            }
            known.written_at = now;
            let left_out = std::mem::take(&mut known.left_out);
            return Some(Written {
                left_out,
                forgotten: None,
            });
        }
        let forgotten = (self.0.len() >= LINES_MAX)
            .then(|| self.forget_oldest())
            .flatten();
        let line_now = Line {
            written_at: now,
            left_out: 0,
        };
        self.0.insert(line.to_owned(), line_now);
        Some(Written {
            left_out: 0,
            forgotten,
        })
    }

    /// Forgets the line that was written first; returns it if equal ones were left out since.
    fn forget_oldest(&mut self) -> Option<(String, u64)> {
        let oldest = self.0.iter().min_by_key(|(_, line)| line.written_at)?;
        let oldest = oldest.0.clone();
        let left_out = self.0.remove(&oldest)?.left_out;
        (left_out > 0).then(|| (oldest, left_out - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_become_one_with_their_number() {
        let mut known = Known::default();
        let start = Instant::now();
        let mut left_out = |line, second| {
            let written = known.write(line, start + Duration::from_secs(second))?;
            assert_eq!(written.forgotten, None);
            Some(written.left_out)
        };

        assert_eq!(left_out("refused", 0), Some(0));
        for second in 1..30 {
            assert_eq!(left_out("refused", second), None);
        }
        assert_eq!(left_out("another", 29), Some(0));
        assert_eq!(left_out("refused", 30), Some(29));
        assert_eq!(left_out("refused", 61), Some(0));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut known = Known::default();
        let start = Instant::now();
        for n in 0..1000_u64 {
            assert_eq!(
                known.write(&n.to_string(), start + Duration::from_millis(n)),
                Some(Written::default())
            );
        }

        assert_eq!(known.0.len(), LINES_MAX);
        assert_eq!(known.write("999", start + Duration::from_secs(1)), None);
    }

    #[test]
    fn number_of_a_line_that_is_forgotten_is_told() {
        let mut known = Known::default();
        let start = Instant::now();
        for _ in 0..4 {
            known.write("often", start);
        }
        let mut told = Vec::new();
        for n in 1..1000_u64 {
            let written = known.write(&n.to_string(), start + Duration::from_millis(n));
            told.extend(written.unwrap().forgotten);
        }
        // Once first, once now, and two times more.
        assert_eq!(told, [("often".to_owned(), 2)]);
    }

    #[test]
    fn line_has_its_time_level_and_fields() {
        #[derive(Clone, Default)]
        struct Text(std::sync::Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Text {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let text = Text::default();
        let writer = text.clone();
        let logs = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(Collapsing::new(false))
            .with_writer(move || writer.clone())
            .finish();

        tracing::subscriber::with_default(logs, || {
            for _ in 0..3 {
                tracing::warn!(code = "UNREACHABLE", "no answer");
            }
            tracing::warn!(code = "UNAVAILABLE", "no answer");
        });

        let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].contains("Z  WARN ") && lines[0].ends_with("no answer code=\"UNREACHABLE\""),
            "{text}"
        );
    }
}
