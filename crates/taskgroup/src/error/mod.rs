//! Errors: the tree that a group gives back, its leaves, how it prints, and how a part of it is handled.
//!
//! One file each: `info` (who failed), `leaf` (one failed task), `tree` (the group), `leaves`
//! (walking it), `select` (splitting it), `clauses` (`except*`), `render` and `layout` (printing
//! it), `demolish` (dropping it), `origin` (its source), `overrun` (cleanup that took too long),
//! `not_kept` (failures that were too many), `order` (which of two cannot have come of the other),
//! `cause` (which of several comes first).
//!
//! The engine builds errors through `Member::failed`, `from_failure`, `from_panic`,
//! `from_cancelled` and `ErrorGroup::new`. Of the engine nothing is known here but the reason of a
//! cancellation.

mod cause;
mod chain;
mod clauses;
mod demolish;
mod info;
mod layout;
mod leaf;
mod leaves;
mod not_kept;
mod order;
mod origin;
mod overrun;
mod render;
mod select;
mod tree;

#[cfg(test)]
mod tests;

pub use clauses::{Clauses, Handler, Outcome};
pub use info::{TaskId, TaskInfo, TaskPath};
pub(crate) use layout::OneLine;
pub use leaf::TaskError;
pub use leaves::{Leaf, Leaves};
pub use not_kept::NotKept;
pub(crate) use order::{Began, Caught, Failed, Fault, Interval};
pub use overrun::Overrun;
pub use tree::{ErrorGroup, Member};

/// Any error: what tasks and bodies fail with. Every error type converts into it with `?`, and so do strings.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
