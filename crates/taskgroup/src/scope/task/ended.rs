//! How a task ended, before that is told: a value, cancelled, or a failure and who has to know it.

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
    /// And what its owner has to be told, unless it knows.
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
