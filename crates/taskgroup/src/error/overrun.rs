//! The error of a task whose cleanup took longer than its group grants.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The error of cleanup that still ran when the grace of its group had passed, and was dropped
/// then.
///
/// It is the error of a leaf in an [`ErrorGroup`](crate::ErrorGroup); the leaf says which task it
/// was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    grace: Duration,
}

impl Overrun {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace }
    }

    /// The time that the group granted for cleanup.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cleanup exceeded the grace of {:?} and was dropped",
            self.grace
        )
    }
}

impl Error for Overrun {}
