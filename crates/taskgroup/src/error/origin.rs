//! The source of a group's error: a line that says where it started.
//!
//! It has a second purpose. `anyhow` and `eyre` hide the type of the error in a report that becomes a plain boxed error,
//! so a group that a task returned through a report could not be told from any other error. What such a wrapper passes
//! on is the *source*, and the source of a group leads back to the group.

use super::tree::Node;
use super::{BoxError, ErrorGroup};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// How many names of the path are printed.
const PATH_NAMES: usize = 8;

/// What a group owns: its node. As an error it names the first task that failed.
#[derive(Clone)]
pub(super) struct Origin(pub(super) Arc<Node>);

impl Origin {
    pub(super) fn group(&self) -> ErrorGroup {
        ErrorGroup::from_origin(self.clone())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = self.group();
        let cause = group.cause();
        let path = cause.path().tail(PATH_NAMES);
        write!(
            f,
            "first to fail: {path} [{}], spawned at {}",
            cause.id(),
            cause.location()
        )
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Origin {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause().source()
    }
}

/// The group that `error` is, or that `error` passes off as its own: same source, so the same failure.
pub(super) fn group_in(error: BoxError) -> Result<ErrorGroup, BoxError> {
    let error = match error.downcast::<ErrorGroup>() {
        Ok(group) => return Ok(*group),
        Err(error) => error,
    };
    match error
        .source()
        .and_then(|source| source.downcast_ref::<Origin>())
    {
        Some(origin) => Ok(origin.group()),
        None => Err(error),
    }
}
