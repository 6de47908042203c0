//! Cleanup that cannot be skipped: `bracket` and `defer`.

use std::panic::{Location, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::cancel::{cancel_point, cut_off};
use crate::error::{BoxError, Caught, Failed, Fault, Interval, Member, TaskInfo};
use crate::scope::current::{self, Lazy};
use crate::scope::dated::Dated;
use crate::scope::gate::{self, Payload};
use crate::scope::group;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::{Deferred, Scope};
use crate::scope::waiters::Key;
use crate::shield::shield;

/// Acquires a resource, uses it, and releases it exactly once, whatever happens in between.
///
/// `acquire` and `release` are shielded, `work` can be cancelled. `release` runs when `work` returned a value or an error, when it
/// panicked, when the task was cancelled, and also when this future itself is dropped half-way: then it runs as a task of
/// the enclosing scope, which does not end before it. That is why `release` has to be `Send + 'static`.
///
/// When `acquire` fails there is nothing to release and its error comes out.
///
/// ```
/// use taskgroup::bracket;
/// # struct Connection;
/// # impl Connection { async fn query(&mut self) -> Result<u32, std::io::Error> { Ok(7) } async fn close(self) {} }
/// # async fn connect() -> Result<Connection, std::io::Error> { Ok(Connection) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let rows = bracket(
///     connect(),
///     async |connection: &mut Connection| connection.query().await,
///     |connection| connection.close(),
/// );
/// assert_eq!(rows.await.unwrap(), 7);
/// # }
/// ```
///
/// In a cancelled scope it is as ready as the three parts are: `acquire` and `release` run to their end, `work` up to its first suspension.
///
/// # Errors
/// That of `acquire` or of `work`. `release` returns `()` or a `Result`; an error of it fails the enclosing group or task.
///
/// # Panics
/// A panic of `work` passes through after the release. A panic of `release` passes through where the work came to a value, and
/// otherwise fails the enclosing group or task, so that it does not hide how the work ended.
///
/// # Drop
/// Dropped during `acquire`: as `acquire`. Later: the release runs as a task of the enclosing scope, once what the work left behind
/// has ended, and a failure of the work fails that scope. Without a Tokio runtime the release cannot run, and the resource is dropped.
///
/// Haskell's `bracket`; Python's `async with` and `try`/`finally`, which loses the second half when its own cleanup is cancelled.
#[track_caller]
#[doc(alias = "finally")]
#[doc(alias = "AsyncExitStack")]
pub fn bracket<A, T, E, U, R, F>(
    acquire: impl Future<Output = Result<A, E>>,
    work: U,
    release: R,
) -> impl Future<Output = Result<T, E>>
where
    A: Send + 'static,
    E: Into<BoxError>,
    U: AsyncFnOnce(&mut A) -> Result<T, E>,
    R: FnOnce(A) -> F + Send + 'static,
    F: Future<Output: TaskOutput> + Send + 'static,
{
    let location = Location::caller();
    // By its name: inside the future, the bound would have to hold for every lifetime.
    let into: fn(E) -> BoxError = E::into;
    async move {
        let scope = current::scope();
        let resource = shield(acquire).await?;
        let mut held = Held {
            scope: scope.clone(),
            work: None,
            state: State::Acquired(resource, release),
        };
        let mut worked = Worked {
            scope: scope.clone(),
            location,
            into,
            result: None,
            panic: None,
        };
        let ended = {
            let State::Acquired(resource, _) = &mut held.state else {
                unreachable!("just acquired")
            };
            let result = &mut worked.result;
            let work = async move { *result = Some(Dated::new(work(resource)).await) };
            // A section of its own: when it is cancelled, the work unwinds first, then this releases, then what is around it
            // unwinds.
            let section = Section::unopened(Lazy::Section, location, Ends::Any, work);
            let mut section = pin!(section);
            let inside = &mut held.work;
            std::future::poll_fn(|cx| {
                let polled = section.as_mut().poll_ended(cx);
                if polled.is_pending() && inside.is_none() {
                    *inside = section.as_mut().scope().cloned();
                }
                polled
            })
            .await
        };
        if let Ended::Panicked(caught) = ended {
            worked.panic = Some(caught);
        }
        let info = || group::info_at(&scope, "release", location);
        let release = std::future::poll_fn(|cx| held.poll_release(cx));
        match shield(release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let failed = Member::from_failure(info(), error, Interval::now());
                scope.adopt_cleanup_failure(failed);
            }
            Err(payload) if worked.panic.is_none() && matches!(worked.result, Some(Ok(_))) => {
                resume_unwind(payload)
            }
            // It must not hide how the work ended.
            Err(payload) => {
                let failed = Member::from_panic(info(), payload, Interval::now());
                scope.adopt_cleanup_failure(failed);
            }
        }
        // S43: it went wrong before the release, which others may have noticed.
        if let Some(caught) = worked.panic.take() {
            caught.resume();
        }
        match worked.result.take() {
            Some(Ok(value)) => Ok(value),
            Some(Err((error, interval))) => {
                interval.carry();
                Err(error)
            }
            None => cut_off().await,
        }
    }
}

/// How the work ended, until the resource is released. Dropped before that, a failure of it is that of the scope around (S41).
struct Worked<T, E> {
    scope: Arc<Scope>,
    location: &'static Location<'static>,
    into: fn(E) -> BoxError,
    result: Option<Result<T, (E, Interval)>>,
    panic: Option<Box<Caught>>,
}

