//! Records a run: which task ran when, which failed first, which were cancelled because of it, and
//! how long cleanup took.
//!
//! A [`Recorder`] records what happens to every task and group of the process while it exists, and
//! gives a [`Recording`]. That is plain data (`serde`). [`write_html`](Recording::write_html)
//! writes it as one self-contained page with a timeline. [`write_trace`](Recording::write_trace)
//! writes the trace format that Perfetto and `chrome://tracing` open.
//!
//! ```
//! use taskgroup::observe::recorder::{Outcome, Recorder};
//! use taskgroup::{TaskGroup, until_cancelled};
//! use tokio::time::{Duration, sleep};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> std::io::Result<()> {
//! let recorder = Recorder::start();
//! let group = TaskGroup::builder().name("fetch");
//! let failed = group.run(async |group| {
//!     group.task("users").spawn(async {
//!         sleep(Duration::from_millis(20)).await;
//!         Err::<(), _>("connection refused")
//!     });
//!     group.task("orders").spawn(async {
//!         let cancelled =
//!             until_cancelled(sleep(Duration::from_secs(10))).await.unwrap_err();
//!         sleep(Duration::from_millis(5)).await; // says goodbye
//!         Err::<(), _>(cancelled)
//!     });
//!     Ok(())
//! });
//! assert!(failed.await.is_err());
//!
//! let recording = recorder.finish().titled("fetch, with a failure");
//! let [group, users, orders] = &recording.tasks[..] else { panic!() };
//! assert_eq!(users.outcome, Some(Outcome::Failed));
//! assert_eq!(orders.caused_by, Some(1)); // because of `users`
//! assert_eq!(
//!     orders.cleanup(recording.duration_ns),
//!     Some(Duration::from_millis(5))
//! );
//! assert_eq!(group.name, "fetch");
//!
//! let mut page = Vec::new(); // a file, rather
//! recording.write_html(&mut page)?;
//! # Ok(()) }
//! ```
//!
//! Without a recorder each event costs one relaxed load. With one it costs a lock and a look-up in
//! a map. The times come from Tokio's clock, so virtual time is recorded as such.

mod html;
pub(crate) mod live;
mod model;
mod trace;

pub use model::{Outcome, Phase, Recording, TaskRecord};

/// Records what happens in this process, from [`start`](Self::start) to [`finish`](Self::finish).
///
/// It sees what is spawned after its start. Any number of recorders may exist at once.
///
/// # Drop
/// Dropping it without [`finish`](Self::finish) discards what it has recorded.
#[derive(Debug)]
#[must_use = "dropping it discards the recording: call `finish`"]
pub struct Recorder {
    number: usize,
}

/// The number of tasks and groups that a recorder keeps by default.
const LIMIT: usize = 100_000;

impl Recorder {
    /// Starts to record, up to 100 000 tasks and groups.
    pub fn start() -> Self {
        Self::with_limit(LIMIT)
    }

    /// Starts to record up to `limit` tasks and groups, and only counts further ones. So a program
    /// that runs for days does not fill the memory with its past.
    ///
    /// ```
    /// # use taskgroup::observe::recorder::Recorder;
    /// # use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let recorder = Recorder::with_limit(3);
    /// let group = TaskGroup::run(async |group| {
    ///     for _ in 0..10 {
    ///         group.spawn(async {});
    ///     }
    ///     Ok(())
    /// });
    /// group.await.unwrap();
    /// let recording = recorder.finish();
    /// // A group and ten tasks.
    /// assert_eq!((recording.tasks.len(), recording.omitted), (3, 8));
    /// # }
    /// ```
    pub fn with_limit(limit: usize) -> Self {
        Self {
            number: live::start(limit),
        }
    }

    /// Stops recording. What has not ended has no end in the recording.
    pub fn finish(self) -> Recording {
        live::finish(self.number).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        live::finish(self.number);
    }
}

impl Recording {
    /// The same under a title.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }
}
