//! Structured concurrency on Tokio: no task outlives its group, no error is lost, no cleanup is skipped.

mod blocking;
mod bracket;
mod cancel;
mod combine;
mod deadline;
mod error;
mod group;
mod handle;
mod local;
mod observe;
mod policy;
#[cfg(feature = "runner")]
mod runner;
#[allow(unsafe_code)]
mod scope;
mod shield;
mod start;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use blocking::BlockingToken;
pub use bracket::{bracket, defer, drain};
pub use cancel::{CancelReason, Cancelled, ReasonKind, checkpoint, is_cancelled, until_cancelled};
pub use combine::progress::{Counts, Progress, ProgressEvents};
pub use deadline::{
    Deadline, TimedOut, current_deadline, move_on_after, timeout, timeout_at, timeout_with,
};
pub use error::{
    BoxError, Clauses, ErrorGroup, Handler, Leaf, Leaves, Member, Outcome, Overrun, TaskError,
    TaskId, TaskInfo, TaskPath,
};
pub use group::{GroupBuilder, SpawnRefused, TaskBuilder, TaskGroup};
pub use handle::{ByRef, JoinError, TaskHandle};
pub use local::Local;
#[cfg(feature = "recorder")]
pub use observe::recorder;
pub use observe::{
    Node, NodeKind, State, Tree, Warning, WarningKind, current, live_tasks, report_blocking,
    reset_warning_hook, set_warning_hook, tree,
};
pub use policy::{Policy, QuorumMissed};
#[cfg(feature = "runner")]
pub use runner::{MainOutput, RunError, Runner, run};
pub use scope::task::TaskOutput;
pub use shield::shield;
pub use start::{StartError, Started};
#[cfg(feature = "macros")]
pub use taskgroup_macros::main;
#[cfg(all(feature = "macros", feature = "testing"))]
pub use taskgroup_macros::test;
