//! Memory safety, from safe code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use taskgroup::{BoxError, GroupBuilder, Local, TaskGroup, TaskHandle};

use crate::common::{
    Bomb, Tokens, another_group_works, everywhere, forever, isolated, isolated_with_drivers,
    on_one_thread, on_threads, poll_once, turns,
};
use crate::counting::live_bytes;

async fn ended_child(builder: GroupBuilder, name: String) -> TaskHandle<()> {
    builder
        .run(async |group| Ok(group.task(name).spawn(async {})))
        .await
        .unwrap()
}

// S39: a value whose drop gives back a reference of another group, from within a give-back.
#[test]
fn fault_a1_reentered_owed() {
    #[derive(Clone)]
    struct Bag(#[allow(dead_code)] Arc<Mutex<Option<TaskHandle<()>>>>);
    static BAG: Local<Bag> = Local::new();

    isolated(|| {
        everywhere(|builder| async move {
            // A child that has ended, of a group that is gone; a value of a `Local` keeps its
            // handle.
            let kept = ended_child(builder.clone(), "kept".into()).await;
            let bag = Bag(Arc::new(Mutex::new(Some(kept))));
            // A group below that value. The handle of its child outlives both.
            let below = BAG.scope(bag, ended_child(builder.clone(), "below".into()));
            let below = below.await;
            let pair = builder.clone().run(async |group| {
                let first = group.task("first".to_owned()).spawn(async {});
                Ok((first, group.task("second".to_owned()).spawn(async {})))
            });
            let (first, second) = pair.await.unwrap();
            turns(2).await;
            let give_back = async move {
                drop(below);
                drop(first);
            };
            taskgroup::timeout(std::time::Duration::from_secs(60), give_back)
                .await
                .unwrap();
            let junk: Vec<Box<[u8; 280]>> = (0..64).map(|_| Box::new([0x41; 280])).collect();
            let info = second.info();
            assert_eq!(info.name(), "second");
            assert_eq!(info.path().names().count(), 2);
            drop(junk);
        });
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S4, S15: groups in children that a `select!` drops half-way, and nothing else, keep no memory.
#[test]
fn fault_a1_reentered_ordinary() {
    async fn round(builder: &GroupBuilder) {
        let run = builder.clone().run(async |group| {
            for _ in 0..8 {
                let builder = builder.clone();
                group.spawn(async move {
                    let inner = builder.run(async |group| {
                        for _ in 0..3 {
                            group.spawn(forever());
                        }
                        forever().await;
                        Ok(())
                    });
                    tokio::select! { biased; _ = inner => {}, () = tokio::task::yield_now() => {} }
                });
            }
            Ok(())
        });
        run.await.unwrap();
    }
    isolated(|| {
        everywhere(|builder| async move {
            let mut live = Vec::new();
            for _ in 0..3 {
                for _ in 0..300 {
                    round(&builder).await;
                }
                live.push(live_bytes());
            }
            let grown = live[2] - live[1];
            assert!(grown < 64 * 1024, "300 rounds keep {grown} bytes: {live:?}");
        });
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S39: values that hold handles of other groups, whose values hold handles, and so on: one drop
// gives all of them back.
#[test]
fn fault_a1_handles_in_values() {
    struct Link {
        _token: crate::common::Token,
        _before: Option<TaskHandle<Link>>,
        _group: TaskGroup,
    }
    isolated(|| {
        everywhere(|builder| async move {
            let tokens = Tokens::default();
            let mut last = None;
            for _ in 0..50 {
                let token = tokens.one();
                let before = last.take();
                let run = builder.clone().run(async |group| {
                    let inside = group.clone();
                    Ok(group.spawn(async move {
                        Ok::<_, BoxError>(Link {
                            _token: token,
                            _before: before,
                            _group: inside,
                        })
                    }))
                });
                last = Some(run.await.unwrap());
            }
            assert_eq!(tokens.alive(), 50);
            // Also from within the poll of a child, where the give-backs of that thread are put
            // off.
            let run = builder.run(async |group| {
                group.spawn(async move { drop(last) });
                Ok(())
            });
            run.await.unwrap();
            assert_eq!(tokens.alive(), 0);
        });
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S39: children of several groups on several threads exchange handles and clones of groups, and
// drop them wherever they are.
#[test]
fn fault_a1_exchange_at_random() {
    type Shelf = Arc<Mutex<Vec<(TaskGroup, Option<TaskHandle<Held>>)>>>;
    struct Held {
        _token: crate::common::Token,
        shelf: Shelf,
    }
    impl Drop for Held {
        /// Takes one more from the shelf, and drops it here.
        fn drop(&mut self) {
            let one = self.shelf.lock().unwrap().pop();
            drop(one);
        }
    }
    isolated_with_drivers(|builder| {
        let runtime = on_threads(3);
        let tokens = Tokens::default();
        let shelf = Shelf::default();
        for round in 0..150 {
            let (outer, tokens, shelf) = (builder.clone(), tokens.clone(), shelf.clone());
            let run = outer.clone().run(async move |group| {
                for index in 0..12 {
                    let (builder, tokens) = (outer.clone(), tokens.clone());
                    let (shelf, around) = (shelf.clone(), group.clone());
                    group.spawn(async move {
                        let inner = builder.run(async |group| {
                            let held = |shelf: &Shelf| Held {
                                _token: tokens.one(),
                                shelf: shelf.clone(),
                            };
                            let value = held(&shelf);
                            let child = group.spawn(async move { Ok::<_, BoxError>(value) });
                            shelf.lock().unwrap().push((group.clone(), Some(child)));
                            let value = held(&shelf);
                            drop(group.spawn(async move { Ok::<_, BoxError>(value) }));
                            let value = held(&shelf);
                            group.spawn(async move {
                                let _value = value;
                                forever().await;
                            });
                            turns((round + index) % 4).await;
                            if index % 2 == 0 {
                                group.cancel();
                            } else {
                                forever().await;
                            }
                            Ok(())
                        });
                        tokio::select! { biased; _ = inner => {}, () = turns(index % 5) => {} }
                        shelf.lock().unwrap().push((around, None));
                        let one = shelf.lock().unwrap().pop();
                        drop(one);
                    });
                }
                Ok(())
            });
            runtime.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
        }
        // Each of these may take others along, and none may put one back.
        loop {
            let one = shelf.lock().unwrap().pop();
            if one.is_none() {
                break;
            }
        }
        assert_eq!(tokens.alive(), 0);
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S38, S39: a child of a multi-thread runtime runs a current-thread runtime, with children of its
// own, inside `block_in_place`.
#[test]
fn fault_a2_lost_seat() {
    fn busy_runtime(builder: &GroupBuilder) -> tokio::runtime::Runtime {
        let runtime = on_one_thread();
        let builder = builder.clone();
        runtime.block_on(async {
            tokio::spawn(builder.run(async |group| {
                for _ in 0..4 {
                    group.spawn(async {
                        loop {
                            tokio::task::yield_now().await;
                        }
                    });
                }
                forever().await;
                Ok(())
            }));
            turns(3).await;
        });
        runtime
    }
    isolated_with_drivers(|builder| {
        let outer = on_threads(4);
        let done = Arc::new(AtomicUsize::new(0));
        for round in 1..=25 {
            let inner: Arc<Vec<_>> =
                Arc::new((0..4).map(|_| Mutex::new(busy_runtime(&builder))).collect());
            let (lent, done_in) = (inner.clone(), done.clone());
            let run = builder.clone().run(async move |group| {
                for index in 0..200 {
                    let (inner, done) = (lent.clone(), done_in.clone());
                    let siblings = group.clone();
                    group.spawn(async move {
                        turns(5).await;
                        if index % 10 == 0 {
                            tokio::task::block_in_place(|| {
                                if let Ok(runtime) = inner[(index / 10) % 4].try_lock() {
                                    runtime.block_on(turns(3));
                                }
                            });
                        }
                        for _ in 0..10 {
                            siblings.spawn(async {});
                        }
                        turns(5).await;
                        done.fetch_add(1, Ordering::SeqCst);
                    });
                }
                Ok(())
            });
            outer.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
            assert_eq!(done.load(Ordering::SeqCst), round * 200);
            drop(inner);
        }
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S39: the same where the runtime inside is opened, used and dropped by the child.
#[test]
fn fault_a2_runtime_opened_by_a_child() {
    isolated_with_drivers(|builder| {
        let outer = on_threads(2);
        let rounds = builder.clone().run(async move |group| {
            for _ in 0..40 {
                let (builder, siblings) = (builder.clone(), group.clone());
                let child = group.spawn(async move {
                    turns(1).await;
                    let inner = builder.clone();
                    tokio::task::block_in_place(|| {
                        let runtime = on_one_thread();
                        runtime.block_on(another_group_works(inner));
                        drop(runtime);
                    });
                    siblings.spawn(turns(2));
                    another_group_works(builder).await;
                    Ok::<_, BoxError>(())
                });
                child.await?;
            }
            Ok(())
        });
        outer.block_on(async { tokio::spawn(rounds).await.unwrap().unwrap() });
        drop(outer);
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}

// S39: whatever unwinds out of the drops of children, the thread that polled them is as before:
// no pointer dangles there.
#[test]
fn fault_a3_drops_that_unwind() {
    isolated_with_drivers(|builder| {
        for stop in 0..4 {
            let runtime = on_one_thread();
            let (inner, after) = (builder.clone(), builder.clone());
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async move {
                    tokio::spawn(inner.run_cancellable(async move |group| {
                        for _ in 0..4 {
                            group.spawn(async {
                                let _first = Bomb("first");
                                forever().await;
                            });
                            drop(group.spawn(async {
                                turns(1).await;
                                Ok::<_, BoxError>(Bomb("value"))
                            }));
                        }
                        forever().await;
                        Ok(())
                    }));
                    turns(stop).await;
                });
            }));
            // The destructors of those that are left panic here.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(runtime)));
            let next = on_one_thread();
            next.block_on(another_group_works(after));
            drop(next);
        }
    });
}

// S39: a destructor that runs while a thread changes from one runtime to the next opens a group
// there.
#[test]
fn fault_a4_drop_on_the_way_to_another_runtime() {
    struct Opens(tokio::runtime::Handle, GroupBuilder, Tokens);
    impl Drop for Opens {
        fn drop(&mut self) {
            let _entered = self.0.enter();
            let token = self.2.one();
            let mut run = Box::pin(self.1.clone().run(async move |group| {
                group.spawn(async move {
                    let _token = token;
                    turns(3).await;
                });
                Ok(())
            }));
            let _ = poll_once(run.as_mut());
        }
    }
    isolated_with_drivers(|builder| {
        let tokens = Tokens::default();
        let second = on_one_thread();
        for stop in 0..6 {
            let first = on_one_thread();
            let opens = || Opens(second.handle().clone(), builder.clone(), tokens.clone());
            let captures = [opens(), opens(), opens()];
            let inner = builder.clone();
            first.block_on(async move {
                tokio::spawn(inner.run_cancellable(async move |group| {
                    for capture in captures {
                        group.spawn(async move {
                            let _capture = capture;
                            loop {
                                tokio::task::yield_now().await;
                            }
                        });
                    }
                    forever().await;
                    Ok(())
                }));
                turns(stop).await;
            });
            drop(first);
            second.block_on(async {
                another_group_works(builder.clone()).await;
                let _ = taskgroup::drain().await;
            });
        }
        drop(second);
        assert_eq!(tokens.alive(), 0);
        assert_eq!(taskgroup::observe::live_tasks(), 0);
    });
}
