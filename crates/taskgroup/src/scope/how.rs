//! How a task or a group ended, in the words that reports of it use.

// What is used depends on the features.
#![cfg_attr(
    not(all(feature = "recorder", feature = "tracing", feature = "metrics")),
    allow(dead_code)
)]

use crate::error::{ErrorGroup, TaskError};
use crate::gate;
use crate::reason::{CancelReason, ReasonKind};

/// How a task or a group ended, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Panicked,
    Cancelled,
    /// Dropped because a grace had ended.
    Killed,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::Killed => "killed",
        }
    }

    /// Whether there is something to mend. To be cancelled is none.
    pub(crate) fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::Panicked | Self::Killed)
    }
}

/// How a task ended.
pub(crate) enum Ending {
    Value,
    Cancelled,
    Failed(TaskError),
}

impl Ending {
    /// `forced`: a grace had ended for the task.
    pub(crate) fn outcome(&self, forced: bool) -> Outcome {
        match self {
            Self::Value => Outcome::Succeeded,
            Self::Cancelled if forced => Outcome::Killed,
            Self::Cancelled => Outcome::Cancelled,
            Self::Failed(failure) if failure.is_panic() => Outcome::Panicked,
            Self::Failed(_) => Outcome::Failed,
        }
    }

    /// The text of the error or the panic.
    pub(crate) fn error(&self) -> Option<String> {
        let Self::Failed(failure) = self else {
            return None;
        };
        match failure.error() {
            Some(error) => Some(gate::text(&error)),
            None => failure.panic_message().map(str::to_owned),
        }
    }
}

/// All that a report says of an end.
pub(crate) struct How {
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    /// Why it was cancelled, if it was.
    pub(crate) reason: Option<CancelReason>,
}

impl How {
    /// `reason`: why the task was cancelled, if it was.
    pub(crate) fn of_task(ending: &Ending, forced: bool, reason: Option<CancelReason>) -> Self {
        let outcome = ending.outcome(forced);
        let error = match outcome {
            Outcome::Killed => Some("it overran the grace for its cleanup".to_owned()),
            _ => ending.error(),
        };
        Self {
            outcome,
            error,
            reason: reason.filter(|_| outcome != Outcome::Succeeded),
        }
    }

    /// `failure`: what the group fails with by its policy.
    pub(crate) fn of_group(failure: Option<&ErrorGroup>, reason: Option<CancelReason>) -> Self {
        let kind = reason.as_ref().map(CancelReason::kind);
        let outcome = match (failure, kind) {
            (_, Some(ReasonKind::BodyPanicked)) => Outcome::Panicked,
            (Some(_), _) => Outcome::Failed,
            // It had what it wanted, or only its background children were cancelled.
            (None, None | Some(ReasonKind::Satisfied | ReasonKind::GroupEnded)) => {
                Outcome::Succeeded
            }
            (None, Some(_)) => Outcome::Cancelled,
        };
        Self {
            outcome,
            error: failure.map(ToString::to_string),
            reason: reason.filter(|_| outcome != Outcome::Succeeded),
        }
    }
}
