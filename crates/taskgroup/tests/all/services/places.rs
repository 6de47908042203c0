//! S53: a place now or not at all, and a limit that changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskgroup::{NotSpawned, Policy, Progress, TaskGroup, TaskHandle, shield};

use crate::support::{
    Log, Outcome, Steps, builder, dropped_when, everywhere, forever, messages, paused, sleep, turns,
};

/// Counts those that are inside, and the most there were.
#[derive(Clone, Default)]
struct Room(Arc<(AtomicUsize, AtomicUsize)>);

impl Room {
    async fn stay(self, count: usize) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        turns(count).await;
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.swap(0, Ordering::SeqCst)
    }
}

/// Spawns into the next place that is free: on several threads that is a moment after the handle
/// of the child that had it.
async fn next_place<F>(group: &TaskGroup, child: impl Fn() -> F) -> TaskHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match group.spawn_if_free(child()) {
            Ok(handle) => return handle,
            Err(full) => assert!(full.is_full()),
        }
        turns(1).await;
    }
}

// S53: full or not, it says so at once, and gives the future back.
#[test]
fn a_place_now_or_not_at_all() {
    everywhere(|| async {
        let ran = builder().limit(2).run(async |group: TaskGroup| {
            let steps = Steps::default();
            let held = || {
                let steps = steps.clone();
                async move { steps.reached(1).await }
            };
            let first = group.spawn_if_free(held()).unwrap();
            let second = group.task("second").spawn_if_free(held()).unwrap();
            assert_eq!(second.name(), "second");
            let full = group.spawn_if_free(async { Outcome::Ok(7) }).unwrap_err();
            assert!(full.is_full());
            assert_eq!(full.to_string(), "no place of the group is free");
            assert_eq!(full.into_future().await?, 7);
            // A background child needs no place.
            let beat = group
                .task("beat")
                .background()
                .spawn_if_free(async { Outcome::Ok(1) });
            assert_eq!(beat.unwrap().await?, 1);
            // One that is queued comes first.
            let queued = group.spawn(async { Outcome::Ok(2) });
            steps.step();
            first.await?;
            second.await?;
            assert_eq!(queued.await?, 2);
            next_place(&group, || async {}).await;
            Ok(())
        });
        ran.await.unwrap();

        // Without a limit there is a place.
        let ran = builder().run(async |group: TaskGroup| {
            for _ in 0..100 {
                group.spawn_if_free(turns(2)).unwrap();
            }
            assert_eq!(group.limit(), None);
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S53, S9: what takes no more children says so, full or not, and gives the place back.
#[test]
fn a_group_that_takes_no_more() {
    everywhere(|| async {
        for full in [true, false] {
            let jobs = builder().limit(1).open();
            if full {
                drop(jobs.spawn(forever()).unwrap());
            }
            jobs.cancel();
            for _ in 0..3 {
                let refused = jobs.group().spawn_if_free(async {}).unwrap_err();
                assert!(matches!(refused, NotSpawned::Refused(_)), "{refused}");
            }
            jobs.close().await.unwrap();
            let refused = jobs.group().spawn_if_free(async {}).unwrap_err();
            assert!(matches!(refused, NotSpawned::Refused(_)), "{refused:?}");
        }
    });
}

// S53, S27: many try at once, and never more are in than there are places. All fail: each place
// comes back.
#[test]
fn many_try_at_once() {
    everywhere(|| async {
        let room = Room::default();
        let collect = builder().limit(3).policy(Policy::collect());
        let (spawned, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                let triers: Vec<_> = (0..8)
                    .map(|_| {
                        let (group, room) = (group.clone(), room.clone());
                        tokio::spawn(async move {
                            let mut spawned = 0;
                            for _ in 0..50 {
                                let room = room.clone();
                                let child = async move {
                                    room.stay(2).await;
                                    Err::<(), _>("broken")
                                };
                                spawned += usize::from(group.spawn_if_free(child).is_ok());
                                turns(1).await;
                            }
                            spawned
                        })
                    })
                    .collect();
                let mut spawned = 0;
                for trier in triers {
                    spawned += trier.await?;
                }
                Ok(spawned)
            })
            .await;
        assert!((1..=3).contains(&room.most()));
        assert_eq!(spawned, Some(errors.unwrap().len()));
    });
}

// S53: a higher limit starts the queued, in their order, and then those that wait to spawn.
#[test]
fn raising_wakes_the_waiting() {
    everywhere(|| async {
        let log = Log::default();
        let ran = builder().limit(1).run(async |group: TaskGroup| {
            let steps = Steps::default();
            let child = |name: &'static str| {
                let (log, steps) = (log.clone(), steps.clone());
                async move {
                    log.add(name);
                    steps.step();
                    forever().await;
                }
            };
            group.spawn(child("1"));
            group.spawn(child("2"));
            let waiting = [group.clone(), group.clone()].map(|group| {
                let child = child("waited");
                tokio::spawn(async move { group.spawn_when_free(child).await.name() })
            });
            steps.reached(1).await;
            turns(5).await;
            assert_eq!(log.take(), ["1"]);
            group.set_limit(2);
            steps.reached(2).await;
            assert_eq!(group.limit(), Some(2));
            group.set_limit(3);
            steps.reached(3).await;
            turns(5).await;
            assert_eq!(log.take(), ["2", "waited"]);
            assert_eq!(waiting.iter().filter(|wait| wait.is_finished()).count(), 1);
            group.set_limit(usize::MAX);
            steps.reached(4).await;
            for wait in waiting {
                wait.await?;
            }
            group.cancel();
            forever().await;
            Ok(())
        });
        assert!(ran.await.unwrap_err().is_cancelled());
    });
}

// S53: under a lower limit those that run go on, and no other one starts before there is room.
#[test]
fn lowering_lets_the_running_end() {
    paused(async {
        let room = Room::default();
        let progress = Progress::expecting(40);
        let settings = builder().limit(10).progress(&progress);
        let ran = settings.run(async |group: TaskGroup| {
            for _ in 0..40 {
                let room = room.clone();
                group.spawn(async move {
                    sleep(10).await;
                    room.stay(1).await;
                });
            }
            sleep(5).await;
            assert_eq!(progress.counts().running, 10);
            group.set_limit(0); // counts as one
            assert_eq!((group.limit(), progress.counts().running), (Some(1), 10));
            sleep(10).await;
            assert_eq!((progress.counts().running, progress.counts().done), (1, 10));
            sleep(10).await;
            assert_eq!((progress.counts().running, progress.counts().done), (1, 11));
            group.set_limit(29);
            assert_eq!(progress.counts().queued, 0);
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(progress.counts().done, 40);
    });
}

// S53, S27: while the limit goes up and down, never more start than it allows, and all run.
#[test]
fn a_limit_that_moves() {
    everywhere(|| async {
        let room = Room::default();
        let ran = builder().limit(1).run(async |group: TaskGroup| {
            let own = group.clone();
            let mover = tokio::spawn(async move {
                for limit in (1..=5).cycle().take(100) {
                    own.set_limit(limit);
                    turns(1).await;
                }
            });
            for _ in 0..300 {
                group.spawn_when_free(room.clone().stay(2)).await;
            }
            mover.await?;
            Ok(())
        });
        ran.await.unwrap();
        assert!((1..=5).contains(&room.most()));
    });
}

// S53
#[test]
fn a_group_without_a_limit_has_none_to_change() {
    everywhere(|| async {
        let ran = builder().name("wide").run(async |group: TaskGroup| {
            group.set_limit(3);
            Ok(())
        });
        let panicked = tokio::spawn(ran).await.unwrap_err().into_panic();
        let message = panicked.downcast_ref::<String>().unwrap();
        assert!(
            message.contains("`wide` was built without a limit"),
            "{message}"
        );
    });
}

// S53, S10: a child that panics or is dropped half-way gives its place back.
#[test]
fn places_come_back() {
    everywhere(|| async {
        let collect = builder().limit(1).policy(Policy::collect());
        let ran = collect.run(async |group: TaskGroup| {
            let panics = group.spawn_if_free(async { panic!("a bug") }).unwrap();
            assert!(panics.await.is_err());
            let cancelled = next_place(&group, forever).await;
            assert!(group.spawn_if_free(async {}).is_err());
            cancelled.cancel();
            assert!(cancelled.await.is_err());
            next_place(&group, || async {}).await;
            Ok(())
        });
        assert_eq!(messages(&ran.await.unwrap_err()), ["panic: a bug"]);
    });
}

// S27: a spawn that panics, since there is no runtime, keeps no place.
#[test]
fn a_spawn_that_panics_gives_its_place_back() {
    let group = TaskGroup::builder().limit(1).open();
    let spawns = AssertUnwindSafe(|| group.group().spawn_if_free(async {}).is_ok());
    assert!(catch_unwind(spawns).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let child = group.group().spawn_if_free(async { Outcome::Ok(7) });
        assert_eq!(child.unwrap().await.unwrap(), 7);
        group.close().await.unwrap();
    });
}

// S53: a limit that changes in an empty group, and while all fail or panic.
#[test]
fn a_limit_that_changes_while_all_fail() {
    everywhere(|| async {
        let empty = builder().limit(1).run(async |group: TaskGroup| {
            group.set_limit(3);
            group.set_limit(2);
            Ok(group.limit())
        });
        assert_eq!(empty.await.unwrap(), Some(2));

        let room = Room::default();
        let collect = builder().limit(1).policy(Policy::collect());
        let (none, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                for number in 0..40 {
                    let room = room.clone();
                    group.spawn(async move {
                        room.stay(number % 3).await;
                        assert!(number % 2 == 0, "odd");
                        Err::<(), _>("even")
                    });
                    group.set_limit(1 + number % 4);
                }
                Ok(())
            })
            .await;
        assert_eq!((none, errors.unwrap().len()), (Some(()), 40));
        assert!((1..=4).contains(&room.most()));
    });
}

// S53, S9: a limit that is raised starts nothing in a group that was cancelled or dropped half-way.
#[test]
fn a_higher_limit_starts_nothing_in_an_ended_group() {
    everywhere(|| async {
        let log = Log::default();
        let ran = builder()
            .limit(1)
            .run_cancellable(async |group: TaskGroup| {
                group.spawn(log.forever("running"));
                let queued = group.spawn(async { panic!("it never runs") });
                log.started(1).await;
                group.cancel();
                group.set_limit(5);
                assert!(group.spawn_if_free(async {}).is_err());
                shield(async {
                    assert!(queued.await.unwrap_err().is_cancelled());
                })
                .await;
                forever().await;
                Ok(())
            });
        assert_eq!(ran.await.unwrap(), None);

        let ran = builder().run(async |_| {
            let mut own = None;
            let inner = builder().limit(1).run(async |group: TaskGroup| {
                group.spawn(log.forever("running"));
                group.spawn(async { panic!("it never runs") });
                own = Some(group);
                forever().await;
                Ok(())
            });
            dropped_when(inner, log.started(2)).await;
            let own = own.unwrap();
            own.set_limit(5);
            let refused = own.spawn_if_free(async {}).unwrap_err();
            assert!(matches!(refused, NotSpawned::Refused(_)), "{refused}");
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(log.take(), ["running", "running"]);
    });
}
