//! Runs one group of the plan as one task group.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use taskgroup::error::QuorumMissed;
use taskgroup::{BoxError, Policy, TaskGroup, bracket};

use super::{Engine, Running, Turn};
use crate::input::Input;
use crate::plan::{Node, OnFailure, ROOT, Task, TaskSpec};
use crate::record::Cause;
use crate::verdict::Verdict;

/// Something in the group has failed. The details are in the ledger.
#[derive(Debug)]
pub(super) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command failed")
    }
}

impl Error for Failed {}

/// Settles a group even if its future is dropped, or never polled. Nothing in the group has been
/// started then.
struct Settles {
    engine: Arc<Engine>,
    id: usize,
    verdict: Verdict,
}

impl Settles {
    /// A method, because with an assignment the future would capture only a copy of the field, and
    /// this would be dropped before the future runs.
    fn succeed(&mut self) {
        self.verdict = Verdict::Succeeded;
    }
}

impl Drop for Settles {
    fn drop(&mut self) {
        if !self.engine.groups[self.id].begun.is_set() {
            self.engine.record_not_started(self.id);
        }
        self.engine.nodes.end(Node::Group(self.id), self.verdict);
    }
}

impl Engine {
    /// A group below another one.
    fn nested(
        self: Arc<Self>,
        id: usize,
    ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        let mut settles = Settles {
            engine: Arc::clone(&self),
            id,
            verdict: Verdict::Failed,
        };
        Box::pin(async move {
            let spec = &self.plan.groups[id];
            let parent = spec.parent.unwrap_or(ROOT);
            match self.unless_halted(self.nodes.wait(&spec.after)).await {
                None => return self.leave_out(parent),
                Some(Err(before)) => return self.skip(id, before),
                Some(Ok(())) => {}
            }
            self.until_settled(id).await;
            if self.groups[id].failed.is_set() {
                self.group_failed(id);
                return Err(Failed.into());
            }
            if self.groups[id].left_out.is_set() {
                return self.leave_out(parent);
            }
            settles.succeed();
            if self.why(parent).is_none() {
                self.succeeded_in(parent, &spec.name);
            }
            Ok(())
        })
    }

    /// Runs the group. What waits for a group with a service need not wait for its end: the group
    /// is settled when its services are ready and everything else in it has ended.
    async fn until_settled(self: &Arc<Self>, id: usize) {
        let group = Arc::clone(self).group(id, None);
        tokio::pin!(group);
        if self.serve[id] {
            tokio::select! {
                biased;
                () = &mut group => return,
                () = self.nodes.settled(&self.inside[id]) => self.settle_early(id),
            }
        }
        group.await;
    }

    /// Everything in the group is settled, and its services still run. Those that wait for the
    /// group must learn it: the services may run until these have ended.
    fn settle_early(&self, id: usize) {
        let group = &self.groups[id];
        if self.why(id).is_some() {
            return;
        }
        if group.failed.is_set() {
            self.group_failed(id);
        }
        let succeeded = !group.failed.is_set() && !group.left_out.is_set();
        let verdict = Verdict::of_success(succeeded);
        self.nodes.settle(Node::Group(id), verdict);
    }

    /// Tells the group around it. A second call changes nothing.
    fn group_failed(&self, id: usize) {
        let spec = &self.plan.groups[id];
        let name = spec.name.clone();
        let cause = match self.groups[id].cause.get() {
            Some(Cause::Deadline { .. }) => Cause::TimedOut { name },
            _ => Cause::Failed { name },
        };
        self.failed_in(spec.parent.unwrap_or(ROOT), cause);
        // A race may have been lost. The halt comes second: what it stops can no longer fail.
        self.consider_halt();
    }

    /// A predecessor of the group did not succeed, so nothing in it is started.
    fn skip(&self, id: usize, before: Node) -> Result<(), BoxError> {
        let parent = self.plan.groups[id].parent.unwrap_or(ROOT);
        if self.why(parent).is_none() {
            let name = self.plan.name(before).to_owned();
            self.cancel_group(id, Cause::Before { name });
        }
        self.incomplete(parent, self.plan.groups[parent].on_failure)
    }

    /// Every task gets its entry, even in a group that never started.
    fn record_not_started(self: &Arc<Self>, id: usize) {
        let mut open = vec![id];
        while let Some(group) = open.pop() {
            for &node in &self.inside[group] {
                match node {
                    Node::Task(task) => drop(Turn::new(self, self.planned(task))),
                    Node::Group(group) => open.push(group),
                }
            }
        }
    }

    /// Something in the group was not done because of a failure elsewhere. It cannot win a race,
    /// and it does not stop the others, because the failure elsewhere does that if the plan says
    /// so. In a group that is being cancelled, nothing was to be done any longer.
    pub(super) fn incomplete(&self, group: usize, on_failure: OnFailure) -> Result<(), BoxError> {
        if self.is_race(group) {
            return Err(Failed.into());
        }
        if on_failure != OnFailure::Ignore && self.why(group).is_none() {
            self.mark_failed(group);
        }
        Ok(())
    }

    /// The library's policy for what the plan says. It judges a child when the child has ended,
    /// including its cleanup. [`failed_in`](Self::failed_in) and
    /// [`succeeded_in`](Self::succeeded_in) decide the same as soon as the result is known.
    fn policy(&self, id: usize) -> Policy {
        match self.plan.groups[id].on_failure {
            _ if self.is_race(id) => Policy::first_success(),
            OnFailure::Cancel => Policy::fail_fast(),
            OnFailure::Wait | OnFailure::Ignore => Policy::collect(),
        }
    }

    pub(super) fn planned(&self, id: usize) -> Task {
        Task {
            id,
            spec: self.plan.tasks[id].clone(),
        }
    }

