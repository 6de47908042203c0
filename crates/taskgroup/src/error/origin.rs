//! The sources of this crate's errors: lines that say where a failure started.
//!
//! They have a second purpose. A report of `anyhow` or `eyre` hides the type of its error once it
//! becomes a plain boxed error. So a group that a task returned through a report would look like
//! any other error, and so would the failure of a sibling that the task awaited. Such a wrapper
//! does pass on the *source*, and these sources lead back to the error that they belong to.

use super::leaf::TaskLeaf;
use super::tree::GroupNode;
use super::{BoxError, ErrorGroup, TaskInfo};
use crate::gate;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// How many names of the path are printed.
const PATH_NAMES: usize = 8;

/// Owns the node of a group. As an error it names the first task that failed.
#[derive(Clone)]
pub(super) struct Origin(pub(super) Arc<GroupNode>);

/// Owns the leaf of a failure. As an error it says which task it was.
#[derive(Clone)]
pub(super) struct TaskOrigin(pub(super) Arc<TaskLeaf>);

impl Deref for TaskOrigin {
    type Target = Arc<TaskLeaf>;

    fn deref(&self) -> &Arc<TaskLeaf> {
        &self.0
    }
}

fn who_and_where(info: &TaskInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let path = info.path().tail(PATH_NAMES);
    write!(f, "{path} [{}], spawned at {}", info.id(), info.location())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("first to fail: ")?;
        who_and_where(self.0.cause().info(), f)
    }
}

impl fmt::Display for TaskOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("in ")?;
        who_and_where(self.info(), f)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for TaskOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Origin {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        gate::source(self.0.cause().error()?)
    }
}

impl Error for TaskOrigin {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        gate::source(self.error()?)
    }
}

/// The group that `error` is, or that it shows as its own: an equal source means the same failure.
pub(super) fn group_in(error: BoxError) -> Result<ErrorGroup, BoxError> {
    let error = match error.downcast::<ErrorGroup>() {
        Ok(group) => return Ok(*group),
        Err(error) => error,
    };
    let source = gate::source(&*error).and_then(|source| source.downcast_ref::<Origin>());
    match source.cloned() {
        Some(origin) => Ok(ErrorGroup::from_origin(origin)),
        None => Err(error),
    }
}
