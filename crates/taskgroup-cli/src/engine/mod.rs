//! The plan as task groups: groups, tasks and attempts as children of each other.
//!
//! Invariants
//! 1. Every task gets exactly one entry in the ledger, when its [`Turn`] is dropped: after its last
//!    process and its cleanup, whether it was run, cancelled or never polled.
//! 2. The cause of a group is set before the group is cancelled, and only once. A failure below a
//!    group that is being cancelled cancels nothing. A run with a command that has failed, and
//!    whose failure counts, has failed.
//! 3. A group or task that others wait for is settled on every exit path.

mod group;
mod ledger;
mod nodes;
mod numbers;
mod room;
mod service;
mod task;
mod typical;

use std::iter;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::flag::Flag;
use crate::input::Input;
use crate::job::Surroundings;
use crate::output::Labels;
use crate::plan::{Node, OnFailure, Plan, ROOT, Room, Task, TaskSpec, WhenOneEnds};
use crate::record::{Cause, Entry};
use crate::results::Results;

pub(crate) use ledger::{Closed, Ledger, Memory, Records};
pub(crate) use room::can_be_measured;

use group::Failed;
use nodes::Nodes;
use numbers::Numbers;
use room::Gate;
use task::Turn;
use typical::Typical;

/// One of the places that a group has for commands; dropping it frees the place. This is not the
/// library's `limit`, which counts the children of one group. Here a task that waits for others
/// takes no place, and a nested group takes places only for what runs in it.
type Slot = OwnedSemaphorePermit;

/// State that the children share.
pub(crate) struct Engine {
    plan: Plan,
    labels: Labels,
    around: Surroundings,
    ledger: Arc<Ledger>,
    groups: Vec<Running>,
    nodes: Nodes,
    /// The tasks and groups that are in each group.
    inside: Vec<Vec<Node>>,
    numbers: Numbers,
    results: Option<Results>,
    /// Set when the whole run is being stopped by a signal or its deadline.
    stopping: Flag,
    typical: Typical,
    room: Room,
    gate: Gate,
    /// Nothing more is started, for `--halt`. What runs goes on to its end, unless it is cancelled.
    halted: Flag,
    /// The id of the next task of the input.
    next_id: AtomicUsize,
    /// The groups with a service in them, however deep.
    serve: Vec<bool>,
    /// Failures of the engine itself, not of commands.
    internal: Mutex<Option<ErrorGroup>>,
}

/// A group of the plan that is running.
struct Running {
    slots: Arc<Semaphore>,
    /// Its children exist, or write their own entries if they are not spawned.
    begun: Flag,
    /// Set before the first child is spawned.
    group: OnceLock<TaskGroup>,
    /// The first reason to cancel. Later ones change nothing.
    cause: OnceLock<Cause>,
    /// Something in it did not succeed, and the failure counts.
    failed: Flag,
    /// If it is a race: how many commands in it have failed, and would count.
    losers: AtomicU64,
    /// Something in it was not started, because the run halted.
    left_out: Flag,
}

impl Engine {
    pub(crate) fn new(
        plan: Plan,
        labels: Labels,
        around: Surroundings,
        results: Option<Results>,
        stopping: Flag,
        room: Room,
        ledger: Arc<Ledger>,
    ) -> Arc<Engine> {
        let slots = |jobs: Option<NonZeroUsize>| {
            let jobs = jobs.map_or(usize::MAX, NonZeroUsize::get);
            Arc::new(Semaphore::new(jobs.min(Semaphore::MAX_PERMITS)))
        };
        let running = |jobs| Running {
            slots: slots(jobs),
            begun: Flag::new(),
            group: OnceLock::new(),
            cause: OnceLock::new(),
            failed: Flag::new(),
            losers: AtomicU64::new(0),
            left_out: Flag::new(),
        };
        Arc::new(Engine {
            groups: plan.groups.iter().map(|spec| running(spec.jobs)).collect(),
            nodes: Nodes::of(&plan),
            inside: plan.inside(),
            typical: Typical::default(),
            room,
            gate: Gate::default(),
            halted: Flag::new(),
            next_id: AtomicUsize::new(plan.tasks.len()),
            serve: plan.serve(),
            plan,
            labels,
            around,
            stopping,
            ledger,
            numbers: Numbers::default(),
            results,
            internal: Mutex::new(None),
        })
    }

