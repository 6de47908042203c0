//! Everything that can run gets its turn, and nothing spins.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use taskgroup::{
    BoxError, GroupBuilder, Local, OpenGroup, Policy, Started, TaskGroup, bracket, checkpoint,
    defer, settle, shield, timeout, until_cancelled,
};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::common::waker::{Op, hooked};
use crate::common::{
    drivers, everywhere, forever, isolated, isolated_everywhere, isolated_paused,
    isolated_with_drivers, ms, on_one_thread, on_threads, poll_once, turns, warnings,
};

type Outcome<T = ()> = Result<T, BoxError>;

/// How a busy child gives way.
#[derive(Clone, Copy, Debug)]
enum Busy {
    Checkpoint,
    Yield,
    Wake,
}

/// Pending once, and woken in the same poll. (Tokio's `yield_now` wakes later.)
async fn again() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Always ready, with slices of work, until it is told to stop.
async fn busy(how: Busy, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match how {
            Busy::Checkpoint => checkpoint().await,
            Busy::Yield => tokio::task::yield_now().await,
            Busy::Wake => again().await,
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
    }
}

/// Runs `body`, on the thread of `block_on`, in a group whose eight children keep two workers busy
/// meanwhile.
fn beside_busy_children(body: impl AsyncFn(&TaskGroup) + Copy) {
    for (driver, builder) in drivers() {
        for how in [Busy::Checkpoint, Busy::Yield, Busy::Wake] {
            println!("-- {driver}, {how:?}");
            let runtime = on_threads(2);
            let stop = Arc::new(AtomicBool::new(false));
            let run = builder.clone().run(async |group| {
                for _ in 0..8 {
                    group.spawn(busy(how, stop.clone()));
                }
                body(&group).await;
                stop.store(true, Ordering::Relaxed);
                Ok(())
            });
            runtime.block_on(run).unwrap();
        }
    }
}

// S38: a child that the body spawns.
#[test]
fn fault_c1_child_spawned_from_block_on() {
    isolated(|| {
        beside_busy_children(async |group| {
            for _ in 0..5 {
                group.spawn(turns(2)).await.unwrap();
            }
        });
    });
}

/// Spawns a child that parks, and says by which sender it is woken.
async fn parked(group: &TaskGroup) -> (oneshot::Sender<()>, taskgroup::TaskHandle<()>) {
    let (started, start) = oneshot::channel();
    let (wake, woken) = oneshot::channel::<()>();
    let child = group.spawn(async move {
        let _ = started.send(());
        woken.await
    });
    start.await.unwrap();
    (wake, child)
}

// S38: a child that is woken from `block_on`.
#[test]
fn fault_c1_child_woken_from_block_on() {
    isolated(|| {
        beside_busy_children(async |group| {
            for _ in 0..5 {
                let (wake, child) = parked(group).await;
                wake.send(()).unwrap();
                child.await.unwrap();
            }
        });
    });
}

// S38: from a blocking thread.
#[test]
fn fault_c1_child_woken_from_a_blocking_thread() {
    isolated(|| {
        beside_busy_children(async |group| {
            for _ in 0..5 {
                let (wake, child) = parked(group).await;
                tokio::task::spawn_blocking(move || wake.send(()).unwrap());
                child.await.unwrap();
            }
        });
    });
}

// S38: from a plain thread.
#[test]
fn fault_c1_child_woken_from_a_plain_thread() {
    isolated(|| {
        beside_busy_children(async |group| {
            for _ in 0..5 {
                let (wake, child) = parked(group).await;
                std::thread::spawn(move || wake.send(()).unwrap());
                child.await.unwrap();
            }
        });
    });
}

// S38: a child that is spawned from a plain thread, and from another runtime.
#[test]
fn fault_c1_child_spawned_from_elsewhere() {
    isolated(|| {
        beside_busy_children(async |group| {
            let (send, receive) = oneshot::channel();
            let from_there = group.clone();
            std::thread::spawn(move || {
                let plain = from_there.spawn(turns(2));
                let runtime = on_one_thread();
                let entered = runtime.enter();
                let other = from_there.spawn(turns(2));
                drop(entered);
                drop(send.send((plain, other)));
            });
            let (plain, other) = receive.await.unwrap();
            plain.await.unwrap();
            other.await.unwrap();
        });
    });
}

// S16, S38: a parked one that is cancelled ends, whatever cancels it.
#[test]
fn fault_c1_parked_child_cancelled() {
    isolated(|| {
        beside_busy_children(async |group| {
            for _ in 0..3 {
                let (_wake, child) = parked(group).await;
                child.cancel();
                assert!(child.await.unwrap_err().is_cancelled());
                let (_wake, child) = parked(group).await;
                let child = Arc::new(child);
                let there = child.clone();
                std::thread::spawn(move || there.cancel());
                child.ended().await;
            }
        });
    });
}

// S38: a child that waits in `block_in_place` for a sibling: on one worker with one, on two with
// two.
#[test]
fn fault_c2_block_in_place() {
    isolated(|| {
        for workers in [1, 2] {
            for (driver, builder) in drivers() {
                println!("-- {driver}, {workers} workers");
                let run = builder.run(async move |group| {
                    let mut sends = Vec::new();
                    for _ in 0..workers {
                        let (send, receive) = mpsc::channel();
                        sends.push(send);
                        group.spawn(async move { tokio::task::block_in_place(|| receive.recv()) });
                    }
                    group.spawn(async move {
                        turns(20).await;
                        sends.iter().try_for_each(|send| send.send(()))
                    });
                    Ok(())
                });
                let runtime = on_threads(workers);
                runtime.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
            }
        }
    });
}

// S38: siblings that were there before, parked or queued, go on while a child blocks in place.
#[test]
fn fault_c2_siblings_of_one_in_place() {
    isolated_with_drivers(|builder| {
        let run = builder.run(async move |group| {
            let (go, gone) = tokio::sync::watch::channel(false);
            let (done, all) = mpsc::channel();
            for _ in 0..10 {
                let (mut gone, done) = (gone.clone(), done.clone());
                group.spawn(async move {
                    gone.wait_for(|go| *go).await?;
                    turns(3).await;
                    done.send(())?;
                    Outcome::Ok(())
                });
            }
            turns(5).await;
            group.spawn(async move {
                go.send_replace(true);
                tokio::task::block_in_place(|| {
                    for _ in 0..10 {
                        all.recv()?;
                    }
                    Outcome::Ok(())
                })
            });
            Ok(())
        });
        let runtime = on_threads(1);
        runtime.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
    });
}

/// Runs a loop over an await of this crate in a group that is cancelled or under a deadline, on
/// both flavours.
fn is_over<F: Future<Output = ()>>(case: impl Fn(GroupBuilder) -> F) {
    everywhere(case);
}

