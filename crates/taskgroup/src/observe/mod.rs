//! Seeing what runs: the live tree, warnings, reports of what blocks or does not end.
//!
//! The engine knows little of this room: it calls [`still_waiting`] when a grace was
//! not enough, and names the turns in the life of a task to [`events`], which is empty unless somebody records. Everything else is read from the scope tree on demand,
//! through the accessors of its nodes, so a tree that nobody looks at costs nothing.
//!
//! | file | what it answers |
//! |---|---|
//! | `tree` | what is alive: the nodes and how they are gathered |
//! | `text` | the tree as text |
//! | `signal` | the tree when a signal asks for it |
//! | `stall` | who blocks its worker |
//! | `waiting` | who does not end although its grace is over |
//! | `warning` | where such reports go |
//! | `events` | what the engine tells whoever records |
//! | `recorder` | what happened, as data, a trace, a page |
//! | `spans` | `tracing` spans |
//! | `clock` | a clock that costs nothing to read |
//! | `mark` | what a task carries only to be seen |

pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod mark;
#[cfg(feature = "recorder")]
pub mod recorder;
#[cfg(all(feature = "runner", unix))]
mod signal;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
mod stall;
mod text;
mod tree;
mod waiting;
mod warning;

#[cfg(all(feature = "runner", unix))]
pub(crate) use signal::TreeOnSignal;
pub use stall::report_blocking;
pub use tree::{Node, NodeKind, State, Tree, current, live_tasks, tree};
pub(crate) use waiting::still_waiting;
pub use warning::{Warning, WarningKind, reset_warning_hook, set_warning_hook};
pub(crate) use warning::{cleanup_cut, failures_not_kept, foreign_panicked, no_clock};
