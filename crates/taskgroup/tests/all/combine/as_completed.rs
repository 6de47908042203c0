//! S31: outcomes in the order in which they come.

use futures_util::StreamExt;
use taskgroup::{Policy, TaskGroup, as_completed, timeout};

use super::{ZERO, fails, has_a_child, now, panics, works};
use crate::support::{Log, builder, everywhere, ms, paused, sleep, took};

#[test]
fn empty() {
    let mut none = as_completed(Vec::<std::future::Ready<()>>::new());
    assert_eq!(now(none.next()), Some(None));
}

#[test]
fn one() {
    let mut one = as_completed([async { "x" }]);
    assert_eq!(one.remaining(), 1);
    assert_eq!(now(one.next()), Some(Some((0, "x"))));
    assert_eq!(now(one.next()), Some(None));
}

// AC1: in completion order, with the index.
#[test]
fn many() {
    paused(async {
        TaskGroup::run(async |group| {
            let tasks = [3, 1, 2].map(|after| group.spawn(works(after, after)));
            let mut outcomes = as_completed(tasks);
            let mut order = Vec::new();
            while let Some((index, outcome)) = outcomes.next().await {
                order.push((index, outcome?));
            }
            assert_eq!(order, [(1, 1), (2, 2), (0, 3)]);
            Ok(())
        })
        .await
        .unwrap();
    });
    everywhere(|| async {
        let outputs = as_completed((0..1000).map(|n| async move { n }));
        let mut outputs: Vec<_> = outputs.collect().await;
        outputs.sort_unstable();
        assert!(outputs.into_iter().eq((0..1000).map(|n| (n, n))));
    });
}

#[test]
fn all_fail() {
    paused(async {
        let (failed, errors) = builder()
            .policy(Policy::collect())
            .run_to_end(async |group| {
                let tasks = [2, 1].map(|after| group.spawn(fails::<()>(after, "bad")));
                let mut outcomes = as_completed(tasks);
                let mut failed = Vec::new();
                while let Some((index, outcome)) = outcomes.next().await {
                    assert!(outcome.unwrap_err().failure().is_some());
                    failed.push(index);
                }
                Ok(failed)
            })
            .await;
        assert_eq!(failed.unwrap(), [1, 0]);
        assert_eq!(errors.unwrap().len(), 2);
    });
}

// S10: the panic of a task is an outcome.
#[test]
fn a_panic() {
    paused(async {
        let (_, errors) = builder()
            .policy(Policy::collect())
            .run_to_end(async |group| {
                let task = group.spawn(panics::<()>(1, "oh"));
                let (_, outcome) = as_completed([task]).next().await.unwrap();
                assert!(outcome.unwrap_err().failure().unwrap().is_panic());
                Ok(())
            })
            .await;
        assert_eq!(errors.unwrap().len(), 1);
    });
}

// AC3, AC4: a wait that is cut off loses nothing, and tasks go on; also with references, which
// leave the values where they are.
#[test]
fn cancelled_from_outside() {
    paused(async {
        TaskGroup::run(async |group| {
            let tasks = [1, 20].map(|after| group.spawn(works(after, after)));
            let mut outcomes = as_completed(&tasks);
            let mut got = Vec::new();
            let (time, cut) = took(timeout(ms(10), async {
                while let Some((index, outcome)) = outcomes.next().await {
                    got.push((index, *outcome.unwrap()));
                }
            }))
            .await;
            assert!(cut.is_err());
            assert_eq!(time, 10);
            let (index, outcome) = outcomes.next().await.unwrap();
            got.push((index, *outcome.unwrap()));
            assert_eq!(got, [(0, 1), (1, 20)]);
            assert!(outcomes.next().await.is_none());
            drop(outcomes);
            let [_, second] = tasks;
            assert_eq!(second.await?, 20);
            Ok(())
        })
        .await
        .unwrap();
    });
}

// S5, S15: dropped half-way: tasks go on; what plain futures had started is adopted.
#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(TaskGroup::run(async |group| {
            let task = group.spawn(works(30, ()));
            drop(as_completed([task]));
            let mut plain = as_completed([has_a_child::<()>(log.clone(), 10)]);
            tokio::select! {
                biased;
                _ = plain.next() => panic!("for ever"),
                () = sleep(5) => {}
            }
            drop(plain);
            Ok(())
        }))
        .await;
        result.unwrap();
        assert_eq!((time, log.take().len()), (30, 1));
    });
}

#[test]
fn zero_deadline() {
    paused(async {
        let mut outcomes = as_completed([works(1, 1)]);
        assert!(timeout(ZERO, outcomes.next()).await.is_err());
        assert_eq!(outcomes.next().await.unwrap().1.unwrap(), 1);
    });
}