// S37
#[test]
fn fault_c3_spawn_when_free() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.limit(2).run(async |group| {
                for page in 0_u64.. {
                    let child = async move {
                        turns(1).await;
                        if page == 3 { Err("bad page") } else { Ok(()) }
                    };
                    drop(group.spawn_when_free(child).await);
                }
                Ok(())
            });
            assert_eq!(run.await.unwrap_err().leaf_count(), 1);
        });
    });
}

// S37
#[test]
fn fault_c3_spawn() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.run(async |group| -> Outcome {
                group.spawn(async { Outcome::<()>::Err("x".into()) });
                loop {
                    let _ = group.spawn(async {}).await;
                }
            });
            assert_eq!(run.await.unwrap_err().leaf_count(), 1);
        });
    });
}

// S37
#[test]
fn fault_c3_spawn_in_a_child() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.run(async |group| {
                let inside = group.clone();
                group.spawn(async move {
                    loop {
                        let _ = inside.spawn(async {}).await;
                    }
                });
                turns(2).await;
                group.spawn(async { Outcome::<()>::Err("x".into()) });
                Ok(())
            });
            assert_eq!(run.await.unwrap_err().leaf_count(), 1);
        });
    });
}

// S37
#[test]
fn fault_c3_ended_and_by_reference() {
    isolated(|| {
        is_over(|builder| async move {
            for by_reference in [false, true] {
                let run = builder.clone().run_cancellable(async |group| -> Outcome {
                    let child = group.spawn(async {});
                    child.ended().await;
                    group.cancel();
                    loop {
                        if by_reference {
                            let _ = (&child).await;
                        } else {
                            child.ended().await;
                        }
                    }
                });
                assert_eq!(run.await.unwrap(), None);
            }
        });
    });
}

// S37
#[test]
fn fault_c3_spawn_blocking() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.run(async |group| -> Outcome {
                group.spawn(async { Outcome::<()>::Err("x".into()) });
                loop {
                    let _ = group.spawn_blocking(|_| ()).await;
                }
            });
            assert_eq!(run.await.unwrap_err().leaf_count(), 1);
        });
    });
}

// S37
#[test]
fn fault_c3_settle() {
    isolated(|| {
        is_over(|_| async {
            let endless = async {
                loop {
                    let _ = settle([sleep(ms(2))]).await;
                }
            };
            assert!(timeout(ms(10), endless).await.is_err());
        });
    });
}

// S37
#[test]
fn fault_c3_gather_and_race() {
    isolated(|| {
        is_over(|_| async {
            let endless = async {
                loop {
                    let _ = taskgroup::gather([async {
                        sleep(ms(2)).await;
                        Outcome::Ok(())
                    }])
                    .await;
                }
            };
            assert!(timeout(ms(10), endless).await.is_err());
            let endless = async {
                loop {
                    let _ = taskgroup::race([async {
                        sleep(ms(2)).await;
                        Outcome::<()>::Err("lost".into())
                    }])
                    .await;
                }
            };
            assert!(timeout(ms(10), endless).await.is_err());
        });
    });
}

// S37
#[test]
fn fault_c3_run_to_end() {
    isolated(|| {
        is_over(|builder| async move {
            let endless = async {
                loop {
                    let run = builder.clone().run_to_end(async |group| {
                        group.spawn(sleep(ms(2)));
                        Ok(())
                    });
                    let _ = run.await;
                }
            };
            assert!(timeout(ms(10), endless).await.is_err());
        });
    });
}

// S37
#[test]
fn fault_c3_until_cancelled() {
    isolated(|| {
        is_over(|_| async {
            let endless = async {
                loop {
                    let _ = until_cancelled(sleep(ms(2))).await;
                }
            };
            assert!(timeout(ms(10), endless).await.is_err());
        });
    });
}

// S37: also where the first one is told, in the body and in a child.
#[test]
#[ignore = "a wrapper is as ready as what it wraps, as in Trio: a loop over ready work has no await"]
fn fault_c3_until_cancelled_of_what_is_ready() {
    isolated(|| {
        is_over(|builder| async move {
            let told = Arc::new(AtomicUsize::new(0));
            let count = told.clone();
            let run = builder.clone().run_cancellable(async |group| -> Outcome {
                let inside = group.clone();
                group.spawn(async move {
                    inside.cancel();
                    loop {
                        if until_cancelled(async {}).await.is_err() {
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
                forever().await;
                Ok(())
            });
            assert_eq!(run.await.unwrap(), None);
            assert_eq!(told.load(Ordering::SeqCst), 1, "told once");
            let run = builder.run_cancellable(async |group| -> Outcome {
                group.cancel();
                loop {
                    let _ = until_cancelled(async {}).await;
                }
            });
            assert_eq!(run.await.unwrap(), None);
        });
    });
}

// S37
#[test]
fn fault_c3_wait() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.run_cancellable(async |group| -> Outcome {
                let child = group.spawn(async {});
                child.ended().await;
                group.cancel();
                loop {
                    let _ = taskgroup::wait([&child], taskgroup::combine::Until::All).await;
                }
            });
            assert_eq!(run.await.unwrap(), None);
        });
    });
}

// S37
#[test]
fn fault_c3_next() {
    isolated(|| {
        is_over(|builder| async move {
            let run = builder.run_cancellable(async |group| -> Outcome {
                let child = group.spawn(async {});
                child.ended().await;
                group.cancel();
                loop {
                    let mut next = taskgroup::as_completed([&child]);
                    let _ = next.next().await;
                }
            });
            assert_eq!(run.await.unwrap(), None);
        });
    });
}

// S11, S37: a nested group that is refused everything, and a deadline with something to await. A
// transparent wrapper (a deadline, a shield, a `Local`) is as ready as what it wraps, so a loop
// over one around what is ready is a loop without an await.
#[test]
fn fault_c3_scopes_in_a_cancelled_scope() {
    isolated(|| {
        is_over(|builder| async move {
            let inner = builder.clone();
            let run = builder.clone().run_cancellable(async |group| -> Outcome {
                group.cancel();
                loop {
                    let _ = inner.clone().run(async |_| Ok(())).await;
                }
            });
            assert_eq!(run.await.unwrap(), None);
            let run = builder.run_cancellable(async |group| -> Outcome {
                group.cancel();
                loop {
                    let _ = timeout(ms(60_000), checkpoint()).await;
                }
            });
            assert_eq!(run.await.unwrap(), None);
        });
    });
}

// S20, S37: computing with checkpoints is cut off by its deadline.
#[test]
fn fault_c4_checkpoint_and_deadline() {
    isolated_everywhere(|_| async {
        let work = async {
            for _ in 0..60 {
                let begin = Instant::now();
                while begin.elapsed() < ms(10) {
                    std::hint::spin_loop();
                }
                checkpoint().await;
            }
        };
        assert!(timeout(ms(50), work).await.is_err());
    });
}

