//! S31, S32, S27: one function over many items, a few at a time.

use std::cell::Cell;

use taskgroup::{BoxError, Policy, TaskGroup, map, timeout};

use super::{ZERO, cleans_up, dropped_after, has_a_child, now};
use crate::support::{Log, everywhere, messages, ms, paused, sleep, took, turns};

#[test]
fn empty() {
    let none: Vec<u8> = now(map(3, Vec::new(), async |n: u8| Ok::<_, BoxError>(n)))
        .unwrap()
        .unwrap();
    assert!(none.is_empty());
}

#[test]
fn one() {
    assert_eq!(
        now(map(3, [1], async |n| Ok::<_, BoxError>(n + 1)))
            .unwrap()
            .unwrap(),
        [2]
    );
}

// S32: items and function borrow; values in the order of the items; never more than the limit.
#[test]
fn many() {
    paused(async {
        let items: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let running = Cell::new(0);
        let work = async |item: &String| {
            running.set(running.get() + 1);
            assert!(running.get() <= 4);
            sleep(10).await;
            running.set(running.get() - 1);
            item.parse::<usize>()
        };
        let (time, values) = took(map(4, &items, work)).await;
        assert!(values.unwrap().into_iter().eq(0..20));
        assert_eq!(time, 50);
    });
}

// S27: zero counts as one.
#[test]
fn limit_of_zero() {
    paused(async {
        let (time, values) = took(map(0, 0..3, async |n| {
            sleep(1).await;
            Ok::<_, BoxError>(n)
        }))
        .await;
        assert_eq!((time, values.unwrap()), (3, vec![0, 1, 2]));
    });
}

// S31: items are taken when there is room: a lazy iterator is not run ahead.
#[test]
fn lazy() {
    paused(async {
        let taken = Cell::new(0);
        let items = std::iter::repeat_with(|| taken.replace(taken.get() + 1));
        let errors = map(3, items, async |n: u32| {
            sleep(1).await;
            if n == 7 { Err("seven") } else { Ok(()) }
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&errors), ["seven"]);
        // Six made room for a tenth before seven failed.
        assert_eq!(taken.get(), 10);
    });
}

#[test]
fn all_fail() {
    everywhere(|| async {
        let work = async |n: u32| {
            turns(1).await;
            Err::<(), _>(n.to_string())
        };
        let errors = map(5, 0..50, work).await.unwrap_err();
        assert!((1..=5).contains(&errors.len()));
        let all = TaskGroup::builder()
            .policy(Policy::collect())
            .limit(5)
            .map(0..50, work);
        assert_eq!(all.await.unwrap_err().len(), 50);
    });
}

#[test]
fn a_panic() {
    paused(async {
        let errors = map(2, 0..5, async |n: u32| {
            assert!(n != 3, "three");
            sleep(1).await;
            Ok::<_, BoxError>(())
        });
        assert_eq!(messages(&errors.await.unwrap_err()), ["panic: three"]);
    });
}

#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let work = async |_: u32| cleans_up::<()>(log.clone(), 5).await;
        let (time, cut) = took(timeout(ms(10), map(3, 0..100, work))).await;
        assert!(cut.is_err());
        assert_eq!((time, log.take().len()), (15, 3));
    });
}

// S11: cancelled just after all that had been started were done: the rest is missing, so there is
// no value.
#[test]
fn cancelled_between_items() {
    paused(async {
        let result = TaskGroup::builder()
            .run_cancellable(async |group| {
                let work = async |n: u32| {
                    if n == 2 {
                        group.cancel();
                    }
                    Ok::<_, BoxError>(n)
                };
                let values = map(1, 0..5, work).await?;
                Ok(values)
            })
            .await;
        assert_eq!(result.unwrap(), None);
    });
}

#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let work = async |_: u32| has_a_child::<()>(log.clone(), 10).await;
        let (time, ()) = took(dropped_after(5, map(2, 0..5, work))).await;
        assert_eq!((time, log.take().len()), (15, 2));
    });
}

#[test]
fn zero_deadline() {
    paused(async {
        let ready = timeout(ZERO, map(1, 0..3, async |n| Ok::<_, BoxError>(n)));
        assert_eq!(ready.await.unwrap().unwrap(), [0, 1, 2]);
        let slow = timeout(
            ZERO,
            map(1, 0..3, async |_| {
                sleep(1).await;
                Ok::<_, BoxError>(())
            }),
        );
        assert!(slow.await.is_err());
    });
}
