//! `LocalGroup`: a group whose children are polled inside the caller's task.
//!
//! Its children are inline children (`combine/inline.rs`) that the run polls beside the body. So
//! nothing here is unsafe. The run owns the children, and whatever they borrow outlives it. A run
//! that is leaked leaks its children, and nothing polls them any more.
//!
//! - **LG1** A child is in the queue, then among those that run, then gone. The run takes children
//!   out of the queue. It looks there after each push: in the same poll, or because the push has
//!   woken it.
//! - **LG2** When the run ends or is dropped it closes the queue, so that no clone of the group
//!   keeps a child. After that a spawn is refused.
//! - **LG3** A child that is dropped before its end leaves `Cancelled` to its handle.
//! - **LG4** No destructor of a child or of the body unwinds into the list of those that run: it
//!   would keep that list from dropping the others.
//! - **LG5** A child that runs holds a place of the limit, as the other children of the group do,
//!   except where the group or the child was cancelled before it ran.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::cancel::{CancelReason, Cancelled, poll_cancel_point};
use crate::combine::inline::{Converting, Entrant, Entry, Inline};
use crate::error::{BoxError, ErrorGroup, Interval, Member};
use crate::gate::{self, Foreign, Payload, StoredWaker};
use crate::group::{GroupBuilder, Ran, TaskGroup, body_failed};
use crate::handle::JoinError;
use crate::scope::current;
use crate::scope::dated::Dated;
use crate::scope::group::FreePlace;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::TaskOutput;
use crate::scope::tree::{Dropping, Kind, Scope};

/// At most this many children end in one poll of the run. Then other tasks get the thread.
const QUOTA: usize = 64;

/// A group whose children may borrow from the code around it, and need not be `Send`.
///
/// The children are polled inside the task that runs the group, beside its body: concurrently, but
/// never in parallel. So they may use an `Rc` or a `RefCell`, and they may borrow what lives longer
/// than the run. Otherwise it is a group like any other. [`LocalGroup::builder`] sets its policy,
/// limit, grace, name and progress. A failure cancels the rest, all failures come out together, and
/// the run resolves when the body and all children have ended, with their cleanup.
///
/// ```
/// use std::cell::Cell;
/// use taskgroup::{BoxError, LocalGroup};
/// # async fn price_of(item: &str) -> Result<u64, BoxError> { Ok(item.len() as u64) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
/// let items = vec!["tea".to_string(), "biscuits".to_string()];
/// let total = Cell::new(0); // neither `Send` nor shared by an `Arc`
/// LocalGroup::run(async |group| {
///     for item in &items {
///         group.spawn(async {
///             total.set(total.get() + price_of(item).await?);
///             Ok::<_, BoxError>(())
///         });
///     }
///     Ok(())
/// })
/// .await?;
/// assert_eq!(total.get(), 11);
/// # Ok(()) }
/// ```
///
/// A child may borrow what was made before the run. What the body makes itself does not live long
/// enough for a child: move it in, or share it by an `Rc`.
///
/// A clone is the same group, so children can spawn siblings with it. [`group`](Self::group) gives
/// the same group as a [`TaskGroup`], which takes children that run in parallel.
///
/// The [limit](GroupBuilder::limit) counts both kinds of children. A free place goes first to the
/// children of [`group`](Self::group) that wait for one. No warning reports that local children
/// wait for places of their own group.
///
/// A child that computes for long keeps the body and its siblings waiting, because all of them are
/// one task. [`current_task`](crate::observe::current_task) names that task in all of them. The
/// live tree, spans, metrics and recordings show each child by its own name.
///
/// The run is not `Send`. It works in `main`, in `Runtime::block_on`, in a `LocalSet` and in every
/// server with one thread per core.
///
/// The idea is a Trio nursery, whose children share one thread and borrow freely. In Rust it comes
/// from `moro`, with `FuturesUnordered` as the mechanism.
#[doc(alias = "FuturesUnordered")]
#[doc(alias = "LocalSet")]
#[doc(alias = "spawn_local")]
#[doc(alias = "moro")]
pub struct LocalGroup<'env> {
    group: TaskGroup,
    queue: Rc<Queue<'env>>,
}

