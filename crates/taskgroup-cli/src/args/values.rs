//! Values of options. Each error says which form is right.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::plan::Shell;

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    humantime::parse_duration(text).map_err(|error| {
        if number {
            format!("a unit is missing: {text}s, {text}m or {text}h")
        } else {
            format!("{error}; durations are written like 90s, 5m or \"1h 30m\"")
        }
    })
}

/// A number of commands, or a share of the processors.
pub(super) fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let wrong = || "expected a number like 4, or a share of the processors like 50%".to_owned();
    let (number, share) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err("nothing could ever run; a large number stands for no limit".to_owned());
    }
    let jobs = if share {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        processors.saturating_mul(number) / 100
    } else {
        number
    };
    Ok(NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN))
}

/// A shell and its options, separated by spaces.
pub(super) fn shell(text: &str) -> Result<Shell, String> {
    Shell::from_words(text.split_whitespace().map(Into::into).collect()).ok_or_else(|| {
        "expected a shell and its options, like \"bash -euo pipefail -c\"".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_processors_is_at_least_one() {
        let all = thread::available_parallelism().unwrap();
        assert_eq!(jobs("100%"), Ok(all));
        assert_eq!(jobs("1%"), Ok(NonZeroUsize::MIN));
        assert_eq!(jobs("200%").unwrap().get(), 2 * all.get());
        assert_eq!(jobs("3").unwrap().get(), 3);
    }

    #[test]
    fn wrong_values_are_told_how_to_be_right() {
        for (text, part) in [
            ("0", "no limit"),
            ("many", "50%"),
            ("%", "50%"),
            ("-1", "50%"),
        ] {
            let error = jobs(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(duration("5").unwrap_err().contains("5s, 5m or 5h"));
        assert!(duration("soon").unwrap_err().contains("90s"));
        assert!(shell(" ").is_err());
    }
}
