//! Durations as people write them: `30s`, `500ms`, `1m30s`, `1.5h`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

/// A duration as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Human(pub(crate) Duration);

/// A text that is no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no duration; write a number and a unit of ms, s, m, h or d, such as 30s, 500ms or 1m30s"
)]
pub(crate) struct Invalid {
    text: String,
}

impl FromStr for Human {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).map(Self).ok_or_else(|| Invalid {
            text: text.chars().take(40).collect(),
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut smallest = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        let unit = seconds(unit)?;
        if unit >= smallest {
            return None;
        }
        smallest = unit;
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn split(text: &str, take: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !take(c)).unwrap_or(text.len()))
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86_400.0),
        _ => None,
    }
}

impl fmt::Display for Human {
    /// Writes the two largest units that are not zero: `2d3h`, `1m30s`, `1.25s`, `40ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            86_400.. => two(f, (seconds / 86_400, 'd'), (seconds % 86_400 / 3600, 'h')),
            3600.. => two(f, (seconds / 3600, 'h'), (seconds % 3600 / 60, 'm')),
            60.. => two(f, (seconds / 60, 'm'), (seconds % 60, 's')),
            1.. => write!(f, "{}s", (self.0.as_secs_f64() * 100.0).round() / 100.0),
            0 => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

fn two(f: &mut fmt::Formatter<'_>, large: (u64, char), small: (u64, char)) -> fmt::Result {
    write!(f, "{}{}", large.0, large.1)?;
    if small.0 == 0 {
        Ok(())
    } else {
        write!(f, "{}{}", small.0, small.1)
    }
}

impl<'de> Deserialize<'de> for Human {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u128> {
        text.parse::<Human>().ok().map(|human| human.0.as_millis())
    }

    #[test]
    fn numbers_with_units_are_durations() {
        for (text, expected) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1x",
            "1s1m",
            "1s1s",
            "1.2.3s",
            " 1s",
            "1 s",
            "9e9d",
            "1µs",
            "99999999999999999999d",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_well() {
        let shown: Vec<String> = [
            0,
            40,
            1250,
            30_000,
            90_000,
            3_600_000,
            7_260_000,
            183_600_000,
        ]
        .map(|ms| Human(Duration::from_millis(ms)).to_string())
        .into();
        assert_eq!(
            shown,
            ["0ms", "40ms", "1.25s", "30s", "1m30s", "1h", "2h1m", "2d3h"]
        );
    }
}