type Child<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

/// The subject of the report, if the destructor of a child panics and no task can fail with it.
const CHILD: &str = "a child of a local group";

/// The children that wait for the run to take them (LG1).
struct Queue<'env> {
    /// By the number of the child: in spawn order.
    waiting: RefCell<BTreeMap<u32, Foreign<Child<'env>>>>,
    bell: Rc<Bell>,
}

/// How the run of a group is woken.
#[derive(Default)]
struct Bell {
    waker: RefCell<Option<StoredWaker>>,
    /// The run is polling, and looks at the queue before it returns.
    polling: Cell<bool>,
    /// The children that were cancelled alone before they ran.
    cancelled: RefCell<VecDeque<u32>>,
    closed: Cell<bool>,
}

/// What a child and its handle share, whatever the value is.
struct Control {
    who: Entrant,
    bell: Rc<Bell>,
    /// Once it runs.
    scope: OnceCell<Arc<Scope>>,
    /// It was cancelled before it ran.
    cancelled: RefCell<Option<CancelReason>>,
    ended: Cell<bool>,
    waker: RefCell<Option<StoredWaker>>,
}

impl<'env> LocalGroup<'env> {
    /// Runs `body` with a new group. Resolves when the body and all children have ended.
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
    /// Drops the children at once, since nothing else could poll them. What they had spawned into
    /// groups of their own is cancelled, and the scope around the call waits for it.
    #[track_caller]
    pub fn run<R, B, F>(body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        Self::builder().run(body)
    }

    /// Settings of a group before it runs: those of [`TaskGroup::builder`].
    ///
    /// ```
    /// use taskgroup::{BoxError, LocalGroup, TaskGroup};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let words = ["one", "two", "three"];
    /// let run = LocalGroup::builder()
    ///     .settings(TaskGroup::builder().name("words").limit(2))
    ///     .run(async |group| {
    ///         let first = group
    ///             .task("first")
    ///             .spawn(async { Ok::<_, BoxError>(words[0].len()) });
    ///         Ok(first.await?)
    ///     });
    /// assert_eq!(run.await.unwrap(), 3);
    /// # }
    /// ```
    pub fn builder() -> LocalGroupBuilder {
        TaskGroup::builder().local()
    }

    /// Spawns a child, which may borrow and need not be `Send`.
    ///
    /// It is polled for the first time when the body or the sibling that spawns it is suspended.
    /// A group that is cancelled or has ended spawns nothing: it drops `future`, and the handle
    /// resolves to [`JoinError::Cancelled`].
    #[track_caller]
    #[doc(alias = "spawn_local")]
    pub fn spawn<F>(&self, future: F) -> LocalHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: 'env>> + 'env,
    {
        self.spawn_named(None, Location::caller(), future)
    }

    /// A child with a name, for errors.
    pub fn task(&self, name: impl Into<Cow<'static, str>>) -> LocalTask<'_, 'env> {
        LocalTask {
            group: self,
            name: name.into(),
        }
    }

    /// The same group, for what has nothing to do with local children: cancelling it, its tree, its
    /// reason, and children that are `Send` and run in parallel beside the local ones.
    #[must_use]
    pub fn group(&self) -> &TaskGroup {
        &self.group
    }

    /// Cancels the group, as [`TaskGroup::cancel`].
    #[track_caller]
    pub fn cancel(&self) {
        self.group.cancel();
    }

