//! The task group: the public face of a scope with children.
//!
//! This file has the group as its body and its children see it. Each of the others imports only
//! those below it:
//!
//! | file | what it answers |
//! |---|---|
//! | `builder` | the settings of a group before it runs |
//! | `child` | a child before it is spawned: its name, its kind |
//! | `open` | a group that a struct keeps |
//! | `places` | spawning only if a place is free now, and a limit that changes |
//! | `run` | the life of a group: the body, the wait for the children, the outcome |
//! | `spawn` | the group itself: how a child gets in, waits for a place, or is refused |

mod builder;
mod child;
mod open;
mod places;
mod run;
mod spawn;

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

pub use builder::GroupBuilder;
pub use child::TaskBuilder;
pub use open::OpenGroup;
pub use places::NotSpawned;
pub(crate) use run::{Ran, body_failed};
pub(crate) use spawn::ChildOptions;
pub use spawn::{SpawnRefused, TaskGroup};

use crate::cancel::CancelReason;
use crate::error::{BoxError, ErrorGroup, TaskId, TaskInfo};
use crate::handle::TaskHandle;
use crate::observe::Tree;
use crate::scope::task::TaskOutput;
use crate::scope::who;
use crate::start::{self, StartError, Started};

impl TaskGroup {
    /// Runs `body` with a new group. Resolves when the body and everything spawned into the group
    /// have ended.
    ///
    /// The body runs inline in the caller's task, so it may borrow from the caller. Children are
    /// tasks of their own.
    ///
    /// # Errors
    /// All failures: of the body, of the children, and of what they left behind. The first failure
    /// is the [cause](ErrorGroup#what-the-cause-is). The others follow in order of arrival.
    ///
    /// A group that [`cancel`](Self::cancel) ended before the body had a value, and in which
    /// nothing failed, gives an error with one leaf: the body's [`Cancelled`](crate::Cancelled).
    /// See [`ErrorGroup::is_cancelled`]. [`GroupBuilder::run_cancellable`] gives an `Option`
    /// instead.
    ///
    /// # Panics
    /// A panic of the body cancels all children, waits for them, and then continues. The enclosing
    /// scope adopts the failures of those children. It also adopts the panic when this future is
    /// dropped before the children have ended.
    ///
    /// A panic of a child is a failure: see [`TaskError::is_panic`](crate::TaskError::is_panic).
    ///
    /// # Cancel safety
    /// When the scope around the call is cancelled, the body and the children are cancelled and
    /// waited for. If nothing failed, the call never returns: its task is dropped there. If the
    /// call is polled again all the same (because a `timeout` had it by `&mut`, for example), it
    /// fails with the cancellation if a child was cut off. In a scope that is already cancelled the
    /// body does not begin.
    ///
    /// # Drop
    /// Dropping the future half-way (in `tokio::select!`, for example) cancels the children. The
    /// enclosing scope adopts them and does not end before they have ended.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn run<R, B, F>(body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: FnOnce(TaskGroup) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        Self::builder().run(body)
    }

    /// Makes the settings for a new group: a name, a limit, a grace, and so on.
    ///
    /// ```
    /// use taskgroup::TaskGroup;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let builder = TaskGroup::builder().name("crawl").limit(10);
    /// let run = builder.run(async |group| Ok(group.name().into_owned()));
    /// assert_eq!(run.await.unwrap(), "crawl");
    /// # }
    /// ```
    pub fn builder() -> GroupBuilder {
        GroupBuilder::default()
    }

    /// Spawns a child and waits until it reports that it is ready: a server that listens, for
    /// example.
    ///
    /// The child gets a [`Started`] and calls [`Started::ready`] with what its users need. From
    /// then on it is a child like any other. Until then it belongs to the caller of `start`. If it
    /// fails, `start` returns that failure and the group does not have it. If `start` is cancelled
    /// or dropped, the child is cancelled too.
    ///
    /// The child is in this group from the beginning. So a cancellation of the group reaches it
    /// before it is ready as well, and `start` returns [`StartError::Cancelled`] at once: nothing
    /// has to finish starting that the group is about to end. A child that says
    /// [`ready`](Started::ready) before the cancellation reaches it has delivered its value, and
    /// `start` returns it. A start that has to come to its end goes into a
    /// [`shield`](crate::shield), with the call of `ready`.
    ///
    /// ```
    /// use taskgroup::{BoxError, Started, TaskGroup};
    /// use tokio::net::TcpListener;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
    /// TaskGroup::run(async |group| {
    ///     let serve = async |started: Started<_>| {
    ///         let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///         started.ready(listener.local_addr()?);
    ///         loop {
    ///             let _connection = listener.accept().await?;
    ///         }
    ///         #[allow(unreachable_code)]
    ///         Ok::<(), std::io::Error>(())
    ///     };
    ///     let (address, server) = group.start(serve).await?;
    ///     println!("listening on {address}");
    /// #   let _ = server.name();
    ///     group.cancel();
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StartError`] when the child failed, ended or was cancelled before it was ready.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn). A panic of the child before it was ready continues in the caller.
    ///
    /// # Cancel safety
    /// Cancelled before the child is ready, it cancels the child and waits for its end.
    ///
    /// # Drop
    /// Dropping the future cancels the child, and the group waits for it. A failure of the child
    /// that `start` has not returned then becomes a failure of the group.
    ///
    /// The idea is Trio's `nursery.start` with `task_status.started`. There the child starts below
    /// the caller and moves to the nursery when it is ready, so a cancelled nursery still gets it.
    #[track_caller]
    pub fn start<V, T, S, F>(
        &self,
        child: S,
    ) -> impl Future<Output = Result<(V, TaskHandle<T>), StartError>>
    where
        S: FnOnce(Started<V>) -> F,
        F: Future<Output: TaskOutput<Value = T>> + Send + 'static,
        V: Send + 'static,
        T: Send + 'static,
    {
        start::start(self, ChildOptions::default(), Location::caller(), child)
    }

    /// Names a child that is still to be spawned: `group.task("fetch_user_123").spawn(future)`.
    ///
    /// The [`TaskBuilder`] spawns in all the ways that the group does.
    ///
    /// ```
    /// use taskgroup::{BoxError, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let shop = TaskGroup::builder().name("shop").run(async |group| {
    ///     group.task("orders").spawn(async { Err::<(), _>("sold out") });
    ///     Ok(())
    /// });
    /// assert_eq!(shop.await.unwrap_err().cause().info().path(), "shop/orders");
    /// # }
    /// ```
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> TaskBuilder<'_> {
        TaskBuilder::new(self, name.into())
    }

    /// Whether the group is cancelled, by itself or from outside.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.scope.is_cancelled()
    }

    /// Why the group is cancelled, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        self.scope.reason()
    }

    /// The number of children that have not ended.
    ///
    /// On several threads a child counts for a moment after it has ended: after its value can be
    /// read, and after its place below a [limit](GroupBuilder::limit) is free. So this number may
    /// exceed the limit right after [`spawn_when_free`](Self::spawn_when_free). The limit itself is
    /// exact: the future of a child is gone before its place is free.
    #[must_use]
    pub fn live(&self) -> usize {
        self.scope.live_tasks()
    }

    /// Takes the live tree of the group: see [`observe::tree`](crate::observe::tree()).
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree::of(&self.scope)
    }

    /// The name, id, path and location of the group.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        who::info(&self.scope)
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.state().id()
    }

    /// The group's name, or `group` and its number.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        who::group_name(self.state())
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("name", &self.name())
            .field("live", &self.live())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
