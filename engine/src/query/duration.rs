//! Durations as text.

/// Returns the nanoseconds of what Temporal takes: a number of them, `1h30m` as Go writes it and with `d` for days, or `hh:mm:ss`.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    if let Ok(nanoseconds) = text.parse() {
        return Some(nanoseconds);
    }
    let (sign, span) = match text.strip_prefix('-') {
        Some(span) => (-1, span),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanoseconds = if span.contains(':') {
        clock(span)?
    } else {
        parts(span)?
    };
    i64::try_from(sign * nanoseconds).ok()
}

fn clock(span: &str) -> Option<i128> {
    let (hours, rest) = span.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (hours, minutes, seconds) = (digits(hours)?, digits(minutes)?, digits(seconds)?);
    let fits = minutes < 60 && seconds < 60;
    fits.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000)
}

fn parts(mut span: &str) -> Option<i128> {
    let of_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut total: i128 = 0;
    loop {
        let (number, behind) = span.split_at(span.find(|c| !of_number(c))?);
        let (unit, behind) = behind.split_at(behind.find(of_number).unwrap_or(behind.len()));
        total = total.checked_add(part(number, self::unit(unit)?)?)?;
        if behind.is_empty() {
            return Some(total);
        }
        span = behind;
    }
}

/// The result is below 2 to the 112th: more digits than 64 bits hold are refused, and those behind the 17th of a fraction add nothing.
fn part(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = fraction.get(..17).unwrap_or(fraction);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()? + 1);
    let whole = digits(&format!("0{whole}"))?;
    let fraction = digits(&format!("{fraction}0"))?;
    Some(whole * unit + fraction * unit / scale)
}

fn digits(text: &str) -> Option<i128> {
    let number: Option<u64> = text.parse().ok();
    // A sign within a duration is none of it.
    number.filter(|_| !text.starts_with('+')).map(i128::from)
}

fn unit(unit: &str) -> Option<i128> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        "d" => Some(86_400_000_000_000),
        _ => None,
    }
}
