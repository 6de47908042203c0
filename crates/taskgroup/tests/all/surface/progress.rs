//! S31: five states that add up at every snapshot, and a final event.

use taskgroup::observe::Counts;
use taskgroup::{Policy, Progress, TaskGroup, defer, join, map, timeout};

use crate::support::{Outcome, builder, everywhere, forever, ms, paused, sleep, turns};

/// Done, failed, cancelled.
fn ends(counts: Counts) -> (usize, usize, usize) {
    (counts.done, counts.failed, counts.cancelled)
}

// S31: at every snapshot, with failures, panics, cancels, a queue and a watcher on another thread.
#[test]
fn adds_up_at_every_snapshot() {
    everywhere(|| async {
        let progress = Progress::expecting(100);
        let own = progress.clone();
        let watcher = tokio::spawn(async move {
            let mut events = own.watch();
            let mut last = None;
            while let Some(counts) = events.next().await {
                assert_eq!(counts.total(), 100);
                assert!(counts.running <= 5 + counts.cancelled + 25);
                if let Some(before) = last.replace(counts) {
                    assert!(counts.ended() >= Counts::ended(&before));
                }
            }
            last.unwrap()
        });
        let (_, errors) = builder()
            .limit(5)
            .policy(Policy::collect())
            .progress(&progress)
            .run_to_end(async |group| {
                for number in 0..100 {
                    let task = group.spawn(async move {
                        turns(number % 3).await;
                        match number % 4 {
                            0 => Ok(()),
                            1 => Err("failed"),
                            2 => panic!("panicked"),
                            _ => {
                                forever().await;
                                Ok(())
                            }
                        }
                    });
                    if number % 4 == 3 {
                        task.cancel();
                    }
                }
                Ok(())
            })
            .await;
        assert_eq!(errors.unwrap().len(), 50);
        let last = watcher.await.unwrap();
        assert_eq!(ends(last), (25, 50, 25));
        assert!(last.finished);
        assert_eq!((last.queued, last.running), (0, 0));
    });
}

// S31: the states on the way.
#[test]
fn on_the_way() {
    paused(async {
        let progress = Progress::new();
        let run = builder().limit(2).progress(&progress).run(async |group| {
            assert_eq!(progress.counts(), Counts::default());
            for _ in 0..5 {
                group.spawn(async { sleep(10).await });
            }
            let counts = progress.counts();
            assert_eq!((counts.queued, counts.running, counts.total()), (3, 2, 5));
            sleep(15).await;
            let counts = progress.counts();
            assert_eq!((counts.queued, counts.running, counts.done), (1, 2, 2));
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(ends(progress.counts()), (5, 0, 0));
    });
}

// S31: empty, and all announced but nothing spawned: the final event comes.
#[test]
fn nothing_spawned() {
    paused(async {
        for announced in [0, 3] {
            let progress = Progress::expecting(announced);
            let mut events = progress.watch();
            builder()
                .progress(&progress)
                .run(async |_| Ok(()))
                .await
                .unwrap();
            let last = events.next().await.unwrap();
            assert!(last.finished);
            assert_eq!(ends(last), (0, 0, announced));
            assert_eq!(events.next().await, None);
        }
    });
}

// S31: fail fast: each that did not end by itself was cancelled, started or not.
#[test]
fn failure_cancels_the_rest() {
    paused(async {
        let progress = Progress::expecting(10);
        let run = builder().limit(3).progress(&progress).run(async |group| {
            group.spawn(async { Ok::<_, String>(()) });
            group.spawn(async {
                sleep(1).await;
                Err::<(), _>("bad")
            });
            for _ in 0..5 {
                group.spawn(async { forever().await });
            }
            forever().await;
            Ok(())
        });
        assert!(run.await.is_err());
        assert_eq!(ends(progress.counts()), (1, 1, 8));
        assert!(progress.counts().finished);
    });
}

// S31, S9: a spawn into a cancelled group is a cancelled child.
#[test]
fn refused() {
    paused(async {
        let progress = Progress::new();
        let run = builder().progress(&progress).run(async |group| {
            group.cancel();
            group.spawn(async { forever().await });
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(ends(progress.counts()), (0, 0, 1));
    });
}

// S31: cancelled from outside, dropped half-way, panicking in the body: the final event comes.
#[test]
fn always_a_final_event() {
    paused(async {
        let spawning = async |group: TaskGroup| -> Outcome {
            group.spawn(async { forever().await });
            forever().await;
            Ok(())
        };
        let progress = Progress::new();
        let run = builder().progress(&progress).run(spawning);
        assert!(timeout(ms(1), run).await.is_err());
        assert!(progress.counts().finished);
        assert_eq!(ends(progress.counts()), (0, 0, 1));

        let progress = Progress::new();
        builder()
            .run(async |_| {
                let mut run = Box::pin(builder().progress(&progress).run(spawning));
                tokio::select! {
                    biased;
                    _ = &mut run => {}
                    () = sleep(1) => {}
                }
                drop(run);
                Ok(())
            })
            .await
            .unwrap();
        assert!(progress.counts().finished);
        assert_eq!(ends(progress.counts()), (0, 0, 1));

        let progress = Progress::expecting(1);
        let own = progress.clone();
        let panics = tokio::spawn(async move {
            let run = builder()
                .progress(&own)
                .run(async |_| -> Outcome { panic!("body") });
            run.await
        });
        assert!(panics.await.unwrap_err().is_panic());
        assert!(progress.counts().finished);
    });
}

// S31, S28: background children are not part of the work.
#[test]
fn background_children_do_not_count() {
    paused(async {
        let progress = Progress::new();
        let run = builder().progress(&progress).run(async |group| {
            group
                .task("beat")
                .background()
                .spawn(async { forever().await });
            group.spawn(async {});
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(ends(progress.counts()), (1, 0, 0));
        assert_eq!(progress.counts().total(), 1);
    });
}

// S31: the helpers are groups, so they are counted like any.
#[test]
fn of_a_helper() {
    paused(async {
        let progress = Progress::expecting(10);
        let run = TaskGroup::builder()
            .limit(2)
            .progress(&progress)
            .map(0..10, async |number| {
                sleep(10).await;
                if number == 5 { Err("five") } else { Ok(()) }
            });
        let watch = async {
            let mut events = progress.watch();
            while let Some(counts) = events.next().await {
                assert_eq!(counts.total(), 10);
                assert!(counts.running <= 2);
            }
        };
        let (result, ()) = join((run, watch)).await;
        assert!(result.is_err());
        assert_eq!(ends(progress.counts()), (5, 1, 4));
        // And so is one without counts.
        map(2, 0..3, async |_| Ok::<_, String>(())).await.unwrap();
    });
}

// S42: cleanup is not counted.
#[test]
fn fault_b5_cleanup_is_no_progress() {
    everywhere(|| async {
        let progress = Progress::new();
        let run = builder().progress(&progress).run(async |group| {
            defer(async {});
            group.spawn(async {});
            Ok(())
        });
        run.await.unwrap();
        let counts = progress.counts();
        assert_eq!((ends(counts), counts.total()), ((1, 0, 0), 1));
        assert!(counts.finished);
    });
}