// S37: what is ready has its turn at a checkpoint.
#[test]
fn fault_c4_checkpoint_gives_way() {
    isolated_with_drivers(|builder| {
        let runtime = on_one_thread();
        let run = builder.run(async |group| {
            let turns = Arc::new(AtomicUsize::new(0));
            let seen = turns.clone();
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            group.spawn(async move {
                while !stopped.load(Ordering::SeqCst) {
                    seen.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            });
            group.spawn(async move {
                for _ in 0..40 {
                    checkpoint().await;
                }
                stop.store(true, Ordering::SeqCst);
                turns
                    .load(Ordering::SeqCst)
                    .checked_sub(10)
                    .map(drop)
                    .ok_or("a sibling had fewer than ten turns at forty checkpoints")
            });
            Ok(())
        });
        runtime.block_on(run).unwrap();
    });
}

// S38: children that a child wakes before it blocks run on the other worker.
#[test]
fn fault_c5_woken_by_one_that_blocks() {
    // All but one: Tokio keeps the one woken last for the worker that woke it.
    const WOKEN: usize = 4;
    isolated(|| {
        on_threads(2).block_on(async {
            // Tokio does.
            let (go, gone) = tokio::sync::watch::channel(false);
            let (done, all_done) = mpsc::channel();
            let mut set = tokio::task::JoinSet::new();
            for _ in 0..WOKEN {
                let (mut gone, done) = (gone.clone(), done.clone());
                set.spawn(async move {
                    gone.wait_for(|go| *go).await.unwrap();
                    let _ = done.send(());
                });
            }
            turns(20).await;
            set.spawn(async move {
                go.send_replace(true);
                (1..WOKEN).for_each(|_| all_done.recv().unwrap());
            });
            set.join_all().await;
        });
        println!("-- a `JoinSet` has done it");
        for (driver, builder) in drivers() {
            for round in 0..10 {
                println!("-- {driver}, {round}");
                let run = builder.clone().run(async move |group| {
                    let (go, gone) = tokio::sync::watch::channel(false);
                    let (ready, mut all_ready) = tokio::sync::mpsc::channel(WOKEN);
                    let (done, all_done) = mpsc::channel();
                    for _ in 0..WOKEN {
                        let (mut gone, done, ready) = (gone.clone(), done.clone(), ready.clone());
                        group.spawn(async move {
                            ready.send(()).await?;
                            gone.wait_for(|go| *go).await?;
                            let _ = done.send(());
                            Outcome::Ok(())
                        });
                    }
                    for _ in 0..WOKEN {
                        all_ready.recv().await;
                    }
                    turns(5).await;
                    group.spawn(async move {
                        go.send_replace(true);
                        // It keeps its worker until they have run.
                        for _ in 1..WOKEN {
                            all_done.recv()?;
                        }
                        Outcome::Ok(())
                    });
                    Ok(())
                });
                on_threads(2).block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
            }
        }
    });
}

// S16, S46: at the shutdown of a runtime a destructor wakes a sibling with a lock held that the
// sibling's destructor wants, too.
#[test]
fn fault_c6_wake_with_lock_at_shutdown() {
    struct Stream(Arc<Mutex<Vec<oneshot::Sender<()>>>>);
    impl Drop for Stream {
        fn drop(&mut self) {
            let mut connection = self.0.lock().unwrap();
            for sender in connection.drain(..) {
                let _ = sender.send(());
            }
        }
    }
    isolated(|| {
        for place in crate::common::Surroundings::all() {
            println!("-- {place}");
            let runtime = place.flavour.runtime();
            let shared: Arc<Mutex<Vec<oneshot::Sender<()>>>> = Arc::default();
            let builder = place.builder();
            runtime.block_on(async {
                // A group before, so that what drives children is older than the task of this one.
                another(&builder).await;
                let children: Vec<_> = (0..3)
                    .map(|_| {
                        let (send, receive) = oneshot::channel();
                        shared.lock().unwrap().push(send);
                        let stream = Stream(shared.clone());
                        async move {
                            let _stream = stream;
                            let _ = receive.await;
                        }
                    })
                    .collect();
                tokio::spawn(builder.run(async move |group| {
                    for child in children {
                        group.spawn(child);
                    }
                    Ok(())
                }));
                turns(5).await;
            });
            drop(runtime);
            assert_eq!(taskgroup::observe::live_tasks(), 0);
        }
    });
}

async fn another(builder: &GroupBuilder) {
    crate::common::another_group_works(builder.clone()).await;
}

// S53: a child that waits for a place in its own group, which it holds all of: a warning says so
// and names it.
#[test]
fn fault_c7_waits_for_a_place_of_its_own() {
    isolated_everywhere(|builder| async move {
        let told = warnings();
        let run = builder.limit(1).run_cancellable(async |group| {
            let own = group.clone();
            group.task("greedy").spawn(async move {
                drop(own.spawn_when_free(async {}).await);
            });
            let message = tokio::task::spawn_blocking(move || told.recv()).await??;
            assert!(message.contains("greedy"), "{message}");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

// S53: the same with one that awaits a sibling in the queue.
#[test]
fn fault_c7_waits_for_a_queued_sibling() {
    isolated_everywhere(|builder| async move {
        let told = warnings();
        let run = builder.limit(1).run_cancellable(async |group| {
            let own = group.clone();
            group.task("greedy").spawn(async move {
                let queued = own.task("queued").spawn(async {});
                let _ = queued.await;
            });
            let message = tokio::task::spawn_blocking(move || told.recv()).await??;
            assert!(message.contains("greedy"), "{message}");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

// S53: all places are held by such children, some that wait for a place and some for a sibling. The
// warning names each, once, and what it waits for.
#[test]
fn fault_c7_names_each_child_that_waits() {
    isolated_paused(|builder| async move {
        let told = warnings();
        let run = builder
            .name("pool")
            .limit(3)
            .run_cancellable(async |group: TaskGroup| {
                for name in ["a", "b"] {
                    let own = group.clone();
                    group.task(name).spawn(async move {
                        drop(own.spawn_when_free(async {}).await);
                    });
                }
                let own = group.clone();
                group.task("c").spawn(async move {
                    let queued = own.task("d").spawn(async {});
                    queued.ended().await;
                });
                sleep(ms(60_000)).await;
                group.set_limit(4);
                Ok(())
            });
        run.await.unwrap();
        let message = told.try_recv().unwrap();
        for part in [
            "`pool`",
            "3 places",
            "a` (",
            "b` (",
            "c` (",
            ") waits for a place",
            "pool/d` (",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(told.try_recv().is_err(), "it is named once");
    });
}

// S53: children that failed or panicked before give their places back, so the two that then hold
// them are named. An empty group, and one that is dropped half-way in time, are not.
#[test]
fn fault_c7_after_failures_and_a_drop() {
    isolated_paused(|builder| async move {
        let told = warnings();
        let settings = builder.limit(2).policy(Policy::collect());
        let empty = settings.clone().run(async |_: TaskGroup| {
            sleep(ms(60_000)).await;
            Ok(())
        });
        empty.await.unwrap();
        let greedy = |group: &TaskGroup, name: &'static str| {
            let own = group.clone();
            group.task(name).spawn(async move {
                drop(own.spawn_when_free(async {}).await);
            });
        };
        let dropped = settings.clone().run(async |group: TaskGroup| {
            greedy(&group, "early");
            greedy(&group, "early");
            forever().await;
            Ok(())
        });
        assert!(tokio::time::timeout(ms(900), dropped).await.is_err());
        sleep(ms(60_000)).await;
        assert!(told.try_recv().is_err(), "no group waits for itself");

        let run = settings.run(async |group: TaskGroup| {
            for number in 0..10 {
                group.spawn(async move {
                    assert!(number % 2 == 0, "odd");
                    Err::<(), _>("even")
                });
            }
            greedy(&group, "first");
            greedy(&group, "second");
            sleep(ms(60_000)).await;
            group.set_limit(3);
            Ok(())
        });
        assert_eq!(run.await.unwrap_err().len(), 10);
        let message = told.try_recv().unwrap();
        assert!(
            message.contains("first") && message.contains("second"),
            "{message}"
        );
        assert!(told.try_recv().is_err(), "it is named once");
    });
}

// S53: no warning where one of the places may come back: another child works, the wait is given up
// in time, the limit is raised in time, the code that waits holds no place, or it has one of
// another group.
#[test]
fn fault_c7_no_false_warning() {
    isolated_paused(|builder| async move {
        let told = warnings();
        let limited = |limit| builder.clone().limit(limit);
        // Another child works.
        let run = limited(2).run(async |group: TaskGroup| {
            let own = group.clone();
            group.spawn(sleep(ms(60_000)));
            group.spawn(async move { drop(own.spawn_when_free(async {}).await) });
            Ok(())
        });
        run.await.unwrap();
        // The wait is given up, by a deadline and by a `select!`, also just when the group is
        // looked at; and then the child goes on elsewhere.
        for patience in [500, 999, 1_000, 1_001, 1_100, 1_200] {
            let run = limited(1).run(async |group: TaskGroup| {
                let own = group.clone();
                group.spawn(async move {
                    let wait = own.spawn_when_free(async {});
                    assert!(timeout(ms(patience), wait).await.is_err());
                    sleep(ms(60_000)).await;
                    let mut queued = own.spawn(async {});
                    tokio::select! {
                        biased;
                        _ = &mut queued => panic!("there is no place for it"),
                        () = sleep(ms(patience)) => {}
                    }
                    sleep(ms(60_000)).await;
                });
                Ok(())
            });
            run.await.unwrap();
        }
        // The limit is raised, or the group is cancelled.
        for cancels in [false, true] {
            let run = limited(1).run_cancellable(async |group: TaskGroup| {
                let own = group.clone();
                group.spawn(async move {
                    drop(own.spawn_when_free(async {}).await);
                    sleep(ms(60_000)).await;
                });
                sleep(ms(900)).await;
                if cancels {
                    group.cancel();
                } else {
                    group.set_limit(2);
                }
                Ok(())
            });
            run.await.unwrap();
        }
        // The body waits, a background child does, and a child of another group.
        let run = limited(1).run(async |group: TaskGroup| {
            group.spawn(sleep(ms(60_000)));
            let (own, other) = (group.clone(), group.clone());
            group.task("background").background().spawn(async move {
                drop(own.spawn_when_free(async {}).await);
            });
            let inner = limited(1).run(async |inner: TaskGroup| {
                inner.spawn(async move { drop(other.spawn_when_free(async {}).await) });
                Ok(())
            });
            inner.await?;
            group.spawn_when_free(async {}).await.await?;
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(told.try_recv().ok(), None);
    });
}

/// Runs `future` on a runtime without a clock: its output, or the message of its panic.
fn without_a_clock<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(future)));
    ran.map_err(|payload| {
        let message = payload.downcast_ref::<&str>().map(ToString::to_string);
        message
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default()
    })
}

// S3: what needs no time works without a clock.
#[test]
fn fault_c8_no_clock_and_none_needed() {
    isolated_with_drivers(|builder| {
        let run = |builder: GroupBuilder| {
            builder.run(async |group| {
                group.spawn(async {});
                Ok(1)
            })
        };
        assert_eq!(without_a_clock(run(builder.clone())).unwrap().unwrap(), 1);
        let graceful = builder.clone().grace(ms(5));
        assert_eq!(without_a_clock(run(graceful)).unwrap().unwrap(), 1);
        let cancelled = builder.clone().run_cancellable(async |group| {
            group.spawn(forever());
            group.cancel();
            Ok(1)
        });
        assert_eq!(without_a_clock(cancelled).unwrap().unwrap(), Some(1));
        let blocking =
            builder.run(async |group| Ok(group.spawn_blocking(|_| Outcome::Ok(1)).await?));
        assert_eq!(without_a_clock(blocking).unwrap().unwrap(), 1);
    });
}

// S3, S20: what needs time says so, or panics in the caller, and does not wait for ever.
#[test]
fn fault_c8_no_clock_for_a_timeout() {
    isolated(|| {
        let message = without_a_clock(timeout(ms(5), forever())).unwrap_err();
        assert!(message.contains("time"), "{message}");
        // What is ready at once may be had.
        if let Ok(outcome) = without_a_clock(timeout(ms(5), async { 1 })) {
            assert_eq!(outcome.unwrap(), 1);
        }
        if let Ok(outcome) = without_a_clock(timeout(ms(5), tokio::task::yield_now())) {
            outcome.unwrap();
        }
    });
}

// S3, S20
#[test]
fn fault_c8_no_clock_for_a_timeout_in_a_child() {
    isolated_with_drivers(|builder| {
        let run = builder.clone().run(async |group| {
            group.spawn(async { timeout(ms(5), forever()).await });
            Ok(())
        });
        let error = without_a_clock(run).unwrap().unwrap_err();
        assert!(error.cause().is_panic(), "{error:#}");
        let around = timeout(
            ms(5),
            builder.run(async |group| {
                group.spawn(forever());
                Ok(())
            }),
        );
        let message = without_a_clock(around).map(drop).unwrap_err();
        assert!(message.contains("time"), "{message}");
    });
}

// S3, S18: a grace that has to be armed has no clock to go by. A warning says so once, and the
// cleanup goes on without a bound.
#[test]
fn fault_c8_no_clock_for_a_grace() {
    isolated_with_drivers(|builder| {
        let told = warnings();
        let cleaned = Arc::new(AtomicBool::new(false));
        let flag = cleaned.clone();
        let (open, gate) = oneshot::channel::<()>();
        let run = builder
            .name("shop")
            .grace(ms(0))
            .run_cancellable(async |group| {
                let (started, start) = oneshot::channel();
                group.spawn(shield(async move {
                    let _ = started.send(());
                    let _ = gate.await;
                    flag.store(true, Ordering::SeqCst);
                }));
                start.await?;
                group.cancel();
                group.cancel();
                let message = told.try_recv()?;
                assert!(message.contains("its runtime has no clock"), "{message}");
                assert!(message.contains("or was shut down"), "{message}");
                assert!(message.contains("shop"), "{message}");
                let _ = open.send(());
                Ok(())
            });
        without_a_clock(run).unwrap().unwrap();
        assert!(cleaned.load(Ordering::SeqCst), "the shield did not hold");
        assert!(told.try_recv().is_err(), "told twice");
    });
}

/// Opens groups one in the other, `depth` deep, and in the last one runs children until `stop`,
/// counting them.
fn deep(
    builder: GroupBuilder,
    depth: usize,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> {
    Box::pin(async move {
        let inner = builder.clone();
        let run = builder.run(async move |group| {
            if depth > 0 {
                group.spawn(deep(inner, depth - 1, count, stop)).await?;
                return Ok(());
            }
            while !stop.load(Ordering::Relaxed) {
                let count = count.clone();
                let child = group.spawn(async move {
                    count.fetch_add(1, Ordering::Relaxed);
                });
                child.await?;
            }
            Ok(())
        });
        Ok(run.await?)
    })
}

// S38: on one thread a deep group has no claim over a shallow one.
#[test]
fn fault_c9_deep_and_shallow() {
    isolated(|| {
        for (driver, builder) in drivers() {
            let counts: [Arc<AtomicUsize>; 2] = Default::default();
            let stop = Arc::new(AtomicBool::new(false));
            let run = builder.clone().run(async |group| {
                for (depth, count) in [0, 30].into_iter().zip(&counts) {
                    group.spawn(deep(builder.clone(), depth, count.clone(), stop.clone()));
                }
                // A flood of children that spawn children, at the bottom of one more.
                let (counts, stop) = (counts.clone(), stop.clone());
                group.spawn(async move {
                    while counts
                        .iter()
                        .map(|count| count.load(Ordering::Relaxed))
                        .max()
                        < Some(20_000)
                    {
                        tokio::task::yield_now().await;
                    }
                    stop.store(true, Ordering::Relaxed);
                });
                Ok(())
            });
            on_one_thread().block_on(run).unwrap();
            let [shallow, deep] = counts.map(|count| count.load(Ordering::Relaxed));
            println!("{driver}: {shallow} shallow, {deep} deep");
            let (least, most) = (shallow.min(deep), shallow.max(deep));
            assert!(most <= least.max(1) * 10, "{shallow} shallow, {deep} deep");
        }
    });
}

/// What a spawner of lots of children counts.
#[derive(Default)]
struct Lots {
    ran: AtomicUsize,
    /// How many have waited for their turn when the spawner had its own.
    most_waiting: AtomicUsize,
}

/// Opens groups one in the other, `depth` deep, and in the last one spawns lots of short children,
/// counting them, until `stop`.
fn lots(
    builder: GroupBuilder,
    depth: usize,
    count: Arc<Lots>,
    stop: Arc<AtomicBool>,
) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    Box::pin(async move {
        let inner = builder.clone();
        let run = builder.run(async move |group| {
            if depth > 0 {
                group.spawn(lots(inner, depth - 1, count, stop)).await?;
                return Ok(());
            }
            let mut spawned = 0;
            while !stop.load(Ordering::Relaxed) {
                let waiting = spawned - count.ran.load(Ordering::Relaxed);
                count.most_waiting.fetch_max(waiting, Ordering::Relaxed);
                for _ in 0..10 {
                    let count = count.clone();
                    group.spawn(async move {
                        count.ran.fetch_add(1, Ordering::Relaxed);
                    });
                }
                spawned += 10;
                again().await;
            }
            Ok(())
        });
        Ok(run.await?)
    })
}

// S38: the same with groups that spawn lots of children, one shallow and some deep. The children
// wait for a bounded number of turns of their spawners: there are never more than a few hundred of
// them.
#[test]
fn fault_c9_lots_of_children() {
    isolated(|| {
        for (driver, builder) in drivers() {
            let counts: [Arc<Lots>; 4] = Default::default();
            let ran = |counts: &[Arc<Lots>; 4]| {
                counts
                    .each_ref()
                    .map(|count| count.ran.load(Ordering::Relaxed))
            };
            let stop = Arc::new(AtomicBool::new(false));
            let run = builder.clone().run(async |group| {
                for (depth, count) in [0, 1, 5, 30].into_iter().zip(&counts) {
                    group.spawn(lots(builder.clone(), depth, count.clone(), stop.clone()));
                }
                let (counts, stop) = (counts.clone(), stop.clone());
                group.spawn(async move {
                    while ran(&counts).into_iter().max() < Some(100_000) {
                        again().await;
                    }
                    stop.store(true, Ordering::Relaxed);
                });
                Ok(())
            });
            on_one_thread().block_on(run).unwrap();
            let most_waiting = counts
                .each_ref()
                .map(|count| count.most_waiting.load(Ordering::Relaxed));
            let counts = ran(&counts);
            println!("{driver}: {counts:?} children, the deeper the later");
            println!("at most {most_waiting:?} of them waited at a time");
            let (least, most) = (counts.iter().min(), counts.iter().max());
            let (least, most) = (*least.unwrap(), *most.unwrap());
            assert!(most <= least.max(1) * 10, "{counts:?}");
            assert!(most_waiting.iter().all(|waiting| *waiting < 1_000));
        }
    });
}

/// Opens a group in a child of a group in a child, each time one deeper, until `stop`.
fn deeper(
    builder: GroupBuilder,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    Box::pin(async move {
        count.fetch_add(1, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let inner = builder.clone();
        let run = builder.run(async move |group| {
            group.spawn(deeper(inner, count, stop));
            Ok(())
        });
        Ok(run.await?)
    })
}

// S38: a chain that grows deeper and deeper leaves the others their turns.
#[test]
fn fault_c9_deeper_and_deeper() {
    const LEVELS: usize = 10_000;
    isolated(|| {
        for (driver, builder) in drivers() {
            let stop = Arc::new(AtomicBool::new(false));
            let (levels, shallow) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let run = builder.clone().run(async |group| {
                let (count, stopped, reached) = (shallow.clone(), stop.clone(), levels.clone());
                group.spawn(async move {
                    while reached.load(Ordering::Relaxed) < LEVELS {
                        count.fetch_add(1, Ordering::Relaxed);
                        again().await;
                    }
                    stopped.store(true, Ordering::Relaxed);
                });
                group.spawn(deeper(builder.clone(), levels.clone(), stop));
                Ok(())
            });
            on_one_thread().block_on(run).unwrap();
            let (levels, shallow) = (
                levels.load(Ordering::Relaxed),
                shallow.load(Ordering::Relaxed),
            );
            println!("{driver}: {shallow} turns beside {levels} levels");
            assert!(levels < LEVELS * 2, "the others waited for {levels} levels");
            assert!(
                shallow * 10 > LEVELS,
                "{shallow} turns beside {levels} levels"
            );
        }
    });
}

/// What comes back into us when a waker is cloned, woken or dropped.
fn comes_back(
    group: &TaskGroup,
    handle: &Arc<taskgroup::TaskHandle<()>>,
) -> impl Fn(Op) + Send + Sync + 'static {
    let (group, handle) = (group.clone(), handle.clone());
    let inside = AtomicBool::new(false);
    move |_| {
        // One level is enough.
        if inside.swap(true, Ordering::SeqCst) {
            return;
        }
        let _ = poll_once(pin!(handle.ended()));
        let _ = poll_once(pin!(std::future::IntoFuture::into_future(&*handle)));
        let _ = poll_once(pin!(group.spawn_when_free(async {})));
        let _ = poll_once(pin!(taskgroup::drain()));
        let _ = taskgroup::observe::tree();
        let _ = taskgroup::observe::live_tasks();
        let _ = group.live();
        drop(group.spawn(async {}));
        inside.store(false, Ordering::SeqCst);
    }
}

/// Polls the waits that `make` makes with wakers that come back into us; `end` makes what they wait
/// for happen.
fn with_reentrant_wakers<F: Future>(make: impl Fn(TaskGroup, Arc<taskgroup::TaskHandle<()>>) -> F) {
    everywhere(|builder| {
        let make = &make;
        async move {
            let run = builder.limit(1).run_cancellable(async |group| {
                let (open, gate) = oneshot::channel::<()>();
                let handle = Arc::new(group.spawn(async move {
                    let _ = gate.await;
                }));
                turns(3).await;
                let mut waits: VecDeque<_> = (0..4)
                    .map(|_| Box::pin(make(group.clone(), handle.clone())))
                    .collect();
                let poll_all = |waits: &mut VecDeque<Pin<Box<F>>>| {
                    waits.retain_mut(|wait| {
                        let waker = hooked(comes_back(&group, &handle));
                        let polled = wait.as_mut().poll(&mut Context::from_waker(&waker));
                        polled.is_pending()
                    });
                };
                // The second waker of each takes the place of the first.
                poll_all(&mut waits);
                poll_all(&mut waits);
                drop(waits.pop_front());
                drop(open);
                handle.ended().await;
                turns(3).await;
                poll_all(&mut waits);
                drop(waits);
                group.cancel();
                Ok(())
            });
            run.await.unwrap();
        }
    });
}

// S39
#[test]
fn fault_c10_waker_in_ended() {
    isolated(|| with_reentrant_wakers(async |_, handle| handle.ended().await));
}

// S39
#[test]
fn fault_c10_waker_in_a_wait_by_reference() {
    isolated(|| {
        with_reentrant_wakers(async |_, handle| {
            let _ = (&*handle).await;
        });
    });
}

// S39
#[test]
fn fault_c10_waker_in_spawn_when_free() {
    isolated(|| {
        with_reentrant_wakers(async |group, _| drop(group.spawn_when_free(async {}).await));
    });
}

// S39
#[test]
fn fault_c10_waker_in_wait() {
    isolated(|| {
        with_reentrant_wakers(async |_, handle| {
            drop(taskgroup::wait([&*handle], taskgroup::combine::Until::All).await);
        });
    });
}

// S39
#[test]
fn fault_c10_waker_in_drain() {
    isolated(|| {
        with_reentrant_wakers(async |_, _| {
            taskgroup::defer(turns(1));
            let _ = taskgroup::drain().await;
        });
    });
}

// S39
#[test]
fn fault_c10_waker_in_a_group() {
    isolated(|| {
        with_reentrant_wakers(async |_, handle| {
            let run = TaskGroup::builder()
                .policy(Policy::collect())
                .run(async |group| {
                    group.spawn(turns(2));
                    handle.ended().await;
                    Ok(())
                });
            run.await
        });
    });
}

// S39
#[test]
fn fault_c10_waker_in_sections() {
    isolated(|| {
        with_reentrant_wakers(async |_, handle| {
            let cut = timeout(ms(60_000), shield(handle.ended())).await;
            let until = until_cancelled(handle.ended()).await;
            drop((cut, until));
        });
    });
}

/// A runtime whose clock jumps to the next of its own alarms once it has nothing else to do.
fn with_a_clock_that_jumps() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Where a deadline stands when its runtime is shut down.
#[derive(Clone, Copy, Debug)]
enum Stands {
    /// Its alarm is armed.
    Armed,
    /// It has not been polled.
    Ahead,
}

/// A blocking closure of a child waits for `limited` in a runtime of its own, and the runtime of
/// the child is shut down under it.
fn under_a_blocking_closure<T, F>(
    builder: &GroupBuilder,
    stands: Stands,
    limited: fn() -> F,
) -> Result<T, mpsc::RecvError>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let outer = on_threads(2);
    let (reached, reach) = mpsc::channel();
    let (shut, is_shut) = mpsc::channel::<()>();
    let (say, said) = mpsc::channel();
    let work = move |_| {
        let ended = with_a_clock_that_jumps().block_on(async {
            let mut limited = pin!(limited());
            if matches!(stands, Stands::Armed) {
                assert!(poll_once(limited.as_mut()).is_pending());
            }
            reached.send(()).unwrap();
            if matches!(stands, Stands::Ahead) {
                let _ = is_shut.recv();
            }
            limited.await
        });
        say.send(ended).unwrap();
    };
    let run = builder.clone().run_cancellable(async move |group| {
        group.spawn_blocking(work);
        Ok(())
    });
    outer.spawn(run);
    reach.recv().unwrap();
    outer.shutdown_background();
    drop(shut);
    said.recv()
}

const HOUR: Duration = Duration::from_secs(3600);

// S20, S46: a deadline comes although the runtime around it is gone, when another one polls it.
#[test]
fn fault_c11_deadline_of_a_runtime_that_is_gone() {
    isolated_with_drivers(|builder| {
        for stands in [Stands::Armed, Stands::Ahead] {
            let plain = || timeout(HOUR, forever());
            let outcome = under_a_blocking_closure(&builder, stands, plain);
            assert!(outcome.unwrap().is_err(), "{stands:?}");
            let with_a_scope = || taskgroup::timeout_with(HOUR, async |_| forever().await);
            let outcome = under_a_blocking_closure(&builder, stands, with_a_scope);
            assert!(outcome.unwrap().is_err(), "with a scope, {stands:?}");
        }
    });
}

// S20, S46: one that is moved is met at its new place.
#[test]
fn fault_c11_deadline_moved_after_its_runtime_is_gone() {
    isolated_with_drivers(|builder| {
        for stands in [Stands::Armed, Stands::Ahead] {
            let moved = || async {
                let begin = tokio::time::Instant::now();
                let moved = taskgroup::timeout_with(None::<Duration>, async |deadline| {
                    tokio::task::yield_now().await;
                    deadline.reschedule_after(HOUR);
                    tokio::task::yield_now().await;
                    deadline.reschedule_after(HOUR / 2);
                    forever().await;
                });
                moved.await.map_err(|_| begin.elapsed().as_secs())
            };
            let outcome = under_a_blocking_closure(&builder, stands, moved);
            assert_eq!(outcome.unwrap(), Err(1800), "{stands:?}");
        }
    });
}

// S39: a staggered race goes on when a runner panics before its turn, here for want of a clock.
#[test]
fn fault_c12_runner_that_panics_before_its_turn() {
    isolated_with_drivers(|_| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap().block_on(async {
            let runners = [0, 1, 2].map(|number| async move {
                if number == 0 {
                    forever().await;
                }
                Ok::<_, BoxError>(number)
            });
            let winner = taskgroup::race_staggered(HOUR, runners).await;
            assert_eq!(winner.unwrap(), 2);
        });
    });
}

/// A child blocks its worker with a runtime of its own, while its runtime, which has no other
/// worker, goes down and finds no thread to replace it.
fn on_the_last_worker<T, F>(
    builder: &GroupBuilder,
    limited: fn() -> F,
) -> Result<T, mpsc::RecvError>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let outer = on_threads(1);
    let (reached, reach) = mpsc::channel();
    let (shut, is_shut) = mpsc::channel::<()>();
    let (say, said) = mpsc::channel();
    let run = builder.clone().run_cancellable(async move |group| {
        group.spawn(async move {
            reached.send(()).unwrap();
            let _ = is_shut.recv();
            tokio::task::block_in_place(|| {
                let ended = with_a_clock_that_jumps().block_on(limited());
                say.send(ended).unwrap();
            });
        });
        Ok(())
    });
    outer.spawn(run);
    reach.recv().unwrap();
    outer.shutdown_background();
    drop(shut);
    said.recv()
}

// S20, S46: a deadline rings by the clock of the runtime that polls it. The one around may have
// lost its last thread.
#[test]
fn fault_c13_deadline_under_a_runtime_without_a_thread() {
    isolated_with_drivers(|builder| {
        let plain = || timeout(HOUR, forever());
        assert!(on_the_last_worker(&builder, plain).unwrap().is_err());
        let with_a_scope = || taskgroup::timeout_with(HOUR, async |_| forever().await);
        assert!(on_the_last_worker(&builder, with_a_scope).unwrap().is_err());
    });
}

/// Polls to its end what nothing else than this thread polls.
fn by_hand<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// A child stops the only thread of its runtime: it waits for `work` there, with the runtime that
/// `work` is given entered. That has a thread of its own, which first calls what it is sent.
fn inside_another_runtime<T, F>(builder: &GroupBuilder, work: fn(mpsc::Sender<Sent>) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let inner = with_a_clock_that_jumps();
    let handle = inner.handle().clone();
    let (send, sent) = mpsc::channel::<Sent>();
    let (done, is_done) = oneshot::channel::<()>();
    let driven = std::thread::spawn(move || {
        let call = sent.recv().unwrap();
        {
            let _entered = inner.enter();
            call();
        }
        let _ = inner.block_on(is_done);
    });
    let run = builder.clone().run(async move |group: TaskGroup| {
        let child = group.spawn(async move {
            let _entered = handle.enter();
            let value = by_hand(work(send));
            drop(done);
            Outcome::Ok(value)
        });
        Ok(child.await?)
    });
    let value = on_one_thread().block_on(run).unwrap();
    driven.join().unwrap();
    value
}

type Sent = Box<dyn FnOnce() + Send>;

// S21: a deadline that is moved rings by the clock of the runtime that polls it. The one around
// stands still as long as its thread does that.
#[test]
fn fault_c14_deadline_moved_inside_another_runtime() {
    isolated_with_drivers(|builder| {
        let by_the_work = |send: mpsc::Sender<Sent>| async move {
            let begin = tokio::time::Instant::now();
            let moved = taskgroup::timeout_with(None::<Duration>, async |deadline| {
                deadline.reschedule_after(HOUR / 2);
                send.send(Box::new(|| {})).unwrap();
                forever().await;
            });
            moved.await.map_err(|_| begin.elapsed().as_secs())
        };
        assert_eq!(inside_another_runtime(&builder, by_the_work), Err(1800));
        let from_outside = |send: mpsc::Sender<Sent>| async move {
            let begin = tokio::time::Instant::now();
            let moved = taskgroup::timeout_with(HOUR, async |deadline| {
                // Then it is set.
                let mut polled = false;
                std::future::poll_fn(|cx: &mut Context<'_>| {
                    cx.waker().wake_by_ref();
                    let before = std::mem::replace(&mut polled, true);
                    if before {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                let call = move || assert!(deadline.reschedule_after(HOUR / 2));
                send.send(Box::new(call)).unwrap();
                forever().await;
            });
            moved.await.map_err(|_| begin.elapsed().as_secs())
        };
        assert_eq!(inside_another_runtime(&builder, from_outside), Err(1800));
    });
}

// S21: the work may move it in a runtime of its own that nothing drives afterwards.
#[test]
fn fault_c14_deadline_moved_inside_a_runtime_that_then_stands_still() {
    isolated(|| {
        let inner = Arc::new(on_one_thread());
        let kept = inner.clone();
        let work = taskgroup::timeout_with(HOUR, async move |deadline| {
            let moved = async { assert!(deadline.reschedule_after(ms(1))) };
            tokio::task::block_in_place(|| inner.block_on(moved));
            forever().await;
        });
        let outer = on_threads(1);
        assert!(outer.block_on(outer.spawn(work)).unwrap().is_err());
        drop(kept);
    });
}

/// Its destructor blocks the thread until work of its own is done, and says so.
struct BlocksOnDrop<W: FnOnce()>(Option<W>, mpsc::Sender<()>);

impl<W: FnOnce()> Drop for BlocksOnDrop<W> {
    fn drop(&mut self) {
        self.0.take().unwrap()();
        self.1.send(()).unwrap();
    }
}

// S37, S39: the destructor of a child that is refused is no code of the cancelled group, so an
// await inside is not cut off.
#[test]
fn refused_child_whose_destructor_blocks() {
    isolated_with_drivers(|builder| {
        let (done, is_done) = mpsc::channel();
        let run = builder.run_cancellable(async move |group: TaskGroup| {
            group.cancel();
            let work = || {
                let run = TaskGroup::run(async |_| {
                    again().await;
                    Ok(())
                });
                by_hand(run).unwrap();
            };
            let held = BlocksOnDrop(Some(work), done);
            drop(group.spawn(async move {
                let _held = held;
            }));
            Ok(())
        });
        on_one_thread().block_on(run).unwrap();
        is_done.recv().unwrap();
    });
}

// S10, S39: the end of a grace does not reach what a destructor waits for, because it cannot drop
// the destructor.
#[test]
fn destructor_that_blocks_on_a_shield_when_a_grace_ends() {
    isolated_with_drivers(|builder| {
        let (saved, is_saved) = mpsc::channel();
        let run = builder.grace(ms(1)).run(async move |group: TaskGroup| {
            let (ended, has_ended) = oneshot::channel::<()>();
            group.spawn(async move {
                // Dropped at the end of the grace.
                let _ended = ended;
                let _guard = until_cancelled(forever()).await;
                forever().await;
            });
            let work = || {
                by_hand(shield(async {
                    has_ended.await.unwrap_err();
                    again().await;
                }));
            };
            let held = BlocksOnDrop(Some(work), saved);
            group.spawn(async move {
                let _held = held;
                forever().await;
            });
            turns(3).await;
            group.cancel();
            Ok(())
        });
        let failed = on_threads(2).block_on(async { tokio::spawn(run).await.unwrap() });
        assert!(failed.is_err());
        is_saved.recv().unwrap();
    });
}

/// What a blocking closure waits for, and which says when it has begun.
type Await = fn(mpsc::Sender<()>) -> Pin<Box<dyn Future<Output = ()>>>;

/// Where nothing can be returned once the work is cut off.
const AWAITS: [(&str, Await); 4] = [
    ("bracket", |begun| {
        Box::pin(async move {
            let work = async |_: &mut ()| {
                begun.send(()).unwrap();
                forever().await;
                Outcome::Ok(())
            };
            let release = |()| async { turns(2).await };
            let _ = bracket(async { Outcome::Ok(()) }, work, release).await;
        })
    }),
    ("start", |begun| {
        Box::pin(async move {
            let group = OpenGroup::new();
            let child = |_: Started<()>| async move {
                begun.send(()).unwrap();
                forever().await;
            };
            let _ = group.group().start(child).await;
        })
    }),
    ("shield", |begun| {
        Box::pin(shield(async move {
            begun.send(()).unwrap();
            forever().await;
        }))
    }),
    ("Local", |begun| {
        static NUMBER: Local<u32> = Local::new();
        Box::pin(NUMBER.scope(7, async move {
            begun.send(()).unwrap();
            forever().await;
        }))
    }),
];

// S8, S10: nothing drops a blocking closure. An await in it that is cut off and has nothing to
// return unwinds, and the child ends as cancelled.
#[test]
fn blocking_closure_that_waits_for_what_is_cut_off() {
    isolated_everywhere(|builder| async move {
        for (name, wait) in AWAITS {
            println!("-- {name}");
            let (begun, has_begun) = mpsc::channel();
            let (over, is_over) = mpsc::channel::<()>();
            let builder = builder.clone().grace(ms(1));
            let run = builder.run_cancellable(async |group: TaskGroup| {
                let child = group.spawn_blocking(move |_| {
                    let _over = over;
                    tokio::runtime::Handle::current().block_on(wait(begun));
                    unreachable!("it has nothing to return");
                });
                while has_begun.try_recv().is_err() {
                    turns(1).await;
                }
                child.cancel();
                // Its thread ends, and so does the child.
                group.cancel();
                Ok(())
            });
            let _ = run.await;
            assert!(is_over.recv().is_err());
        }
    });
}

// S20: a deadline rings in the runtime that polls it, also if it was first polled in another one
// that is alive and that no thread drives.
#[test]
fn deadline_that_is_polled_in_two_runtimes() {
    type Limited = Pin<Box<dyn Future<Output = bool>>>;
    let all: [fn() -> Limited; 4] = [
        || Box::pin(async { timeout(HOUR, forever()).await.is_err() }),
        || Box::pin(async { taskgroup::timeout_with(HOUR, |_| forever()).await.is_err() }),
        || {
            Box::pin(async {
                let run = TaskGroup::run(async |_| {
                    forever().await;
                    Ok(())
                });
                timeout(HOUR, run).await.is_err()
            })
        },
        || Box::pin(async { timeout(HOUR, until_cancelled(forever())).await.is_err() }),
    ];
    isolated(|| {
        for make in all {
            let (first, second) = (with_a_clock_that_jumps(), with_a_clock_that_jumps());
            let mut limited = make();
            first.block_on(async { assert!(poll_once(limited.as_mut()).is_pending()) });
            assert!(second.block_on(limited));
            drop(first);
        }
    });
}

// S40: cancelled code looks again at what it has put aside, also where no runtime has a clock: in a
// runtime that was built without one, and in one that was shut down.
#[test]
fn put_aside_where_there_is_no_clock() {
    let run = || {
        TaskGroup::builder().run_cancellable(async |group| {
            group.cancel();
            let mut aside = Box::pin(shield(forever()));
            let mut polls = 0;
            std::future::poll_fn(|cx| {
                polls += 1;
                // It is in use when the code is asked, and is put aside after that.
                if polls <= 2 {
                    assert!(aside.as_mut().poll(cx).is_pending());
                }
                Poll::<Outcome>::Pending
            })
            .await
        })
    };
    isolated(|| {
        let without = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(without.block_on(run()).unwrap().is_none());
        for living in [on_one_thread(), on_threads(1)] {
            let dead = living.handle().clone();
            drop(living);
            assert!(dead.block_on(run()).unwrap().is_none());
        }
    });
}

// S3: each cleanup defers the next one, so each is one scope deeper than the one before it. To name
// where it is takes a step, not a walk. By walks this test would take minutes.
#[test]
fn chain_of_deferred_cleanups() {
    fn again(left: usize, done: mpsc::Sender<()>) {
        if left == 0 {
            return done.send(()).unwrap();
        }
        defer(async move { again(left - 1, done) });
    }
    isolated(|| {
        let (done, is_done) = mpsc::channel();
        let run = TaskGroup::run(async move |group| {
            group.spawn(async move { again(40_000, done) });
            Ok(())
        });
        on_one_thread().block_on(run).unwrap();
        is_done.recv().unwrap();
    });
}
