//! The library's errors in the neutral form.

use taskgroup::error::{Member, QuorumMissed};
use taskgroup::{Cancelled, ErrorGroup, JoinError, TaskError};

use super::Raised;
use crate::program::Id;
use crate::trace::{Outcome, Tree};

pub(super) fn outcome_of(error: &(dyn std::error::Error + 'static)) -> Outcome {
    tree_of(error).map_or(Outcome::CANCELLED, Outcome::Failed)
}

pub(super) fn join_outcome(joined: Result<&(), &JoinError>) -> Outcome {
    match joined {
        Ok(()) => Outcome::OK,
        Err(JoinError::Cancelled(_)) => Outcome::CANCELLED,
        Err(JoinError::Failed(failure)) => {
            leaf_tree(failure).map_or(Outcome::CANCELLED, Outcome::Failed)
        }
        Err(other) => panic!("a task ended in a way that the model does not have: {other}"),
    }
}

/// The neutral form of an error, or `None` if it only says that something was cancelled.
pub(super) fn tree_of(error: &(dyn std::error::Error + 'static)) -> Option<Tree> {
    if let Some(group) = error.downcast_ref::<ErrorGroup>() {
        let ident = group
            .name()
            .parse()
            .expect("a group of a program is named by its number");
        let members = group.members().iter();
        let members: Vec<Tree> = members
            .filter_map(|member| member_tree(member, ident))
            .collect();
        return if members.is_empty() {
            None
        } else {
            Some(Tree::Group {
                group: ident,
                members,
            })
        };
    }
    if error.is::<Cancelled>() {
        return None;
    }
    if let Some(failure) = error.downcast_ref::<TaskError>() {
        // From a task that failed before it was ready. Its group has the failure as well.
        return leaf_tree(failure);
    }
    match error.downcast_ref::<Raised>() {
        Some(Raised::Fail(fail)) => Some(Tree::Fail { fail: *fail }),
        Some(Raised::Timeout(timeout)) => Some(Tree::Timeout { timeout: *timeout }),
        None => panic!("no statement returns this error: {error}"),
    }
}

fn member_tree(member: &Member, group: Id) -> Option<Tree> {
    match member {
        Member::Task(failure) if failure.downcast_ref::<QuorumMissed>().is_some() => {
            Some(Tree::Missed { missed: group })
        }
        Member::Task(failure) => leaf_tree(failure),
        Member::Group(group) => tree_of(group),
        other => panic!("the model has no such member: {other:?}"),
    }
}

fn leaf_tree(failure: &TaskError) -> Option<Tree> {
    if failure.is_panic() {
        let panic = failure
            .panic_message()?
            .parse()
            .expect("a panic of a program says its number");
        return Some(Tree::Panic { panic });
    }
    failure.error().and_then(|error| tree_of(error))
}
