//! S31: waiting for some of several tasks, touching none.

use taskgroup::combine::{Until, Waited};
use taskgroup::{Policy, TaskGroup, TaskHandle, timeout, wait, wait_timeout};

use super::{ZERO, fails, now, panics, works};
use crate::support::{builder, everywhere, messages, ms, paused, sleep, took, turns};

fn indices<T: 'static>(tasks: &[&TaskHandle<T>]) -> Vec<u32> {
    tasks.iter().map(|task| task.index()).collect()
}

fn split<T: 'static>(waited: &Waited<'_, T>) -> (Vec<u32>, Vec<u32>) {
    (indices(&waited.done), indices(&waited.pending))
}

// S31: without handles there is nothing to wait for. (asyncio's WA1 makes an error of it.)
#[test]
fn empty() {
    for until in [Until::All, Until::FirstCompleted, Until::FirstFailure] {
        let none: [TaskHandle<()>; 0] = [];
        let waited = now(wait(&none, until)).unwrap();
        assert!(waited.done.is_empty() && waited.pending.is_empty());
    }
}

#[test]
fn one() {
    everywhere(|| async {
        TaskGroup::run(async |group| {
            let task = group.spawn(async { Ok::<_, String>(1) });
            let waited = wait([&task], Until::FirstCompleted).await;
            assert_eq!(waited.done.len(), 1);
            assert_eq!(task.await?, 1);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// WA1: the three modes; done may hold more than one (WA3).
#[test]
fn modes() {
    paused(async {
        builder()
            .policy(Policy::collect())
            .run_to_end(async |group| {
                let tasks = [
                    group.spawn(works(5, ())),
                    group.spawn(works(1, ())),
                    group.spawn(fails(3, "bad")),
                    group.spawn(works(1, ())),
                    group.spawn(panics(7, "worse")),
                ];
                let (time, first) = took(wait(&tasks, Until::FirstCompleted)).await;
                assert_eq!(time, 1);
                assert!(first.done.iter().all(|task| [2, 4].contains(&task.index())));
                assert_eq!(first.done.len() + first.pending.len(), 5);
                let (time, failed) = took(wait(&tasks, Until::FirstFailure)).await;
                assert_eq!((time, split(&failed)), (2, (vec![2, 3, 4], vec![1, 5])));
                let rest = [&tasks[0], &tasks[4]];
                let (time, panicked) = took(wait(rest, Until::FirstFailure)).await;
                assert_eq!((time, split(&panicked)), (4, (vec![1, 5], vec![])));
                let (time, all) = took(wait(&tasks, Until::All)).await;
                assert_eq!((time, all.done.len()), (0, 5));
                Ok(())
            })
            .await
            .0
            .unwrap();
    });
}

// WA4: a cancelled task has not failed.
#[test]
fn cancelled_is_not_failed() {
    paused(async {
        TaskGroup::run(async |group| {
            let tasks = [group.spawn(works(60, ())), group.spawn(works(5, ()))];
            tasks[0].cancel();
            let (time, waited) = took(wait(&tasks, Until::FirstFailure)).await;
            assert_eq!((time, waited.done.len()), (5, 2));
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn all_fail() {
    paused(async {
        let (_, errors) = builder()
            .policy(Policy::collect())
            .run_to_end(async |group| {
                let tasks = [1, 2, 3].map(|after| group.spawn(fails::<()>(after, "bad")));
                let (time, waited) = took(wait(&tasks, Until::All)).await;
                assert_eq!((time, waited.done.len()), (3, 3));
                Ok(())
            })
            .await;
        assert_eq!(errors.unwrap().len(), 3);
    });
}

// WA2: at the timeout: done and pending, nothing raised, nothing cancelled.
#[test]
fn timed() {
    paused(async {
        TaskGroup::run(async |group| {
            let tasks = [1, 2, 60].map(|after| group.spawn(works(after, after)));
            let (time, waited) = took(wait_timeout(ms(10), &tasks, Until::All)).await;
            assert_eq!((time, split(&waited)), (10, (vec![1, 2], vec![3])));
            turns(5).await;
            assert!(!tasks[2].is_finished());
            let (time, waited) = took(wait_timeout(ms(100), &tasks, Until::All)).await;
            assert_eq!((time, waited.pending.len()), (50, 0));
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S21: a timeout of nothing looks and returns.
#[test]
fn zero_deadline() {
    paused(async {
        TaskGroup::run(async |group| {
            let tasks = [group.spawn(works(0, ())), group.spawn(works(60, ()))];
            sleep(1).await;
            let (time, waited) = took(wait_timeout(ZERO, &tasks, Until::All)).await;
            assert_eq!((time, split(&waited)), (0, (vec![1], vec![2])));
            tasks[1].cancel();
            Ok(())
        })
        .await
        .unwrap();
    });
}

// WA5: a wait that is cancelled or dropped leaves the tasks running.
#[test]
fn cancelled_from_outside() {
    paused(async {
        let values = TaskGroup::run(async |group| {
            let tasks = [1, 20].map(|after| group.spawn(works(after, after)));
            assert!(timeout(ms(10), wait(&tasks, Until::All)).await.is_err());
            tokio::select! {
                biased;
                _ = wait(&tasks, Until::All) => panic!("one is pending"),
                () = sleep(1) => {}
            }
            let [a, b] = tasks;
            Ok((a.await?, b.await?))
        });
        assert_eq!(values.await.unwrap(), (1, 20));
    });
}

// WA6: named twice it counts once; any iterator will do.
#[test]
fn duplicates() {
    paused(async {
        TaskGroup::run(async |group| {
            let task = group.spawn(works(1, ()));
            let waited = wait(std::iter::repeat_n(&task, 3), Until::All).await;
            assert_eq!(waited.done.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S31: `if pending: … else: print("No tasks failed")`, when the last task to end is the one that
// failed. No task is pending then, and the outcomes say what happened.
#[test]
fn the_last_task_to_end_may_be_the_one_that_failed() {
    paused(async {
        let group = builder().policy(Policy::collect());
        let run = group.run_to_end(async |group| {
            let tasks = [group.spawn(works(1, ())), group.spawn(fails(2, "last"))];
            let waited = wait(&tasks, Until::FirstFailure).await;
            let failed = waited
                .done
                .iter()
                .filter(|task| matches!(task.outcome(), Some(Err(_))));
            Ok((waited.pending.len(), failed.count()))
        });
        let (counts, errors) = run.await;
        assert_eq!(counts, Some((0, 1)));
        assert_eq!(messages(&errors.unwrap()), ["last"]);
    });
}
