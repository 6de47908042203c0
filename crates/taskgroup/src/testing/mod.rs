//! Instruments for tests of concurrent programs: they run the same tasks in many orders, and check
//! that nothing is left behind.
//!
//! [`#[taskgroup::testing::test]`](test) runs a test on virtual time, in one order of its tasks.
//! [`explore`] runs it in many orders:
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
//! Each run has a current-thread Tokio runtime with a paused clock. The program itself (with the
//! bodies of its groups) and each child of its groups are polled one at a time. When more than one
//! of them can run, the seed chooses. Half of the seeds choose evenly. The others prefer the same
//! tasks again and again, so that some task is late by many turns.
//!
//! This explores the order of *polls*, on the real engine. Tasks of `tokio::spawn` are polled as
//! soon as they are woken. It does not explore races between threads inside one poll; use
//! [loom](https://docs.rs/loom) for those. Nor does it explore orders in which a timer overtakes a
//! task that is ready, because virtual time stands still while anything can run.
//!
//! A run can be repeated if the program is deterministic. `tokio::select!` without `biased`, the
//! order of a `HashMap`, threads and the real time are sources of chance that no seed controls. The
//! text of a failure says whether it could be repeated.

mod explorer;
mod failure;
mod pump;
mod quiet;
mod schedule;
mod shrink;

use std::sync::Arc;

pub use explorer::Explorer;
pub use failure::{Failure, Report, Symptom};
pub use schedule::{BadSchedule, Schedule};
// Not at the root: a glob import of the root would make `#[test]` ambiguous.
#[cfg(feature = "macros")]
pub use taskgroup_macros::test;

use crate::TaskGroup;
use crate::scope::task::{TaskOutput, TaskRef};
use crate::scope::tree::Scope;

/// Runs `program` once for each seed, each time with its tasks polled in another order, and panics
/// when one of the runs fails.
///
/// A run fails when the program panics or returns an error, when it waits for something that never
/// comes (a lost wake-up, a deadlock), and when it never stops being busy. It also fails when it
/// leaves something behind: a live task, what a future that was dropped half-way has started, or a
/// task of `tokio::spawn`. [`Explorer`] has settings for the limits, and returns the failure as a
/// value.
///
/// The schedule of the failing run is shortened and printed, with its seed and the tasks in the
/// order in which they ran. [`replay`] runs a schedule again. So does every `explore` when
/// `TASKGROUP_SCHEDULE` is set in the environment; run a single test then.
///
/// The idea comes from schedule-exploring test runners: Coyote for .NET and shuttle for Rust.
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
///         group
///             .task("reader")
///             .spawn(async move { receive.lock().unwrap().try_recv().map(drop) });
///         Ok(())
///     })
///     .await
/// });
/// ```
///
/// # Panics
/// With the text of the [`Failure`], when a run fails. Also inside a Tokio runtime, because each
/// run has a runtime of its own.
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
/// When the run fails, with its steps, and when the text is not a schedule.
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

/// Asserts that nothing is alive below the current scope: no task, and nothing that a future left
/// behind when it was dropped half-way.
///
/// In the body of a group this means that no child is alive. In a task it means that everything the
/// task opened has ended. Outside any scope it looks at the whole process.
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
/// When something is alive, with its name.
#[track_caller]
pub fn assert_quiet() {
    let alive = alive(&crate::scope::current::scope());
    assert!(alive.is_empty(), "alive are: {}", alive.join(", "));
}

/// Asserts that a group has ended completely: no task is alive or queued, and no place of its
/// [limit](crate::GroupBuilder::limit) is taken.
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
/// When the group has not ended, with the names of what is alive.
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
            let path = crate::scope::who::info(&scope).path().to_string();
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
