//! The parts of an [`ErrorGroup`], and the clauses that handle it.
//!
//! An `ErrorGroup` is a tree. Its [`Member`]s are failed tasks and the errors of groups below. Its
//! [`Leaves`] are only the failed tasks, each with the groups above it. [`Clauses`] handle
//! one kind of error each, as Python's `except*` does. [`NotKept`], [`Overrun`] and
//! [`QuorumMissed`] are errors that the library itself adds to a tree.
//!
//! [`BoxError`], [`ErrorGroup`] and [`TaskError`] are at the root of the crate.

// One file each: `info` (who failed), `leaf` (one failed task), `tree` (the group), `leaves`
// (walking it), `select` (splitting it), `clauses` (`except*`), `render` and `layout` (printing
// it), `demolish` (dropping it), `origin` (its source), `overrun` (cleanup that took too long),
// `not_kept` (failures beyond the number that is kept), `order` (when one failure cannot follow
// from another), `cause` (which failure of a group comes first), `seen` (failures that were handed
// on and are not kept), `typed` (the one error in a tree).
//
// The engine builds errors through `Member::failed`, `from_failure`, `from_panic`,
// `from_cancelled` and `ErrorGroup::new`.

mod cause;
mod chain;
mod clauses;
mod demolish;
pub(crate) mod info;
mod layout;
pub(crate) mod leaf;
mod leaves;
mod not_kept;
mod order;
mod origin;
mod overrun;
mod render;
mod seen;
mod select;
pub(crate) mod tree;
mod typed;

#[cfg(test)]
mod tests;

pub use clauses::{Clauses, Handler, HandlerOutput};
pub use info::TaskPath;
pub use leaves::{Leaf, Leaves};
pub use not_kept::NotKept;
pub use overrun::Overrun;
pub use tree::Member;

pub use crate::policy::QuorumMissed;

// At the root of the crate, so that each name has one public path.
pub(crate) use info::{TaskId, TaskInfo};
pub(crate) use leaf::TaskError;
pub(crate) use tree::ErrorGroup;

pub(crate) use cause::mentions;
pub(crate) use layout::OneLine;
pub(crate) use order::{Began, Caught, Failed, Fault, Interval, is_through};
pub(crate) use seen::Seen;

/// The error that a task or a body returns. `?` converts every error type into it, and strings.
///
/// ```
/// use taskgroup::BoxError;
///
/// // Any error becomes one by `?` or `into`, and so does a text.
/// fn parse(text: &str) -> Result<u16, BoxError> {
///     if text.is_empty() {
///         return Err("no port".into());
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse("80").unwrap(), 80);
/// assert!(parse("eighty").unwrap_err().is::<std::num::ParseIntError>());
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
