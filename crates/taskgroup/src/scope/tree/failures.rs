//! Failures that are left behind, and the scope that answers for them.

use std::sync::Arc;

use super::{Kind, Scope};
use crate::error::{Interval, Member, NotKept};
use crate::scope::group::{Group, Whose};
use crate::scope::who;
use crate::warning;

/// The most failures of orphans that are kept until the program asks for them.
const MOST_FAILURES: usize = 1_000;

impl Scope {
    /// Takes in the failure of a child or an orphan below. It goes to the nearest group, task, run
    /// or root further out that has not ended.
    pub(crate) fn adopt_failure(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Child);
    }

    /// As [`adopt_failure`](Self::adopt_failure), for a failure that code had not returned when it
    /// was dropped (S41). Other code of users may be below on the stack.
    pub(crate) fn adopt_from_hand(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Hand);
    }

    /// As [`adopt_failure`](Self::adopt_failure), for a failure of cleanup, which no policy counts
    /// (S42).
    pub(crate) fn adopt_cleanup_failure(self: &Arc<Self>, member: Member) {
        self.adopt(member, Whose::Cleanup);
    }

    fn adopt(self: &Arc<Self>, member: Member, whose: Whose) {
        let mut scope = self;
        loop {
            let home = scope.home();
            match (&scope.kind, home) {
                (_, Some(home)) if scope.is_closed() => scope = home,
                (Kind::Group(group), _) => return Group::new(scope, group).failed(member, whose),
                (Kind::Task(_) | Kind::Run | Kind::Root, _) | (_, None) => {
                    return scope.keep_failure(member);
                }
                (_, Some(home)) => scope = home,
            }
        }
    }

    /// A process, a run or a task may live long and leave failures behind all the while. So what is
    /// kept of them is bounded.
    fn keep_failure(self: &Arc<Self>, member: Member) {
        let mut member = Some(member);
        let not_kept = self.rare(|rare| {
            if rare.errors.len() < MOST_FAILURES {
                rare.errors.extend(member.take());
            } else {
                rare.not_kept += 1;
            }
            rare.not_kept
        });
        let is_root = matches!(self.kind, Kind::Root);
        if is_root {
            self.watch_what_is_left();
        }
        if member.is_some() && not_kept == 1 {
            warning::failures_not_kept(who::info(self), is_root, MOST_FAILURES);
        }
        drop(member);
    }

    /// The failures of orphans that this task, run or root has adopted, and one that counts those
    /// that were not kept.
    pub(crate) fn take_adopted(self: &Arc<Self>) -> Vec<Member> {
        if !self.has_rare() {
            return Vec::new();
        }
        let (mut errors, not_kept) = match &mut self.inner.lock().rare {
            Some(rare) => (
                std::mem::take(&mut rare.errors),
                std::mem::take(&mut rare.not_kept),
            ),
            None => return Vec::new(),
        };
        if not_kept > 0 {
            let rest = Box::new(NotKept::new(not_kept));
            let who = who::info(self);
            errors.push(Member::from_failure(who, rest, Interval::now()));
        }
        errors
    }
}
