//! The helpers, one module each. Every one is asked the same: nothing in, one, many, all fail,
//! cancelled from outside, dropped half-way, a panic, a deadline that is due from the start.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, until_cancelled};

use crate::support::{Log, Outcome, forever, sleep};

mod as_completed;
mod gather;
mod join;
mod map;
mod race;
#[cfg(feature = "retry")]
mod retry;
mod settle;
mod wait;

/// Boxed, so that different ones fit into one array.
type Job<'a, T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send + 'a>>;

/// `value` after so many milliseconds.
fn works<'a, T: Send + 'a>(after: u64, value: T) -> Job<'a, T> {
    Box::pin(async move {
        sleep(after).await;
        Ok(value)
    })
}

fn fails<'a, T: Send + 'a>(after: u64, message: &'static str) -> Job<'a, T> {
    Box::pin(async move {
        sleep(after).await;
        Err(message.into())
    })
}

fn panics<'a, T: Send + 'a>(after: u64, message: &'static str) -> Job<'a, T> {
    Box::pin(async move {
        sleep(after).await;
        panic!("{message}")
    })
}

/// Waits for ever; when it is cancelled it takes so long to clean up, and says when it has.
fn cleans_up<'a, T: Send + 'a>(log: Log, takes: u64) -> Job<'a, T> {
    Box::pin(async move {
        let Err(cancelled) = until_cancelled(forever()).await else {
            unreachable!("for ever")
        };
        sleep(takes).await;
        log.add("cleaned up");
        Err(cancelled.into())
    })
}

/// Has a child of its own, which takes so long to clean up.
fn has_a_child<'a, T: Send + 'a>(log: Log, takes: u64) -> Job<'a, T> {
    Box::pin(async move {
        TaskGroup::run(async |group| {
            group.spawn(cleans_up::<()>(log, takes));
            forever().await;
            unreachable!("for ever")
        })
        .await
        .map_err(Into::into)
    })
}

/// Polls `future` for `millis` and then drops it, inside a group; returns when that has ended.
async fn dropped_after<F: Future>(millis: u64, future: F) {
    TaskGroup::run(async |_| {
        let mut future = Box::pin(future);
        tokio::select! {
            biased;
            _ = &mut future => panic!("it was to be dropped half-way"),
            () = sleep(millis) => {}
        }
        drop(future);
        Ok(())
    })
    .await
    .unwrap();
}

/// Ready at once if ever.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// For a deadline that is due from the start.
const ZERO: Duration = Duration::ZERO;

/// Helpers can be used in children, so what they return is `Send` when the inputs are.
#[test]
fn helpers_are_send() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    drop(send(taskgroup::gather(vec![works(1, 1)])));
    drop(send(taskgroup::gather((works(1, 1), works(1, "x")))));
    drop(send(taskgroup::settle(vec![works(1, 1)])));
    drop(send(taskgroup::settle_by_key(vec![("a", works(1, 1))])));
    drop(send(taskgroup::race(vec![works(1, 1)])));
    drop(send(taskgroup::race_by_key(vec![("a", works(1, 1))])));
    drop(send(taskgroup::race_staggered(ZERO, vec![works(1, 1)])));
    drop(send(taskgroup::join((works(1, 1), sleep(1)))));
    drop(send(taskgroup::map(2, vec![1], async |n| {
        works(1, n).await
    })));
    drop(send(taskgroup::as_completed(vec![sleep(1)])));
}

/// The same where the outputs have a boxed error, in an `async` block that must be `Send`. The
/// compiler then asks about every lifetime of the trait object, and must find no trait of the
/// output.
#[test]
fn helpers_are_send_with_a_boxed_error() {
    fn send<T>(future: impl Future<Output = T> + Send) {
        drop(future);
    }
    let squares = || (1..=3).map(|n| async move { Ok::<_, BoxError>(n * n) });
    let keyed = || (1..=3).map(|n| (n, async move { Ok::<_, BoxError>(n * n) }));
    send(async move { taskgroup::gather(squares()).await.map(drop) });
    send(async move { TaskGroup::builder().gather(squares()).await });
    send(async {
        let pair = (async { Ok::<_, BoxError>(1) }, async {
            Ok::<_, BoxError>("a")
        });
        taskgroup::gather(pair).await
    });
    send(async move { taskgroup::settle(squares()).await });
    send(async move { TaskGroup::builder().settle(squares()).await });
    send(async move { taskgroup::settle_by_key(keyed()).await });
    send(async move { taskgroup::race(squares()).await });
    send(async move { TaskGroup::builder().race(squares()).await });
    send(async move { taskgroup::race_by_key(keyed()).await });
    send(async move { taskgroup::race_staggered(ZERO, squares()).await });
    send(async { taskgroup::map(2, 1..=3, async |n| Ok::<_, BoxError>(n * n)).await });
    send(TaskGroup::run(async |group| {
        group.spawn(async {
            taskgroup::gather((1..=3).map(|n| async move { Ok::<_, BoxError>(n * n) }))
                .await
                .map(drop)
        });
        Ok(())
    }));
}
