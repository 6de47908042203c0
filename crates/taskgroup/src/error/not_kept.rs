//! The error that stands for failures that were too many to keep.

use std::error::Error;
use std::fmt;

/// More failures were left behind, by futures that were dropped half-way, than are kept: only their
/// number is known.
///
/// It is the error of the last leaf of an [`ErrorGroup`](crate::ErrorGroup) that
/// [`drain`](crate::drain) gives, or a run, or of a failure of the task in which they were left.
/// The first 1 000 failures are kept, and a [warning](crate::observe::WarningKind::FailuresNotKept)
/// tells when it is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept {
    count: usize,
}

impl NotKept {
    pub(crate) fn new(count: usize) -> Self {
        Self { count }
    }

    /// How many failures were not kept.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("1 more failure was not kept"),
            count => write!(f, "{count} more failures were not kept"),
        }
    }
}

impl Error for NotKept {}
