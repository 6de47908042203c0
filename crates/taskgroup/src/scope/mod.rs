//! The engine: the scope tree, the tasks in it, and what drives them. Nothing here is public.
//!
//! `README.md` in this folder follows a child, a cancellation and the end of a group through the
//! files, and says what each invariant is good for. Begin there.
//!
//! The engine imports words (errors, reasons, policies, counts, the gate) and itself. Where it has
//! to tell the face something, it calls what the face has handed to it: a listener (`events`), a
//! hook, a future. `tests/layers.rs` checks that.
//!
//! | file | what it answers |
//! |---|---|
//! | `tree/` | what is below what, what is cancelled, what has ended |
//! | `group/` | children, limit, policy and grace of a group |
//! | `task/` | one child: its node, its future, its outcome |
//! | `section/` | the guard rule, for code that is polled inline |
//! | `driver/` | what polls children: Tokio tasks, one for each child or a few for a group |
//! | `time/` | alarms and deadlines |
//! | `current` | whose code is being polled on this thread |
//! | `cancelled` | the value that tells code it was cancelled, and the guard in it |
//! | `who` | names, numbers and paths of tasks and groups |
//! | `entrant` | children that are polled inside the task of their group |
//! | `waiters` | what waits for something, and leaves when the wait is given up |
//! | `dated` | when a future failed |
//! | `events` | what the engine tells a listener |
//! | `how` | how a task or a group ended, in the words of reports |
//! | `spans/` | what it tells `tracing` |
//! | `meters` | what it tells the `metrics` facade |
//! | `stop` | the request that a program should stop, and what waits for it |
//! | `polling` | which thread polls what, as seen from another one |
//! | `waiting` | reports of what does not end |
//! | `rarely` | boxes for what few have |
//! | `models/` | the models of the schedule checker |

pub(crate) mod cancelled;
pub(crate) mod current;
pub(crate) mod dated;
pub(crate) mod driver;
pub(crate) mod entrant;
pub(crate) mod events;
pub(crate) mod group;
pub(crate) mod how;
#[cfg(feature = "metrics")]
pub(crate) mod meters;
#[cfg(loom)]
#[allow(missing_docs)]
pub mod models;
pub(crate) mod polling;
mod rarely;
pub(crate) mod section;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
#[cfg(feature = "runner")]
pub(crate) mod stop;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod tree;
pub(crate) mod waiters;
mod waiting;
pub(crate) mod who;

pub(crate) use time::{bell, timer};

#[cfg(test)]
mod tests;
