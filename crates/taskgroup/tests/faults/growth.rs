//! What is given up or has ended is forgotten, and nothing costs more than it should.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use taskgroup::combine::Until;
use taskgroup::{BoxError, GroupBuilder, Policy, TaskGroup, TaskHandle};

use crate::common::waker::hooked;
use crate::common::{
    another_group_works, drivers, everywhere, forever, isolated, isolated_everywhere,
    isolated_with_drivers, on_one_thread, turns,
};
use crate::counting::live_bytes;

const ROUNDS: usize = 2_000;
/// What the runtime and the harness breathe.
const BREATH: isize = 32 * 1024;

/// The bytes that the last of three lots of rounds keeps; the others warm up.
async fn kept(round: impl AsyncFnMut()) -> isize {
    kept_settled(round, async || {}).await
}

/// As [`kept`], with a wait after each lot until nothing is on its way any more.
async fn kept_settled(mut round: impl AsyncFnMut(), settled: impl AsyncFn()) -> isize {
    let mut live = Vec::new();
    for _ in 0..3 {
        for _ in 0..ROUNDS {
            round().await;
        }
        settled().await;
        live.push(live_bytes());
    }
    println!("{live:?}");
    live[2] - live[1]
}

/// Waits for a service that goes on, each time with another waker, and gives up.
fn stale(wait: impl AsyncFn(&TaskGroup, &TaskHandle<()>) + Copy) {
    everywhere(|builder| async move {
        let run = builder.limit(1).run_cancellable(async |group| {
            let service = group.spawn(forever());
            turns(2).await;
            let kept = kept(async || {
                let waker = hooked(|_| {});
                let mut wait = pin!(wait(&group, &service));
                let polled = wait.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending(), "the service goes on");
            });
            let kept = kept.await;
            assert!(kept < BREATH, "{ROUNDS} waits keep {kept} bytes");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

// S44
#[test]
fn fault_d1_stale_ended() {
    isolated(|| stale(async |_, service| service.ended().await));
}

// S44
#[test]
fn fault_d1_stale_by_reference() {
    isolated(|| {
        stale(async |_, service| {
            let _ = service.await;
        });
    });
}

// S44
#[test]
fn fault_d1_stale_spawn_when_free() {
    isolated(|| stale(async |group, _| drop(group.spawn_when_free(async {}).await)));
}

// S44
#[test]
fn fault_d1_stale_wait() {
    isolated(|| {
        stale(async |_, service| drop(taskgroup::wait([service], Until::FirstCompleted).await));
    });
}

// S44: each wait in a task of its own, so that each has a waker of its own.
#[test]
fn fault_d1_stale_waits_of_many_tasks() {
    isolated_everywhere(|builder| async move {
        let run = builder.run_cancellable(async |group| {
            let service = Arc::new(group.spawn(forever()));
            let kept = kept(async || {
                let service = service.clone();
                let request = tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        () = service.ended() => {}
                        () = tokio::task::yield_now() => {}
                    }
                });
                request.await.unwrap();
            });
            let kept = kept.await;
            assert!(kept < BREATH, "{ROUNDS} waits keep {kept} bytes");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

// S44
#[test]
fn fault_d1_stale_drain() {
    isolated_everywhere(|builder| async move {
        // Something that is left below the process root, and stays there.
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        {
            let mut half = pin!(builder.run(async move |group| {
                group.spawn(taskgroup::shield(async move { drop(gate.await) }));
                forever().await;
                Ok(())
            }));
            let polled = std::future::poll_fn(|cx| Poll::Ready(half.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            turns(3).await;
        }
        let kept = kept(async || {
            let request = tokio::spawn(async {
                tokio::select! {
                    biased;
                    _ = taskgroup::drain() => {}
                    () = tokio::task::yield_now() => {}
                }
            });
            request.await.unwrap();
        });
        let kept = kept.await;
        drop(open);
        taskgroup::drain().await.unwrap();
        assert!(kept < BREATH, "{ROUNDS} waits keep {kept} bytes");
    });
}

/// Counts the polls of a future.
async fn counted<F: Future>(polls: Arc<AtomicUsize>, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

// S44: a free place wakes as many waiters as it has room for.
#[test]
fn fault_d2_waiters_for_a_place() {
    const WAITERS: usize = 400;
    isolated_everywhere(|builder| async move {
        let polls = Arc::new(AtomicUsize::new(0));
        let ran = Arc::new(AtomicUsize::new(0));
        let limited = builder.clone().limit(1);
        let (polls_in, ran_in) = (polls.clone(), ran.clone());
        let run = limited.run(async move |limited| {
            let waiters = builder.run(async |group| {
                for _ in 0..WAITERS {
                    let (limited, polls) = (limited.clone(), polls_in.clone());
                    let ran = ran_in.clone();
                    group.spawn(async move {
                        let child = async move {
                            turns(1).await;
                            ran.fetch_add(1, Ordering::Relaxed);
                        };
                        drop(counted(polls, limited.spawn_when_free(child)).await);
                    });
                }
                Ok(())
            });
            Ok(waiters.await?)
        });
        run.await.unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), WAITERS);
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls < 8 * WAITERS, "{polls} polls for {WAITERS} waiters");
    });
}

// S44: failures of what was dropped half-way are told as they come, and not kept at the process
// root.
#[test]
fn fault_d3_failures_at_the_process_root() {
    isolated_everywhere(|builder| async move {
        taskgroup::observe::set_warning_hook(|_| {});
        // On several threads the children of the last rounds may still clean up.
        let settled = async || {
            let runtime = tokio::runtime::Handle::current().metrics();
            // One task watches over the failures, until they are taken (S46).
            while taskgroup::observe::live_tasks() > 0 || runtime.num_alive_tasks() > 1 {
                turns(1).await;
            }
        };
        // Exactly one failure each: a child that is cancelled before its first poll would have
        // none.
        let round = async || {
            let (started, start) = tokio::sync::oneshot::channel();
            let mut half = pin!(builder.clone().run(async move |group| {
                group.spawn(async move {
                    let guard = taskgroup::until_cancelled(async move {
                        let _ = started.send(());
                        forever().await;
                    });
                    drop(guard.await);
                    Err::<(), BoxError>("in cleanup".into())
                });
                forever().await;
                Ok(())
            }));
            tokio::select! { biased; _ = &mut half => {}, begun = start => begun.unwrap() }
        };
        let kept = kept_settled(round, settled).await;
        turns(10).await;
        let _ = taskgroup::drain().await;
        assert!(kept < BREATH, "{ROUNDS} failures keep {kept} bytes");
    });
}

/// A future of about `N` bytes.
async fn large_future<const N: usize>() {
    let buffer = [1_u8; N];
    tokio::task::yield_now().await;
    assert_eq!(std::hint::black_box(&buffer)[N / 2], 1);
}

async fn large_value<const N: usize>() -> Result<[u8; N], BoxError> {
    tokio::task::yield_now().await;
    Ok([1; N])
}

/// Runs on a thread with the stack of a Tokio worker.
fn on_two_mebibytes(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(test).unwrap().join().unwrap();
}

// S3: what `tokio::spawn` takes, `spawn` takes: a future that is large.
#[test]
fn fault_d4_large_future() {
    #[cfg(debug_assertions)]
    const SIZE: usize = 224 * 1024;
    #[cfg(not(debug_assertions))]
    const SIZE: usize = 700 * 1024;
    isolated_with_drivers(|builder| {
        on_two_mebibytes(move || {
            let runtime = on_one_thread();
            runtime.block_on(async {
                // Tokio does.
                tokio::spawn(large_future::<SIZE>()).await.unwrap();
            });
            println!("Tokio has taken it");
            let run = builder.run(async |group| {
                group.spawn(large_future::<SIZE>());
                Ok(())
            });
            runtime.block_on(run).unwrap();
        });
    });
}

// S3: and a value that is large.
#[test]
fn fault_d4_large_value() {
    #[cfg(debug_assertions)]
    const SIZE: usize = 80 * 1024;
    #[cfg(not(debug_assertions))]
    const SIZE: usize = 340 * 1024;
    isolated_with_drivers(|builder| {
        on_two_mebibytes(move || {
            let runtime = on_one_thread();
            runtime.block_on(async {
                let value = tokio::spawn(large_value::<SIZE>()).await.unwrap().unwrap();
                assert_eq!(value[SIZE / 2], 1);
            });
            println!("Tokio has taken it");
            let run = builder.run(async |group| {
                let value = group.spawn(large_value::<SIZE>()).await?;
                Ok(usize::from(value[SIZE / 2]))
            });
            assert_eq!(runtime.block_on(run).unwrap(), 1);
        });
    });
}

/// The least time that the end of a runtime with a few children takes, of several.
fn end_of_a_runtime(builder: &GroupBuilder) -> Duration {
    let one = || {
        let runtime = on_one_thread();
        let builder = builder.clone();
        runtime.block_on(async move {
            // A group before: what drives children is older than the task of the next one, and
            // Tokio drops it first.
            another_group_works(builder.clone()).await;
            tokio::spawn(builder.run_cancellable(async |group| {
                for _ in 0..10 {
                    group.spawn(forever());
                }
                Ok(())
            }));
            turns(5).await;
        });
        let begin = Instant::now();
        drop(runtime);
        begin.elapsed()
    };
    (0..25).map(|_| one()).min().unwrap()
}

// S46: the end of one runtime costs what it has itself, not what others have.
#[test]
fn fault_d5_end_beside_others() {
    isolated(|| {
        for (driver, builder) in drivers() {
            let alone = end_of_a_runtime(&builder);
            let other = on_one_thread();
            let many = builder.clone();
            other.block_on(async move {
                tokio::spawn(many.run_cancellable(async |group| {
                    for _ in 0..300_000 {
                        group.spawn(taskgroup::shield(forever()));
                    }
                    forever().await;
                    Ok(())
                }));
                turns(10).await;
            });
            assert_eq!(taskgroup::observe::live_tasks(), 300_000);
            let beside = end_of_a_runtime(&builder);
            println!("{driver}: {alone:?} alone, {beside:?} beside 300 000 tasks");
            // The least of many is no matter of luck.
            let bound = alone * 4 + Duration::from_micros(300);
            assert!(beside < bound, "{beside:?} instead of {alone:?}");
        }
    });
}

/// Many children at once that hold so many bytes each, and end.
async fn wide<const N: usize>(group: &TaskGroup) {
    let children: Vec<_> = (0..1_000)
        .map(|_| {
            group.spawn(async {
                let held = [1_u8; N];
                tokio::task::yield_now().await;
                assert_eq!(std::hint::black_box(&held)[0], 1);
            })
        })
        .collect();
    for child in children {
        let _ = child.await;
    }
}

// S4: what a thread keeps of nodes that were freed is bounded for all sizes together.
#[test]
fn fault_d6_freed_nodes_of_all_sizes() {
    isolated(|| {
        for (driver, builder) in drivers() {
            let runtime = on_one_thread();
            let run = builder.run(async |group| {
                turns(3).await;
                wide::<16>(&group).await;
                let before = live_bytes();
                wide::<64>(&group).await;
                wide::<128>(&group).await;
                wide::<192>(&group).await;
                wide::<256>(&group).await;
                wide::<320>(&group).await;
                wide::<384>(&group).await;
                wide::<448>(&group).await;
                wide::<512>(&group).await;
                wide::<640>(&group).await;
                wide::<768>(&group).await;
                wide::<896>(&group).await;
                turns(3).await;
                Ok(live_bytes() - before)
            });
            let kept = runtime.block_on(run).unwrap();
            println!("{driver}: {kept} bytes are kept");
            assert!(kept < 192 * 1024, "{kept} bytes are kept");
        }
    });
}

// S23: the text of very many failures has a bound.
#[test]
fn fault_d7_text_of_many_failures() {
    isolated(|| {
        for (driver, builder) in drivers() {
            let runtime = on_one_thread();
            let policy = Policy::collect();
            let run = builder.policy(policy).run(async |group| {
                for number in 0..50_000 {
                    group.spawn(async move { Err::<(), _>(format!("failure {number}")) });
                }
                Ok(())
            });
            let error = runtime.block_on(run).unwrap_err();
            assert_eq!(error.leaf_count(), 50_000);
            for text in [
                format!("{error}"),
                format!("{error:#}"),
                format!("{error:?}"),
            ] {
                println!("{driver}: {} bytes", text.len());
                assert!(text.len() < 1024 * 1024, "{} bytes of text", text.len());
            }
            // The first ones are in it, and how many there are.
            let text = format!("{error:#}");
            assert!(text.contains("failure 0"));
            assert!(text.contains("50000") || text.contains("50 000") || text.contains("50_000"));
        }
    });
}
