//! The grace of a group: how long cleanup may take after it was cancelled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::view::Group;
use super::{Grace, GroupState};
use crate::error::{Interval, Member, Overrun, TaskInfo};
use crate::reason::{CancelReason, ReasonKind};
use crate::scope::time::alarm;
use crate::scope::tree::{Kind, Scope};
use crate::scope::who::{body_info, info};

impl Grace {
    pub(crate) fn new(lasts: Duration) -> Self {
        let arm = alarm::set_grace;
        Self { lasts, arm }
    }
}

impl Group<'_> {
    pub(in crate::scope) fn arm_grace(self) {
        let asked = self.asked.as_ref();
        if let Some((asked, grace)) = asked.and_then(|asked| Some((asked, asked.settings.grace?))) {
            let alarm = (grace.arm)(self.scope, grace.lasts);
            let before = std::mem::replace(&mut *asked.grace_timer.lock(), alarm);
            drop(before);
        }
    }

    /// The grace has ended and the body has not: what to name, if no child still runs.
    pub(in crate::scope) fn late_body(self) -> Option<TaskInfo> {
        // Relaxed: nothing else is read by what it says, and a swap reads the newest value.
        let reported = self.body_over.swap(true, Ordering::Relaxed);
        (!reported).then(|| body_info(self.scope))
    }
}

/// As [`Group::late_body`], for the main body of a run.
fn late_main(scope: &Arc<Scope>) -> Option<TaskInfo> {
    let is_late = matches!(scope.kind, Kind::Run) && !scope.is_over();
    is_late.then(|| info(scope))
}

impl GroupState {
    pub(in crate::scope) fn has_grace(&self) -> bool {
        self.asked(|asked| asked.grace).is_some()
    }
}

impl Scope {
    /// The grace has ended: what still runs is dropped at its next suspension point and reported by
    /// name (S18).
    pub(in crate::scope) fn grace_over(self: &Arc<Self>, grace: Duration) {
        // With a token: what is told to end may end before its overrun is recorded, and then the
        // group would be gone.
        if self.enter_child().is_err() {
            return;
        }
        let reason = CancelReason::of(ReasonKind::GraceOver, self.location, Some(info(self)));
        // First, for the same reason.
        let body = match self.as_group() {
            Some(group) => group.late_body(),
            None => late_main(self),
        };
        let mut late = self.force_and_find(&reason);
        if late.is_empty() {
            late.extend(body);
        }
        for task in late {
            let overrun = Box::new(Overrun::new(grace));
            let member = Member::from_failure(task, overrun, Interval::now());
            self.adopt_failure(member);
        }
        self.leave();
        alarm::watch(self);
    }
}
