//! Seeing what runs: the live tree, warnings, progress, reports of blocking tasks, recordings.
//!
//! | question | answer |
//! |---|---|
//! | what is alive, where was it spawned, is it suspended, queued or cleaning up? | [`tree()`], [`Tree`], [`Node`] |
//! | which task runs this code? | [`current_task`] |
//! | is anything left? | [`live_tasks`] |
//! | which task blocks its worker thread? | [`report_blocking`] |
//! | where do warnings go? | [`set_warning_hook`] |
//! | how far is a group? | [`Progress`](crate::Progress), [`Counts`] |
//! | how many, how long? | `describe_metrics` (feature `metrics`) |
//! | what happened? | `recorder` (feature `recorder`), [`Spans`](https://docs.rs/taskgroup/latest/taskgroup/observe/struct.Spans.html) (feature `tracing`) |
//!
//! The tree and the warnings are always on. A tree that is not asked for costs nothing.

// The engine does not import this room. It reports the turns in the life of a task to a listener
// (`scope/events.rs`); the recorder is one. Everything else is read from the scope tree on demand,
// through the accessors of its nodes.
//
// | file | what it answers |
// |---|---|
// | `tree` | what is alive: the nodes and how they are gathered |
// | `text` | the tree as text |
// | `signal` | the tree when a signal asks for it |
// | `stall` | which task blocks its worker |
// | `recorder` | what happened, as data, a trace, a page |
// | `metrics` | what is counted |

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "recorder")]
pub mod recorder;
#[cfg(all(feature = "runner", unix))]
mod signal;
mod stall;
mod text;
mod tree;

#[cfg(feature = "tracing")]
pub use crate::scope::spans::Spans;
#[cfg(feature = "metrics")]
pub use metrics::describe_metrics;
#[cfg(all(feature = "runner", unix))]
pub(crate) use signal::tree_on_signal;
pub use stall::report_blocking;
pub use tree::{Node, NodeKind, NodeState, Tree, current_task, live_tasks, tree};

pub use crate::progress::{Counts, ProgressEvents};
pub use crate::warning::{Warning, WarningKind, reset_warning_hook, set_warning_hook};
