//! Cleanup that cannot be skipped: `bracket` and `defer`.

use std::panic::{Location, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use crate::cancel::{cancel_point, cut_off};
use crate::error::{BoxError, Caught, Failed, Fault, Interval, Member, TaskInfo};
use crate::gate::{self, Payload};
use crate::scope::current::{self, Lazy};
use crate::scope::dated::Dated;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::{Deferred, Scope};
use crate::scope::waiters::Key;
use crate::scope::{group, who};
use crate::shield::shield;

/// Acquires a resource, uses it, and releases it exactly once, whatever happens in between.
///
/// `acquire` and `release` are shielded; `work` can be cancelled. `release` runs when `work` has
/// returned a value or an error, when it panicked, and when the task was cancelled. It also runs
/// when this future itself is dropped half-way: then it runs as a task of the enclosing scope,
/// which does not end before it. That is why `release` has to be `Send + 'static`.
///
/// When `acquire` fails, there is nothing to release, and its error is returned.
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
/// In a cancelled scope `acquire` and `release` run to their end, and `work` runs up to its first
/// suspension.
///
/// # Errors
/// The error of `acquire` or of `work`. `release` returns `()` or a `Result`, and its error fails
/// the enclosing group or task.
///
/// # Panics
/// A panic of `work` continues after the release. A panic of `release` continues when the work
/// returned a value. Otherwise it fails the enclosing group or task, so that it does not hide how
/// the work ended.
///
/// # Drop
/// Dropped during `acquire`, it drops `acquire`. Dropped later, it runs the release as a task of
/// the enclosing scope, once what the work left behind has ended. A failure of the work then fails
/// that scope. Without a Tokio runtime the release cannot run, and the resource is dropped.
///
/// The idea is Haskell's `bracket`. Python's `async with` and `try`/`finally` lose the release when
/// a cancellation interrupts it.
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
    // A function pointer: inside the future, the bound would have to hold for every lifetime.
    let into: fn(E) -> BoxError = E::into;
    async move {
        let scope = current::scope();
        let resource = shield(acquire).await?;
        let mut held = Held {
            scope: scope.clone(),
            work: None,
            state: Holding::Acquired(resource, release),
        };
        let mut worked = Worked {
            scope: scope.clone(),
            location,
            into,
            result: None,
            panic: None,
        };
        let ended = {
            let Holding::Acquired(resource, _) = &mut held.state else {
                unreachable!("just acquired")
            };
            let result = &mut worked.result;
            let work = async move { *result = Some(Dated::new(work(resource)).await) };
            // In a section of its own: on a cancellation the work unwinds first, then the resource
            // is released, then the code around unwinds.
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
        let info = || who::info_at(&scope, "release", location);
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
        // S43: the work failed before the release.
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

/// How the work ended, until the resource is released. Dropped before that, it leaves a failure of
/// the work to the scope around (S41).
struct Worked<T, E> {
    scope: Arc<Scope>,
    location: &'static Location<'static>,
    into: fn(E) -> BoxError,
    result: Option<Result<T, (E, Interval)>>,
    panic: Option<Box<Caught>>,
}

impl<T, E> Worked<T, E> {
    fn info(&self) -> TaskInfo {
        who::info_at(&self.scope, "work", self.location)
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

/// A resource, and how to release it. Dropped, it leaves the release to the scope around.
struct Held<A, R, F>
where
    A: Send + 'static,
    R: FnOnce(A) -> F + Send + 'static,
    F: Future<Output: TaskOutput> + Send + 'static,
{
    scope: Arc<Scope>,
    /// The scope of the work. What the work leaves behind may still use the resource.
    work: Option<Arc<Scope>>,
    state: Holding<A, R>,
}

/// What a release returned.
type Released = Result<(), BoxError>;

enum Holding<A, R> {
    Acquired(A, R),
    /// Dropped half-way, it goes on as a task of the scope around.
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
        if let Holding::Acquired(..) = self.state {
            let Holding::Acquired(resource, release) =
                std::mem::replace(&mut self.state, Holding::Released)
            else {
                return;
            };
            self.state = Holding::Releasing(boxed(release(resource)));
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<Result<Released, Payload>> {
        let polled = gate::call(|| {
            self.start();
            match &mut self.state {
                Holding::Releasing(deferred) => deferred.future.as_mut().poll(cx),
                Holding::Acquired(..) | Holding::Released => Poll::Ready(Ok(())),
            }
        });
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(released)) => {
                self.state = Holding::Released;
                Poll::Ready(Ok(released))
            }
            Err(payload) => {
                self.state = Holding::Released;
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
            let info = who::info_at(&self.scope, "release", self.scope.location);
            let member = Member::from_panic(info, payload, Interval::now());
            self.scope.adopt_cleanup_failure(member);
        }
        if let Holding::Releasing(future) = std::mem::replace(&mut self.state, Holding::Released) {
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
    // An `async` block would have room for the future twice: where it is kept, and where it is
    // awaited.
    Deferred::new(future.map(|output| converted(output).map(drop)))
}

/// Runs `future` when the current scope ends: after its code and its children, last deferred first.
///
/// The current scope is the innermost one around the call: a task, the body of a group, a deadline
/// or a shield. `future` runs whether that scope ends by itself, by an error, a cancellation or a
/// panic, and also when the code around it is dropped half-way. It runs shielded; only the end of a
/// grace cuts it short. Its error or panic fails the scope and does not skip what else was
/// deferred.
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
/// The ideas are Go's `defer`, here for async code and scopes, and Python's
/// `AsyncExitStack.push_async_callback`.
pub fn defer<F>(future: F)
where
    F: Future<Output: TaskOutput> + Send + 'static,
{
    current::scope().defer(boxed(future));
}

/// Waits for everything that was left below the process root.
///
/// Futures of this crate leave something there when they are dropped half-way outside any scope,
/// and so does [`defer`] outside any scope. Inside [`run`](crate::run) and inside groups the
/// enclosing scope adopts it instead. Call `drain` before a plain Tokio runtime is dropped.
///
/// ```
/// use taskgroup::{defer, drain};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// defer(async { println!("runs at the next `drain`") });
/// drain().await.unwrap();
/// # }
/// ```
///
/// # Errors
/// The failures of what it waited for, and of what had ended before. The process keeps the first 1
/// 000 failures until the next `drain`, counts further ones, and reports them to the [warning
/// hook](crate::observe::set_warning_hook). Then the last leaf is
/// [`NotKept`](crate::error::NotKept).
///
/// # Cancel safety
/// Cancel safe: dropping the future has no effect.
pub async fn drain() -> Result<(), crate::ErrorGroup> {
    cancel_point().await;
    let root = Scope::root();
    root.adopt_cleanups(root.take_deferred());
    Drained { key: None }.await;
    root.stop_watching_what_is_left();
    match crate::ErrorGroup::new(who::info(root), root.take_adopted()) {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Resolves when nothing is left below the process root. Dropped, it waits no longer (S44).
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
