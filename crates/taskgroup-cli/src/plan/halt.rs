//! `--halt`: when a run stops by itself, in the words of GNU parallel.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Halt {
    /// Stop what runs, too; else start no more.
    pub(crate) now: bool,
    pub(crate) on: HaltOn,
    pub(crate) limit: Limit,
    /// How many commands there are, if that is known.
    pub(crate) total: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HaltOn {
    Fail,
    Success,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Count(u64),
    Percent(f64),
}

/// A share of an unknown total says nothing before this many have ended.
const FEWEST: u64 = 3;

impl Halt {
    /// Whether the limit is reached. `served` of the successes are services that nothing needs any
    /// longer, and `forgiven` of the failures do not count.
    pub(crate) fn is_reached(
        &self,
        (succeeded, served): (u64, u64),
        (failed, forgiven): (u64, u64),
    ) -> bool {
        let count = match self.on {
            HaltOn::Fail => failed - forgiven,
            HaltOn::Success => succeeded - served,
            HaltOn::Done => succeeded + failed,
        };
        match self.limit {
            Limit::Count(limit) => count >= limit,
            Limit::Percent(limit) => {
                let ended = succeeded + failed;
                let (all, enough) = match self.total {
                    Some(total) => (total, true),
                    None => (ended, ended >= FEWEST),
                };
                enough && count > 0 && count as f64 * 100.0 >= limit * all as f64
            }
        }
    }
}

impl FromStr for Halt {
    type Err = String;

    fn from_str(text: &str) -> Result<Halt, String> {
        let expected = || {
            "expected `soon` or `now`, a comma, and `fail`, `success` or `done` with a number or a \
             share, like soon,fail=3 or now,fail=10%"
                .to_owned()
        };
        let (when, what) = text.split_once(',').ok_or_else(expected)?;
        let (on, limit) = what.split_once('=').ok_or_else(expected)?;
        let now = match when {
            "now" => true,
            "soon" => false,
            _ => return Err(expected()),
        };
        let on = match on {
            "fail" => HaltOn::Fail,
            "success" => HaltOn::Success,
            "done" => HaltOn::Done,
            _ => return Err(expected()),
        };
        let limit = match limit.strip_suffix('%') {
            Some(share) => match share.parse() {
                Ok(share) if share > 0.0 && share <= 100.0 => Limit::Percent(share),
                _ => return Err(expected()),
            },
            None => match limit.parse() {
                Ok(count) if count > 0 => Limit::Count(count),
                _ => return Err(expected()),
            },
        };
        Ok(Halt {
            now,
            on,
            limit,
            total: None,
        })
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = match self.on {
            HaltOn::Fail => "fail",
            HaltOn::Success => "success",
            HaltOn::Done => "done",
        };
        let when = if self.now { "now" } else { "soon" };
        match self.limit {
            Limit::Count(count) => write!(f, "{when},{on}={count}"),
            Limit::Percent(share) => write!(f, "{when},{on}={share}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_shown() {
        for text in [
            "now,fail=1",
            "soon,fail=3",
            "now,success=2",
            "soon,done=7",
            "now,fail=12.5%",
        ] {
            assert_eq!(text.parse::<Halt>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "now",
            "never",
            "now,fail",
            "now,fail=0",
            "later,fail=1",
            "now,lost=1",
            "now,fail=0%",
            "now,fail=101%",
            "now,fail=-1",
        ] {
            let error = text.parse::<Halt>().unwrap_err();
            assert!(error.contains("soon,fail=3"), "{text}");
        }
    }

    #[test]
    fn shares_are_of_all_or_of_enough() {
        let halt = |text: &str, total| Halt {
            total,
            ..text.parse().unwrap()
        };
        let known = halt("now,fail=10%", Some(30));
        assert!(!known.is_reached((20, 0), (2, 0)) && known.is_reached((0, 0), (3, 0)));
        let unknown = halt("now,fail=10%", None);
        assert!(!unknown.is_reached((1, 0), (1, 0)) && unknown.is_reached((2, 0), (1, 0)));
        assert!(!unknown.is_reached((28, 0), (2, 0)) && unknown.is_reached((27, 0), (3, 0)));
        let done = halt("soon,done=3", None);
        assert!(!done.is_reached((1, 0), (1, 0)) && done.is_reached((1, 0), (2, 0)));
        let fail = halt("now,fail=2", None);
        assert!(!fail.is_reached((0, 0), (3, 2)) && fail.is_reached((0, 0), (3, 1)));
        assert!(done.is_reached((0, 0), (3, 3)));
        let success = halt("soon,success=1", None);
        assert!(!success.is_reached((0, 0), (9, 0)) && success.is_reached((1, 0), (0, 0)));
        assert!(!success.is_reached((1, 1), (0, 0)) && success.is_reached((2, 1), (0, 0)));
        assert!(done.is_reached((3, 3), (0, 0)));
    }
}