    /// Whether the group is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.group.is_cancelled()
    }

    fn spawn_named<F>(
        &self,
        name: Option<Cow<'static, str>>,
        location: &'static Location<'static>,
        future: F,
    ) -> LocalHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: 'env>> + 'env,
    {
        let scope = self.group.scope();
        let refused = (self.queue.bell.closed.get() || scope.is_closed())
            .then(|| CancelReason::closed(scope.location))
            .or_else(|| scope.is_cancelled().then(|| scope.reason_or_dropped()));
        let entry = Entry::new(&self.group, name);
        let control = Rc::new(Control::new(entry.who().clone(), self.queue.bell.clone()));
        let slot = Rc::new(Slot {
            control: control.clone(),
            outcome: RefCell::new(None),
        });
        let handle = LocalHandle {
            slot: slot.clone(),
            waited: false,
        };
        let mut end = EndOfChild {
            slot,
            reason: CancelReason::dropped(location),
        };
        if let Some(reason) = refused {
            entry.refuse();
            end.reason = reason;
            return handle;
        }
        let group = self.group.clone();
        let future = Converting::new(future);
        let child = Box::pin(async move {
            let inline = Inline {
                group: &group,
                limit: None,
                location,
                names: &[],
            };
            let control = &*end.slot.control;
            let result = match control.cancelled.take() {
                // It was cancelled before it began, so it never runs (S16).
                Some(reason) => Err(inline.never_runs(entry.who(), future, reason)),
                None => {
                    let opened = |scope: &Arc<Scope>| _ = control.scope.set(scope.clone());
                    inline.entered(entry, future, opened).await
                }
            };
            if let Err(payload) = end.with(result) {
                let info = inline.info(&end.slot.control.who);
                let member = Member::from_panic(info, payload, Interval::now());
                group.scope().adopt_failure(member);
            }
        });
        self.queue.push(control.who.index(), child);
        handle
    }
}

impl Clone for LocalGroup<'_> {
    fn clone(&self) -> Self {
        Self {
            group: self.group.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl fmt::Debug for LocalGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalGroup").field(&self.group).finish()
    }
}

/// A child of a [`LocalGroup`] before it is spawned: its name.
///
/// ```
/// use taskgroup::LocalGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// LocalGroup::run(async |group| {
///     let fetch = group.task("fetch").spawn(async { Ok::<_, &str>(1) });
///     assert_eq!(fetch.name(), "fetch");
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[must_use = "a task does nothing until `spawn`"]
#[derive(Debug)]
pub struct LocalTask<'a, 'env> {
    group: &'a LocalGroup<'env>,
    name: Cow<'static, str>,
}

impl<'env> LocalTask<'_, 'env> {
    /// Spawns the child. As [`LocalGroup::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> LocalHandle<<F::Output as TaskOutput>::Value>
    where
        F: Future<Output: TaskOutput<Value: 'env>> + 'env,
    {
        self.group
            .spawn_named(Some(self.name), Location::caller(), future)
    }
}

impl GroupBuilder {
    /// A group with these settings whose children are polled inside the caller's task: see
    /// [`LocalGroup`].
    ///
    /// [`light_tasks`](Self::light_tasks) then concerns the other children only, those of
    /// [`LocalGroup::group`].
    pub fn local(self) -> LocalGroupBuilder {
        LocalGroupBuilder { settings: self }
    }
}

/// The settings of a [`LocalGroup`] before it runs; made by [`LocalGroup::builder`] or
/// [`GroupBuilder::local`].
///
/// ```
/// use std::cell::Cell;
/// use taskgroup::{LocalGroup, TaskGroup};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let count = Cell::new(0);
/// let settings = TaskGroup::builder().name("counters").limit(2);
/// LocalGroup::builder().settings(settings).run(async |group| {
///     for _ in 0..5 {
///         group.spawn(async { count.set(count.get() + 1) });
///     }
///     Ok(())
/// })
/// .await
/// .unwrap();
/// assert_eq!(count.get(), 5);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `run`"]
pub struct LocalGroupBuilder {
    settings: GroupBuilder,
}

impl LocalGroupBuilder {
    /// Takes all settings of a [`TaskGroup::builder`].
    pub fn settings(mut self, settings: GroupBuilder) -> Self {
        self.settings = settings;
        self
    }

