//! S49: the next child that ends, of a group that goes on to spawn.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use taskgroup::{JoinError, Policy, TaskGroup};

use crate::support::{
    Log, Outcome, Steps, builder, everywhere, forever, group, paused, sleep, turns,
};

// S49: empty, one, many. Each outcome comes once, with its number.
#[test]
fn each_outcome_comes_once() {
    everywhere(|| async {
        let ran = group(async |group| {
            let mut outcomes = group.outcomes::<usize>();
            assert!(outcomes.next().await.is_none());
            assert_eq!(outcomes.spawn(async { Outcome::Ok(7) }), 0);
            assert_eq!(outcomes.remaining(), 1);
            assert!(matches!(outcomes.next().await, Some((0, Ok(7)))));
            assert!(outcomes.next().await.is_none());

            // By number, what it is to give.
            let mut expected = BTreeMap::new();
            for value in 0..100 {
                let number = outcomes.spawn(async move { Outcome::Ok(value) });
                assert_eq!(number, value + 1);
                expected.insert(number, value);
            }
            let mut more = 100..300;
            while let Some((number, value)) = outcomes.next().await {
                assert_eq!(expected.remove(&number), Some(value?));
                // It goes on to spawn.
                if let Some(value) = more.next() {
                    let child = async move {
                        turns(value % 5).await;
                        Outcome::Ok(value)
                    };
                    let number = outcomes.push(group.task("named").spawn(child));
                    expected.insert(number, value);
                }
            }
            assert!(expected.is_empty() && more.is_empty());
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S49: in order of completion.
#[test]
fn in_order_of_completion() {
    paused(async {
        let ran = group(async |group| {
            let mut outcomes = group.outcomes();
            for after in [30, 10, 20] {
                outcomes.spawn(async move {
                    sleep(after).await;
                    Outcome::Ok(after)
                });
            }
            let first = outcomes.next().await.unwrap();
            assert!(matches!(first, (1, Ok(10))));
            outcomes.spawn(async {
                sleep(5).await;
                Outcome::Ok(5)
            });
            let order: Vec<_> = outcomes
                .map(|(number, value)| (number, value.unwrap()))
                .collect()
                .await;
            assert_eq!(order, [(3, 5), (2, 20), (0, 30)]);
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S49, S6, S10: all fail. The outcomes are failures, the panics too, and the group has each once.
#[test]
fn all_fail() {
    everywhere(|| async {
        let collect = builder().policy(Policy::collect());
        let (seen, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                let mut outcomes = group.outcomes::<()>();
                for number in 0..10 {
                    outcomes.spawn(async move {
                        assert!(number % 2 == 0, "odd");
                        Err(format!("even {number}"))
                    });
                }
                let mut seen = [0, 0];
                while let Some((number, outcome)) = outcomes.next().await {
                    let Err(JoinError::Failed(failure)) = outcome else {
                        panic!("it failed")
                    };
                    assert_eq!(failure.is_panic(), number % 2 == 1);
                    seen[number % 2] += 1;
                }
                Ok(seen)
            })
            .await;
        assert_eq!(seen, Some([5, 5]));
        assert_eq!(errors.unwrap().len(), 10);
    });
}

// S49, S7: a child that was cancelled has an outcome, and the others go on.
#[test]
fn a_cancelled_child_is_an_outcome() {
    everywhere(|| async {
        let ran = group(async |group| {
            let mut outcomes = group.outcomes();
            let child = group.spawn(async {
                forever().await;
                Outcome::Ok(0)
            });
            let stop = child.canceller();
            outcomes.push(child);
            outcomes.spawn(async { Outcome::Ok(1) });
            assert!(matches!(outcomes.next().await, Some((1, Ok(1)))));
            stop.cancel();
            let (number, outcome) = outcomes.next().await.unwrap();
            assert!(number == 0 && outcome.unwrap_err().is_cancelled());
            Ok(())
        });
        ran.await.unwrap();
    });
}

// S49, S37: cancelled from outside, no loop over it goes on.
#[test]
fn cancelled_from_outside() {
    everywhere(|| async {
        let (log, rounds) = (Log::default(), Steps::default());
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let mut outcomes = group.outcomes::<()>();
            outcomes.push(group.spawn(log.forever("child")));
            log.started(1).await;
            group.cancel();
            loop {
                let _ = outcomes.next().await;
                rounds.step();
                outcomes.spawn(async {});
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        assert!(rounds.is_at(0));
        assert_eq!(log.take(), ["child"]);
    });
}

// S49, S5: dropped half-way it detaches nothing, and a `next` that is given up loses nothing.
#[test]
fn dropped_half_way() {
    everywhere(|| async {
        let log = Log::default();
        let ran = group(async |group| {
            let steps = Steps::default();
            let mut outcomes = group.outcomes();
            for number in 0..3 {
                let (steps, log) = (steps.clone(), log.clone());
                outcomes.spawn(async move {
                    steps.reached(number).await;
                    log.add(number.to_string());
                    Outcome::Ok(number)
                });
            }
            assert!(matches!(outcomes.next().await, Some((0, Ok(0)))));
            tokio::select! {
                biased;
                _ = outcomes.next() => panic!("it has not ended"),
                () = turns(2) => {}
            }
            steps.step();
            assert!(matches!(outcomes.next().await, Some((1, Ok(1)))));
            drop(outcomes);
            steps.step();
            Ok(())
        });
        ran.await.unwrap();
        assert_eq!(log.take_sorted(), ["0", "1", "2"]);
    });
}

// S49: it can be sent, and lives in a child as well as in the body.
#[test]
fn it_can_be_sent() {
    everywhere(|| async {
        let jobs = builder().open();
        let mut outcomes = jobs.group().outcomes();
        outcomes.spawn(async { Outcome::Ok(1) });
        let sum = tokio::spawn(async move {
            outcomes.spawn(async { Outcome::Ok(2) });
            let mut sum = 0;
            while let Some((_, value)) = outcomes.next().await {
                sum += value.unwrap();
            }
            sum
        });
        assert_eq!(sum.await.unwrap(), 3);
        jobs.close().await.unwrap();
    });
}
