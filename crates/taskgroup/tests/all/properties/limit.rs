//! S27, S31: limits and progress, whatever the children do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use taskgroup::observe::Counts;
use taskgroup::{Policy, Progress};
use tokio::runtime::Builder;

use super::cases;
use crate::support::{Outcome, builder, forever, turns};

/// What a child does after so many turns.
#[derive(Clone, Copy, Debug)]
enum End {
    Value,
    Error,
    Panic,
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Spawn(usize, End),
    /// Waits for a place first.
    WhenFree(usize, End),
    /// The child with this number, modulo how many there are.
    Cancel(usize),
    Turns(usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Value),
        1 => Just(End::Error),
        1 => Just(End::Panic),
        1 => Just(End::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, end()).prop_map(|(turns, end)| Step::Spawn(turns, end)),
        2 => (0..4_usize, end()).prop_map(|(turns, end)| Step::WhenFree(turns, end)),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => (0..4_usize).prop_map(Step::Turns),
    ]
}

#[derive(Clone, Debug)]
struct Plan {
    limit: usize,
    collect: bool,
    /// The group is cancelled when the body is done with its steps.
    cancel: bool,
    steps: Vec<Step>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let steps = prop::collection::vec(step(), 0..40);
    (1..5_usize, any::<bool>(), any::<bool>(), steps).prop_map(|(limit, collect, cancel, steps)| {
        Plan {
            limit,
            collect,
            cancel,
            steps,
        }
    })
}

/// Counts those who are being polled or could be, and the most there ever were.
#[derive(Clone, Default)]
struct Room(Arc<(AtomicUsize, AtomicUsize)>);

struct Inside(Room);

impl Room {
    fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn child(room: Room, waits: usize, end: End) -> Outcome {
    let _inside = room.enter();
    turns(waits).await;
    match end {
        End::Value => Ok(()),
        End::Error => Err("failed".into()),
        End::Panic => std::panic::resume_unwind(Box::new("panicked")),
        End::Never => {
            forever().await;
            Ok(())
        }
    }
}

async fn run(plan: Plan) {
    let room = Room::default();
    let progress = Progress::new();
    let policy = if plan.collect {
        Policy::collect()
    } else {
        Policy::fail_fast()
    };
    let mut events = progress.watch();
    let watcher = tokio::spawn(async move {
        let mut last = Counts::default();
        while let Some(counts) = events.next().await {
            let five =
                counts.queued + counts.running + counts.done + counts.failed + counts.cancelled;
            assert_eq!(five, counts.total());
            // Who is known stays known, and who has ended stays ended.
            assert!(counts.total() >= last.total(), "{last:?}, then {counts:?}");
            assert!(counts.done >= last.done && counts.failed >= last.failed);
            assert!(counts.cancelled >= last.cancelled);
            last = counts;
        }
        last
    });
    let mut spawned = 0;
    let group = builder()
        .limit(plan.limit)
        .policy(policy)
        .progress(&progress);
    let mut kept = None;
    let (_, errors) = group
        .run_to_end(async |group| {
            kept = Some(group.clone());
            let mut handles = Vec::new();
            for step in &plan.steps {
                match *step {
                    Step::Spawn(waits, end) => {
                        spawned += 1;
                        handles.push(group.spawn(child(room.clone(), waits, end)));
                    }
                    Step::WhenFree(waits, end) => {
                        // A group full of those that never end has no place before one is
                        // cancelled.
                        let spawning = group.spawn_when_free(child(room.clone(), waits, end));
                        tokio::select! {
                            biased;
                            handle = spawning => {
                                spawned += 1;
                                handles.push(handle);
                            }
                            () = turns(50) => {}
                        }
                    }
                    Step::Cancel(number) => {
                        if !handles.is_empty() {
                            handles[number % handles.len()].cancel();
                        }
                    }
                    Step::Turns(count) => turns(count).await,
                }
            }
            if plan.cancel {
                group.cancel();
            }
            for handle in &handles {
                handle.cancel();
            }
            Ok(())
        })
        .await;
    let (inside, most) = (
        room.0.0.load(Ordering::SeqCst),
        room.0.1.load(Ordering::SeqCst),
    );
    assert!(most <= plan.limit, "S27: {most} at once");
    assert_eq!(inside, 0, "S2");
    let group = kept.expect("the body has begun");
    assert_eq!(group.live(), 0);
    #[cfg(feature = "testing")]
    taskgroup::testing::assert_ended(&group);
    let last = watcher.await.unwrap();
    assert!(last.finished);
    assert_eq!((last.queued, last.running), (0, 0));
    assert_eq!(last.total(), spawned, "S31: each child that was spawned");
    let failed = errors.map_or(0, |error| error.len());
    assert_eq!(last.failed, failed);
}

proptest! {
    #![proptest_config(cases(300))]

    // S27, S31
    #[test]
    fn no_limit_is_exceeded_and_no_place_lost(plan in plan()) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(plan));
    }
}

proptest! {
    #![proptest_config(cases(150))]

    // S27, S31
    #[test]
    fn no_limit_is_exceeded_and_no_place_lost_on_two_workers(plan in plan()) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(plan));
    }
}
