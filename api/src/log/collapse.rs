//! Lines of the log that repeat: one of each in a while, and some of those that differ only in what they are about, with the number of
//! those left out.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::limits::LIKE_LINES_MAX;

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
        // Who asks for the small things wants all of them.
        let metadata = event.metadata();
        let kind = (*metadata.level() <= Level::WARN).then(|| metadata.callsite());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = known.write(kind, line.trim_end(), Instant::now()) else {
            return Ok(());
        };
        drop(known);
        if let Some((forgotten, left_out)) = &written.forgotten {
            let forgotten_line = Written {
                left_out: *left_out,
                ..Written::default()
            };
            write_line(&mut writer, forgotten, &forgotten_line)?;
        }
        write_line(&mut writer, line.trim_end(), &written)
    }
}

fn write_line(writer: &mut Writer<'_>, line: &str, written: &Written) -> fmt::Result {
    SystemTime.format_time(writer)?;
    write!(writer, " {line}")?;
    match written.left_out {
        0 => {}
        1 => write!(writer, " (and once more since the last of these lines)")?,
        n => write!(
            writer,
            " (and {n} times more since the last of these lines)"
        )?,
    }
    match written.like {
        Like::Written => {}
        Like::LeftOutBefore(n) => write!(writer, " (and {n} more like it were left out)")?,
        Like::LeftOutFromNow => write!(
            writer,
            " (more like it are left out, for {} s since the first)",
            WINDOW.as_secs()
        )?,
    }
    writeln!(writer)
}

/// The lines that were written lately, and of which kind: a place in the code. There are only so many of those.
#[derive(Debug)]
struct Known<K = Identifier> {
    lines: HashMap<String, Line>,
    kinds: HashMap<K, Kind>,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            kinds: HashMap::new(),
        }
    }
}

/// The lines of one place in the code.
#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// What was done with lines that differ from one only in what they are about.
#[derive(Debug, Default, PartialEq, Eq)]
enum Like {
    #[default]
    Written,
    LeftOutBefore(u64),
    LeftOutFromNow,
}

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
    like: Like,
    /// A line that is forgotten now, whose number would never be told: written a last time, which counts as one of those left out.
    forgotten: Option<(String, u64)>,
}

impl<K: Eq + Hash> Known<K> {
    /// Says what is to be written of a line, if it is.
    fn write(&mut self, kind: Option<K>, text: &str, now: Instant) -> Option<Written> {
        if let Some(known) = self.lines.get_mut(text)
            && now.duration_since(known.written_at) < WINDOW
        {
            known.left_out += 1;
            return None;
        }
        let like = match kind {
            Some(kind) => self.like(kind, now)?,
            None => Like::Written,
        };
        if let Some(known) = self.lines.get_mut(text) {
            known.written_at = now;
            let left_out = std::mem::take(&mut known.left_out);
            return Some(Written {
                left_out,
                like,
                forgotten: None,
            });
        }
        let forgotten = (self.lines.len() >= LINES_MAX)
            .then(|| self.forget_oldest())
            .flatten();
        let line_now = Line {
            written_at: now,
            left_out: 0,
        };
        self.lines.insert(text.to_owned(), line_now);
        Some(Written {
            left_out: 0,
            like,
            forgotten,
        })
    }

    /// Counts a line of a place in the code; nothing when there were enough of them.
    fn like(&mut self, kind: K, now: Instant) -> Option<Like> {
        let kind = self.kinds.entry(kind).or_insert(Kind {
            since: now,
            written: 0,
            left_out: 0,
        });
        if now.duration_since(kind.since) >= WINDOW {
            (kind.since, kind.written) = (now, 0);
        }
        if kind.written >= LIKE_LINES_MAX {
            kind.left_out += 1;
            return None;
        }
        kind.written += 1;
        Some(match std::mem::take(&mut kind.left_out) {
            0 if kind.written == LIKE_LINES_MAX => Like::LeftOutFromNow,
            0 => Like::Written,
            left_out => Like::LeftOutBefore(left_out),
        })
    }

    /// Forgets the line that was written first; returns it if equal ones were left out since.
    fn forget_oldest(&mut self) -> Option<(String, u64)> {
        let oldest = self.lines.iter().min_by_key(|(_, line)| line.written_at)?;
        let oldest = oldest.0.clone();
        let left_out = self.lines.remove(&oldest)?.left_out;
        (left_out > 0).then(|| (oldest, left_out - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_become_one_with_their_number() {
        let mut known = Known::<Identifier>::default();
        let start = Instant::now();
        let mut left_out = |line, second| {
            let written = known.write(None, line, start + Duration::from_secs(second))?;
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
        let mut known = Known::<Identifier>::default();
        let start = Instant::now();
        for n in 0..1000_u64 {
            assert_eq!(
                known.write(None, &n.to_string(), start + Duration::from_millis(n)),
                Some(Written::default())
            );
        }

        assert_eq!(known.lines.len(), LINES_MAX);
        assert_eq!(
            known.write(None, "999", start + Duration::from_secs(1)),
            None
        );
    }

    #[test]
    fn number_of_a_line_that_is_forgotten_is_told() {
        let mut known = Known::<Identifier>::default();
        let start = Instant::now();
        for _ in 0..4 {
            known.write(None, "often", start);
        }
        let mut told = Vec::new();
        for n in 1..1000_u64 {
            let written = known.write(None, &n.to_string(), start + Duration::from_millis(n));
            told.extend(written.unwrap().forgotten);
        }
        // Once first, once now, and two times more.
        assert_eq!(told, [("often".to_owned(), 2)]);
    }

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

    impl Text {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    /// Listens to what this thread logs.
    fn listen() -> (Text, tracing::subscriber::DefaultGuard) {
        let text = Text::default();
        let writer = text.clone();
        let logs = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(Collapsing::new(false))
            .with_writer(move || writer.clone())
            .finish();
        (text, tracing::subscriber::set_default(logs))
    }

    #[test]
    fn line_has_its_time_level_and_fields() {
        let (text, _listening) = listen();
        for _ in 0..3 {
            tracing::warn!(code = "UNREACHABLE", "no answer");
        }
        tracing::warn!(code = "UNAVAILABLE", "no answer");

        let lines = text.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("Z  WARN ") && lines[0].ends_with("no answer code=\"UNREACHABLE\""),
            "{lines:?}"
        );
    }

    #[test]
    fn lines_that_differ_only_in_what_they_are_about_do_not_flood() {
        let (text, _listening) = listen();
        for run in 0..1000 {
            tracing::warn!(run, "a run can't be read");
        }
        tracing::warn!("another thing");

        let (lines, most) = (text.lines(), usize::try_from(LIKE_LINES_MAX).unwrap());
        assert_eq!(lines.len(), most + 1);
        assert!(lines[most - 1].contains("more like it are left out"));
        assert!(lines[most].ends_with("another thing"));
    }

    #[test]
    fn how_many_like_it_were_left_out_is_told_once() {
        let mut known = Known::<&str>::default();
        let start = Instant::now();
        let mut like = |n: u64, second| {
            let at = start + Duration::from_secs(second);
            Some(known.write(Some("kind"), &n.to_string(), at)?.like)
        };
        let written = (0..100).filter_map(|n| like(n, 0)).count();
        assert_eq!(u32::try_from(written), Ok(LIKE_LINES_MAX));
        let left_out = 100 - u64::from(LIKE_LINES_MAX);
        assert_eq!(like(100, 29), None);
        assert_eq!(like(101, 30), Some(Like::LeftOutBefore(left_out + 1)));
        assert_eq!(like(102, 30), Some(Like::Written));
    }
}
