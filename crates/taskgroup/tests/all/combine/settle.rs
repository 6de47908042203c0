//! S31: every outcome, by index or by key.

use std::collections::HashMap;

use taskgroup::{BoxError, Policy, ReasonKind, TaskGroup, settle, settle_by_key, timeout};

use super::{ZERO, cleans_up, dropped_after, fails, has_a_child, now, panics, works};
use crate::support::{Log, Outcome, builder, everywhere, messages, ms, paused, sleep, took};

#[test]
fn empty() {
    let settled = now(settle(Vec::<std::future::Ready<Outcome>>::new())).unwrap();
    assert!(settled.is_complete());
    assert_eq!(settled.total(), 0);
}

#[test]
fn one() {
    let settled = now(settle([async { Ok::<_, BoxError>(1) }])).unwrap();
    assert_eq!(settled.values, [(0, 1)]);
    assert!(settled.is_complete());
    let settled = now(settle([async { Err::<u8, _>("bad") }])).unwrap();
    assert_eq!(settled.failed[0].0, 0);
    assert!(!settled.is_complete());
}

// S31: a failure stops no other; each list is in the order of the arguments.
#[test]
fn many() {
    paused(async {
        let work = |n: u64| async move {
            sleep(10 - n).await;
            match n % 3 {
                0 => Ok(n),
                1 => Err(n.to_string()),
                _ => panic!("{n}"),
            }
        };
        let (time, settled) = took(settle((0..9).map(work))).await;
        assert_eq!(time, 10);
        assert_eq!(settled.values, [(0, 0), (3, 3), (6, 6)]);
        let failed: Vec<_> = settled.failed.iter().map(|(index, _)| *index).collect();
        assert_eq!(failed, [1, 2, 4, 5, 7, 8]);
        assert!(settled.cancelled.is_empty());
        let arrived = messages(settled.errors.as_ref().unwrap());
        assert_eq!(arrived, ["panic: 8", "7", "panic: 5", "4", "panic: 2", "1"]);
        assert!(settled.into_values().eq([0, 3, 6]));
    });
}

// S31: by key.
#[test]
fn by_key() {
    paused(async {
        let pages = [("home", works(2, 200)), ("about", works(1, 404))];
        let settled = settle_by_key(pages).await;
        let codes: HashMap<_, _> = settled.values.into_iter().collect();
        assert_eq!(codes["about"], 404);
        let settled = settle_by_key([("home", fails::<()>(1, "down"))]).await;
        assert_eq!(settled.failed[0].0, "home");
    });
}

#[test]
fn all_fail() {
    everywhere(|| async {
        let settled = settle((0..100).map(|n| async move { Err::<(), _>(format!("{n}")) })).await;
        assert_eq!(settled.failed.len(), 100);
        assert_eq!(settled.errors.unwrap().len(), 100);
        assert!(
            settled
                .failed
                .iter()
                .enumerate()
                .all(|(at, (index, failure))| {
                    at == *index && failure.error().unwrap().to_string() == at.to_string()
                })
        );
    });
}

#[test]
fn a_panic() {
    paused(async {
        let settled = settle([panics(1, "oh"), works(2, 2)]).await;
        assert_eq!(settled.values, [(1, 2)]);
        assert_eq!(settled.failed[0].1.panic_message(), Some("oh"));
    });
}

// S22, S26: at a deadline: partial values and all errors; the rest cleans up and says why it is
// missing.
#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let (time, settled) = took(timeout(
            ms(10),
            settle([
                works(1, 1),
                fails(2, "two"),
                cleans_up(log.clone(), 5),
                has_a_child(log.clone(), 3),
            ]),
        ))
        .await;
        let settled = settled.expect("what there is");
        assert_eq!(time, 15);
        assert_eq!(log.take(), ["cleaned up"; 2]);
        assert_eq!(settled.values, [(0, 1)]);
        assert_eq!(settled.failed[0].0, 1);
        assert_eq!(messages(settled.errors.as_ref().unwrap()), ["two"]);
        let cancelled: Vec<_> = settled
            .cancelled
            .iter()
            .map(|(index, why)| (*index, why.kind()))
            .collect();
        assert_eq!(
            cancelled,
            [(2, ReasonKind::Deadline), (3, ReasonKind::Deadline)]
        );
    });
}

