//! One child: its node, the references to it, how it is polled and how it ends.
//!
//! | file | what it answers |
//! |---|---|
//! | `header` | what is the same in every task, and which thread may touch what (K1–K7) |
//! | `state` | the state word, by named transitions |
//! | `birth` | how a header begins |
//! | `stage` | one future, later its outcome, behind the header |
//! | `step` | how it is polled or dropped, whatever its type |
//! | `complete` | how its outcome is made and told |
//! | `ended` | how the future ended, before others are told |
//! | `reference` | polling, cancelling, linking and ending a task by a reference to it |
//! | `waker` | its waker |
//! | `waiting` | waiting for its end |
//! | `joiner` | the one that may have its outcome |
//! | `outcome` | what its outcome is to others |
//! | `output` | what a child may return |
//! | `kept` | large futures and values |
//! | `extra` | what few tasks have: a Tokio task, a scope inside, awaits of the end |
//! | `label` | its name and its place in the source |
//! | `name` | the name in twelve bytes |
//! | `pool` | the memory of nodes |

mod birth;
mod complete;
mod ended;
mod extra;
mod header;
mod joiner;
mod kept;
mod label;
#[cfg(not(taskgroup_bare))]
mod name;
pub(crate) mod outcome;
mod output;
mod pool;
mod reference;
mod stage;
mod state;
mod step;
mod waiting;
mod waker;

pub(crate) use birth::Spec;
pub(super) use header::Allowed;
pub(crate) use header::{Header, TaskLink, TaskRef};
pub(crate) use joiner::Joiner;
pub(crate) use kept::is_large;
pub use output::TaskOutput;
pub(crate) use output::converted;
pub(super) use reference::Driven;
pub(crate) use stage::{Born, Maker, Node, new};
pub(super) use state::Woken;
pub(crate) use state::{BACKGROUND, LIMITED, SHIELDED, TOKIO};
pub(crate) use waiting::WaitDone;
