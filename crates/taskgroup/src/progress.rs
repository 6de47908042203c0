//! How far a group is: five counts that add up at every moment.

use tokio::sync::watch;

use crate::gate;

/// The number of children of a group in each state.
///
/// Every snapshot adds up: each known child is in exactly one state.
///
/// ```
/// use taskgroup::Progress;
///
/// let counts = Progress::expecting(10).counts();
/// assert_eq!((counts.queued, counts.running, counts.ended()), (10, 0, 0));
/// assert_eq!(counts.total(), 10);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Not started: announced but not spawned, or waiting for a place below the limit.
    pub queued: usize,
    /// Started and not ended, with its cleanup.
    pub running: usize,
    /// Ended with a value.
    pub done: usize,
    /// Ended with an error or a panic.
    pub failed: usize,
    /// Ended by cancellation, before the start or after.
    pub cancelled: usize,
    /// Nothing will change any more: the group has ended.
    pub finished: bool,
}

impl Counts {
    /// All five together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.queued + self.running + self.ended()
    }

    /// Done, failed or cancelled.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.done + self.failed + self.cancelled
    }
}

/// Counts what becomes of the children of a group, for a progress bar or a line in the log.
///
/// Give it to [`GroupBuilder::progress`](crate::GroupBuilder::progress) and watch it from wherever
/// you like: look at [`counts`](Self::counts), or wait for changes with [`watch`](Self::watch),
/// whose last event is the end of the group, whatever way it ended. Cancelled children count too,
/// so the last snapshot has the outcome of every child.
///
/// ```
/// use taskgroup::{BoxError, Policy, Progress, TaskGroup, join};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let progress = Progress::expecting(4);
/// let group =
///     TaskGroup::builder().limit(2).policy(Policy::collect()).progress(&progress);
/// let run = group.run(async |group| {
///     for number in 0..4 {
///         group.spawn(async move {
///             if number == 2 { Err("two is bad") } else { Ok(number) }
///         });
///     }
///     Ok(())
/// });
/// let report = async {
///     let mut events = progress.watch();
///     while let Some(counts) = events.next().await {
///         assert_eq!(counts.total(), 4);
///         println!(
///             "Progress: {}/{} (failed: {})",
///             counts.ended(),
///             counts.total(),
///             counts.failed
///         );
///     }
/// };
/// let (result, ()) = join((run, report)).await;
/// assert!(result.is_err());
/// let last = progress.counts();
/// assert_eq!((last.done, last.failed, last.finished), (3, 1, true));
/// # }
/// ```
///
/// Clones share the counts. One `Progress` is for one group: `finished` is the end of the first.
/// Background children are not counted.
#[derive(Clone, Debug)]
#[doc(alias = "tqdm")]
pub struct Progress {
    state: watch::Sender<ProgressState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProgressState {
    counts: Counts,
    /// Of those queued, announced and not spawned yet.
    expected: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self::expecting(0)
    }
}

impl Progress {
    /// Counts from nothing: the total grows with every spawn.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `total` children as queued from the start, and takes each spawn for one of them. More
    /// may be spawned. Those that never are count as cancelled at the end.
    #[must_use]
    pub fn expecting(total: usize) -> Self {
        let state = ProgressState {
            counts: Counts {
                queued: total,
                ..Counts::default()
            },
            expected: total,
        };
        Self {
            state: watch::Sender::new(state),
        }
    }

    /// The counts at this moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.borrow().counts
    }

    /// The changes from now on, beginning with how it stands.
    #[must_use]
    pub fn watch(&self) -> ProgressEvents {
        let mut receiver = self.state.subscribe();
        receiver.mark_changed();
        ProgressEvents {
            receiver,
            over: false,
        }
    }

    fn change(&self, change: impl FnOnce(&mut ProgressState)) {
        // It wakes those who watch, by whatever wakers they have.
        gate::call_or_report("a watcher of a progress", || self.state.send_modify(change));
    }

    /// A child was spawned.
    pub(crate) fn queued(&self) {
        self.change(|state| {
            if state.expected > 0 {
                state.expected -= 1;
            } else {
                state.counts.queued += 1;
            }
        });
    }

    /// A child went to its driver.
    pub(crate) fn started(&self) {
        self.change(|ProgressState { counts, .. }| {
            counts.queued -= 1;
            counts.running += 1;
        });
    }

    /// A started child has ended.
    pub(crate) fn ended(&self, fate: Fate) {
        self.change(|ProgressState { counts, .. }| {
            counts.running -= 1;
            match fate {
                Fate::Done => counts.done += 1,
                Fate::Failed => counts.failed += 1,
                Fate::Cancelled => counts.cancelled += 1,
            }
        });
    }

    /// A child was not taken in.
    pub(crate) fn refused(&self) {
        // In one change: another thread may look at a group that has ended.
        self.change(|ProgressState { counts, expected }| {
            if *expected > 0 {
                *expected -= 1;
                counts.queued -= 1;
            }
            counts.cancelled += 1;
        });
    }

    /// The group has ended.
    pub(crate) fn closed(&self) {
        self.change(|ProgressState { counts, expected }| {
            counts.queued -= *expected;
            counts.cancelled += *expected;
            *expected = 0;
            counts.finished = true;
        });
    }
}

/// The changes of a [`Progress`]; made by [`Progress::watch`].
///
/// It keeps the newest snapshot only: one that is looked at rarely skips what came between, but
/// never the last.
///
/// ```
/// use taskgroup::{Progress, TaskGroup, join};
/// use tokio::time::Duration;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let progress = Progress::new();
/// let run = TaskGroup::builder().progress(&progress).run(async |group| {
///     for number in 0..3 {
///         group.spawn(tokio::time::sleep(Duration::from_secs(number)));
///     }
///     Ok(())
/// });
/// let report = async {
///     let mut events = progress.watch();
///     while let Some(counts) = events.next().await {
///         println!("{} of {}", counts.ended(), counts.total());
///     }
/// };
/// let (result, ()) = join((run, report)).await;
/// result.unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct ProgressEvents {
    receiver: watch::Receiver<ProgressState>,
    over: bool,
}

impl ProgressEvents {
    /// The next snapshot, once something has changed; `None` after the last, which is
    /// [`finished`](Counts::finished), or when no group can be counted any more.
    ///
    /// # Cancel safety
    /// Cancel safe: a wait that is given up loses no event.
    pub async fn next(&mut self) -> Option<Counts> {
        if self.over || self.receiver.changed().await.is_err() {
            return None;
        }
        let counts = self.receiver.borrow_and_update().counts;
        self.over = counts.finished;
        Some(counts)
    }
}

/// How a child ended, as its group counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    Failed,
    Cancelled,
}
