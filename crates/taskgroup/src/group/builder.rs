//! The settings of a group, and the ways to run it.

use std::borrow::Cow;
use std::panic::Location;
use std::time::Duration;

use super::run::{Ran, run_group, run_judged};
use super::spawn::TaskGroup;
use crate::error::{BoxError, ErrorGroup};
use crate::policy::Policy;
use crate::progress::Progress;
use crate::scope::driver::light_queue;
use crate::scope::group::{Grace, GroupOptions, Limit};

/// The settings of a group before it runs; made by [`TaskGroup::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `run`"]
pub struct GroupBuilder {
    pub(super) options: GroupOptions,
}

impl GroupBuilder {
    /// Names the group in errors and in the tree.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.settings().name = Some(name.into());
        self
    }

    /// Bounds cleanup: guards and shields no longer apply once `grace` has passed since the group
    /// was cancelled.
    ///
    /// What still runs then is dropped at its next suspension point and reported by its name as an
    /// [`Overrun`](crate::error::Overrun). What cannot be dropped, because it never suspends, is
    /// named by a warning every few seconds. Without a grace, cleanup may take as long as it needs.
    ///
    /// In a Tokio runtime without a clock (see `enable_time` there) a grace cannot end. The group
    /// works, and when it is cancelled a
    /// [`WarningKind::NoClock`](crate::observe::WarningKind::NoClock) says that its cleanup is not
    /// bounded.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.settings().grace = Some(Grace::new(grace));
        self
    }

    /// Runs at most `limit` children at once. The others wait in spawn order and are not polled.
    /// Zero counts as one.
    ///
    /// A child that fails, panics or is cancelled gives its place back. A child that never started
    /// never had one. [`spawn`](TaskGroup::spawn) does not wait;
    /// [`spawn_when_free`](TaskGroup::spawn_when_free) does, and
    /// [`spawn_if_free`](TaskGroup::spawn_if_free) spawns at once or not at all.
    /// [`set_limit`](TaskGroup::set_limit) changes the limit of a group that runs.
    ///
    /// A child that waits for a place of its own group, or for a child in the queue, keeps its own
    /// place meanwhile. Where such children hold all places, the group waits for itself. If that
    /// lasts a second, a
    /// [`WarningKind::WaitsForItself`](crate::observe::WarningKind::WaitsForItself) names them.
    /// Spawn from the body, or into a group of the child's own.
    #[doc(alias = "Semaphore")]
    #[doc(alias = "CapacityLimiter")]
    pub fn limit(mut self, limit: usize) -> Self {
        self.options.settings().limit = Some(Limit::new(limit.max(1)));
        self
    }

    /// Sets when the group stops by itself and which failures it tolerates: see [`Policy`]. The
    /// default is [`Policy::fail_fast`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.options.settings().policy = Some(policy);
        self
    }

    /// Counts the children of the group in `progress`: queued, running, done, failed, cancelled.
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.options.settings().progress = Some(progress.clone());
        self
    }

    /// Sets the level and the target of the `tracing` spans of the group and of its children: see
    /// [`Spans`](crate::observe::Spans), also for what they say.
    #[cfg(feature = "tracing")]
    pub fn spans(mut self, spans: crate::observe::Spans) -> Self {
        self.options.settings().spans = Some(spans);
        self
    }

    /// Makes the children light: a few Tokio tasks poll them from a queue of the group, instead of
    /// one Tokio task for each child.
    ///
    /// This pays for wide groups of small children: thousands of children that each do a little.
    /// The rules of the group stay the same. Tokio sees the difference: light children have no
    /// Tokio task of their own, so its metrics and its console do not show them,
    /// [`tokio::task::id`] names the task that polls them, and up to 32 of them share one turn of
    /// that task and its budget.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let sum = TaskGroup::builder().light_tasks().run(async |group| {
    ///     let parts: Vec<_> = (0..10_000_u64)
    ///         .map(|n| group.spawn(async move { Ok::<_, taskgroup::BoxError>(n) }))
    ///         .collect();
    ///     let mut sum = 0;
    ///     for part in parts {
    ///         sum += part.await?;
    ///     }
    ///     Ok(sum)
    /// });
    /// assert_eq!(sum.await.unwrap(), 49_995_000);
    /// # }
    /// ```
    pub fn light_tasks(mut self) -> Self {
        self.options.light = Some(light_queue);
        self
    }

    /// Runs `body` with a new group of these settings. As [`TaskGroup::run`].
    ///
    /// # Errors
    /// As [`TaskGroup::run`].
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::run`].
    ///
    /// # Drop
    /// As [`TaskGroup::run`].
    #[track_caller]
    pub fn run<R, B, F>(self, body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        self.run_at(Location::caller(), body)
    }

    /// As [`run`](Self::run), with `Ok(None)` when [`TaskGroup::cancel`] ended the group before the
    /// body had a value and nothing failed.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::builder().run_cancellable(async |group| {
    ///     group.cancel();
    ///     tokio::task::yield_now().await; // the body ends here
    ///     Ok("never comes to that")
    /// });
    /// assert_eq!(run.await.unwrap(), None);
    /// # }
    /// ```
    ///
    /// # Errors
    /// The failures of the body and of the children.
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::run`].
    #[track_caller]
    pub fn run_cancellable<R, B, F>(
        self,
        body: B,
    ) -> impl Future<Output = Result<Option<R>, ErrorGroup>>
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let location = Location::caller();
        async move {
            let run = run_group(self.options, location, body).await;
            run.by_policy().await.0
        }
    }

    /// As [`run`](Self::run), with both sides of the outcome: the value of the body, if it has one,
    /// and every failure, including those that the [`Policy`] tolerates.
    ///
    /// The other ways to run give one side away: the value when a child failed, and the failures of
    /// those that lost against the first success.
    ///
    /// ```
    /// use taskgroup::{Policy, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let (sum, errors) = TaskGroup::builder()
    ///     .policy(Policy::collect())
    ///     .run_to_end(async |group| {
    ///         let parse =
    ///             |text: &'static str| group.spawn(async { text.parse::<u32>() });
    ///         let parts: Vec<_> = ["1", "2", "three"].map(parse).into();
    ///         let mut sum = 0;
    ///         for part in parts {
    ///             sum += part.await.unwrap_or(0);
    ///         }
    ///         Ok(sum)
    ///     })
    ///     .await;
    /// assert_eq!(sum, Some(3));
    /// assert_eq!(errors.unwrap().len(), 1);
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::run`], with one difference. A value or failures that exist when the scope
    /// around the call is cancelled are returned. A value alone is not returned when a child was
    /// cut off.
    #[track_caller]
    pub fn run_to_end<R, B, F>(
        self,
        body: B,
    ) -> impl Future<Output = (Option<R>, Option<ErrorGroup>)>
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        self.run_to_end_at(Location::caller(), body)
    }

    /// As [`run`](Self::run), for a helper that has the location of its caller.
    pub(crate) async fn run_at<R, B, F>(
        self,
        location: &'static Location<'static>,
        body: B,
    ) -> Result<R, ErrorGroup>
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let run = run_group(self.options, location, body).await;
        run.value_or_error().await
    }

    /// As [`run_to_end`](Self::run_to_end), for a helper that has the location of its caller.
    pub(crate) async fn run_to_end_at<R, B, F>(
        self,
        location: &'static Location<'static>,
        body: B,
    ) -> (Option<R>, Option<ErrorGroup>)
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let run = run_group(self.options, location, body).await;
        run.both_sides().await
    }

    /// As [`run_at`](Self::run_at), for a body that gives its failure to the group itself.
    pub(crate) fn run_judged<R, F>(
        self,
        location: &'static Location<'static>,
        body: impl FnOnce(TaskGroup) -> F,
    ) -> impl Future<Output = Ran<R>>
    where
        F: Future<Output = Option<R>>,
    {
        run_judged(self.options, location, body)
    }

    /// Sets the policy unless the program has set one.
    pub(crate) fn default_policy(mut self, policy: Policy) -> Self {
        self.options.settings().policy.get_or_insert(policy);
        self
    }

    pub(crate) fn limited_to(&self) -> Option<usize> {
        self.options.limit()
    }
}