    /// Runs `body` with a new group of these settings. As [`LocalGroup::run`].
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
    /// As [`LocalGroup::run`].
    #[track_caller]
    pub fn run<'env, R, B, F>(self, body: B) -> impl Future<Output = Result<R, ErrorGroup>>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let location = Location::caller();
        async move { self.ran(location, body).await.value_or_error().await }
    }

    /// As [`run`](Self::run), with `Ok(None)` when a call of `cancel` ended the group before the
    /// body had a value and nothing failed. As [`GroupBuilder::run_cancellable`].
    ///
    /// # Errors
    /// The failures of the body and of the children.
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`TaskGroup::run`].
    ///
    /// # Drop
    /// As [`LocalGroup::run`].
    #[track_caller]
    pub fn run_cancellable<'env, R, B, F>(
        self,
        body: B,
    ) -> impl Future<Output = Result<Option<R>, ErrorGroup>>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let location = Location::caller();
        async move { self.ran(location, body).await.by_policy().await.0 }
    }

    /// As [`run`](Self::run), with the value of the body and every failure. As
    /// [`GroupBuilder::run_to_end`].
    ///
    /// # Panics
    /// As [`TaskGroup::run`].
    ///
    /// # Cancel safety
    /// As [`GroupBuilder::run_to_end`].
    ///
    /// # Drop
    /// As [`LocalGroup::run`].
    #[track_caller]
    pub fn run_to_end<'env, R, B, F>(
        self,
        body: B,
    ) -> impl Future<Output = (Option<R>, Option<ErrorGroup>)>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let location = Location::caller();
        async move { self.ran(location, body).await.both_sides().await }
    }

    async fn ran<'env, R, B, F>(self, location: &'static Location<'static>, body: B) -> Ran<R>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let run = |group| {
            let queue = Rc::new(Queue::new());
            Run {
                group: LocalGroup { group, queue },
                location,
            }
            .with(body)
        };
        self.settings.run_judged(location, run).await
    }
}

/// What the run of a local group needs.
struct Run<'env> {
    group: LocalGroup<'env>,
    location: &'static Location<'static>,
}

impl<'env> Run<'env> {
    /// Polls the body and the children until all have ended.
    async fn with<R, B, F>(self, body: B) -> Option<R>
    where
        B: FnOnce(LocalGroup<'env>) -> F,
        F: Future<Output = Result<R, BoxError>>,
    {
        let Self { group, location } = self;
        let tasks = &group.group;
        let queue = &*group.queue;
        let panicked = Panicked::default();
        let _closing = Closing(queue);
        let ended = Cell::new(None);
        let body = run_body(group.clone(), location, body);
        let body: Child<'_> = Box::pin(async { ended.set(Some(body.await)) });
        let mut members = FuturesUnordered::new();
        members.push(Running::body(body, &panicked));
        let mut free_place = None;
        std::future::poll_fn(|cx| {
            let _polling = queue.bell.polled_with(cx.waker());
            let mut turns = 0;
            // A cancelled group drops its queued children without a pause. They hold no guard, so a
            // run that suspended here would be dropped, with the value of the body.
            while turns < QUOTA || tasks.is_cancelled() {
                turns += 1;
                while let Some(child) = queue.poll_next(tasks, &mut free_place, cx) {
                    members.push(Running::child(child));
                }
                let polled = members.poll_next_unpin(cx);
                if let Poll::Ready(Some(())) = polled {
                    continue;
                }
                // A child may have made room, or a sibling.
                match queue.poll_next(tasks, &mut free_place, cx) {
                    Some(child) => members.push(Running::child(child)),
                    None if polled.is_ready() && queue.is_empty() => return Poll::Ready(()),
                    None => return Poll::Pending,
                }
            }
            gate::wake_by_ref(cx.waker());
            Poll::Pending
        })
        .await;
        ended.take().and_then(|ended| ended.value().flatten())
    }
}

/// The body or a child while it runs.
struct Running<'a> {
    code: Option<Child<'a>>,
    /// Where the body leaves a panic of its destructors.
    panicked: Option<&'a Panicked>,
    _place: Option<Place>,
}

impl<'a> Running<'a> {
    fn body(body: Child<'a>, panicked: &'a Panicked) -> Self {
        Self {
            code: Some(body),
            panicked: Some(panicked),
            _place: None,
        }
    }