    /// Runs everything. Resolves when nothing is left of it.
    pub(crate) async fn run(self: Arc<Self>, input: Option<Input>) {
        self.group(ROOT, input).await;
    }

    /// Stops everything, unless that has begun already. Before the first poll of [`run`](Self::run)
    /// there is nothing to stop.
    pub(crate) fn cancel(&self, cause: Cause) {
        self.cancel_group(ROOT, cause);
    }

    /// Why the whole run was cancelled, or did not start everything.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.because(ROOT)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.groups[ROOT].failed.is_set()
    }

    pub(crate) fn take_internal(&self) -> Option<ErrorGroup> {
        let mut internal = self.internal.lock().unwrap_or_else(PoisonError::into_inner);
        internal.take()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.around.begin.elapsed()
    }

    fn cancel_group(&self, id: usize, cause: Cause) {
        if id == ROOT && matches!(cause, Cause::Signal(_) | Cause::Deadline { .. }) {
            self.stopping.set();
        }
        if self.why(id).is_none() {
            // Nothing else can have set it: there is one thread.
            let _ = self.groups[id].cause.set(cause);
        }
        if let Some(group) = self.groups[id].group.get() {
            group.cancel();
        }
    }

    /// Why the group is being cancelled: the cause of the group itself, or of the nearest enclosing
    /// group that has one.
    fn why(&self, id: usize) -> Option<&Cause> {
        let mut groups = self.from(id);
        groups.find_map(|group| self.groups[group].cause.get())
    }

    /// Why something in the group was cancelled, or not started.
    fn because(&self, group: usize) -> Option<Cause> {
        let halted = || {
            let halt = self.plan.groups[ROOT].halt;
            let halt = halt.filter(|_| self.halted.is_set())?;
            Some(Cause::Halted { halt })
        };
        self.why(group).cloned().or_else(halted)
    }

    /// The group and those around it.
    fn from(&self, group: usize) -> impl Iterator<Item = usize> {
        iter::once(group).chain(self.plan.around(Node::Group(group)))
    }

    /// Waits before something is started. None if nothing more is.
    async fn unless_halted<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        if self.plan.groups[ROOT].halt.is_none() {
            return Some(wait.await);
        }
        tokio::select! {
            biased;
            () = self.halted.wait() => None,
            waited = wait => Some(waited),
        }
    }

    /// Takes one of the group's slots. None if nothing more is started. Cancel safe.
    async fn slot(&self, group: usize) -> Option<Slot> {
        let slots = Arc::clone(&self.groups[group].slots);
        let slot = self.unless_halted(slots.acquire_owned()).await?;
        Some(slot.expect("the slots are never closed"))
    }

    /// Something in the group is not started, because the run has halted. That is no failure. But
    /// what lacks a part cannot be a success, nor win a race.
    fn leave_out(&self, group: usize) -> Result<(), BoxError> {
        let flags = self.from(group).map(|group| &self.groups[group].left_out);
        flags.take_while(|flag| !flag.is_set()).for_each(Flag::set);
        match self.is_race(group) {
            true => Err(Failed.into()),
            false => Ok(()),
        }
    }

    /// A task has failed. Its own rule counts before that of its group.
    fn task_failed(&self, task: &TaskSpec, cause: Cause) {
        self.failed_by(task.group, self.on_failure(task), cause);
        self.ended_in(task.group, &task.name);
    }

    /// What a failure of the task does to the others.
    fn on_failure(&self, task: &TaskSpec) -> OnFailure {
        task.on_failure
            .unwrap_or(self.plan.groups[task.group].on_failure)
    }

    /// Something in the group has failed. Called as soon as the failure is known, before the
    /// processes have ended, so that the others do not continue during the cleanup.
    fn failed_in(&self, group: usize, cause: Cause) {
        let name = match &cause {
            Cause::Failed { name } | Cause::TimedOut { name } => name.clone(),
            _ => String::new(),
        };
        self.failed_by(group, self.plan.groups[group].on_failure, cause);
        self.ended_in(group, &name);
    }

    fn failed_by(&self, group: usize, on_failure: OnFailure, cause: Cause) {
        if self.is_race(group) || on_failure == OnFailure::Ignore {
            return;
        }
        if self.why(group).is_none() {
            self.mark_failed(group);
        }
        if on_failure == OnFailure::Cancel {
            self.cancel_group(group, cause);
        }
    }

    /// A cleanup in the group has failed. That counts even if the group is being cancelled: cleanup
    /// is not.
    fn cleanup_failed(&self, group: usize, on_failure: OnFailure) {
        if !self.is_race(group) && on_failure != OnFailure::Ignore {
            self.mark_failed(group);
        }
    }

    /// The group has failed, and so have the groups around it, up to one that ignores failures or a
    /// race that may still be won. They are marked at once: something that is no failure may cancel
    /// them before this group has ended.
    fn mark_failed(&self, group: usize) {
        self.groups[group].failed.set();
        for group in self.plan.around(Node::Group(group)) {
            if self.is_race(group) || self.ignores_failures(group) {
                return;
            }
            self.groups[group].failed.set();
        }
    }

    fn succeeded_in(&self, group: usize, name: &str) {
        if self.is_race(group) {
            let name = name.to_owned();
            self.cancel_group(group, Cause::Won { name });
        } else {
            self.ended_in(group, name);
        }
    }

    /// Something in the group has ended, however.
    fn ended_in(&self, group: usize, name: &str) {
        if self.plan.groups[group].when_one_ends == WhenOneEnds::Stop && !self.is_race(group) {
            let name = name.to_owned();
            self.cancel_group(group, Cause::Ended { name });
        }
    }

    /// A failure of something in the group is reported and does not count: it is ignored itself, or
    /// as a failure of a group.
    fn is_ignored(&self, group: usize, on_failure: OnFailure) -> bool {
        let mut around = self.plan.around(Node::Group(group));
        on_failure == OnFailure::Ignore || around.any(|group| self.ignores_failures(group))
    }

    /// Notes this many failures in the group. Returns whether they do not count, at least for now:
    /// failures in a race count when nothing wins it.
    fn forgives(&self, group: usize, on_failure: OnFailure, failures: u64) -> bool {
        if self.is_ignored(group, on_failure) {
            return true;
        }
        let race = self.from(group).find(|&group| self.is_race(group));
        if let Some(race) = race {
            // Relaxed: a number alone.
            self.groups[race]
                .losers
                .fetch_add(failures, Ordering::Relaxed);
        }
        race.is_some()
    }

    /// Nothing has won the race.
    fn race_is_lost(&self, id: usize) {
        self.mark_failed(id);
        let losers = self.groups[id].losers.load(Ordering::Relaxed);
        let parent = self.plan.groups[id].parent;
        let on_failure = |parent: usize| self.plan.groups[parent].on_failure;
        if !parent.is_some_and(|parent| self.forgives(parent, on_failure(parent), losers)) {
            self.ledger.count_after_all(losers);
        }
    }

    /// After the run: how the race was won in which this task has failed, if there was one.
    pub(crate) fn outrun(&self, entry: &Entry) -> Option<Cause> {
        if !entry.record.is_failure() || entry.cleans_up.is_some() {
            return None;
        }
        let task = self.plan.tasks.get(entry.id)?;
        let races = self.from(task.group).filter(|&group| self.is_race(group));
        let mut causes = races.filter_map(|race| self.groups[race].cause.get());
        causes
            .find(|cause| matches!(cause, Cause::Won { .. }))
            .cloned()
    }

    /// A task has ended, and is counted.
    fn consider_halt(&self) {
        let Some(halt) = self.plan.groups[ROOT].halt else {
            return;
        };
        let counts = self.ledger.counts();
        let succeeded = (counts.succeeded, counts.served);
        let failed = (counts.failed, counts.forgiven);
        if self.halted.is_set() || self.why(ROOT).is_some() || !halt.is_reached(succeeded, failed) {
            return;
        }
        self.halted.set();
        if halt.now {
            self.cancel_group(ROOT, Cause::Halted { halt });
        }
    }

    /// A service is ready.
    fn ready_at(&self, task: &Task) {
        self.ledger.ready(task, self.elapsed());
    }

    /// A failure in the group is reported and does not count.
    fn ignores_failures(&self, group: usize) -> bool {
        self.plan.groups[group].on_failure == OnFailure::Ignore
    }

    fn is_race(&self, group: usize) -> bool {
        self.plan.groups[group].policy == crate::plan::Policy::Race
    }
}
