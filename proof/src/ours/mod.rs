//! The library's side: programs run on its public API, under Tokio's paused clock.
//!
//! One unit of program time is a millisecond. A plain Tokio task watches each task from outside the
//! library by waiting for its handle. So the trace shows the end of a task when the library reports
//! it, after everything below the task has ended.

mod alarm;
mod beside;
mod outcome;
mod planted;

use std::collections::HashMap;
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskgroup::{
    BoxError, Cancelled, Deadline, GroupBuilder, Policy, TaskGroup, TaskHandle, bracket,
    checkpoint, is_cancelled, move_on_after, shield, timeout, timeout_with, until_cancelled,
};
use tokio::time::Instant;

use outcome::{join_outcome, outcome_of, tree_of};
pub use planted::Planted;

use crate::oracle::{Answer, Error, Interpreter};
use crate::program::{Block, DeadlineKind, Id, Rigour, Stmt, Then, moves};
use crate::rules::Counts;
use crate::trace::{Event, Kind, Outcome, Trace};

/// Longer than any program, in milliseconds. A program that has not ended by then waits for
/// something that never comes.
const FOREVER: Duration = Duration::from_millis(10_000_000_000);

/// The library as an interpreter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Library {
    /// A planted bug, which the comparison has to find.
    pub planted: Option<Planted>,
    /// Whether groups keep their tasks in a queue of their own, instead of one Tokio task for each.
    pub light_tasks: bool,
    /// Whether panics of the library itself are printed.
    pub verbose: bool,
}

impl Interpreter for Library {
    fn run(&mut self, program: &Block, _variation: u64) -> Result<Answer, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (world, panics) = alarm::listen(|| {
            let world = runtime.block_on(async {
                let world = Arc::new(World::new(self.planted, self.light_tasks));
                world.run(program).await;
                world
            });
            drop(runtime);
            world
        });
        if self.verbose {
            panics.iter().for_each(|panic| eprintln!("{panic}"));
        }
        for _ in panics {
            world.log(0, Kind::Broken, 0, None);
        }
        let events = std::mem::take(&mut *lock(&world.events));
        Ok(Answer {
            trace: Trace::new(events),
            rules: Counts::new(),
        })
    }
}

/// How a block ends. The error of a cancelled block is a [`Cancelled`].
type Flow = Result<(), BoxError>;
type Running<'a> = Pin<Box<dyn Future<Output = Flow> + Send + 'a>>;

/// An error that a statement returns.
#[derive(Clone, Copy, Debug)]
enum Raised {
    Fail(Id),
    Timeout(Id),
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(id) => write!(f, "fail {id}"),
            Self::Timeout(id) => write!(f, "timeout {id}"),
        }
    }
}

impl std::error::Error for Raised {}

/// State that the statements of one program share.
struct World {
    planted: Option<Planted>,
    light_tasks: bool,
    start: Instant,
    events: Mutex<Vec<Event>>,
    groups: Mutex<HashMap<Id, TaskGroup>>,
    deadlines: Mutex<HashMap<Id, Deadline>>,
    handles: Mutex<HashMap<Id, Arc<TaskHandle<()>>>>,
    watchers: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl World {
    fn new(planted: Option<Planted>, light_tasks: bool) -> Self {
        Self {
            planted,
            light_tasks,
            start: Instant::now(),
            events: Mutex::default(),
            groups: Mutex::default(),
            deadlines: Mutex::default(),
            handles: Mutex::default(),
            watchers: Mutex::default(),
        }
    }

    async fn run(self: &Arc<Self>, program: &Block) {
        let main = async {
            let outcome = match self.block(0, program).await {
                Ok(()) => Outcome::OK,
                Err(error) => outcome_of(error.as_ref()),
            };
            self.log(0, Kind::End, 0, Some(outcome));
            loop {
                let Some(watcher) = lock(&self.watchers).pop() else {
                    break;
                };
                if watcher.await.is_err() {
                    self.log(0, Kind::Stuck, 0, None);
                }
            }
        };
        if tokio::time::timeout(FOREVER, main).await.is_err() {
            self.log(0, Kind::Stuck, 0, None);
        }
    }

    fn log(&self, task: Id, kind: Kind, id: Id, outcome: Option<Outcome>) {
        let instant = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        lock(&self.events).push(Event(instant, task, kind, id, outcome));
    }

    /// Logs when it is dropped, unless it is disarmed.
    fn on_drop(&self, task: Id, kind: Kind, id: Id, outcome: Option<Outcome>) -> OnDrop<'_> {
        OnDrop {
            world: self,
            event: Some((task, kind, id, outcome)),
        }
    }

    fn block<'a>(self: &'a Arc<Self>, task: Id, block: &'a [Stmt]) -> Running<'a> {
        Box::pin(async move {
            for stmt in block {
                self.stmt(task, stmt).await?;
            }
            Ok(())
        })
    }

