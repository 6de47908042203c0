//! How a task ended, before others are told: with a value, as cancelled, or with a failure. The
//! value itself is in the stage.

use crate::error::{Began, Failed, Fault, Member, TaskError};
use crate::progress::Fate;
use crate::reason::CancelReason;

/// How the future of a task ended.
pub(super) enum End {
    Value,
    /// Boxed: a node is no larger for it.
    Failed(Box<Failed>),
    Cancelled,
}

impl End {
    #[cold]
    pub(super) fn failed(fault: Fault, began: Began) -> Self {
        Self::Failed(Box::new(Failed::new(fault, began)))
    }
}

/// How a task ended.
pub(super) enum Judged {
    Value,
    Cancelled,
    /// And the failure that its owner has to be told of, unless it has it already.
    Failed(TaskError, Option<Member>),
}

impl Judged {
    pub(super) fn failed(member: Member) -> Self {
        Self::Failed(member.to_task_error(), Some(member))
    }

    pub(super) fn fate(&self) -> Fate {
        match self {
            Self::Value => Fate::Done,
            Self::Cancelled => Fate::Cancelled,
            Self::Failed(..) => Fate::Failed,
        }
    }
}

/// Why a task has no value: what becomes of it is in its outcome.
pub(super) enum NoValue {
    Cancelled(CancelReason),
    Failed(TaskError),
}
