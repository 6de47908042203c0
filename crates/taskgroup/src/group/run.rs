//! The life of a group: its body runs in a section, and the outcome is taken when all has ended.

use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

use super::spawn::TaskGroup;
use crate::cancel::{Cancelled, cancel_point, poll_over};
use crate::error::{BoxError, ErrorGroup, Interval, Member};
use crate::scope::current;
use crate::scope::dated::Dated;
use crate::scope::group::{Group, GroupOptions, GroupState};
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::outcome::classify;
use crate::scope::tree::{Kind, Scope};
use crate::scope::who;

/// A group that has ended. Its outcome is still to be taken.
pub(crate) struct Ran<R> {
    group: TaskGroup,
    value: Option<R>,
    /// The body had ended and something below it had not.
    waited: bool,
}

impl<R> Ran<R> {
    /// Takes what the policy makes of the outcome.
    pub(crate) async fn by_policy(self) -> (Result<Option<R>, ErrorGroup>, Arc<Scope>) {
        if let Some(failure) = self.group.in_tree().take_failure() {
            return (Err(failure), self.group.scope);
        }
        if self.value.is_none() || self.waited {
            yield_to_outer(&self.group.scope).await;
        }
        // S40: a group that was cut off never reports that all went well.
        let value = self.value.filter(|_| !self.group.scope.is_cut());
        (Ok(value), self.group.scope)
    }

    /// As [`by_policy`](Self::by_policy), with an error where there is neither a value nor a
    /// failure.
    pub(crate) async fn value_or_error(self) -> Result<R, ErrorGroup> {
        let (ended, scope) = self.by_policy().await;
        if let Some(value) = ended? {
            return Ok(value);
        }
        let error = Box::new(Cancelled::plain(scope.reason_or_dropped()));
        let member = Member::from_cancelled(who::body_info(&scope), error);
        match ErrorGroup::new(who::info(&scope), vec![member]) {
            Some(error) => Err(error),
            None => unreachable!("it has one member"),
        }
    }

    /// Takes the value and every failure, whatever the policy makes of them.
    pub(crate) async fn both_sides(self) -> (Option<R>, Option<ErrorGroup>) {
        let failures = self.group.in_tree().take_failures();
        if self.value.is_none() && failures.is_none() {
            yield_to_outer(&self.group.scope).await;
        }
        // S40: as in `by_policy`. With failures it does not report that all went well.
        let cut = failures.is_none() && self.group.scope.is_cut();
        (self.value.filter(|_| !cut), failures)
    }
}

/// Suspends where a cancellation from outside cut the group short and it has nothing to report. The
/// cancelled scope further out drops its code now, and this future with it.
async fn yield_to_outer(scope: &Arc<Scope>) {
    std::future::poll_fn(|cx| {
        if scope.is_cancelled() && scope.yields_to_outer() {
            poll_over(cx)
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// Runs `body` with a new group, and waits until everything in it has ended.
pub(super) async fn run_group<R, B, F>(
    options: GroupOptions,
    location: &'static Location<'static>,
    body: B,
) -> Ran<R>
where
    B: FnOnce(TaskGroup) -> F,
    F: Future<Output = Result<R, BoxError>>,
{
    run_judged(options, location, |group| async move {
        match Dated::new(body(group)).await {
            Ok(value) => Some(value),
            Err((error, interval)) => {
                // This is polled as the code of the group.
                let scope = current::scope();
                if let Some(group) = scope.as_group() {
                    body_failed(group, &scope, error, interval);
                }
                None
            }
        }
    })
    .await
}

/// The body of `group` returned an error, in its `scope`. It is a failure of the group, unless it
/// only says that the body was cancelled.
pub(crate) fn body_failed(
    group: Group<'_>,
    scope: &Arc<Scope>,
    error: BoxError,
    interval: Interval,
) {
    if let Err(error) = classify(error, scope.is_cancelled(), Some(scope)) {
        group.body_failed(error, interval);
    }
}

/// As [`run_group`], with a body that has given its failure to the group itself.
pub(super) async fn run_judged<R, F>(
    options: GroupOptions,
    location: &'static Location<'static>,
    body: impl FnOnce(TaskGroup) -> F,
) -> Ran<R>
where
    F: Future<Output = Option<R>>,
{
    cancel_point().await;
    let scope = open(options, location);
    let group = TaskGroup {
        scope: scope.clone(),
    };
    let mut waited = false;
    let (ended, group) = {
        let mut section = std::pin::pin!(Section::new(scope, Ends::Any, body(group)));
        let ended = std::future::poll_fn(|cx| {
            let polled = section.as_mut().poll_ended(cx);
            waited |= polled.is_pending() && section.as_mut().is_winding();
            polled
        })
        .await;
        let Some(scope) = section.as_mut().into_scope() else {
            unreachable!("it is the section of an open scope")
        };
        (ended, TaskGroup { scope })
    };
    if let Ended::Panicked(_) = ended {
        leave_failure(&group);
    }
    Ran {
        value: ended.value().flatten(),
        group,
        waited,
    }
}

/// Not inlined into the code of users, as all that does not depend on the body.
#[inline(never)]
fn open(options: GroupOptions, location: &'static Location<'static>) -> Arc<Scope> {
    let around = current::scope();
    let kind = Kind::Group(GroupState::new(options, location, &around));
    let scope = Scope::open(kind, around, location);
    // Children belong to the runtime of the body, whichever thread spawns the first of them.
    scope.runtime_if_any();
    scope
}

/// The body has panicked. The panic goes on in the caller, and the failures of the children must
/// not be lost.
#[cold]
fn leave_failure(group: &TaskGroup) {
    let failure = group.in_tree().take_failure();
    if let (Some(failure), Some(home)) = (failure, group.scope.home()) {
        home.adopt_failure(Member::Group(failure));
    }
}