impl<T, E> Worked<T, E> {
    fn info(&self) -> TaskInfo {
        group::info_at(&self.scope, "work", self.location)
    }

    fn adopt(&self, failed: Failed) {
        group::adopt_failed(&self.scope, self.info(), failed, Some(&self.scope));
    }
}

impl<T, E> Drop for Worked<T, E> {
    fn drop(&mut self) {
        if let Some(caught) = self.panic.take() {
            self.adopt((*caught).into());
        }
        if let Some(Err((error, interval))) = self.result.take_if(|result| result.is_err()) {
            let fault = match gate::call_apart(|| (self.into)(error)) {
                Ok(error) => Fault::Error(error),
                Err(payload) => Fault::Panic(payload),
            };
            self.adopt(Failed { fault, interval });
        }
    }
}

/// A resource that is released by whoever has it last.
struct Held<A, R, F>
where
    A: Send + 'static,
    R: FnOnce(A) -> F + Send + 'static,
    F: Future<Output: TaskOutput> + Send + 'static,
{
    scope: Arc<Scope>,
    /// Dropped during the work, what that leaves behind may still use the resource.
    work: Option<Arc<Scope>>,
    state: State<A, R>,
}

/// What a release gave back.
type Released = Result<(), BoxError>;

enum State<A, R> {
    Acquired(A, R),
    /// Dropped in the middle of this, it goes on elsewhere.
    Releasing(Deferred),
    Released,
}

impl<A, R, F> Held<A, R, F>
where
    A: Send + 'static,
    R: FnOnce(A) -> F + Send + 'static,
    F: Future<Output: TaskOutput> + Send + 'static,
{
    fn start(&mut self) {
        if let State::Acquired(..) = self.state {
            let State::Acquired(resource, release) =
                std::mem::replace(&mut self.state, State::Released)
            else {
                return;
            };
            self.state = State::Releasing(boxed(release(resource)));
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<Result<Released, Payload>> {
        let polled = gate::call(|| {
            self.start();
            match &mut self.state {
                State::Releasing(future) => future.as_mut().poll(cx),
                State::Acquired(..) | State::Released => Poll::Ready(Ok(())),
            }
        });
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(released)) => {
                self.state = State::Released;
                Poll::Ready(Ok(released))
            }
            Err(payload) => {
                self.state = State::Released;
                Poll::Ready(Err(gate::hand_on(payload)))
            }
        }
    }
}

impl<A, R, F> Drop for Held<A, R, F>
where
    A: Send + 'static,
    R: FnOnce(A) -> F + Send + 'static,
    F: Future<Output: TaskOutput> + Send + 'static,
{
    fn drop(&mut self) {
        if let Err(payload) = gate::call_apart(|| self.start()) {
            let info = group::info_at(&self.scope, "release", self.scope.location);
            let member = Member::from_panic(info, payload, Interval::now());
            self.scope.adopt_cleanup_failure(member);
        }
        if let State::Releasing(future) = std::mem::replace(&mut self.state, State::Released) {
            let left = match &self.work {
                Some(work) => work.defer_to_orphan(future),
                None => Err(future),
            };
            if let Err(future) = left {
                self.scope.adopt_cleanups(vec![future]);
            }
        }
    }
}

fn boxed<F: Future<Output: TaskOutput> + Send + 'static>(future: F) -> Deferred {
    Box::pin(async move { converted(future.await).map(drop) })
}

/// Runs `future` when the current scope ends: after its code and its children, last deferred first.
///
/// The current scope is the innermost one: the task, the body of the group, or the deadline or shield that the call stands in. What
/// is deferred runs whether the scope ends by itself, by an error, a cancellation or a panic, and also when the future
/// around it is dropped half-way. It runs shielded; only the end of a grace cuts it short. An error or panic of one fails the scope
/// and skips none of the others.
///
/// Outside any scope it runs at the next [`drain`].
///
/// ```
/// use taskgroup::{TaskGroup, defer};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// TaskGroup::run(async |group| {
///     defer(async { println!("closed last") });
///     group.spawn(async { println!("worked") });
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// Go's `defer`, for async code and for scopes; `AsyncExitStack.push_async_callback` in Python.
pub fn defer<F>(future: F)
where
    F: Future<Output: TaskOutput> + Send + 'static,
{
    current::scope().defer(boxed(future));
}

/// Waits for everything that was left below the process root: by futures of ours that were dropped half-way outside any scope, and
/// by [`defer`] outside any scope.
///
/// Inside [`run`](crate::run) and inside groups nothing is ever left there: the enclosing scope adopts it.
///
/// # Errors
/// The failures of what was waited for, and of what had ended before: the process keeps the first 1 000 until somebody asks, tells the
/// [warning hook](crate::observe::set_warning_hook) when there are more, and counts those. Then the last leaf is [`NotKept`](crate::error::NotKept).
///
/// # Cancel safety
/// Cancel safe. A wait that is given up leaves nothing behind.
pub async fn drain() -> Result<(), crate::ErrorGroup> {
    cancel_point().await;
    let root = Scope::root();
    root.adopt_cleanups(root.take_deferred());
    Drained { key: None }.await;
    match crate::ErrorGroup::new(group::info(root), root.take_adopted()) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Ready when nothing is left below the process root. Dropped, it is forgotten (S44).
struct Drained {
    key: Option<Key>,
}

impl Future for Drained {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Scope::root().poll_drained(&mut self.key, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            Scope::root().stop_draining(key);
        }
    }
}
