//! Structured concurrency on Tokio: no task outlives its group, no error is lost, no cleanup is
//! skipped.
//!
//! ```
//! use std::time::Duration;
//! use taskgroup::TaskGroup;
//! use tokio::time::sleep;
//!
//! #[tokio::main]
//! async fn main() {
//!     let outcome = TaskGroup::run(async |group| {
//!         group.task("log").spawn(async { Err::<(), _>("disk full") });
//!         group.task("slow").spawn(sleep(Duration::from_secs(100)));
//!         Ok(())
//!     });
//!     // At once: "slow" was cancelled, and has ended.
//!     let errors = outcome.await.unwrap_err();
//!     assert_eq!(errors.cause().name(), "log");
//! }
//! ```
//!
//! [`TaskGroup::run`] resolves when the body and all children have ended, whatever happened. The
//! first failure cancels the others, and the [`ErrorGroup`] has every failure, each with the name
//! of its task. A cancelled task is dropped at its next suspension point, or cleans up first: see
//! [`until_cancelled`].
//!
//! The contract, `docs/contract.md` in the repository, says what that means: in numbered rules,
//! each with tests that cite its number.
//!
//! The guide begins with a first hour. It has a chapter each on policies, errors, cleanup, servers
//! and testing, questions with answers, all examples by topic, and comparisons with other
//! libraries. Its pages are in
#![cfg_attr(all(doc, not(doctest), feature = "macros"), doc = "[`_guide`].")]
#![cfg_attr(
    not(all(doc, not(doctest), feature = "macros")),
    doc = "`docs/guide` of the repository."
)]
//!
//! # Which one do I use?
//!
//! | I want | I use | in Python, Trio, Go, JavaScript |
//! |---|---|---|
//! | children that end together, in parallel | [`TaskGroup::run`], [`TaskGroup::spawn`] | `TaskGroup`, nursery, `errgroup` |
//! | failures that cancel nothing; the first success; the first n; at most n failures | [`Policy`] | `supervisorScope`, – |
//! | at most n at once | [`GroupBuilder::limit`]; with back-pressure [`TaskGroup::spawn_when_free`]; now or not at all [`TaskGroup::spawn_if_free`] | `Semaphore`, `SetLimit` |
//! | a heartbeat that ends with the group | [`TaskBuilder::background`] | – |
//! | a server that reports when it listens | [`TaskGroup::start`] | `nursery.start` |
//! | a child that returns a plain value | [`TaskGroup::spawn_value`] | – |
//! | the one error of a group, by its type | [`ErrorGroup::downcast`] | `errgroup` |
//! | blocking work | [`TaskGroup::spawn_blocking`] | `to_thread` |
//! | all values in argument order, or every failure | [`gather`] | `gather`, `Promise.all` |
//! | all outcomes, by index or key | [`settle`], [`settle_by_key`] | `gather(return_exceptions=True)`, `allSettled` |
//! | the first that succeeds | [`race`], [`race_by_key`], [`race_staggered`] | `Promise.any`, `staggered_race` |
//! | one function over many items | [`map`] | `Semaphore` and `gather` |
//! | outcomes in order of completion | [`as_completed`] | `as_completed` |
//! | outcomes as they come, while the group still spawns | [`TaskGroup::outcomes`] | `join_next`, `group.next()` |
//! | to see which tasks have ended | [`wait`], [`wait_timeout`] | `wait` |
//! | outputs that are not `Result`s | [`join`] | `gather` |
//! | to try again | `Retry` (feature `retry`) | a loop |
//! | to show how far a group is | [`Progress`], [`GroupBuilder::progress`] | `tqdm` |
//! | a time limit | [`timeout`], [`move_on_after`] | `timeout`, `fail_after`, `context.WithTimeout` |
//! | something that must not be cut off | [`shield`], [`bracket`], [`defer`] | `shield`, `finally` |
//! | children that a struct owns | [`OpenGroup`] | `CoroutineScope`, `TaskTracker` |
//! | to cancel a part of a task, or anything from afar | [`CancelScope`], [`Canceller`] | `CancelScope`, `CancelFunc`, `AbortController` |
//! | a future of the cancellation or the end | [`when_cancelled`], [`when_ended`] | `ctx.Done()`, `AbortSignal` |
//! | to clean up on cancellation | [`until_cancelled`] | `except CancelledError` |
//! | signals between tasks | Tokio's channels, `Notify`, `Semaphore` | `Queue`, `Event` |
//!
//! `spawn` makes tasks, which run on all cores and are `'static`. The helpers (`gather` … `map`)
//! run futures inside the caller's task, so these may borrow. Given task handles, they wait for
//! tasks.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `macros` | yes | `#[taskgroup::main]`, and with `testing` `#[taskgroup::testing::test]` |
//! | `runner` | yes | `run`, `Runner`, `until_stopped`: a runtime, signals, exit codes |
//! | `retry` | | `Retry`, with the waits of `backon` |
//! | `testing` | | `testing`: many orders of one test, in virtual time |
//! | `recorder` | | `observe::recorder`: a timeline of a run, as a page or a trace |
//! | `tracing` | | `observe::Spans`: a span for each task and group, with its outcome; warnings as events |
//! | `metrics` | | `observe::describe_metrics`: counts and durations of children by name, for the crate `metrics` |
//! | `indicatif` | | `Progress::show`: a progress bar |
//! | `tokio-util` | | to and from `CancellationToken` |
//!
//! # Where the other names are
//!
//! The functions, the types that a program writes down and the errors that it matches are here at
//! the root. What belongs to them is one step further down:
//!
//! | module | what it holds |
//! |---|---|
//! | [`combine`] | what `gather`, `join`, `settle`, `wait`, `as_completed` and `Retry` take and return |
//! | [`error`] | the parts of an [`ErrorGroup`], and the clauses that handle it |
//! | [`observe`] | the live tree, warnings, progress, reports of blocking tasks, recordings |
//! | `testing` (feature `testing`) | many orders of one test |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(doc, not(doctest), feature = "macros"))]
pub mod _guide;
mod ambient;
mod blocking;
mod bracket;
mod cancel;
mod cancel_scope;
mod canceller;
mod clock;
pub mod combine;
mod deadline;
pub mod error;
mod gate;
mod group;
mod handle;
mod local;
mod local_group;
pub mod observe;
mod outcomes;
mod plain;
mod policy;
mod progress;
mod reason;
#[cfg(feature = "runner")]
mod runner;
mod scope;
mod shield;
#[cfg(feature = "runner")]
mod signals;
mod start;
#[cfg(feature = "runner")]
mod stop;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio-util")]
mod token;
mod warning;
mod when;

