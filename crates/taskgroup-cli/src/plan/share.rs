//! Values that may be a share of something else, in options and in files of tasks.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

/// How many commands can run at the same time, at full speed.
pub(crate) fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// `50%` of the processors, but at least one. None if the text is something else, or nothing.
pub(crate) fn of_processors(text: &str) -> Option<NonZeroUsize> {
    let percent: usize = text.strip_suffix('%')?.parse().ok()?;
    let jobs = processors().get().saturating_mul(percent) / 100;
    (percent > 0).then(|| NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN))
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
    fn a_share_of_what_others_take_is_more_than_all() {
        assert_eq!(Timeout::share("300%"), Some(Timeout::Share(300)));
        for text in ["100%", "50%", "300%%", "300", "%"] {
            assert_eq!(Timeout::share(text), None, "{text}");
        }
    }
}
