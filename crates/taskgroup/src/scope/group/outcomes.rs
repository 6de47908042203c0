//! Failures and successes in a group, and what its policy makes of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::view::Group;
use super::{GroupState, Outcomes};
use crate::error::{BoxError, ErrorGroup, Failed, Fault, Interval, Member, TaskError, TaskInfo};
use crate::policy::{QuorumMissed, Tally, Verdict};
use crate::reason::{CancelReason, ReasonKind};
use crate::scope::events;
use crate::scope::task::outcome::classify;
use crate::scope::tree::{Dropping, Scope, ancestors};
use crate::scope::who::{body_info, info};

/// Whose failure a group takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scope) enum Whose {
    /// Of a child, or of an orphan that has ended.
    Child,
    /// Of a sibling, passed on by a child: the group may have it already.
    PassedOn,
    /// Of code that was dropped before it could return the failure.
    Hand,
    /// Of cleanup, which is no child.
    Cleanup,
}

impl Group<'_> {
    /// A child, or what the group has adopted, failed. A failure that is passed on is looked for
    /// and added under one lock, because several children may pass on the same one at once.
    pub(in crate::scope) fn failed(self, member: Member, whose: Whose) {
        let policy = self.policy();
        let passed_on = member.as_task().filter(|_| whose == Whose::PassedOn);
        if let Some(failed) = passed_on.filter(|_| policy.has_hooks()) {
            let mut outcomes = self.outcomes();
            if outcomes.knows(failed) {
                drop(outcomes);
                return drop(member);
            }
            // From now on it is known, so that hook and predicate get it once.
            outcomes.reported.add(&member);
        }
        // For the code of the program, which is called with no lock held.
        let shown = policy.has_hooks().then(|| member.to_task_error());
        let is_fatal = shown
            .as_ref()
            .is_some_and(|failure| policy.is_fatal(failure));
        let (stopped_by, reported) = {
            let mut outcomes = self.outcomes();
            let passed_on = passed_on.filter(|_| shown.is_none());
            if passed_on.is_some_and(|failed| outcomes.knows(failed)) {
                drop(outcomes);
                return drop(member);
            }
            let verdict = if whose == Whose::Cleanup {
                // It is not counted (S42). It cancels the group only under a policy that stops at
                // the first failure.
                policy.judge(Tally {
                    failed: 1,
                    ..outcomes.tally
                })
            } else {
                outcomes.tally.failed += 1;
                policy.judge(outcomes.tally)
            };
            let stops = is_fatal || verdict == Verdict::Failed;
            let cancels = stops && !self.scope.is_cancelled();
            let stopped_by = cancels.then(|| member.clone());
            let reported = if policy.reports() && !stops {
                if whose != Whose::PassedOn {
                    outcomes.reported.add(&member);
                }
                Some(member)
            } else {
                outcomes.keep(member, whose);
                None
            };
            (stopped_by, reported)
        };
        if let (Some(member), Some(failure)) = (reported, shown) {
            if !policy.hand_on(&failure) {
                self.outcomes().keep(member, whose);
            }
        }
        self.scope.wake_watchers();
        if let Some(member) = stopped_by {
            let dropping = match whose {
                Whose::Child | Whose::PassedOn => Dropping::InPlace,
                Whose::Hand | Whose::Cleanup => Dropping::Scheduled,
            };
            self.scope.cancel(&member.as_reason(), dropping);
        }
    }

    /// A child has a value.
    pub(crate) fn succeeded(self, who: impl FnOnce() -> TaskInfo) {
        let policy = self.policy();
        if policy.wanted().is_none() {
            return;
        }
        let verdict = {
            let mut outcomes = self.outcomes();
            outcomes.tally.succeeded += 1;
            policy.judge(outcomes.tally)
        };
        if verdict == Verdict::Satisfied && !self.scope.is_cancelled() {
            let reason = CancelReason::of(ReasonKind::Satisfied, self.scope.location, Some(who()));
            self.scope.cancel(&reason, Dropping::InPlace);
        }
    }

    /// The body returned an error, in a poll of that interval.
    pub(crate) fn body_failed(self, error: BoxError, interval: Interval) {
        let gathered = error.downcast_ref::<ErrorGroup>();
        let member = if let Some(failed) = TaskError::passed_on_by(&*error) {
            // A child's failure, passed on. It counts once.
            if !self.policy().reports() {
                pass_on(self.scope, &failed);
            }
            let mut outcomes = self.outcomes();
            let mut failures = outcomes.failures.iter();
            let known = failures.find(|known| known.is_same(&failed)).cloned();
            known.unwrap_or_else(|| {
                // It was handed on and not kept. What the body fails with comes out.
                let member = Member::Task(failed);
                outcomes.failures.push(member.clone());
                member
            })
        } else if let Some(group) = gathered.filter(|group| self.knows_all(group)) {
            // Failures of several children, which a helper gathered from their handles. They count
            // once as well.
            Member::Task(group.cause().clone())
        } else {
            let member = Member::from_failure(body_info(self.scope), error, interval);
            self.outcomes().failures.push(member.clone());
            member
        };
        self.outcomes().not_put_up_with = true;
        // Most often the child's failure has done that already, and a reason costs something.
        if !self.scope.is_cancelled() {
            self.scope.cancel(&member.as_reason(), Dropping::Scheduled);
        }
    }

    /// The body has ended. If it failed, its children are cancelled.
    pub(crate) fn body_ended(self, with_value: bool) {
        self.body_over.store(true, Ordering::Relaxed);
        if !with_value && !self.scope.is_cancelled() {
            let reason = CancelReason::of(
                ReasonKind::BodyPanicked,
                self.scope.location,
                Some(info(self.scope)),
            );
            self.scope.cancel(&reason, Dropping::Scheduled);
        }
    }

    /// What the group fails with by its policy. The group has ended.
    pub(crate) fn take_failure(self) -> Option<ErrorGroup> {
        let failure = self.all_failures().filter(|_| !self.is_satisfied());
        events::group_ended(self.scope, || failure.as_ref());
        failure
    }

    /// All failures as one error, also those that the policy tolerates. The group has ended.
    pub(crate) fn take_failures(self) -> Option<ErrorGroup> {
        let failures = self.all_failures();
        events::group_ended(self.scope, || {
            failures.as_ref().filter(|_| !self.is_satisfied())
        });
        failures
    }

    /// Whether the policy puts up with all failures.
    fn is_satisfied(self) -> bool {
        let outcomes = self.outcomes();
        let verdict = self.policy().judge(outcomes.tally);
        verdict == Verdict::Satisfied && !outcomes.not_put_up_with
    }

    fn all_failures(self) -> Option<ErrorGroup> {
        if self.asked.is_none() && self.findings.get().is_none() {
            return None;
        }
        self.collect_failures()
    }

    #[cold]
    fn collect_failures(self) -> Option<ErrorGroup> {
        let (mut failures, tally) = {
            let mut outcomes = self.outcomes();
            (std::mem::take(&mut outcomes.failures), outcomes.tally)
        };
        if let Some(asked) = &self.asked {
            asked.group_ended();
        }
        if let (Some(wanted), true) = (self.policy().wanted(), failures.is_empty()) {
            let ended_by = self.scope.reason().map(|reason| reason.kind());
            if matches!(ended_by, None | Some(ReasonKind::GroupEnded)) {
                // It was not cancelled, so it was never satisfied.
                let missed = Box::new(QuorumMissed::new(wanted, tally.succeeded));
                let now = Interval::now();
                failures.push(Member::from_failure(body_info(self.scope), missed, now));
            }
        }
        if failures.is_empty() {
            return None;
        }
        let error = ErrorGroup::new(info(self.scope), failures)?;
        // If its own failing child cancelled the group, that adds nothing. A cancellation from
        // outside is the context of the errors.
        Some(match self.scope.reason() {
            Some(reason) if reason.kind() != ReasonKind::TaskFailed => error.with_context(reason),
            _ => error,
        })
    }
}

