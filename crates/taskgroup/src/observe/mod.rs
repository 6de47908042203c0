//! Seeing what runs: the live tree, warnings, reports of what blocks or does not end.
//!
//! The engine does not know this room. It reports the turns in the life of a task to a listener
//! (`scope/events.rs`), which the recorder is. Everything else is read from the scope tree on
//! demand, through the accessors of its nodes, so a tree that is not looked at costs nothing.
//!
//! | file | what it answers |
//! |---|---|
//! | `tree` | what is alive: the nodes and how they are gathered |
//! | `text` | the tree as text |
//! | `signal` | the tree when a signal asks for it |
//! | `stall` | who blocks its worker |
//! | `recorder` | what happened, as data, a trace, a page |

#[cfg(feature = "recorder")]
pub mod recorder;
#[cfg(all(feature = "runner", unix))]
mod signal;
mod stall;
mod text;
mod tree;

#[cfg(all(feature = "runner", unix))]
pub(crate) use signal::TreeOnSignal;
pub use stall::report_blocking;
pub use tree::{Node, NodeKind, State, Tree, current, live_tasks, tree};

pub use crate::warning::{Warning, WarningKind, reset_warning_hook, set_warning_hook};