    /// Runs the group and its cleanup. Resolves when nothing is left of either.
    pub(super) async fn group(self: Arc<Self>, id: usize, input: Option<Input>) {
        let engine = Arc::clone(&self);
        let nothing = async { Ok::<_, BoxError>(()) };
        let members = async |(): &mut ()| {
            self.within_deadline(id, input).await;
            Ok(())
        };
        let clean_up = move |()| async move {
            let spec = &engine.plan.groups[id];
            let name = if id == ROOT { "" } else { &spec.name };
            // A failure of it is one of the group around it.
            let counts_in = spec.parent.map(|parent| {
                let rule = engine.plan.groups[parent].on_failure;
                (parent, rule)
            });
            let cleaned_up = engine.clean_up((name, id, None), counts_in, &spec.cleanup);
            let verdict = cleaned_up.await;
            if verdict.is_failure() {
                engine.mark_failed(id);
            }
        };
        let ended = bracket(nothing, members, clean_up).await;
        debug_assert!(ended.is_ok(), "no part of the bracket returns an error");
    }

    async fn within_deadline(self: &Arc<Self>, id: usize, input: Option<Input>) {
        let members = self.members(id, input);
        tokio::pin!(members);
        let spec = &self.plan.groups[id];
        tokio::select! {
            biased;
            () = &mut members => return,
            () = self.around.clock.after_any(spec.deadline) => {
                let group = spec.name.clone();
                if self.why(id).is_none() {
                    self.mark_failed(id);
                }
                self.cancel_group(id, Cause::Deadline { group });
            }
        }
        members.await;
    }

    async fn members(self: &Arc<Self>, id: usize, input: Option<Input>) {
        let name = if id == ROOT {
            "run"
        } else {
            &self.plan.groups[id].name
        };
        let ended = TaskGroup::builder()
            .name(name.to_owned())
            .policy(self.policy(id))
            .run_cancellable(async |group| {
                self.groups[id].begun.set();
                let group = self.groups[id].group.get_or_init(|| group);
                self.spawn_planned(id, group).await;
                if let Some(input) = input {
                    self.spawn_input(group, input).await;
                }
                Ok(())
            })
            .await;
        let Err(error) = ended else { return };
        // A race without a winner. Other failures were reported when they happened. If the run
        // halted before anything in it could lose, it was no race.
        let Running {
            losers, left_out, ..
        } = &self.groups[id];
        let was_run = losers.load(Ordering::Relaxed) > 0 || !left_out.is_set();
        if self.is_race(id) && was_run && self.why(id).is_none() && !self.ignores_failures(id) {
            self.race_is_lost(id);
        }
        let (_in_the_ledger, ours) = error.split::<Failed>();
        // The run may halt before anything of a race is started.
        let ours = ours.and_then(|ours| ours.split::<QuorumMissed>().1);
        if let Some(ours) = ours {
            let mut internal = self.internal.lock().unwrap_or_else(PoisonError::into_inner);
            internal.get_or_insert(ours);
        }
    }

    /// Spawns groups, services, and tasks that wait for others, at once. Spawns the other tasks in
    /// order, each when there is a slot for it, so a task that waits for a slot costs nothing.
    async fn spawn_planned(self: &Arc<Self>, id: usize, group: &TaskGroup) {
        let (mut waiting, mut ready) = (Vec::new(), Vec::new());
        for &node in &self.inside[id] {
            match node {
                Node::Task(task) => {
                    let spec = &self.plan.tasks[task];
                    match spec.after.is_empty() && spec.service.is_none() {
                        true => ready.push(task),
                        false => waiting.push(task),
                    }
                }
                Node::Group(child) => {
                    let name = self.plan.groups[child].name.clone();
                    group.task(name).spawn(Arc::clone(self).nested(child));
                }
            }
        }
        for task in waiting {
            let turn = Turn::new(self, self.planned(task));
            let name = turn.name().to_owned();
            group
                .task(name)
                .spawn(async move { turn.run_when_ready().await });
        }
        let mut queue = Queue(self, ready.into_iter());
        while !queue.is_empty() {
            let Some(slot) = self.slot(id).await else {
                let _ = self.leave_out(id);
                return;
            };
            let Some(turn) = queue.next() else { return };
            let name = turn.name().to_owned();
            group.task(name).spawn(turn.run(slot));
        }
    }

    async fn spawn_input(self: &Arc<Self>, group: &TaskGroup, input: Input) {
        loop {
            let Some(slot) = self.slot(ROOT).await else {
                return;
            };
            // The input may never end.
            let Some(Some(spec)) = self.unless_halted(input.next()).await else {
                return;
            };
            let turn = Turn::new(self, self.of_input(spec));
            if !turn.reserve().await {
                return turn.was_left_over();
            }
            let name = turn.name().to_owned();
            group.task(name).spawn(turn.run(slot));
        }
    }
}

impl Engine {
    /// The next task of the input.
    fn of_input(&self, spec: TaskSpec) -> Task {
        // Relaxed: a number alone.
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Task { id, spec }
    }

    /// After the run: this task of the input was left over.
    pub(crate) fn was_left_over(self: &Arc<Self>, spec: TaskSpec) {
        Turn::new(self, self.of_input(spec)).was_left_over();
    }
}

/// Tasks that wait for their turn. Those that are never reached get their entries, too.
struct Queue<'a>(&'a Arc<Engine>, std::vec::IntoIter<usize>);

impl Queue<'_> {
    fn is_empty(&self) -> bool {
        self.1.len() == 0
    }

    fn next(&mut self) -> Option<Turn> {
        let task = self.1.next()?;
        Some(Turn::new(self.0, self.0.planned(task)))
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        while self.next().is_some() {}
    }
}
