//! One task: its turn, its attempts, its cleanup, its entry.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::ExponentialBuilder;
use taskgroup::{BoxError, Retry, bracket, checkpoint};

use super::group::Failed;
use super::{Engine, Slot};
use crate::job::Job;
use crate::plan::{self, Node, Task, TaskSpec, Work, cleanup_name};
use crate::record::{Cause, Ending, Entry, Record};
use crate::verdict::Verdict;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A task. It gets its entry when the last clone of this is dropped.
#[derive(Clone)]
pub(super) struct Turn(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    task: Task,
    /// See [`Entry::known`].
    known: Duration,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    record: Option<Record>,
    attempts: u32,
    began: Option<Duration>,
    because: Option<Cause>,
}

impl Turn {
    pub(super) fn new(engine: &Arc<Engine>, task: Task) -> Turn {
        let planned = task.id < engine.plan.tasks.len();
        Turn(Arc::new(Inner {
            engine: Arc::clone(engine),
            known: if planned {
                Duration::ZERO
            } else {
                engine.elapsed()
            },
            task,
            latest: Mutex::default(),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.task.spec.name
    }

    fn spec(&self) -> &TaskSpec {
        &self.0.task.spec
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Runs a task that waits for others, and is therefore spawned before there is a slot for it.
    pub(super) async fn run_when_ready(self) -> Result<(), BoxError> {
        let engine = self.engine();
        if let Err(before) = engine.nodes.wait(&self.spec().after).await {
            let name = engine.name(before).to_owned();
            self.latest(|latest| latest.because = Some(Cause::Before { name }));
            return engine.incomplete(self.spec().group);
        }
        let slot = engine.groups[self.spec().group].slot().await;
        self.clone().run(slot).await
    }

    /// Runs the task from the slot in its own group to its end, which frees the slot. A task that
    /// is cancelled before its turn is not started.
    pub(super) async fn run(self, slot: Slot) -> Result<(), BoxError> {
        let engine = Arc::clone(self.engine());
        let mut slots = vec![slot];
        let mut around = engine.plan.groups[self.spec().group].parent;
        while let Some(group) = around {
            slots.push(engine.groups[group].slot().await);
            around = engine.plan.groups[group].parent;
        }
        // A cancelled task passes its turn on while it is still being stopped; no task takes it.
        checkpoint().await;
        let spec = self.spec();
        if engine.ledger.was_done(&spec.name, &spec.work) {
            let record = Record::without_process(Ending::DoneBefore);
            self.latest(|latest| latest.record = Some(record));
            engine.succeeded_in(spec.group, &spec.name);
            return Ok(());
        }
        let turn = self.clone();
        let nothing = async { Ok::<_, BoxError>(()) };
        let attempts = async |(): &mut ()| self.attempts().await;
        let clean_up = move |()| async move {
            let (engine, spec) = (turn.engine(), turn.spec());
            let verdict = engine
                .clean_up(&spec.name, spec.group, &spec.work.cleanup)
                .await;
            if verdict.is_failure() {
                let name = format!("the cleanup of {}", spec.name);
                engine.failed_in(spec.group, Cause::Failed { name });
            }
        };
        bracket(nothing, attempts, clean_up).await
    }

    async fn attempts(&self) -> Result<(), BoxError> {
        let spec = self.spec();
        let attempts = Retry::new(pauses(spec.retry));
        // Nothing is borrowed here. Otherwise the compiler could not prove that this can move
        // between threads.
        let turn = self.clone();
        let attempt = move |number| {
            let turn = turn.clone();
            async move { turn.attempt(number).await }
        };
        attempts.run(attempt).await.map_err(|_| Failed)?;
        self.engine().succeeded_in(spec.group, &spec.name);
        Ok(())
    }

    async fn attempt(&self, number: u32) -> Result<(), BoxError> {
        let (engine, spec) = (self.engine(), self.spec());
        let is_last = number > spec.retry.times;
        let began = engine.elapsed();
        engine.ledger.started(&self.0.task, number, began);
        self.latest(|latest| {
            latest.began.get_or_insert(began);
            latest.attempts = number;
        });
        let start = async {
            let label = engine.labels.of(self.0.task.id, &spec.name);
            let (work, timeout) = (&spec.work, spec.timeout);
            let job = Job::start(work, timeout, label, engine.around.clone()).await;
            Ok::<_, BoxError>(job)
        };
        let turn = self.clone();
        bracket(
            start,
            async |job| {
                let verdict = match job {
                    Ok(job) => job.watch().await,
                    Err(_) => Verdict::Failed,
                };
                if verdict == Verdict::Succeeded {
                    return Ok(());
                }
                if is_last {
                    let name = spec.name.clone();
                    let cause = match job {
                        Ok(job) if job.timed_out() => Cause::TimedOut { name },
                        _ => Cause::Failed { name },
                    };
                    engine.failed_in(spec.group, cause);
                }
                Err(Failed.into())
            },
            // Runs on every exit. No process of the command is left after it.
            move |job| async move {
                let mut record = match job {
                    Ok(job) => job.finish().await,
                    Err(error) => Record::without_process(Ending::CouldNotStart(error)),
                };
                record.began = Some(began);
                turn.latest(|latest| latest.record = Some(record));
            },
        )
        .await
    }

    fn latest<T>(&self, with: impl FnOnce(&mut Latest) -> T) -> T {
        with(&mut self.0.latest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (engine, spec) = (&self.engine, &self.task.spec);
        let latest = self
            .latest
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let latest = std::mem::take(latest);
        let record = latest
            .record
            .unwrap_or_else(|| Record::without_process(Ending::NotStarted));
        let by_others = matches!(record.ending, Ending::NotStarted | Ending::Cancelled(_));
        let because = match latest.because {
            None if by_others => engine.why(spec.group).cloned(),
            because => because,
        };
        let ignored = record.is_failure() && engine.ignores_failures(spec.group);
        let verdict = Verdict::of_success(record.ending.is_success() || ignored);
        let entry = Entry {
            id: self.task.id,
            cleans_up: None,
            name: spec.name.clone(),
            command: spec.work.command.shown(),
            record,
            attempts: latest.attempts,
            known: self.known,
            began: latest.began,
            ended: engine.elapsed(),
            because,
            ignored,
        };
        engine.ledger.ended(entry, &spec.work);
        engine.nodes.settle(Node::Task(self.task.id), verdict);
    }
}

impl Engine {
    /// Runs the cleanup of the task or group with that name; of the run if the name is empty.
    ///
    /// The steps run one after the other, each within its time, even after a failure. One failure
    /// is a failure of all. Must not be cancelled: call it where no cancellation can arrive.
    pub(super) async fn clean_up(&self, of: &str, group: usize, steps: &[Work]) -> Verdict {
        let mut verdict = Verdict::Succeeded;
        for (index, work) in steps.iter().enumerate() {
            let began = self.elapsed();
            let name = cleanup_name(of, index);
            let label = self.labels.of(group, &name);
            let limit = Some(work.cleanup_timeout);
            let mut record = match Job::start(work, limit, label, self.around.clone()).await {
                Ok(mut job) => {
                    tokio::select! {
                        _ = job.watch() => {}
                        () = self.around.hurry.wait() => {}
                    }
                    job.finish().await
                }
                Err(error) => Record::without_process(Ending::CouldNotStart(error)),
            };
            record.began = Some(began);
            if !record.ending.is_success() {
                verdict = Verdict::Failed;
            }
            let entry = Entry {
                id: usize::MAX,
                cleans_up: Some(of.to_owned()),
                name,
                command: work.command.shown(),
                record,
                attempts: 1,
                known: began,
                began: Some(began),
                ended: self.elapsed(),
                because: None,
                ignored: false,
            };
            self.ledger.cleaned_up(entry, work);
        }
        verdict
    }
}

fn pauses(retry: plan::Retry) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(retry.backoff)
        .with_max_delay(LONGEST_PAUSE.max(retry.backoff))
        .with_max_times(retry.times as usize)
        .with_jitter()
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn pauses_grow_and_there_is_none_after_the_last_attempt() {
        let retry = plan::Retry {
            times: 9,
            backoff: Duration::from_secs(1),
        };
        let all: Vec<Duration> = pauses(retry).build().collect();
        assert_eq!(all.len(), 9);
        assert!(
            all[0] >= Duration::from_secs(1) && all[0] <= Duration::from_secs(2),
            "{all:?}"
        );
        assert!(all[3] >= Duration::from_secs(8), "{all:?}");
        assert!(all[8] <= 2 * LONGEST_PAUSE, "{all:?}");
        assert_eq!(pauses(plan::Retry::NEVER).build().count(), 0);
    }
}
