//! The end of a task: its outcome is made, its failure is judged, its owner is told of it.

use super::ended::{End, Judged};
use super::header::Step;
use super::kept::OutcomeCell;
use super::outcome::{JoinError, classify};
use super::output::TaskOutput;
use super::stage::{Stage, Task};
use super::state::OutcomeIs;
use crate::error::{Failed, Fault, Interval, Member, TaskError};
use crate::gate::{self, Payload};
use crate::progress::Fate;
use crate::scope::events;
use crate::scope::group::pass_on;
use crate::scope::how::Ending;

impl<F> Task<F>
where
    F: Future<Output: TaskOutput<Value: Send + 'static>> + Send + 'static,
{
    /// The caller has `RUNNING` (K1).
    #[inline]
    pub(super) fn complete(&self, end: End<<F::Output as TaskOutput>::Value>) -> Step {
        let header = &self.header;
        if header.scope().is_none_or(|inside| !inside.has_rare()) {
            match end {
                End::Value(value) => {
                    events::ended(header, || Ending::Value);
                    return self.finish(Fate::Done, move || Ok(value));
                }
                End::Cancelled => {
                    events::ended(header, || Ending::Cancelled);
                    return self.finish(Fate::Cancelled, || Err(header.cancelled()));
                }
                End::Failed(_) => {}
            }
        }
        self.complete_with_care(end)
    }

    /// Puts the outcome into the stage, or drops it.
    #[inline]
    fn finish<R>(&self, fate: Fate, outcome: R) -> Step
    where
        R: FnOnce() -> Result<<F::Output as TaskOutput>::Value, JoinError>,
    {
        if fate == Fate::Cancelled {
            self.header.ended_cancelled();
        }
        let outcome = if self.header.is_detached() {
            if std::mem::needs_drop::<R>() {
                // K3: the joiner is gone, so the outcome is dropped here.
                self.drop_outcome(|| drop(outcome));
            }
            OutcomeIs::Dropped
        } else {
            let outcome = Stage::Outcome(OutcomeCell::new(Some(outcome())));
            // Empty: an assignment would look what there is to drop.
            std::mem::forget(std::mem::replace(self.own_stage(), outcome));
            OutcomeIs::InStage
        };
        Step::Ended { fate, outcome }
    }

    /// Where there may be something to tell.
    #[cold]
    fn complete_with_care(&self, end: End<<F::Output as TaskOutput>::Value>) -> Step {
        let header = &self.header;
        let mut ended = match end {
            End::Value(value) => Judged::Value(value),
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
            let failed = Judged::Failed(member.to_task_error(), None);
            let lost = std::mem::replace(&mut ended, failed);
            gate::drop_or_report("the value of a task", lost);
        }
        events::ended(header, || match &ended {
            Judged::Value(_) => Ending::Value,
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
        let fate = ended.fate();
        self.finish(fate, move || ended.into_result(header))
    }

    /// What it is that the task failed with.
    fn judge(&self, failed: Failed) -> Judged<<F::Output as TaskOutput>::Value> {
        let header = &self.header;
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

    #[cold]
    pub(super) fn drop_outcome(&self, drop_it: impl FnOnce()) {
        if let Err(payload) = gate::call_apart(drop_it) {
            let info = self.header.info();
            self.header
                .owner
                .adopt_failure(Member::from_panic(info, payload, Interval::now()));
        }
    }

    /// Something unwound out of a step, so the task ends with that panic. The caller has `RUNNING`
    /// (K1).
    #[cold]
    pub(super) fn fail(&self, payload: Payload) -> Step {
        if matches!(self.own_stage(), Stage::Outcome(_)) {
            // The outcome is there already, so what unwound came after it. The end of the task
            // tells the others.
            gate::report("the end of a task", payload);
            return Step::Ended {
                fate: Fate::Failed,
                outcome: OutcomeIs::InStage,
            };
        }
        if let Err(second) = gate::call_apart(|| *self.own_stage() = Stage::Empty) {
            gate::discard(second);
        }
        let header = &self.header;
        let member = Member::from_panic(header.info(), payload, Interval::now());
        let failed = member.to_task_error();
        let told = gate::call(|| {
            events::ended(header, || Ending::Failed(failed.clone()));
            header.owner.adopt_failure(member);
        });
        if let Err(payload) = told {
            gate::report("the failure of a task", payload);
        }
        self.finish(Fate::Failed, || Err(JoinError::Failed(failed)))
    }
}