    fn child((child, place): (Child<'a>, Option<Place>)) -> Self {
        Self {
            code: Some(child),
            panicked: None,
            _place: place,
        }
    }
}

impl Future for Running<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.code {
            Some(code) => code.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Running<'_> {
    /// LG4
    fn drop(&mut self) {
        let Err(payload) = gate::drop_value(self.code.take()) else {
            return;
        };
        match self.panicked {
            Some(panicked) => panicked.0.set(Some(payload)),
            None => gate::report(CHILD, payload),
        }
    }
}

/// The panic of a destructor of the body. It continues in the code that drops the run, after all
/// children were dropped.
#[derive(Default)]
struct Panicked(Cell<Option<Payload>>);

impl Drop for Panicked {
    fn drop(&mut self) {
        if let Some(payload) = self.0.take() {
            gate::resume(payload);
        }
    }
}

/// A place of the limit, which a child holds (LG5).
struct Place(TaskGroup);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().place_free();
    }
}

/// Polls the body as an inline child, so that a cancellation drops it at its next suspension, while
/// children still clean up.
async fn run_body<'env, R, B, F>(
    group: LocalGroup<'env>,
    location: &'static Location<'static>,
    body: B,
) -> Ended<Option<R>>
where
    B: FnOnce(LocalGroup<'env>) -> F,
    F: Future<Output = Result<R, BoxError>>,
{
    let in_tree = group.group.in_tree();
    let scope = Scope::open(Kind::Section, group.group.scope().clone(), location);
    let judged = async {
        match Dated::new(body(group.clone())).await {
            Ok(value) => Some(value),
            Err((error, interval)) => {
                body_failed(in_tree, &current::scope(), error, interval);
                None
            }
        }
    };
    let mut section = pin!(Section::new(scope, Ends::Any, judged));
    let ended = std::future::poll_fn(|cx| section.as_mut().poll_ended(cx)).await;
    if let Ended::Panicked(_) = ended {
        in_tree.body_ended(false);
    }
    ended
}

impl<'env> Queue<'env> {
    fn new() -> Self {
        Self {
            waiting: RefCell::default(),
            bell: Rc::default(),
        }
    }

    fn push(&self, number: u32, child: Child<'env>) {
        let before = self
            .waiting
            .borrow_mut()
            .insert(number, Foreign::new(CHILD, child));
        drop(before);
        self.bell.ring();
    }

    fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// The next child that may run, and its place. If there is none now, the run is woken when a
    /// place is free.
    fn poll_next<'a>(
        &self,
        group: &'a TaskGroup,
        free_place: &mut Option<FreePlace<'a>>,
        cx: &mut Context<'_>,
    ) -> Option<(Child<'env>, Option<Place>)> {
        // What is cancelled needs no place to end.
        loop {
            let Some(number) = self.bell.cancelled.borrow_mut().pop_front() else {
                break;
            };
            // Otherwise it was taken before.
            let cancelled = self.waiting.borrow_mut().remove(&number);
            if let Some(child) = cancelled {
                return Some((child.into_inner(), None));
            }
        }
        if self.is_empty() {
            // A place that was handed over in the meantime goes on to another waiter.
            *free_place = None;
            return None;
        }
        let mut wait = pin!(free_place.get_or_insert_with(|| FreePlace::new(group.in_tree())));
        // LG5: where the group is cancelled there is none.
        let has_place = ready_or_none(wait.as_mut().poll(cx))?;
        *free_place = None;
        let place = has_place.then(|| Place(group.clone()));
        let first = self.waiting.borrow_mut().pop_first();
        first.map(|(_, child)| (child.into_inner(), place))
    }
}

fn ready_or_none<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// LG2: the run has ended or is dropped.
struct Closing<'a, 'env>(&'a Queue<'env>);

impl Drop for Closing<'_, '_> {
    fn drop(&mut self) {
        self.0.bell.closed.set(true);
        drop(self.0.bell.waker.take());
        drop(self.0.waiting.take());
    }
}

impl Bell {
    /// The run is polled until the result is dropped. After that the waker wakes it.
    fn polled_with(&self, waker: &Waker) -> Polling<'_> {
        self.polling.set(true);
        let known = self
            .waker
            .borrow()
            .as_ref()
            .map(|known| known.will_wake(waker));
        if known != Some(true) {
            let old = self.waker.replace(Some(gate::clone_waker(waker)));
            drop(old);
        }
        Polling(self)
    }

    /// There is something new in the queue.
    fn ring(&self) {
        if !self.polling.get() {
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

struct Polling<'a>(&'a Bell);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polling.set(false);
    }
}

