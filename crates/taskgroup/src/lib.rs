//! Structured concurrency on Tokio.

mod error;

pub use error::{
    BoxError, Clauses, ErrorGroup, Handler, Leaf, Leaves, Member, Outcome, Overrun, TaskError,
    TaskId, TaskInfo, TaskPath,
};
