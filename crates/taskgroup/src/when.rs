//! Futures of the cancellation and of the end of a scope, for code that is not below it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::cancel::poll_cancel_point;
use crate::group::TaskGroup;
use crate::scope::current;
use crate::scope::tree::{Scope, Watch};

/// Resolves when the current scope is cancelled, or has ended without that.
///
/// It is for code that takes a future for its graceful stop and runs outside the scope, such as a
/// server that moves it into a task of its own. The scope is the innermost one around the *call*: a
/// task or the body of a group, for example. So call it outside the [`shield`](crate::shield) that
/// lets the server finish.
///
/// ```
/// use taskgroup::{TaskGroup, shield, when_cancelled};
/// # /// As `axum::serve(..).with_graceful_shutdown(stop)`.
/// # async fn serve_until(stop: impl Future<Output = ()> + Send + 'static) {
/// #     tokio::spawn(stop).await.unwrap();
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let server = group.spawn(async {
///         let stop = when_cancelled();
///         // Requests in flight are answered, however the stop comes.
///         shield(serve_until(stop)).await;
///     });
///     tokio::task::yield_now().await;
///     server.cancel();
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// Code in the scope itself should use [`until_cancelled`](crate::until_cancelled), which gives it
/// a guard under which it may clean up. Without a guard the code is dropped where it awaits this
/// future.
///
/// # Cancel safety
/// Cancel safe: a future that is dropped is forgotten.
#[doc(alias = "shutdown_signal")]
#[doc(alias = "cancelled")]
pub fn when_cancelled() -> WhenCancelled {
    WhenCancelled::new(current::scope())
}

/// Resolves when the current scope has ended, with everything below it.
///
/// The scope is the innermost one around the call. Its own code must not await this: it would wait
/// for itself. It is for things outside the scope that should last as long as it: a lease, a
/// registration, a metric.
///
/// ```
/// use taskgroup::{TaskGroup, when_ended};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let ended = TaskGroup::run(async |group| {
///     let ended = tokio::spawn(when_ended());
///     group.spawn(async { /* … */ });
///     Ok(ended)
/// });
/// ended.await.unwrap().await.unwrap();
/// # }
/// ```
///
/// # Cancel safety
/// Cancel safe: a future that is dropped is forgotten.
pub fn when_ended() -> WhenEnded {
    WhenEnded::new(current::scope())
}

impl TaskGroup {
    /// Resolves when the group is cancelled, by itself or from outside, or has ended without that.
    ///
    /// The future is `'static` and belongs to no task. [`reason`](Self::reason) says why. See
    /// [`when_cancelled`].
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let run = TaskGroup::builder().run_cancellable(async |group| {
    ///     let told = tokio::spawn(group.when_cancelled());
    ///     group.cancel();
    ///     Ok(told)
    /// });
    /// # let told =
    /// run.await.unwrap();
    /// # told.unwrap().await.unwrap();
    /// # }
    /// ```
    pub fn when_cancelled(&self) -> WhenCancelled {
        WhenCancelled::new(self.scope().clone())
    }

    /// Resolves when the group has ended, with everything in it.
    ///
    /// The future is `'static` and belongs to no task. Code in the group must not await it: it
    /// would wait for itself.
    pub fn when_ended(&self) -> WhenEnded {
        WhenEnded::new(self.scope().clone())
    }
}

/// Resolves when a scope is cancelled or has ended; made by [`when_cancelled`] and
/// [`TaskGroup::when_cancelled`].
///
/// ```
/// use taskgroup::{TaskGroup, WhenCancelled};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // A field of a struct that ends with its group.
/// struct Connection {
///     closed: WhenCancelled,
/// }
/// let run = TaskGroup::run(async |group| {
///     let connection = Connection { closed: group.when_cancelled() };
///     group.cancel();
///     connection.closed.await;
///     Ok(())
/// });
/// # let _ = run.await;
/// # }
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct WhenCancelled(When);

/// Resolves when a scope has ended; made by [`when_ended`] and [`TaskGroup::when_ended`].
///
/// ```
/// use taskgroup::{TaskGroup, WhenEnded};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut ended: Option<WhenEnded> = None;
/// TaskGroup::run(async |group| {
///     ended = Some(group.when_ended());
///     Ok(())
/// })
/// .await
/// .unwrap();
/// ended.unwrap().await; // at once
/// # }
/// ```
#[must_use = "a future does nothing until it is polled"]
pub struct WhenEnded(When);

struct When {
    watch: Watch,
    /// It has suspended, so it may come back (S37).
    waited: bool,
}

impl WhenCancelled {
    fn new(scope: Arc<Scope>) -> Self {
        Self(When::new(scope))
    }
}

impl WhenEnded {
    fn new(scope: Arc<Scope>) -> Self {
        Self(When::new(scope))
    }
}

impl When {
    fn new(scope: Arc<Scope>) -> Self {
        Self {
            watch: Watch::new(scope),
            waited: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, is_there: fn(&Scope) -> bool) -> Poll<()> {
        if !self.waited {
            ready!(poll_cancel_point(cx));
        }
        let look = |scope: &Arc<Scope>| is_there(scope).then_some(());
        let polled = self.watch.poll(cx.waker(), look);
        self.waited = polled.is_pending();
        polled
    }
}

impl Future for WhenCancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_there = |scope: &Scope| scope.is_cancelled() || scope.has_ended();
        self.0.poll(cx, is_there)
    }
}

impl Future for WhenEnded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx, Scope::has_ended)
    }
}

impl fmt::Debug for WhenCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhenCancelled").finish_non_exhaustive()
    }
}

impl fmt::Debug for WhenEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhenEnded").finish_non_exhaustive()
    }
}