pub use blocking::BlockingToken;
pub use bracket::{bracket, defer, drain};
pub use cancel::{CancelReason, Cancelled, ReasonKind, checkpoint, is_cancelled, until_cancelled};
pub use cancel_scope::CancelScope;
pub use canceller::Canceller;
pub use combine::as_completed::as_completed;
pub use combine::gather::gather;
pub use combine::join::join;
pub use combine::map::map;
pub use combine::race::{race, race_by_key, race_staggered};
#[cfg(feature = "retry")]
pub use combine::retry::Retry;
pub use combine::settle::{settle, settle_by_key};
pub use combine::wait::{wait, wait_timeout};
pub use deadline::{
    Deadline, TimedOut, current_deadline, move_on_after, timeout, timeout_at, timeout_with,
};
pub use error::BoxError;
pub use error::info::{TaskId, TaskInfo};
pub use error::leaf::TaskError;
pub use error::tree::ErrorGroup;
pub use group::{GroupBuilder, NotSpawned, OpenGroup, SpawnRefused, TaskBuilder, TaskGroup};
pub use handle::{JoinError, JoinRef, TaskHandle};
pub use local::Local;
pub use local_group::{LocalGroup, LocalGroupBuilder, LocalHandle, LocalTask};
pub use outcomes::Outcomes;
pub use policy::Policy;
pub use progress::Progress;
#[cfg(feature = "runner")]
pub use runner::{MainOutput, RunError, Runner, run};
#[cfg(loom)]
pub use scope::models;
pub use scope::task::TaskOutput;
pub use shield::shield;
pub use start::{StartError, Started};
#[cfg(feature = "runner")]
pub use stop::{until_stopped, when_stopped};
#[cfg(feature = "macros")]
pub use taskgroup_macros::main;
#[cfg(feature = "tokio-util")]
pub use token::cancellation_token;
pub use when::{WhenCancelled, WhenEnded, when_cancelled, when_ended};
