//! The error that stands for the failures beyond the number that is kept.

use std::error::Error;
use std::fmt;

/// Futures that were dropped half-way left more failures behind than are kept. Of the others only
/// the number is known.
///
/// The first 1 000 failures are kept, and a [warning](crate::observe::WarningKind::FailuresNotKept)
/// reports when there are more. This is then the error of the last leaf: in the
/// [`ErrorGroup`](crate::ErrorGroup) of [`drain`](crate::drain) or of a run, or in the failure of
/// the task in which they were left.
///
/// ```
/// use taskgroup::ErrorGroup;
/// use taskgroup::error::NotKept;
///
/// fn count(error: &ErrorGroup) -> usize {
///     let unnamed = error.find::<NotKept>().map_or(0, NotKept::count);
///     error.leaf_count() + unnamed
/// }
/// ```
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
