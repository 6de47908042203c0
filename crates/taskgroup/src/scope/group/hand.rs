//! Who has the token of a group without a body (S47).
//!
//! No section polls such a group. Instead, its owner has the token of the section, and gives it
//! back in one of two ways: it closes the group when nothing is left below, or it lets the group
//! go, which then ends as an orphan.
//!
//! - **OG1** The token is given back once. `Hand` says under its lock whether that has happened.
//!   Only the thread that has replaced `Hand::Open` closes the group or lets it go.

use crate::error::{ErrorGroup, TaskError};

/// Who has the token of the section.
#[derive(Default)]
pub(super) enum Hand {
    /// The owner.
    #[default]
    Open,
    /// A thread that closes the group, and takes the outcome.
    Closing,
    /// The group was closed, with this outcome.
    Closed {
        outcome: Result<(), ErrorGroup>,
        /// The first failure that the group kept, also if the policy tolerates it.
        first: Option<TaskError>,
    },
    /// No code: the group was let go. Failures from then on go to the scope around.
    LetGo,
}