impl Control {
    fn new(who: Entrant, bell: Rc<Bell>) -> Self {
        Self {
            who,
            bell,
            scope: OnceCell::new(),
            cancelled: RefCell::new(None),
            ended: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    fn cancel(&self, reason: CancelReason) {
        match self.scope.get() {
            Some(scope) => scope.cancel(&reason, Dropping::Scheduled),
            None => {
                let mut cancelled = self.cancelled.borrow_mut();
                if cancelled.is_none() {
                    *cancelled = Some(reason);
                    drop(cancelled);
                    self.bell.cancelled.borrow_mut().push_back(self.who.index());
                    self.bell.ring();
                }
            }
        }
    }

    fn end(&self) {
        self.ended.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Where the outcome of a child is until its handle takes it.
struct Slot<V> {
    control: Rc<Control>,
    outcome: RefCell<Option<Result<V, JoinError>>>,
}

/// The child's side of its slot (LG3).
struct EndOfChild<V> {
    slot: Rc<Slot<V>>,
    /// Why the child has no outcome, if it is dropped before its end.
    reason: CancelReason,
}

impl<V> EndOfChild<V> {
    /// The child has ended. `Err` if no handle is left and the drop of the outcome panics.
    fn with(&self, result: Result<V, JoinError>) -> Result<(), Payload> {
        let mut dropped = Ok(());
        if Rc::strong_count(&self.slot) == 1 {
            dropped = gate::drop_value(result);
        } else {
            self.slot.outcome.replace(Some(result));
        }
        self.slot.control.end();
        dropped
    }
}

impl<V> Drop for EndOfChild<V> {
    fn drop(&mut self) {
        if !self.slot.control.ended.get() {
            let cancelled = Cancelled::plain(self.reason.clone());
            self.slot
                .outcome
                .replace(Some(Err(JoinError::Cancelled(cancelled))));
            self.slot.control.end();
        }
    }
}

/// The handle of a child of a [`LocalGroup`]: a future of its outcome.
///
/// When the handle is dropped, the child goes on, and its value is dropped when it comes.
///
/// ```
/// use std::rc::Rc;
/// use taskgroup::LocalGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// LocalGroup::run(async |group| {
///     let shared = Rc::new(20);
///     // Neither the future nor its value is `Send`.
///     let doubled =
///         group.spawn(async move { Ok::<_, &str>(Rc::new(*shared * 2)) });
///     assert_eq!(*doubled.await?, 40);
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// # Errors
/// As [`TaskHandle`](crate::TaskHandle).
///
/// # Panics
/// When it is polled again after it was ready.
///
/// # Cancel safety
/// Cancel safe: a wait that is given up loses nothing.
pub struct LocalHandle<V> {
    slot: Rc<Slot<V>>,
    waited: bool,
}

impl<V> LocalHandle<V> {
    /// Cancels this child alone. As [`TaskHandle::cancel`](crate::TaskHandle::cancel).
    #[track_caller]
    pub fn cancel(&self) {
        if !self.is_finished() {
            let reason = CancelReason::called(current::info(), Location::caller());
            self.slot.control.cancel(reason);
        }
    }

    /// Whether the child has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot.control.ended.get()
    }

    /// What errors call the child.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        self.slot.control.who.display_name()
    }
}

impl<V> Future for LocalHandle<V> {
    type Output = Result<V, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.waited {
            ready!(poll_cancel_point(cx));
        }
        if !self.is_finished() {
            self.waited = true;
            let waker = gate::clone_waker(cx.waker());
            let old = self.slot.control.waker.replace(Some(waker));
            drop(old);
            return Poll::Pending;
        }
        self.waited = false;
        match self.slot.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("the value of `{}` was already taken", self.name()),
        }
    }
}

impl<V> Unpin for LocalHandle<V> {}

impl<V> fmt::Debug for LocalHandle<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}
