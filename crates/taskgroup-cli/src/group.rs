//! The commands as children of one task group.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock};

use taskgroup::{ErrorGroup, TaskGroup, bracket, checkpoint};
use tokio::sync::Semaphore;

use crate::flag::Flag;
use crate::job::{Job, Surroundings};
use crate::output::{self, Label, Sink, Stream};
use crate::plan::{OnFailure, Plan};
use crate::process::Guards;
use crate::record::{Cause, Ending, Record};

/// What the children share.
pub(crate) struct Commands {
    plan: Arc<Plan>,
    stdout: Vec<Label>,
    stderr: Vec<Label>,
    around: Surroundings,
    slots: Semaphore,
    /// Set before the first child is spawned.
    group: OnceLock<TaskGroup>,
    /// The first reason to cancel; the later ones change nothing.
    cause: OnceLock<Cause>,
    records: Mutex<Vec<Option<Record>>>,
}

impl Commands {
    pub(crate) fn new(plan: Arc<Plan>, guards: Guards, sink: Sink, hurry: Flag) -> Commands {
        let names = || plan.tasks.iter().map(|task| task.name.as_str());
        let labels = |stream| output::labels(names(), output::is_coloured(plan.colour, stream));
        let slots = plan
            .jobs
            .map_or(usize::MAX, NonZeroUsize::get)
            .min(Semaphore::MAX_PERMITS);
        Commands {
            stdout: labels(Stream::Out),
            stderr: labels(Stream::Err),
            around: Surroundings {
                guards,
                sink,
                timeout: plan.timeout,
                grace: plan.grace,
                hurry,
            },
            slots: Semaphore::new(slots),
            group: OnceLock::new(),
            cause: OnceLock::new(),
            records: Mutex::new(plan.tasks.iter().map(|_| None).collect()),
            plan,
        }
    }

    /// Runs every command as a child of one group. Resolves when nothing is left of them; with what
    /// went wrong in here, aside from the commands.
    pub(crate) async fn run(self: Arc<Self>) -> Option<ErrorGroup> {
        let ended = TaskGroup::builder()
            .name("run")
            .run_cancellable(async |group| {
                let group = self.group.get_or_init(|| group);
                for (index, task) in self.plan.tasks.iter().enumerate() {
                    let child = Arc::clone(&self).supervise(index);
                    // Its handle has nothing to say: the record has it all.
                    group.task(task.name.clone()).spawn(child);
                }
                Ok(())
            })
            .await;
        let (_told_by_the_records, ours) = ended.err()?.split::<CommandFailed>();
        ours
    }

    /// Stops everything, unless that is under way already. Before the first poll of
    /// [`run`](Self::run) there is nothing to stop.
    pub(crate) fn cancel(&self, cause: Cause) {
        // Refused when there is a cause already.
        let _ = self.cause.set(cause);
        if let Some(group) = self.group.get() {
            group.cancel();
        }
    }

    /// A record for each command, and what cancelled them.
    pub(crate) fn into_records(self) -> (Vec<Record>, Option<Cause>) {
        let records = self
            .records
            .into_inner()
            .expect("nothing panics while it records");
        let not_started = || Record::without_process(Ending::NotStarted);
        let records = records
            .into_iter()
            .map(|record| record.unwrap_or_else(not_started));
        (records.collect(), self.cause.into_inner())
    }

    /// One command, from its turn to its record. Cancelled before its turn, it leaves no record.
    async fn supervise(self: Arc<Self>, index: usize) -> Result<(), CommandFailed> {
        let _slot = self.slots.acquire().await;
        // A cancelled command gives its turn on while it is still being stopped: nobody takes it.
        checkpoint().await;
        let commands = Arc::clone(&self);
        let ended = bracket(
            self.start(index),
            async |job: &mut Job| match job.watch().await {
                true => Err(self.failed(index)),
                false => Ok(()),
            },
            // On every exit; nothing is left of the command after it.
            move |job| async move { commands.record(index, job.finish().await) },
        )
        .await;
        match self.plan.on_failure {
            OnFailure::Cancel => ended,
            OnFailure::KeepGoing => Ok(()),
        }
    }

    async fn start(&self, index: usize) -> Result<Job, CommandFailed> {
        let spec = &self.plan.tasks[index];
        let (stdout, stderr) = (self.stdout[index].clone(), self.stderr[index].clone());
        let started = Job::start(spec, stdout, stderr, self.around.clone()).await;
        started.map_err(|error| {
            self.record(index, Record::without_process(Ending::CouldNotStart(error)));
            self.failed(index)
        })
    }

    fn record(&self, index: usize, record: Record) {
        self.records
            .lock()
            .expect("nothing panics while it records")[index] = Some(record);
    }

    /// Called as soon as a command has failed, before its process group is empty: the others shall
    /// not run on while it is cleaned up.
    fn failed(&self, index: usize) -> CommandFailed {
        if self.plan.on_failure == OnFailure::Cancel {
            self.cancel(Cause::Task(index));
        }
        CommandFailed
    }
}

/// Tells the group that a command has failed. What there is to say about it is in its record.
#[derive(Debug)]
struct CommandFailed;

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the command failed")
    }
}

impl Error for CommandFailed {}
