//! How a task ended, before others are told: with a value, as cancelled, or with a failure.

use super::header::Header;
use super::outcome::JoinError;
use crate::error::{Began, Failed, Fault, Member, TaskError};
use crate::gate::Payload;
use crate::progress::Fate;
use crate::scope::cancelled::Cancelled;

/// How the future of a task ended.
pub(super) enum End<V> {
    Value(V),
    /// Boxed: a node is no larger for it.
    Failed(Box<Failed>),
    Cancelled,
}

impl<V> End<V> {
    #[cold]
    pub(super) fn panic(payload: Payload, began: Began) -> Self {
        Self::Failed(Box::new(Failed::new(Fault::Panic(payload), began)))
    }
}

/// How a task ended.
pub(super) enum Judged<V> {
    Value(V),
    Cancelled,
    /// And the failure that its owner has to be told of, unless it has it already.
    Failed(TaskError, Option<Member>),
}

impl<V> Judged<V> {
    pub(super) fn failed(member: Member) -> Self {
        Self::Failed(member.to_task_error(), Some(member))
    }

    pub(super) fn fate(&self) -> Fate {
        match self {
            Self::Value(_) => Fate::Done,
            Self::Cancelled => Fate::Cancelled,
            Self::Failed(..) => Fate::Failed,
        }
    }

    pub(super) fn into_result(self, header: &Header) -> Result<V, JoinError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Cancelled => Err(header.cancelled()),
            Self::Failed(failed, _) => Err(JoinError::Failed(failed)),
        }
    }
}

impl Header {
    pub(super) fn cancelled(&self) -> JoinError {
        JoinError::Cancelled(Cancelled::plain(self.reason()))
    }
}