    async fn stmt(self: &Arc<Self>, task: Id, stmt: &Stmt) -> Flow {
        let id = stmt.id();
        match stmt {
            Stmt::Sleep { ms, .. } => {
                let interrupted = self.on_drop(task, Kind::Interrupted, id, None);
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                interrupted.disarm();
                self.log(task, Kind::Slept, id, None);
            }
            Stmt::Fail { .. } => {
                self.log(task, Kind::Fail, id, None);
                return Err(Raised::Fail(id).into());
            }
            Stmt::Panic { .. } => {
                self.log(task, Kind::Panic, id, None);
                // As `panic!`, without the message on standard error.
                resume_unwind(Box::new(id.to_string()));
            }
            Stmt::Group { policy, body, .. } => self.group(task, id, *policy, body).await?,
            Stmt::Spawn { group, body, .. } => self.spawn(id, *group, body.clone()),
            Stmt::Start {
                group,
                before,
                after,
                ..
            } => self.start(task, id, *group, before, after).await,
            Stmt::Join {
                task: other,
                give_up,
                ..
            } => self.join(task, id, *other, *give_up).await,
            Stmt::Race { left, right, .. } => self.race(task, id, left, right).await?,
            Stmt::Defer { body, .. } => self.defer(task, id, body.clone()),
            Stmt::CancelTask { task: other, .. } => {
                let handle = lock(&self.handles).get(other).cloned();
                self.log(
                    task,
                    if handle.is_some() {
                        Kind::Cancels
                    } else {
                        Kind::Absent
                    },
                    id,
                    None,
                );
                if let Some(handle) = handle {
                    handle.cancel();
                }
            }
            Stmt::CancelGroup { group, .. } => {
                self.log(task, Kind::Cancels, id, None);
                let group = lock(&self.groups)[group].clone();
                group.cancel();
            }
            Stmt::Shield { body, .. } => {
                shield(self.block(task, body)).await?;
                self.log(task, Kind::Unshielded, id, None);
            }
            Stmt::Deadline { ms, kind, body, .. } => {
                self.deadline(task, id, *ms, *kind, body).await?;
            }
            Stmt::Reschedule { deadline, ms, .. } => {
                self.log(task, Kind::Reschedules, id, None);
                let deadline = lock(&self.deadlines)[deadline].clone();
                deadline.reschedule(ms.map(|ms| Instant::now() + Duration::from_millis(ms)));
            }
            Stmt::Ensure { body, .. } => {
                let _cleanup = self.on_drop(task, Kind::Cleanup, id, None);
                self.block(task, body).await?;
            }
            Stmt::Bracket { body, release, .. } => self.bracket(task, id, body, release).await?,
            Stmt::OnCancel {
                body,
                cleanup,
                then,
                ..
            } => self.on_cancel(task, id, body, cleanup, *then).await?,
            Stmt::Catch { body, .. } => {
                if let Err(error) = self.block(task, body).await {
                    let Some(tree) = tree_of(error.as_ref()) else {
                        return Err(error);
                    };
                    self.log(task, Kind::Caught, id, Some(Outcome::Failed(tree)));
                }
            }
        }
        Ok(())
    }

    fn builder(&self, id: Id) -> GroupBuilder {
        let builder = TaskGroup::builder().name(id.to_string());
        if self.light_tasks {
            builder.light_tasks()
        } else {
            builder
        }
    }

