//! Durations as protobuf's JSON mapping writes them: with 0 or 3 digits after the point.

use crate::time::Millis;

/// Returns a duration in seconds: `10s`, `1.500s`.
pub(super) fn seconds(duration: Millis) -> String {
    let (seconds, millis) = (duration.0 / 1000, duration.0 % 1000);
    if millis == 0 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{millis:03}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds() {
        assert_eq!(seconds(Millis(10_000)), "10s");
        assert_eq!(seconds(Millis(1_500)), "1.500s");
        assert_eq!(seconds(Millis(0)), "0s");
    }
}
