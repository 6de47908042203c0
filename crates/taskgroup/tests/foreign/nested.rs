//! What becomes of a runtime that is opened in a poll of a child that is cancelled already: see
//! decision 0017.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;

use taskgroup::{
    BoxError, ErrorGroup, GroupBuilder, JoinError, TaskGroup, bracket, checkpoint, defer, shield,
    timeout, until_cancelled,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::common::{
    drivers, forever, isolated, isolated_with_drivers, ms, on_threads, poll_once, polled, turns,
};

/// With a clock that jumps.
fn second_runtime() -> Arc<Runtime> {
    let mut builder = Builder::new_current_thread();
    Arc::new(builder.enable_all().start_paused(true).build().unwrap())
}

async fn works(builder: GroupBuilder) -> Result<u32, ErrorGroup> {
    let run = builder.run(async |group| {
        let child = group.spawn(async { Ok::<_, BoxError>(7) });
        Ok(child.await?)
    });
    run.await
}

/// Runs `code` in a child, with a group to cancel and a second runtime; the child must come to
/// `code`'s end.
fn in_a_child<F>(code: impl Fn(GroupBuilder, TaskGroup, Arc<Runtime>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for (driver, builder) in drivers() {
        println!("-- {driver}");
        let other = second_runtime();
        let (told, tells) = std::sync::mpsc::channel();
        let run = builder.clone().run_cancellable(async |group| {
            let code = code(builder.clone(), group.clone(), other.clone());
            group.task("child").spawn(async move {
                code.await;
                told.send(()).unwrap();
                forever().await;
            });
            forever().await;
            Ok(())
        });
        let ended = on_threads(2).block_on(run);
        assert!(matches!(ended, Ok(None)), "{ended:?}");
        tells.recv().expect("the code came to its end");
        drop(other);
    }
}

// S45: a task of the second runtime stands outside, so what it awaits comes back.
#[test]
fn a_task_of_a_second_runtime_works() {
    isolated(|| {
        in_a_child(|builder, group, other| async move {
            group.cancel();
            let value = tokio::task::block_in_place(|| {
                let task = other.spawn(async move {
                    assert!(!taskgroup::is_cancelled());
                    assert!(taskgroup::observe::current_task().is_none());
                    works(builder).await
                });
                other.block_on(task)
            });
            assert_eq!(value.unwrap().unwrap(), 7);
        });
    });
}

/// Sets `true` when it is dropped.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Wakes a thread that [`park_on`] has parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor without a runtime.
fn park_on(mut future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    while future.as_mut().poll(&mut cx).is_pending() {
        std::thread::park();
    }
}

/// Blocks a thread on what `future` gives, as code that runs on that thread.
type Block = fn(&Runtime, Pin<Box<dyn Future<Output = ()> + Send>>);

/// The executors that may block in a poll, Tokio's and one that has nothing to do with Tokio, and
/// whether others run on that thread's behalf meanwhile.
const BLOCKS: [(&str, bool, Block); 4] = [
    ("another runtime", true, |other, future| {
        tokio::task::block_in_place(|| other.block_on(future));
    }),
    ("the same runtime", true, |_, future| {
        let handle = Handle::current();
        tokio::task::block_in_place(|| handle.block_on(future));
    }),
    ("another executor", true, |_, future| {
        tokio::task::block_in_place(|| park_on(future));
    }),
    ("another executor in a plain poll", false, |_, future| {
        park_on(future);
    }),
];

/// In a child for each driver, each executor and each number of threads, blocks on what `code`
/// gives, which may need others to run. The child must end there, as one that is cancelled: its
/// locals are dropped and nothing after the block runs. Returns how many children there were.
fn is_cut_off<F>(needs_others: bool, code: impl Fn(GroupBuilder, TaskGroup) -> F) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ran = 0;
    for (driver, builder) in drivers() {
        for (executor, lets_others_run, block) in BLOCKS {
            if needs_others && !lets_others_run {
                continue;
            }
            for threads in [1, 2] {
                println!("-- {driver}, {executor}, {threads} threads");
                let other = second_runtime();
                let gone = Gone(Arc::default());
                let dropped = gone.0.clone();
                let run = builder.clone().run_cancellable(async |group| {
                    let code = code(builder.clone(), group.clone());
                    let other = other.clone();
                    let child = group.task("child").spawn(async move {
                        let _gone = gone;
                        block(&other, Box::pin(code));
                        unreachable!("the await never comes back");
                    });
                    assert!(matches!(shield(child).await, Err(JoinError::Cancelled(_))));
                    forever().await;
                    Ok(())
                });
                let ended = on_threads(threads).block_on(run);
                assert!(matches!(ended, Ok(None)), "{ended:?}");
                assert!(dropped.load(Ordering::SeqCst));
                drop(other);
                ran += 1;
            }
        }
    }
    ran
}

// S45, S37: the body of `block_on` is the child's code. It sees the child's cancellation, and an
// await of this crate suspends in it.
#[test]
fn the_body_of_block_on_is_code_of_the_child() {
    isolated(|| {
        in_a_child(|_, group, other| async move {
            group.cancel();
            tokio::task::block_in_place(|| {
                other.block_on(async {
                    assert!(taskgroup::is_cancelled());
                    let here = taskgroup::observe::current_task().unwrap();
                    assert_eq!(here.name(), "child");
                    assert!(poll_once(std::pin::pin!(checkpoint())).is_pending());
                });
            });
        });
    });
}

// S37, S39: an await that is cut off takes the code that blocks on it along.
#[test]
fn code_that_blocks_on_a_checkpoint_is_cut_off() {
    isolated(|| {
        is_cut_off(false, |_, group| async move {
            group.cancel();
            loop {
                checkpoint().await;
            }
        });
    });
}

// S37, S39
#[test]
fn code_that_blocks_on_a_group_is_cut_off() {
    isolated(|| {
        is_cut_off(false, |builder, group| async move {
            group.cancel();
            let _ = works(builder).await;
            unreachable!("its group never opens");
        });
    });
}

// S37, S39: a deadline that yields to the cancellation around it.
#[test]
fn code_that_blocks_on_a_deadline_is_cut_off() {
    isolated(|| {
        is_cut_off(false, |_, group| async move {
            group.cancel();
            let work = async { until_cancelled(forever()).await.map_err(drop) };
            let _ = timeout(ms(0), work).await;
            let _ = timeout(ms(0), forever()).await;
            checkpoint().await;
        });
    });
}

// S13: what is shielded beside a cut, and polled by the executor that blocks, ends first.
#[test]
fn a_shield_beside_code_that_blocks_is_not_unwound() {
    isolated(|| {
        let cleanups = Arc::new(AtomicUsize::new(0));
        let seen = cleanups.clone();
        let ran = is_cut_off(true, move |_, group| {
            let cleanups = cleanups.clone();
            async move {
                let cleaned = cleanups.clone();
                let shielded = shield(async move {
                    turns(1_000).await;
                    cleaned.fetch_add(1, Ordering::SeqCst);
                });
                let cut = async {
                    group.cancel();
                    checkpoint().await;
                };
                tokio::join!(shielded, cut);
            }
        });
        assert_eq!(seen.load(Ordering::SeqCst), ran);
    });
}

// S13: a shield in another branch of the task holds the code, so nothing is unwound. What blocks
// comes back by a timeout of Tokio's, and then the shield ends.
#[test]
fn a_shield_outlasts_code_that_blocks_for_a_while() {
    isolated_with_drivers(|builder| {
        let other = second_runtime();
        let done = Arc::new(AtomicBool::new(false));
        let run = builder.run_cancellable(async |group| {
            let own = group.clone();
            let other = other.clone();
            let done = done.clone();
            group.spawn(async move {
                let shielded = shield(async move {
                    turns(3).await;
                    done.store(true, Ordering::SeqCst);
                });
                let blocks = async {
                    own.cancel();
                    tokio::task::block_in_place(|| {
                        let limit = async { tokio::time::timeout(ms(60_000), checkpoint()).await };
                        assert!(other.block_on(limit).is_err());
                    });
                };
                tokio::join!(shielded, blocks);
            });
            forever().await;
            Ok(())
        });
        let ended = on_threads(2).block_on(run);
        assert!(matches!(ended, Ok(None)), "{ended:?}");
        assert!(done.load(Ordering::SeqCst));
    });
}

// S37: a section of a cancelled child that another child polls suspends there, as often as it is
// polled. The other child is not unwound.
#[test]
fn a_child_that_polls_a_section_of_a_cancelled_one_goes_on() {
    isolated_with_drivers(|builder| {
        let inner = builder.clone();
        let run = builder.run_cancellable(async |group| {
            let (give, given) = tokio::sync::oneshot::channel();
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            group.spawn(async move {
                let run = inner.run_cancellable(async |group| {
                    let own = group.clone();
                    group.spawn(async move {
                        let mut moved = Box::pin(timeout(ms(60_000), async {
                            defer(async {});
                            turns(1).await;
                            checkpoint().await;
                        }));
                        assert!(!polled(&mut moved.as_mut()).await);
                        own.cancel();
                        let _ = give.send(moved);
                        // The poll goes on until the other child has polled the section.
                        let _ = tokio::task::block_in_place(|| stopped.recv());
                    });
                    forever().await;
                    Ok(())
                });
                run.await.map(drop)
            });
            let child = group.spawn(async move {
                let mut moved = given.await.unwrap();
                for _ in 0..5_000 {
                    assert!(!polled(&mut moved.as_mut()).await);
                }
                drop(stop);
                turns(1).await;
            });
            assert!(child.await.is_ok());
            group.cancel();
            Ok(())
        });
        let ended = on_threads(2).block_on(run);
        assert!(ended.is_ok(), "{ended:?}");
    });
}

// S12, S37: a bracket that was cut off while a guard lived is looked at again when the guard goes.
#[test]
fn code_that_blocks_is_cut_off_when_its_guard_goes() {
    isolated(|| {
        is_cut_off(true, |_, group| async move {
            let cleans_up = async {
                let guard = until_cancelled(forever()).await.unwrap_err();
                turns(100).await;
                drop(guard);
                forever().await;
            };
            let work = async |_: &mut ()| {
                forever().await;
                Ok::<_, BoxError>(())
            };
            let bracket = bracket(async { Ok(()) }, work, |()| async {});
            let cancels = async {
                turns(3).await;
                group.cancel();
            };
            let _ = tokio::join!(cleans_up, bracket, cancels);
        });
    });
}

// S39: a destructor that blocks while its thread unwinds cannot be dropped. Its awaits go on.
#[test]
fn a_destructor_that_blocks_while_its_thread_unwinds_goes_on() {
    struct Blocks(GroupBuilder, Arc<AtomicUsize>);
    impl Drop for Blocks {
        fn drop(&mut self) {
            let Self(builder, ended) = self;
            tokio::task::block_in_place(|| {
                Handle::current().block_on(async {
                    checkpoint().await;
                    // Its scope is cancelled, so it takes no child.
                    assert!(works(builder.clone()).await.is_err());
                });
            });
            ended.fetch_add(1, Ordering::SeqCst);
        }
    }
    isolated_with_drivers(|builder| {
        let ended = Arc::new(AtomicUsize::new(0));
        for panics in [true, false] {
            let run = builder.clone().run_cancellable(async |group| {
                let own = group.clone();
                let blocks = Blocks(builder.clone(), ended.clone());
                group.spawn(async move {
                    let _blocks = blocks;
                    own.cancel();
                    assert!(!panics, "on its way out");
                    tokio::task::block_in_place(|| Handle::current().block_on(checkpoint()));
                });
                forever().await;
                Ok(())
            });
            let run = on_threads(2).block_on(run);
            assert_eq!(run.is_err(), panics, "{run:?}");
        }
        assert_eq!(ended.load(Ordering::SeqCst), 2);
    });
}

// S37: wide code that is cut off more often than the limit in one poll loses nothing by it.
#[test]
fn wide_code_is_dropped_as_ever() {
    isolated_with_drivers(|builder| {
        let dropped = Arc::new(AtomicBool::new(false));
        let gone = Gone(dropped.clone());
        let run = builder.run_cancellable(async |group| {
            group.spawn({
                let group = group.clone();
                async move {
                    let _gone = gone;
                    group.cancel();
                    let cut = (0..5_000).map(|_| Box::pin(checkpoint()));
                    futures_util::future::join_all(cut).await;
                }
            });
            forever().await;
            Ok(())
        });
        let ended = on_threads(1).block_on(run);
        assert!(matches!(ended, Ok(None)), "{ended:?}");
        assert!(dropped.load(Ordering::SeqCst));
    });
}

// S37, S39: the cancellation comes while the code blocks. The group in there winds up, and then the
// code is cut off. The children of that group need a thread of their own.
#[test]
fn a_group_that_is_blocked_on_winds_up_before_the_code_is_cut_off() {
    isolated(|| {
        let cleanups = Arc::new(AtomicUsize::new(0));
        let seen = cleanups.clone();
        let ran = is_cut_off(true, move |builder, outer| {
            let cleanups = cleanups.clone();
            async move {
                let run = builder.run(async |group| {
                    group.spawn(async move {
                        let cancelled = until_cancelled(forever()).await.unwrap_err();
                        tokio::task::yield_now().await;
                        cleanups.fetch_add(1, Ordering::SeqCst);
                        Err::<(), _>(cancelled)
                    });
                    group.spawn(async move { outer.cancel() });
                    forever().await;
                    Ok(())
                });
                let _ = run.await;
                unreachable!("the child is cut off where its group has ended");
            }
        });
        assert_eq!(seen.load(Ordering::SeqCst), ran);
    });
}

// S12: a guard lets the code go on, in a `block_on` as well.
#[test]
fn a_guard_lets_the_body_of_block_on_go_on() {
    isolated(|| {
        in_a_child(|builder, group, other| async move {
            group.cancel();
            let guard = until_cancelled(forever()).await;
            let value = tokio::task::block_in_place(|| other.block_on(works(builder)));
            assert_eq!(value.unwrap(), 7);
            drop(guard);
        });
    });
}

// S13: so does a shield.
#[test]
fn a_shield_lets_the_body_of_block_on_go_on() {
    isolated(|| {
        in_a_child(|builder, group, other| {
            shield(async move {
                group.cancel();
                let value = tokio::task::block_in_place(|| other.block_on(works(builder)));
                assert_eq!(value.unwrap(), 7);
            })
        });
    });
}
