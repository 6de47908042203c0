//! Width and depth: a million children, a hundred thousand nested scopes, on stacks of a known
//! small size.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;

use crate::support::{Log, Outcome, builder, forever, group};

/// What Tokio gives its workers by default; a thread of the tests might have more.
const STACK: usize = 2 << 20;

/// Runs a test on both flavours, each on threads with small stacks.
fn on_small_stacks<F: Future<Output = ()>>(test: impl Fn() -> F + Send + Sync + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK);
    let run = move || {
        let current = Builder::new_current_thread().enable_all().build().unwrap();
        current.block_on(test());
        let multi = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .unwrap();
        multi.block_on(test());
    };
    thread.spawn(run).unwrap().join().unwrap();
}

// S4
#[test]
fn a_million_children_in_one_group() {
    on_small_stacks(|| async {
        let live = group(async |group| {
            for _ in 0..1_000_000 {
                group.spawn(async {});
            }
            Ok(group)
        })
        .await
        .unwrap()
        .live();
        assert_eq!(live, 0);
    });
}

// S11, S16: all of them parked, then cancelled at once.
#[test]
fn a_million_parked_children_are_cancelled() {
    on_small_stacks(|| async {
        let ended = builder()
            .run_cancellable(async |group| {
                for _ in 0..1_000_000 {
                    group.spawn(forever());
                }
                tokio::task::yield_now().await;
                group.cancel();
                forever().await;
                Ok(())
            })
            .await;
        assert!(ended.unwrap().is_none());
    });
}

// S2, S6: one of them fails, and the failure comes out when all the others have been dropped.
#[test]
fn a_million_children_and_one_that_fails() {
    const CHILDREN: usize = 1_000_000;
    on_small_stacks(|| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let error = group(async |group| {
            for _ in 0..CHILDREN {
                let dropped = CountDrop(dropped.clone());
                group.spawn(async move {
                    let _dropped = dropped;
                    forever().await;
                });
            }
            group.task("weak").spawn(async { Err::<(), _>("no") });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(dropped.load(Ordering::Relaxed), CHILDREN);
        assert_eq!(error.len(), 1);
        assert_eq!(error.cause().name(), "weak");
    });
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Nested = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// So many groups, each in a child of the one around it; `innermost` in the last.
fn nest(depth: u32, innermost: impl FnOnce() -> Nested + Send + 'static) -> Nested {
    let mut innermost = Some(innermost);
    nest_dyn(depth, Box::new(move || innermost.take().expect("once")()))
}

fn nest_dyn(depth: u32, mut innermost: Box<dyn FnMut() -> Nested + Send>) -> Nested {
    Box::pin(async move {
        if depth == 0 {
            return innermost().await;
        }
        group(async |group| {
            group.spawn(nest_dyn(depth - 1, innermost)).await?;
            Ok(())
        })
        .await?;
        Ok(())
    })
}

const DEPTH: u32 = 100_000;

// S16, S23
#[test]
fn a_failure_below_a_hundred_thousand_groups_comes_up() {
    on_small_stacks(|| async {
        let error = nest(DEPTH, || Box::pin(async { Err("bottom".into()) }));
        let error = error.await.unwrap_err();
        let error = error.downcast::<taskgroup::ErrorGroup>().unwrap();
        assert_eq!(error.leaf_count(), 1);
        assert_eq!(error.cause().error().unwrap().to_string(), "bottom");
        assert_eq!(error.cause().path().depth() as u32, 2 * DEPTH);
    });
}

// S16
#[test]
fn a_hundred_thousand_nested_groups_are_cancelled() {
    on_small_stacks(|| async {
        let log = Log::default();
        let ended = builder()
            .run_cancellable(async |group| {
                let innermost = log.clone();
                let parked = move || -> Nested {
                    Box::pin(async move {
                        innermost.forever("innermost dropped").await;
                        Ok(())
                    })
                };
                group.spawn(nest(DEPTH, parked));
                log.started(1).await;
                group.cancel();
                forever().await;
                Ok(())
            })
            .await;
        assert!(ended.unwrap().is_none());
        assert_eq!(log.take(), ["innermost dropped"]);
    });
}

// S15, S16: dropped from outside instead of cancelled.
#[test]
fn a_hundred_thousand_nested_groups_are_dropped() {
    on_small_stacks(|| async {
        let log = Log::default();
        group(async |_group| {
            let innermost = log.clone();
            let parked = move || -> Nested {
                Box::pin(async move {
                    innermost.forever("innermost dropped").await;
                    Ok(())
                })
            };
            let dropped = nest(DEPTH, parked);
            tokio::select! {
                _ = dropped => unreachable!("it is parked"),
                () = log.started(1) => {}
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["innermost dropped"]);
    });
}