// GA8, S11: the cancellation is not swallowed: it takes effect at the next suspension point.
#[test]
fn does_not_swallow_the_cancellation() {
    paused(async {
        let log = Log::default();
        let result = TaskGroup::builder()
            .run_cancellable(async |group| {
                let inner = group.clone();
                group.spawn(async move {
                    sleep(5).await;
                    inner.cancel();
                });
                let settled = settle([works(60, ())]).await;
                log.add(format!("{} cancelled", settled.cancelled.len()));
                sleep(1).await;
                log.add("not reached");
                Ok(())
            })
            .await;
        assert_eq!(result.unwrap(), None);
        assert_eq!(log.take(), ["1 cancelled"]);
    });
}

#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let settled = settle([has_a_child::<()>(log.clone(), 10)]);
        let (time, ()) = took(dropped_after(5, settled)).await;
        assert_eq!((time, log.take()), (15, vec!["cleaned up".into()]));
    });
}

// S21, S27: due from the start, with a limit: those that were never started are listed too.
#[test]
fn zero_deadline() {
    paused(async {
        let limited = TaskGroup::builder()
            .limit(2)
            .settle((1..=5).map(|n| works(n, n)));
        let (time, settled) = took(timeout(ZERO, limited)).await;
        let settled = settled.expect("what there is");
        assert_eq!(time, 0);
        assert_eq!(settled.total(), 5);
        assert_eq!(settled.cancelled.len(), 5);
    });
}

// S26: the first n values, and then no more.
#[test]
fn quorum() {
    paused(async {
        let settled = TaskGroup::builder().policy(Policy::quorum(2)).settle([
            works(3, 'c'),
            works(1, 'a'),
            fails(0, "no"),
            works(2, 'b'),
            works(9, 'd'),
        ]);
        let (time, settled) = took(settled).await;
        assert_eq!(time, 2);
        assert_eq!(settled.values, [(1, 'a'), (3, 'b')]);
        assert_eq!(settled.failed.len(), 1);
        assert_eq!(settled.cancelled.len(), 2);
        assert_eq!(settled.cancelled[0].1.kind(), ReasonKind::Satisfied);
    });
}

// S5, S26: with handles: tasks on all cores; one that was cancelled has not failed.
#[test]
fn of_handles() {
    paused(async {
        let mut tasks = Vec::new();
        let result = TaskGroup::builder()
            .policy(Policy::collect())
            .run(async |group| {
                tasks.push(group.spawn(works(1, 1)));
                tasks.push(group.spawn(fails(1, "bad")));
                tasks.push(group.spawn(works(60, 2)));
                tasks[2].cancel();
                Ok(())
            })
            .await;
        assert_eq!(messages(&result.unwrap_err()), ["bad"]);
        // The group is over; its outcomes are at hand at once.
        let settled = now(settle(tasks)).unwrap();
        assert_eq!(settled.values, [(0, 1)]);
        assert_eq!(settled.failed[0].0, 1);
        assert_eq!(settled.failed[0].1.name(), "#2");
        assert_eq!(settled.cancelled[0].0, 2);
    });
}

// S23, S31: the key of a future is its name in errors, whatever its type.
#[test]
fn a_key_is_a_name() {
    everywhere(|| async {
        #[derive(Debug)]
        struct Page(#[allow(dead_code)] u32);
        let fails = async || Outcome::<()>::Err("down".into());
        let settled = builder()
            .name("load")
            .settle_by_key(["users", "orders"].map(|key| (key, fails())))
            .await;
        let path = |failed: &taskgroup::TaskError| failed.info().path().to_string();
        let paths: Vec<_> = settled
            .failed
            .iter()
            .map(|(_, failed)| path(failed))
            .collect();
        assert_eq!(paths, ["load/users", "load/orders"]);
        let settled = builder()
            .name("load")
            .settle_by_key([(Page(7), fails())])
            .await;
        assert_eq!(path(&settled.failed[0].1), "load/Page(7)");
    });
}
