//! The handle of a task.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::cancel::{cancel_point, poll_cancel_point};
use crate::error::{TaskId, TaskInfo};
pub use crate::scope::task::outcome::JoinError;
use crate::scope::task::{Header, Joiner, TaskRef, WaitDone};

/// A child of a group: a future of its value.
///
/// It resolves when the task and everything below it have ended: to the value, or to a
/// [`JoinError`]. Await it in the body, in another child, or after the group. Await it by value, by
/// `&mut` (in a `select!` loop, for example), or by `&`, which gives a reference to the value and
/// can be repeated.
///
/// In a cancelled scope without a guard an await always suspends first, even when the task has
/// ended or was refused, and the code around it is dropped there. So a loop over handles ends with
/// its scope. [`outcome`](Self::outcome) looks without awaiting.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let user =
///         group.task("user").spawn(async { Ok::<_, std::io::Error>("Ada") });
///     let watcher = group.task("watcher").spawn(std::future::pending::<()>());
///     assert_eq!(user.await?, "Ada");
///     watcher.cancel();
///     assert!(watcher.await.unwrap_err().is_cancelled());
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Cancel safety
/// Cancel safe: dropping an await by reference loses nothing, and the task goes on.
///
/// # Drop
/// Dropping the handle does not detach the task: the group still owns it. The value is dropped when
/// the task ends.
///
/// The idea is asyncio's `Task`, as its users see it.
#[doc(alias = "Task")]
#[doc(alias = "JoinHandle")]
pub struct TaskHandle<T> {
    joiner: Joiner<T>,
    /// An await has suspended since the last one ended: it may come back (S37).
    waited: bool,
}

impl<T> TaskHandle<T> {
    pub(crate) fn new(joiner: Joiner<T>) -> Self {
        Self {
            joiner,
            waited: false,
        }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        self.joiner.task()
    }

    fn header(&self) -> &Header {
        self.task().header()
    }

    pub(crate) fn wait_done(&self) -> WaitDone<'_> {
        WaitDone::new(self.header())
    }

    /// Whether the task has ended, with everything below it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header().is_done()
    }

    /// The task's name, or `#` and its index in the group.
    #[must_use]
    pub fn name(&self) -> std::borrow::Cow<'static, str> {
        crate::scope::who::display_name(self.header())
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.header().id()
    }

    /// The name, id, path and spawn location of the task.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        self.header().info()
    }

    /// The index of the task in its group, from 1 in spawn order.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.header().index
    }
}

impl<T> TaskHandle<T> {
    /// Resolves when the task has ended, and leaves the value where it is. Any number of callers
    /// may wait.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future has no effect on the task.
    pub async fn ended(&self) {
        cancel_point().await;
        let mut wait = self.wait_done();
        std::future::poll_fn(|cx| {
            if wait.poll(cx.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// A reference to the outcome, once the task has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<&T, &JoinError>> {
        self.joiner.look()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// When the value was already taken by an earlier `.await` of `&mut` this handle.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.waited {
            ready!(poll_cancel_point(cx));
        }
        self.waited = !self.header().poll_done(cx.waker());
        if self.waited {
            return Poll::Pending;
        }
        match self.joiner.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("the value of task `{}` was already taken", self.name()),
        }
    }
}

impl<T> Unpin for TaskHandle<T> {}

impl<T> Drop for TaskHandle<T> {
    #[inline]
    fn drop(&mut self) {
        self.header().stop_awaiting();
    }
}

/// The outcome of a task by reference; made by awaiting `&TaskHandle`.
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     let handle = group.spawn_value(async { String::from("config") });
///     // Two awaits by reference share one value.
///     assert_eq!((&handle).await.unwrap(), "config");
///     assert_eq!((&handle).await.unwrap().len(), 6);
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct JoinRef<'a, T> {
    handle: &'a TaskHandle<T>,
    wait: WaitDone<'a>,
    /// It has suspended, so it may come back (S37).
    waited: bool,
}

impl<'a, T> Future for JoinRef<'a, T> {
    type Output = Result<&'a T, &'a JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.waited {
            ready!(poll_cancel_point(cx));
        }
        self.waited = !self.wait.poll(cx.waker());
        if self.waited {
            return Poll::Pending;
        }
        let handle = self.handle;
        match handle.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("the value of task `{}` was already taken", handle.name()),
        }
    }
}

impl<'a, T> IntoFuture for &'a TaskHandle<T> {
    type Output = Result<&'a T, &'a JoinError>;
    type IntoFuture = JoinRef<'a, T>;

    fn into_future(self) -> JoinRef<'a, T> {
        JoinRef {
            handle: self,
            wait: self.wait_done(),
            waited: false,
        }
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}
