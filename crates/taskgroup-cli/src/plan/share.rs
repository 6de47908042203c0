//! Values that may be a share of something else, in options and in files of tasks.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

/// How many commands can run at the same time, at full speed.
pub(crate) fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// `50%` of the processors, but at least one. None if the text is something else, or nothing.
fn of_processors(text: &str) -> Option<NonZeroUsize> {
    let percent: usize = text.strip_suffix('%')?.parse().ok()?;
    let jobs = processors().get().saturating_mul(percent) / 100;
    (percent > 0).then(|| NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN))
}

/// How many commands run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) most: NonZeroUsize,
    /// Of the processors of this machine.
    pub(crate) is_share: bool,
}

impl Jobs {
    /// `50%` of the processors. None if the text is something else.
    pub(crate) fn share(text: &str) -> Option<Jobs> {
        let most = of_processors(text)?;
        let is_share = true;
        Some(Jobs { most, is_share })
    }

    pub(crate) fn number(most: NonZeroUsize) -> Jobs {
        let is_share = false;
        Jobs { most, is_share }
    }
}

/// How much memory a command takes, in bytes. A number needs a unit: without one, Slurm would take
/// it for megabytes and others for bytes.
pub(crate) fn memory(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0)
}

/// Whether this can be an option for a program, and not a word that ends its options.
pub(crate) fn is_dashed(text: &str) -> bool {
    let is_odd = |c: char| c.is_control();
    text.starts_with('-') && !["-", "--"].contains(&text) && !text.contains(is_odd)
}

/// How long a command may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    After(Duration),
    /// In percent of what others take.
    Share(u32),
}

impl Timeout {
    /// Half of the commands take longer than the median, so a share must be above it.
    pub(crate) const SHARE: &str = "a share must be above 100%, or half of the commands would fail";

    /// Of `300%`. None if the text is something else, or no more than everything.
    pub(crate) fn share(text: &str) -> Option<Timeout> {
        let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
        (percent > 100).then_some(Timeout::Share(percent))
    }

    /// The same for each command.
    pub(crate) fn fixed(self) -> Option<Duration> {
        match self {
            Timeout::After(limit) => Some(limit),
            Timeout::Share(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_processors_is_at_least_one() {
        let all = processors();
        assert_eq!(of_processors("100%"), Some(all));
        assert_eq!(of_processors("1%"), Some(NonZeroUsize::MIN));
        assert_eq!(of_processors("200%").unwrap().get(), 2 * all.get());
        for text in ["0%", "%", "50", "-1%", "x%", ""] {
            assert_eq!(of_processors(text), None, "{text}");
        }
    }

    #[test]
    fn memory_has_a_unit_and_is_not_nothing() {
        assert_eq!(memory("500M"), Some(500 << 20));
        assert_eq!(memory("2gib"), Some(2 << 30));
        assert_eq!(memory("1TB"), Some(1 << 40));
        for text in [
            "",
            "2",
            "2048K",
            "0G",
            "G",
            "-1G",
            "1.5G",
            "1 G",
            "99999999999T",
        ] {
            assert_eq!(memory(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_of_what_others_take_is_more_than_all() {
        assert_eq!(Timeout::share("300%"), Some(Timeout::Share(300)));
        for text in ["100%", "50%", "300%%", "300", "%"] {
            assert_eq!(Timeout::share(text), None, "{text}");
        }
    }
}
