//! Helpers over groups: several futures, one outcome. One file each.
//!
//! | | the first failure ends it | every outcome counts | the first success ends it |
//! |---|---|---|---|
//! | all futures at once | `gather` | `settle` | `race` |
//! | a few at a time | `map`, `gather` with a limit | `settle` with a limit | `race_staggered` |
//!
//! These run on `inline`, the children of a group that are polled by its body. `join`, `as_completed` and `wait` look at futures
//! and handles and need no group. `retry` is a loop with deadlines. `progress` is told by the engine.

pub(crate) mod as_completed;
#[cfg(feature = "indicatif")]
mod bar;
pub(crate) mod gather;
mod inline;
pub(crate) mod join;
pub(crate) mod map;
pub(crate) mod race;
#[cfg(feature = "retry")]
pub(crate) mod retry;
pub(crate) mod settle;
pub(crate) mod wait;