impl Outcomes {
    fn keep(&mut self, member: Member, whose: Whose) {
        self.not_put_up_with |= whose == Whose::Cleanup;
        self.failures.push(member);
    }
}

impl GroupState {
    /// Whether every member of `group` is the failure of a child of this group. It looks no deeper,
    /// because what a helper gathers is flat. To walk the whole error at every level of a deep tree
    /// would be quadratic.
    fn knows_all(&self, group: &ErrorGroup) -> bool {
        let outcomes = self.outcomes();
        let mut members = group.members().iter();
        members.all(|member| match member {
            Member::Task(leaf) => outcomes.failures.iter().any(|known| known.is_same(leaf)),
            Member::Group(_) => false,
        })
    }

    /// The first failure that is kept.
    pub(super) fn first_failure(&self) -> Option<TaskError> {
        let outcomes = self.findings.get()?.outcomes.lock();
        outcomes.failures.first().map(Member::to_task_error)
    }

    /// Whether anything below it has failed, even if the policy tolerates it.
    #[cfg_attr(not(feature = "recorder"), allow(dead_code))]
    pub(crate) fn has_failed(&self) -> bool {
        let findings = self.findings.get();
        findings.is_some_and(|findings| !findings.outcomes.lock().failures.is_empty())
    }
}

impl Scope {
    /// Nothing but background children is left. They have served and are cancelled.
    pub(in crate::scope) fn end_background(self: &Arc<Self>) {
        let reason = CancelReason::of(ReasonKind::GroupEnded, self.location, None);
        // The group cannot close while they live. A spawn by one of them finds the group cancelled.
        // Destructors of children must not run on the stack of the code that polls the group.
        self.cancel(&reason, Dropping::Scheduled);
    }
}

/// A task ended with the failure of a sibling. It counts once.
pub(crate) fn pass_on(owner: &Arc<Scope>, failed: &TaskError) {
    let member = Member::Task(failed.clone());
    match owner.as_group() {
        Some(group) => group.failed(member, Whose::PassedOn),
        None if is_known_around(owner, failed) => {}
        None => owner.adopt_failure(member),
    }
}

/// Whether the nearest group has that very failure.
fn is_known_around(scope: &Arc<Scope>, failed: &TaskError) -> bool {
    ancestors(scope)
        .find_map(|scope| scope.group())
        .is_some_and(|group| group.outcomes().knows(failed))
}

/// Code of `scope` that is dropped had failed and had not returned the failure (S41). The scope
/// takes it in, unless the error only says that the scope was cancelled, or the group has this
/// failure of a child already. A guard of the scope that the failure was `made_in` may be hidden in
/// it.
pub(crate) fn adopt_failed(
    scope: &Arc<Scope>,
    who: TaskInfo,
    failed: Failed,
    made_in: Option<&Arc<Scope>>,
) {
    let interval = failed.interval;
    let error = match failed.fault {
        Fault::Error(error) => error,
        Fault::Panic(_) => return scope.adopt_from_hand(Member::failed(who, failed)),
    };
    let Err(error) = classify(error, scope.is_cancelled(), made_in) else {
        return;
    };
    match TaskError::passed_on_by(&*error) {
        Some(failed) if is_known_around(scope, &failed) => {}
        Some(failed) => scope.adopt_from_hand(Member::Task(failed)),
        None => scope.adopt_from_hand(Member::from_failure(who, error, interval)),
    }
}
