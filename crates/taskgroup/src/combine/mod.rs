//! What the helpers take and return.
//!
//! The functions are at the root of the crate: [`gather`](crate::gather),
//! [`settle`](crate::settle), [`race`](crate::race), [`map`](crate::map), [`join`](crate::join),
//! [`as_completed`](crate::as_completed) and [`wait`](crate::wait), and so is `Retry`. Here are the
//! types that most programs never write down.
//!
//! | | the first failure ends it | every outcome counts | the first success ends it |
//! |---|---|---|---|
//! | all futures at once | `gather` | `settle` | `race` |
//! | a few at a time | `map`, `gather` with a limit | `settle` with a limit | `race_staggered` |
//!
//! These run the futures as children of a group, inside the caller's task. `join`, `as_completed`
//! and `wait` look at futures and handles and need no group. `Retry` is a loop with deadlines.

// One file each. Those of the table run on `inline`, the children that the body of a group polls.

pub(crate) mod as_completed;
#[cfg(feature = "indicatif")]
mod bar;
pub(crate) mod gather;
pub(crate) mod inline;
pub(crate) mod join;
pub(crate) mod map;
pub(crate) mod race;
#[cfg(feature = "retry")]
pub(crate) mod retry;
pub(crate) mod settle;
mod several;
pub(crate) mod wait;

pub use as_completed::AsCompleted;
pub use gather::{Each, Gather, Plan, Tuple};
pub use join::{Join, SideBySide};
#[cfg(feature = "retry")]
pub use retry::{Always, GaveUp, RetryError, TryFault, Worth};
pub use settle::{Settled, ValueOf};
pub use wait::{Until, Waited};
