//! Durations for people, with three significant digits.

use std::fmt;
use std::time::Duration;

/// `0.30s`, `12.4s`, `3m 07s`, `2h 05m`.
pub(crate) struct Human(pub(crate) Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        // 9.996 s would round up to "10.00s", a digit too many.
        if self.0 < Duration::from_millis(9_995) {
            write!(f, "{:.2}s", self.0.as_secs_f64())
        } else if self.0 < Duration::from_millis(59_950) {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        } else if seconds < 3600 {
            write!(f, "{}m {:02}s", seconds.max(60) / 60, seconds.max(60) % 60)
        } else {
            write!(f, "{}h {:02}m", seconds / 3600, seconds % 3600 / 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magnitude() {
        let shown = |millis| Human(Duration::from_millis(millis)).to_string();
        assert_eq!(shown(0), "0.00s");
        assert_eq!(shown(304), "0.30s");
        assert_eq!(shown(9_994), "9.99s");
        assert_eq!(shown(9_996), "10.0s");
        assert_eq!(shown(59_949), "59.9s");
        assert_eq!(shown(59_999), "1m 00s");
        assert_eq!(shown(187_000), "3m 07s");
        assert_eq!(shown(7_500_000), "2h 05m");
    }
}
