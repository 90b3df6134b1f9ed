//! Moments and durations as protobuf's JSON mapping writes them: with 0, 3 or 6 digits after the point.

use crate::time::{Millis, Timestamp};

/// Returns a duration in seconds: `10s`, `1.500s`.
pub(super) fn seconds(duration: Millis) -> String {
    let (seconds, millis) = (duration.0 / 1000, duration.0 % 1000);
    if millis == 0 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{millis:03}s")
    }
}

/// Returns a moment in UTC: `2026-01-31T23:59:59.000001Z`.
pub(super) fn rfc3339(at: Timestamp) -> String {
    let (seconds, micros) = (at.0.div_euclid(1_000_000), at.0.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match micros {
        0 => String::new(),
        _ if micros % 1000 == 0 => format!(".{:03}", micros / 1000),
        _ => format!(".{micros:06}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Returns year, month and day of the Gregorian calendar, from days since 1970-01-01.
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years begin in March,
/// so that the leap day is the last one, and repeat every 400 years of 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_in_utc() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_827_696_789_000, "2000-02-29T12:34:56.789Z"),
            (1_798_761_599_000_001, "2026-12-31T23:59:59.000001Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(micros)), text);
        }
    }

    #[test]
    fn durations_are_seconds() {
        assert_eq!(seconds(Millis(10_000)), "10s");
        assert_eq!(seconds(Millis(1_500)), "1.500s");
        assert_eq!(seconds(Millis(0)), "0s");
    }
}
