//! The end of a task: its outcome is made, its failure is judged, its owner is told of it.

use super::ended::{End, Judged, NoValue};
use super::header::{Change, Step, TaskRef};
use super::outcome::classify;
use super::state::OutcomeIs;
use crate::error::{Failed, Fault, Interval, Member, TaskError};
use crate::gate::{self, Payload};
use crate::progress::Fate;
use crate::scope::events;
use crate::scope::group::pass_on;
use crate::scope::how::Ending;

impl TaskRef {
    /// The caller has `RUNNING` (K1).
    #[inline(always)]
    pub(super) fn complete(&self, end: End) -> Step {
        let header = self.header();
        if header.scope().is_none_or(|inside| !inside.has_rare()) {
            match end {
                End::Value => {
                    events::ended(header, || Ending::Value);
                    return self.finish(Judged::Value);
                }
                End::Cancelled => {
                    events::ended(header, || Ending::Cancelled);
                    return self.finish(Judged::Cancelled);
                }
                End::Failed(_) => {}
            }
        }
        self.complete_with_care(end)
    }

    /// Puts the outcome into the stage, or drops it.
    #[inline(always)]
    fn finish(&self, ended: Judged) -> Step {
        let header = self.header();
        let fate = ended.fate();
        if fate == Fate::Cancelled {
            header.ended_cancelled();
        }
        let outcome = if header.is_detached() {
            // K3: the joiner is gone, so the outcome is dropped here.
            match ended {
                Judged::Cancelled => {}
                Judged::Value if !header.vtable.drops_value => {}
                Judged::Value => self.drop_outcome(),
                Judged::Failed(..) => self.or_fail(gate::drop_value(ended)),
            }
            OutcomeIs::Dropped
        } else {
            // A value is there already.
            match ended {
                Judged::Value => {}
                Judged::Cancelled => self.change(Change::Fail(NoValue::Cancelled(header.reason()))),
                Judged::Failed(failed, _) => self.change(Change::Fail(NoValue::Failed(failed))),
            }
            OutcomeIs::InStage
        };
        Step::Ended { fate, outcome }
    }

    /// Where there may be something to tell.
    #[cold]
    fn complete_with_care(&self, end: End) -> Step {
        let header = self.header();
        let mut ended = match end {
            End::Value => Judged::Value,
            End::Cancelled => Judged::Cancelled,
            End::Failed(failed) => self.judge(*failed),
        };
        // What was left by futures that this task dropped half-way failed in it.
        let adopted = header
            .scope()
            .map_or_else(Vec::new, |inside| inside.take_adopted());
        let first_adopted = adopted
            .first()
            .filter(|_| !matches!(ended, Judged::Failed(..)));
        let failed_by_them = first_adopted.is_some();
        if let Some(member) = first_adopted {
            if let Judged::Value = ended {
                self.lose_value();
            }
            ended = Judged::Failed(member.to_task_error(), None);
        }
        events::ended(header, || match &ended {
            Judged::Value => Ending::Value,
            Judged::Cancelled => Ending::Cancelled,
            Judged::Failed(failed, _) => Ending::Failed(failed.clone()),
        });
        if let Judged::Failed(failed, news) = &mut ended {
            match news.take() {
                Some(member) => header.owner.adopt_failure(member),
                // The owner is told of it below.
                None if failed_by_them => {}
                None => pass_on(&header.owner, failed),
            }
        }
        for member in adopted {
            header.owner.adopt_failure(member);
        }
        self.finish(ended)
    }

    /// What it is that the task failed with.
    fn judge(&self, failed: Failed) -> Judged {
        let header = self.header();
        let error = match failed.fault {
            Fault::Error(error) => error,
            Fault::Panic(_) => return Judged::failed(Member::failed(header.info(), failed)),
        };
        let inside = header.scope();
        match classify(error, header.sees_cancel(), inside.as_deref()) {
            Ok(()) => Judged::Cancelled,
            // The failure of a sibling, passed on: one leaf, not two.
            Err(error) => match TaskError::passed_on_by(&*error) {
                Some(failed) => Judged::Failed(failed, None),
                None => {
                    let member = Member::from_failure(header.info(), error, failed.interval);
                    Judged::failed(member)
                }
            },
        }
    }

    /// Drops the outcome. By K3.
    #[cold]
    pub(super) fn drop_outcome(&self) {
        self.or_fail(self.empty_stage());
    }

    /// A panic of that is a failure of the group.
    fn or_fail(&self, dropped: Result<(), Payload>) {
        if let Err(payload) = dropped {
            let header = self.header();
            let member = Member::from_panic(header.info(), payload, Interval::now());
            header.owner.adopt_failure(member);
        }
    }

    /// Something unwound out of a step, so the task ends with that panic. The caller has `RUNNING`
    /// (K1).
    #[cold]
    pub(super) fn fail(&self, payload: Payload) -> Step {
        if let Err(second) = self.empty_stage() {
            gate::discard(second);
        }
        let header = self.header();
        let member = Member::from_panic(header.info(), payload, Interval::now());
        let failed = member.to_task_error();
        let told = gate::call(|| {
            events::ended(header, || Ending::Failed(failed.clone()));
            header.owner.adopt_failure(member);
        });
        if let Err(payload) = told {
            gate::report("the failure of a task", payload);
        }
        self.finish(Judged::Failed(failed, None))
    }
}