    async fn group(self: &Arc<Self>, task: Id, id: Id, policy: Rigour, body: &[Stmt]) -> Flow {
        let cancelled = self.on_drop(task, Kind::Group, id, Some(Outcome::CANCELLED));
        let policy = match policy {
            Rigour::Collect if self.planted == Some(Planted::ImpatientGroup) => Policy::fail_fast(),
            Rigour::FailFast => Policy::fail_fast(),
            Rigour::Collect => Policy::collect(),
            Rigour::FirstSuccess => Policy::first_success(),
        };
        let ended = self
            .builder(id)
            .policy(policy)
            .run_cancellable(async |group: TaskGroup| {
                lock(&self.groups).insert(id, group);
                self.block(task, body).await
            })
            .await;
        cancelled.disarm();
        let outcome = match &ended {
            Ok(Some(())) => Outcome::OK,
            Ok(None) => Outcome::CANCELLED,
            Err(error) => outcome_of(error),
        };
        self.log(task, Kind::Group, id, Some(outcome));
        if ended?.is_none() && is_cancelled() {
            // A scope further out cut the group off, and this statement with it. Under a guard
            // that cannot happen, and the wait returns.
            until_cancelled(checkpoint()).await?;
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, id: Id, group: Id, body: Block) {
        let group = lock(&self.groups)[&group].clone();
        let world = self.clone();
        let handle = group.task(id.to_string()).spawn(async move {
            let planted = world.planted;
            let run = async move {
                world.log(id, Kind::Start, id, None);
                world.block(id, &body).await
            };
            match planted {
                None => run.await,
                Some(planted) => planted.spoil_task(run).await,
            }
        });
        self.watch(id, handle);
    }

    /// Watches the task under its name, and records its end.
    fn watch(self: &Arc<Self>, id: Id, handle: TaskHandle<()>) {
        let handle = Arc::new(handle);
        lock(&self.handles).insert(id, handle.clone());
        let world = self.clone();
        let watcher = tokio::spawn(async move {
            handle.ended().await;
            world.log(id, Kind::End, id, handle.outcome().map(join_outcome));
        });
        lock(&self.watchers).push(watcher);
    }

    async fn join(&self, task: Id, id: Id, other: Id, give_up: Option<u64>) {
        let Some(handle) = lock(&self.handles).get(&other).cloned() else {
            self.log(task, Kind::Absent, id, None);
            return;
        };
        let interrupted = self.on_drop(task, Kind::Interrupted, id, None);
        let ended = async {
            if self.planted == Some(Planted::LostWakeup) {
                Planted::wait_without_waker(&handle).await;
            }
            join_outcome((&*handle).await)
        };
        let outcome = match give_up {
            None => Some(ended.await),
            Some(ms) => tokio::select! {
                biased;
                outcome = ended => Some(outcome),
                () = tokio::time::sleep(Duration::from_millis(ms)) => None,
            },
        };
        interrupted.disarm();
        match outcome {
            Some(outcome) => self.log(task, Kind::Joined, id, Some(outcome)),
            None => self.log(task, Kind::GaveUp, id, None),
        }
    }

    async fn deadline(
        self: &Arc<Self>,
        task: Id,
        id: Id,
        ms: Option<u64>,
        kind: DeadlineKind,
        body: &[Stmt],
    ) -> Flow {
        let work = async |deadline: Deadline| {
            lock(&self.deadlines).insert(id, deadline);
            self.block(task, body).await
        };
        let late = u64::from(self.planted == Some(Planted::LateDeadline));
        let limit = ms.map(|ms| Duration::from_millis(ms + late));
        let ended = match (limit, kind) {
            _ if moves(body, id) => timeout_with(limit, work).await.ok(),
            (None, _) => timeout_with(None, work).await.ok(),
            (Some(limit), DeadlineKind::Timeout) => {
                timeout(limit, self.block(task, body)).await.ok()
            }
            (Some(limit), DeadlineKind::MoveOn) => {
                move_on_after(limit, self.block(task, body)).await
            }
        };
        let outcome = match ended {
            Some(Ok(())) => Outcome::OK,
            Some(Err(error)) => return Err(error),
            None => Outcome::EXPIRED,
        };
        let expired = outcome == Outcome::EXPIRED;
        self.log(task, Kind::Deadline, id, Some(outcome));
        if expired && kind == DeadlineKind::Timeout {
            Err(Raised::Timeout(id).into())
        } else {
            Ok(())
        }
    }

    async fn bracket(self: &Arc<Self>, task: Id, id: Id, body: &[Stmt], release: &[Stmt]) -> Flow {
        if self.planted == Some(Planted::SkippedCleanup) && is_cancelled() {
            return self.block(task, body).await;
        }
        let (world, release) = (self.clone(), release.to_vec());
        let acquire = async { Ok::<_, BoxError>(()) };
        let work = async |_: &mut ()| self.block(task, body).await;
        bracket(acquire, work, move |()| async move {
            world.log(task, Kind::Release, id, None);
            let released = world.block(task, &release).await;
            world.log(task, Kind::Released, id, None);
            released
        })
        .await
    }

    async fn on_cancel(
        self: &Arc<Self>,
        task: Id,
        id: Id,
        body: &[Stmt],
        cleanup: &[Stmt],
        then: Then,
    ) -> Flow {
        let guard: BoxError = match until_cancelled(self.block(task, body)).await {
            Ok(Err(error)) if error.is::<Cancelled>() => error,
            Ok(flow) => return flow,
            Err(cancelled) => cancelled.into(),
        };
        self.log(task, Kind::Oncancel, id, None);
        self.block(task, cleanup).await?;
        self.log(task, Kind::Cleaned, id, None);
        match then {
            Then::Leave => Err(guard),
            Then::Fail => Err(Raised::Fail(id).into()),
            Then::GoOn => Ok(()),
        }
    }
}

struct OnDrop<'a> {
    world: &'a World,
    event: Option<(Id, Kind, Id, Option<Outcome>)>,
}

impl OnDrop<'_> {
    fn disarm(mut self) {
        self.event = None;
    }
}

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        if let Some((task, kind, id, outcome)) = self.event.take() {
            self.world.log(task, kind, id, outcome);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
