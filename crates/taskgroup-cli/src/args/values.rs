//! Values of options. Each error says which form is right.

use std::ffi::OsString;
use std::num::{IntErrorKind, NonZeroU32, NonZeroUsize, ParseIntError};
use std::time::Duration;

use crate::plan::{Jobs, Shell, Timeout, is_dashed, memory as memory_of, processors};

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

/// A duration, or a share of what others take.
pub(super) fn timeout(text: &str) -> Result<Timeout, String> {
    if text.ends_with('%') {
        return Timeout::share(text).ok_or_else(|| format!("{}; like 300%", Timeout::SHARE));
    }
    duration(text).map(Timeout::After)
}

/// A load, or a share of the processors.
pub(super) fn load(text: &str) -> Result<f64, String> {
    let load = match text.strip_suffix('%') {
        Some(share) => share
            .parse::<f64>()
            .map(|share| share / 100.0 * processors().get() as f64),
        None => text.parse::<f64>(),
    };
    let load = load.ok().filter(|load| load.is_finite() && *load > 0.0);
    load.ok_or_else(|| "expected a load like 4, or a share of the processors like 100%".to_owned())
}

/// A number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size like 500M or 2G".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(expected()),
    };
    let number: u64 = digits.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).ok_or_else(expected)
}

/// What is between columns; not empty.
pub(super) fn separator(text: &str) -> Result<OsString, String> {
    match text {
        "" => Err("expected a text like , or \\t".to_owned()),
        text => Ok(text.replace("\\t", "\t").into()),
    }
}

/// How many arguments a command gets.
pub(super) fn count(text: &str) -> Result<NonZeroUsize, String> {
    let wrong = || "expected a whole number, 1 or more".to_owned();
    text.parse().map_err(|_| wrong())
}

/// A number of times, or of commands.
pub(super) fn whole(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => format!("expected a whole number from 0 to {}", u32::MAX),
            _ => "expected a whole number, 0 or more".to_owned(),
        })
}

/// What is added to the niceness.
pub(super) fn niceness(text: &str) -> Result<i32, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (-20..20).contains(number));
    number.ok_or_else(|| "expected a whole number from -20 to 19".to_owned())
}

/// A number of commands, or a share of the processors.
pub(super) fn jobs(text: &str) -> Result<Jobs, String> {
    let wrong = || "expected a number like 4, or a share of the processors like 50%".to_owned();
    if let Some(jobs) = Jobs::share(text) {
        return Ok(jobs);
    }
    let number: usize = text
        .strip_suffix('%')
        .unwrap_or(text)
        .parse()
        .map_err(|_| wrong())?;
    let none = "nothing could ever run; a large number stands for no limit";
    let number = NonZeroUsize::new(number).ok_or_else(|| none.to_owned())?;
    Ok(Jobs::number(number))
}

/// A number of processors, of nodes, or of commands that share a step.
pub(super) fn one_or_more(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => format!("expected a whole number from 1 to {}", u32::MAX),
            _ => "expected a whole number, 1 or more".to_owned(),
        })
}

/// How much memory a command takes.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    memory_of(text).ok_or_else(|| "expected a size with its unit, like 500M or 2G".to_owned())
}

/// A name in Slurm, or a constraint.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text {
        text if text.trim().is_empty() => Err("it is empty".to_owned()),
        text if text.chars().any(char::is_control) => Err("it has a control character".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// An option for another program, with its value.
pub(super) fn option(text: &str) -> Result<OsString, String> {
    match is_dashed(text) {
        true => Ok(text.into()),
        false => Err("expected an option with its value, like --qos=long".to_owned()),
    }
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
        assert!(timeout("50%").unwrap_err().contains("above 100%"));
        assert!(load("0").unwrap_err().contains("100%"));
        assert!(size("5X").unwrap_err().contains("500M"));
        assert!(size("99999999999T").is_err() && size("M").is_err());
        assert!(whole("-1").unwrap_err().contains("0 or more"));
        assert!(whole("4294967296").unwrap_err().contains("4294967295"));
        assert!(separator("").is_err());
        assert!(one_or_more("0").unwrap_err().contains("1 or more"));
        assert!(
            one_or_more("4294967296")
                .unwrap_err()
                .contains("4294967295")
        );
        assert!(memory("2").unwrap_err().contains("unit"));
        assert!(name(" ").is_err() && name("a\n").is_err());
        for text in ["qos=long", "", "-", "--"] {
            assert!(option(text).unwrap_err().contains("--qos=long"), "{text}");
        }
    }

    #[test]
    fn right_values_are_taken() {
        assert_eq!(jobs("3").unwrap().most.get(), 3);
        let all = jobs("100%").unwrap();
        assert_eq!((all.most, all.is_share), (processors(), true));
        assert_eq!(one_or_more("2").unwrap().get(), 2);
        assert_eq!(memory("2G"), Ok(2 << 30));
        assert_eq!(name("a b"), Ok("a b".into()));
        assert_eq!(option("--qos=long"), Ok("--qos=long".into()));
        assert_eq!(timeout("2s"), Ok(Timeout::After(Duration::from_secs(2))));
        assert_eq!(timeout("300%"), Ok(Timeout::Share(300)));
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("7"), Ok(7));
        assert_eq!(load("1.5"), Ok(1.5));
        assert_eq!(separator("\\t"), Ok("\t".into()));
    }
}
