//! Instruments for the tests of concurrent programs: many orders of the same tasks, and nothing left behind.
//!
//! [`#[taskgroup::testing::test]`](test) runs a test on virtual time, in one order of its tasks. [`explore`] runs it in many:
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::sync::Arc;
//! use taskgroup::{TaskGroup, testing};
//!
//! testing::explore(0..100, async || {
//!     let counter = Arc::new(AtomicU32::new(0));
//!     TaskGroup::run(async |group| {
//!         for _ in 0..2 {
//!             let counter = counter.clone();
//!             group.spawn(async move {
//!                 counter.fetch_add(1, Ordering::Relaxed);
//!                 tokio::task::yield_now().await;
//!             });
//!         }
//!         Ok(())
//!     })
//!     .await
//!     .unwrap();
//!     assert_eq!(counter.load(Ordering::Relaxed), 2);
//! });
//! ```
//!
//! # What it explores, and what not
//!
//! Each run has a current-thread Tokio runtime with a paused clock. Whenever more than one can run of the program itself (with the
//! bodies of its groups) and the children of its groups, the seed says who is polled next. Half of the seeds choose evenly each
//! time; the others let the same ones go first again and again, so that somebody is late by many turns. What is explored
//! is the order of *polls*, on the engine as it is. Tasks of `tokio::spawn` are polled as soon as they are woken. Races between threads
//! inside one poll are not explored; use [loom](https://docs.rs/loom) for those. Nor are orders in which a timer overtakes
//! what is ready: virtual time stands still while anything can run.
//!
//! A run repeats itself if the program does: `tokio::select!` without `biased`, the order of a `HashMap`, threads and the
//! real time are sources of chance that no seed governs. A failure that does not happen again says so.

mod explorer;
mod failure;
mod pump;
mod quiet;
mod schedule;
mod shrink;

use std::sync::Arc;

pub use explorer::Explorer;
pub use failure::{Failure, Fault, Report};
pub use schedule::{BadSchedule, Schedule};
// Not at the root: a glob import of the root would make `#[test]` ambiguous.
#[cfg(feature = "macros")]
pub use taskgroup_macros::test;

use crate::TaskGroup;
use crate::scope::task::{TaskOutput, TaskRef};
use crate::scope::tree::Scope;

/// Runs `program` once for each seed, each time with its tasks polled in another order, and fails when one of the runs does.
///
/// A run fails when the program panics or returns an error; when it waits for something that never comes (a lost wake-up, a
/// deadlock); when it never stops being busy; and when it ends and leaves something behind: a task that is alive, what was
/// left by a future that was dropped half-way, a task of `tokio::spawn`. [`Explorer`] has the limits, and gives the failure as a value.
///
/// The failing run is made small and printed with its seed, its schedule and the tasks in the order in which they ran.
/// [`replay`] runs a schedule again, and so does every `explore` when `TASKGROUP_SCHEDULE` is set in the environment
/// (run one test then).
///
/// The idea is that of the schedule-exploring test runners: Coyote for .NET, shuttle for Rust.
///
/// ```should_panic
/// use taskgroup::{TaskGroup, testing};
///
/// // The second task relies on the first one having run.
/// testing::explore(0..100, async || {
///     let (send, receive) = tokio::sync::oneshot::channel();
///     let receive = std::sync::Mutex::new(receive);
///     TaskGroup::run(async |group| {
///         group.task("sender").spawn(async move { send.send("hello") });
///         group.task("reader").spawn(async move { receive.lock().unwrap().try_recv().map(drop) });
///         Ok(())
///     })
///     .await
/// });
/// ```
///
/// # Panics
/// When a run fails, with the text of the [`Failure`]. When it is called inside a Tokio runtime.
#[track_caller]
pub fn explore<T: TaskOutput>(
    seeds: impl IntoIterator<Item = u64>,
    program: impl AsyncFn() -> T,
) -> Report {
    if let Ok(schedule) = std::env::var("TASKGROUP_SCHEDULE") {
        return replay(&schedule, program);
    }
    or_panic(Explorer::new().run(seeds, program))
}

/// Runs `program` under a schedule that [`explore`] has printed.
///
/// ```
/// # use taskgroup::testing;
/// let report = testing::replay("3*0.2.1", async || {});
/// assert_eq!(report.runs(), 1);
/// ```
///
/// # Panics
/// When the run fails, with its steps. When the text is no schedule.
#[track_caller]
pub fn replay<T: TaskOutput>(schedule: &str, program: impl AsyncFn() -> T) -> Report {
    match schedule.parse() {
        Ok(schedule) => or_panic(Explorer::new().replay(&schedule, program)),
        Err(bad) => panic!("{bad}"),
    }
}

#[track_caller]
fn or_panic(explored: Result<Report, Box<Failure>>) -> Report {
    match explored {
        Ok(report) => report,
        Err(failure) => panic!("{failure}"),
    }
}

/// Asserts that nothing is alive below the current scope: no task, and nothing that was left by a future that was dropped half-way.
///
/// Below the body of a group that is: no child. In a task: whatever the task has opened has ended. Outside of everything, the whole
/// process is looked at.
///
/// ```
/// # use taskgroup::{TaskGroup, testing};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     group.spawn(async {}).await?;
///     testing::assert_quiet();
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Panics
/// When something is alive, with the names.
#[track_caller]
pub fn assert_quiet() {
    let alive = alive(&crate::scope::current::scope());
    assert!(alive.is_empty(), "alive are: {}", alive.join(", "));
}

/// Asserts that a group has ended and has everything back: no task alive, none queued, and no place of its
/// [limit](crate::GroupBuilder::limit) taken.
///
/// ```
/// # use taskgroup::{TaskGroup, testing};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let group = TaskGroup::builder()
///     .limit(2)
///     .run(async |group| {
///         (0..10).for_each(|_| drop(group.spawn(tokio::task::yield_now())));
///         Ok(group)
///     })
///     .await
///     .unwrap();
/// testing::assert_ended(&group);
/// # }
/// ```
///
/// # Panics
/// When that is not so, with the names of what is alive.
#[track_caller]
pub fn assert_ended(group: &TaskGroup) {
    let name = group.name();
    let alive = alive(group.scope());
    assert!(
        alive.is_empty() && group.live() == 0,
        "group `{name}` has not ended; alive are: {}",
        alive.join(", ")
    );
    let (taken, queued) = group
        .scope()
        .group()
        .map_or((0, 0), crate::scope::group::GroupState::placed_and_queued);
    assert!(
        (taken, queued) == (0, 0),
        "group `{name}` has {taken} places of its limit taken and {queued} tasks queued"
    );
}

/// The names of what is alive below `scope`: the tasks, and what was opened and has no task in it.
fn alive(scope: &Arc<Scope>) -> Vec<String> {
    let mut names = Vec::new();
    let mut queue = vec![scope.clone()];
    while let Some(scope) = queue.pop() {
        let (tasks, scopes) = scope.children();
        let seen = tasks.len() + scopes.len();
        let unseen = scope.below().saturating_sub(seen);
        names.extend(tasks.iter().map(name_of));
        if unseen > 0 {
            let path = crate::scope::group::info(&scope).path().to_string();
            names.push(format!("{unseen} of `{path}` that did not run yet"));
        }
        queue.extend(
            tasks
                .iter()
                .filter_map(|task| task.header().scope().map(|inside| inside.clone())),
        );
        queue.extend(scopes);
    }
    names
}

fn name_of(task: &TaskRef) -> String {
    let info = task.header().info();
    format!("task `{}`, spawned at {}", info.path(), info.location())
}
