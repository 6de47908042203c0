//! How a program waits for the request to stop: the root of a server.

use std::future::{pending, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

use crate::cancel::cancel_point;
use crate::deadline::Limited;
use crate::scope::current;
use crate::scope::section::{Ends, Section};
use crate::scope::stop::Stop;
use crate::scope::tree::{Dropping, Kind, Scope};

/// Runs `work` until it is done or the program is asked to stop. `None` when the stop cut it off.
///
/// It is the frame of a server in a [graceful](crate::Runner::graceful) program. The first Ctrl-C
/// or `SIGTERM` cancels `work`, and nothing else: code in it that holds a guard or a shield
/// finishes within the grace. Then the code after `until_stopped` goes on, with groups and
/// deadlines as before.
///
/// ```
/// use taskgroup::{Runner, TaskGroup, until_stopped};
///
/// Runner::new().graceful().run_main(async || {
///     let service = TaskGroup::run(async |group| {
///         group.spawn(async { /* serves for ever */ });
///         Ok(())
///     });
///     if let Some(ended) = until_stopped(service).await {
///         ended?; // it ended by itself, or its cleanup failed
///     }
///     println!("flushed and closed"); // runs after a stop, too
///     Ok::<_, taskgroup::ErrorGroup>(())
/// });
/// ```
///
/// It resolves once everything that `work` had started has ended. It returns a value that `work`
/// still produced, and also an error of its cleanup: a failure during the stop is not lost. A group
/// that is cancelled and has to wait for its children counts as cut off, as everywhere. So `None`
/// does not mean that something was left undone.
///
/// The stop is a level: `work` that begins after it is cut off at its first suspension point, so a
/// loop over `until_stopped` ends. Inside `work`, [`when_cancelled`](crate::when_cancelled) is the
/// future of the stop. When a scope further out is cancelled too, this one reports nothing, and the
/// outer one decides.
///
/// Outside a [`Runner`](crate::Runner) no stop comes, and the result is `Some(work.await)`. Under a
/// runner that is not graceful the signal cancels the whole run, this call included.
///
/// # Panics
/// A panic of `work` passes through.
///
/// # Cancel safety
/// As `work`.
///
/// # Drop
/// Drops `work`. What it had started is cancelled, and the enclosing scope adopts it.
///
/// The ideas are axum's `with_graceful_shutdown` and tokio-graceful-shutdown's `Toplevel`.
#[track_caller]
#[doc(alias = "graceful_shutdown")]
pub fn until_stopped<F: Future>(work: F) -> impl Future<Output = Option<F::Output>> {
    let location = Location::caller();
    async move {
        let here = current::scope();
        let Some(stop) = here.stop_around() else {
            return Some(work.await);
        };
        let scope = Scope::open(Kind::cancel_scope(), here, location);
        let section = Section::new(scope.clone(), Ends::Own, work);
        let mut limited = pin!(Limited::new(section, None, location));
        let mut asked = pin!(cancel_when_asked(&stop, scope));
        let mut waits = true;
        let ended = poll_fn(|cx| {
            if waits && asked.as_mut().poll(cx).is_ready() {
                waits = false;
            }
            limited.as_mut().poll(cx)
        });
        ended.await.ok()
    }
}

fn cancel_when_asked(stop: &Stop, scope: Arc<Scope>) -> impl Future<Output = ()> + use<> {
    let asked = stop.wait();
    async move {
        if let Some(reason) = asked.await {
            scope.cancel(&reason, Dropping::Scheduled);
        }
    }
}

/// Resolves when the program is asked to stop, or its run has ended without that.
///
/// It is a future for the graceful stop of a server around which nothing should be cancelled. It
/// needs a [graceful](crate::Runner::graceful) [`Runner`](crate::Runner): any other runner cancels
/// `main` at the same time. Outside a runner it never resolves.
///
/// ```
/// use taskgroup::{Runner, when_stopped};
/// # /// As `axum::serve(..).with_graceful_shutdown(stop)`.
/// # async fn serve_until(stop: impl Future<Output = ()> + Send + 'static) { drop(stop); }
///
/// Runner::new().graceful().run_main(async || {
///     serve_until(when_stopped()).await;
///     println!("all requests are answered");
/// });
/// ```
///
/// The future is `'static` and belongs to no task. From this call on the program counts as waiting
/// for its stop: see [`Runner::graceful`](crate::Runner::graceful).
///
/// # Cancel safety
/// Cancel safe: a future that is dropped is forgotten.
#[doc(alias = "shutdown_signal")]
pub fn when_stopped() -> impl Future<Output = ()> + Send + 'static + use<> {
    let asked = current::scope().stop_around().map(|stop| stop.wait());
    async move {
        cancel_point().await;
        match asked {
            Some(asked) => drop(asked.await),
            None => pending().await,
        }
    }
}
