//! Durations, moments and waits as text: read as they are written, or refused.

use std::time::Duration;

use engine::limits::LONG_POLL_MAX;
use fuzz::text;
use history::{Timestamp, rfc3339::Utc};

use crate::{duration::Human, wait::Wait};

const WRITTEN: [&str; 6] = ["30s", "500ms", "1m30s", "1.5h", "7d", "1d2h3m4s5ms"];

#[test]
fn durations_are_read_or_refused_and_what_is_shown_can_be_read() {
    for mut dice in fuzz::cases(5000) {
        let written = dice.pick(&WRITTEN);
        let text = text::mutated(&mut dice, written);
        if let Ok(read) = text.parse::<Human>() {
            is_shown_right(read);
        }
        is_shown_right(Human(Duration::from_millis(dice.bits() >> dice.below(64))));
    }
}

/// Two units are shown, or hundredths of a second.
fn is_shown_right(Human(duration): Human) {
    let shown = Human(duration).to_string();
    let Human(read) = shown.parse().unwrap();
    let unit = match duration.as_secs() {
        86_400.. => Duration::from_hours(1),
        3600.. => Duration::from_mins(1),
        60.. => Duration::from_secs(1),
        1.. => Duration::from_millis(10),
        0 => Duration::from_millis(1),
    };
    // A number of days beyond 2^53 seconds is a float's.
    let float = duration / 1_000_000_000;
    assert!(
        read.abs_diff(duration) <= unit + float,
        "{duration:?} is shown as {shown}"
    );
}

#[test]
fn waits_are_within_their_limit_or_refused() {
    for mut dice in fuzz::cases(5000) {
        let written = dice.pick(&["20s", "true", "false", "500ms"]);
        let text = text::mutated(&mut dice, written);
        let quoted = serde_json::Value::from(text).to_string();
        if let Ok(wait) = serde_json::from_str::<Wait>(&quoted) {
            assert!(wait.or_not() <= LONG_POLL_MAX, "{quoted}");
        }
    }
}

#[test]
fn every_moment_is_written_as_a_date_that_means_it() {
    for mut dice in fuzz::cases(5000) {
        let shift = dice.below(64);
        let micros = dice.bits().cast_signed() >> shift;
        let text = Utc(Timestamp(micros)).to_string();
        assert_eq!(read(&text), i128::from(micros), "{text}");
    }
}

/// Reads `2026-02-03T04:05:06.007Z` by counting days year by 400 years.
fn read(text: &str) -> i128 {
    let (date, time) = text.strip_suffix('Z').unwrap().split_once('T').unwrap();
    let numbers = |text: &str, by: &[char]| -> Vec<i128> {
        text.split(by).map(|part| part.parse().unwrap()).collect()
    };
    let (negative, date) = date.strip_prefix('-').map_or((1, date), |rest| (-1, rest));
    let date = numbers(date, &['-']);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let micros: i128 = format!("{fraction:0<6}").parse().unwrap();
    let time = numbers(time, &[':']);
    let (year, month, day) = (negative * date[0], date[1], date[2]);
    assert!(
        (1..=12).contains(&month) && (1..=31).contains(&day),
        "{text}"
    );
    let leap = |year: i128| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let (eras, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let mut days = eras * 146_097 - 719_528;
    days += (0..year_of_era)
        .map(|year| 365 + i128::from(leap(year)))
        .sum::<i128>();
    let lengths = [
        31,
        28 + i128::from(leap(year_of_era)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    days += lengths
        .iter()
        .take(usize::try_from(month).unwrap() - 1)
        .sum::<i128>()
        + day
        - 1;
    (((days * 24 + time[0]) * 60 + time[1]) * 60 + time[2]) * 1_000_000 + micros
}
