//! Moments as text (RFC 3339), as protobuf's JSON mapping writes them: in UTC, with 0, 3 or 6 digits after the point.

use std::fmt;

use crate::time::Timestamp;

/// A moment in UTC: `2026-02-03T04:05:06Z`, `2026-02-03T04:05:06.000007Z`.
#[derive(Debug, Clone, Copy)]
pub struct Utc(pub Timestamp);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 86_400;
        let (seconds, micros) = (
            self.0.0.div_euclid(1_000_000),
            self.0.0.rem_euclid(1_000_000),
        );
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let of_day = seconds.rem_euclid(DAY);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        )?;
        match micros {
            0 => write!(f, "Z"),
            _ if micros % 1000 == 0 => write!(f, ".{:03}Z", micros / 1000),
            _ => write!(f, ".{micros:06}Z"),
        }
    }
}

/// Returns year, month and day of a day counted from the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads a moment: of any offset, with any number of digits behind its seconds, of which six count.
pub fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest
        .strip_prefix(['T', 't', ' '])?
        .split_at_checked("00:00:00".len())?;
    let ([year, month, day], [hours, minutes, seconds]) = (
        numbers(date, '-', [4, 2, 2])?,
        numbers(time, ':', [2, 2, 2])?,
    );
    let days = days(year, month, day);
    // The calendar has that day, and the day that hour.
    let exists = civil(days) == (year, month, day) && hours < 24 && minutes < 60 && seconds < 60;
    let (micros, offset) = rest.strip_prefix('.').map_or(Some((0, rest)), fraction)?;
    let seconds = (days * 24 + hours) * 3600 + minutes * 60 + seconds - offset_seconds(offset)?;
    exists.then_some(Timestamp(seconds * 1_000_000 + micros))
}

/// Reads the digits of a fraction as microseconds; returns what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text
        .find(|other: char| !other.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let micros = format!("{digits:0<6}").get(..6)?.parse().ok()?;
    (end > 0).then_some((micros, rest))
}

/// Reads `Z`, `+01:00`.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(text.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Reads numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let parts = text.split(between).enumerate().map(|(n, part)| {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && digits.get(n) == Some(&part.len())).then(|| part.parse().ok())?
    });
    let parts: Option<Vec<i64>> = parts.collect();
    parts?.try_into().ok()
}

/// Returns the day, counted from the epoch, of year, month and day; the way back from [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_827_696_789_000, "2000-02-29T12:34:56.789Z"),
            (1_772_323_199_123_456, "2026-02-28T23:59:59.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Utc(Timestamp(micros)).to_string(), text);
            assert_eq!(read(text), Some(Timestamp(micros)));
        }
    }

    #[test]
    fn moments_of_other_offsets_are_read() {
        let moment = Some(Timestamp(1_770_091_506_250_000));
        for text in [
            "2026-02-03T04:05:06.25Z",
            "2026-02-03t05:05:06.2500009+01:00",
            "2026-02-02 20:35:06.250-07:30",
        ] {
            assert_eq!(read(text), moment, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(Timestamp(1_000_000)));
        assert_eq!(read("1970-01-01T00:00:00.5Z"), Some(Timestamp(500_000)));
        for text in [
            "",
            "Z",
            "1970-02-29T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-1-1T00:00:00Z",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00+01",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01",
            "1970-01-01T00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.é12345Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
