//! S31, S32: values in the order of the arguments, or every failure.

use taskgroup::{BoxError, Policy, TaskGroup, gather, timeout};

use super::{ZERO, cleans_up, dropped_after, fails, has_a_child, now, panics, works};
use crate::support::{Log, Outcome, everywhere, messages, ms, paused, sleep, took, turns};

// S31, GA1: nothing in, nothing out, at once and without a runtime.
#[test]
fn empty() {
    let values = now(gather(Vec::<std::future::Ready<Outcome<u8>>>::new()));
    assert_eq!(values.unwrap().unwrap(), [0u8; 0]);
}

#[test]
fn one() {
    assert_eq!(
        now(gather([async { Ok::<_, BoxError>(1) }]))
            .unwrap()
            .unwrap(),
        [1]
    );
    assert_eq!(
        now(gather((async { Ok::<_, BoxError>(1) },)))
            .unwrap()
            .unwrap(),
        (1,)
    );
}

// S31, GA1: in argument order, whichever is first; side by side.
#[test]
fn many() {
    paused(async {
        let (time, values) = took(gather((0..10).map(|n| works(10 - n, n)))).await;
        assert_eq!(values.unwrap(), (0..10).collect::<Vec<_>>());
        assert_eq!(time, 10);

        let text = String::from("borrowed");
        let (time, values) = took(gather((
            works(3, 1),
            works(1, &text),
            async {
                sleep(2).await;
                Ok::<_, BoxError>(text.len())
            },
            async { sleep(5).await },
        )))
        .await;
        assert_eq!((time, values.unwrap()), (5, (1, &text, 8, ())));
    });
}

// S31: ten thousand.
#[test]
fn very_many() {
    everywhere(|| async {
        let values = gather((0..10_000).map(|n| async move {
            turns(n % 3).await;
            Ok::<_, BoxError>(n)
        }));
        assert!(values.await.unwrap().into_iter().eq(0..10_000));
    });
}

// S6: the first failure cancels the others, they clean up, all failures come out in order of
// arrival.
#[test]
fn a_failure() {
    paused(async {
        let log = Log::default();
        let cleanup_fails = async {
            let _ = cleans_up::<()>(log.clone(), 7).await;
            Err::<(), _>("cleanup")
        };
        let (time, result) = took(gather((
            cleans_up::<()>(log.clone(), 5),
            fails::<()>(1, "first"),
            cleanup_fails,
            has_a_child::<()>(log.clone(), 3),
        )))
        .await;
        assert_eq!(time, 8);
        assert_eq!(messages(&result.unwrap_err()), ["first", "cleanup"]);
        assert_eq!(log.take(), ["cleaned up"; 3]);
    });
}

#[test]
fn all_fail() {
    paused(async {
        let errors = gather((0..5).map(|_| fails::<()>(0, "bad")))
            .await
            .unwrap_err();
        assert_eq!(errors.first().info().name(), "#1");
        let collected = TaskGroup::builder()
            .policy(Policy::collect())
            .gather((0..5).map(|_| fails::<()>(0, "bad")));
        assert_eq!(collected.await.unwrap_err().len(), 5);
        let tuple = TaskGroup::builder().policy(Policy::collect()).gather((
            fails::<()>(2, "two"),
            fails::<u8>(1, "one"),
            works(9, 9),
        ));
        let (time, errors) = took(tuple).await;
        assert_eq!(
            (time, messages(&errors.unwrap_err())),
            (9, vec!["one".into(), "two".into()])
        );
    });
}

// S10: a panic is a failure, and cancels the others.
#[test]
fn a_panic() {
    paused(async {
        let log = Log::default();
        let errors = gather([panics::<()>(1, "oh"), panics(1, "ah")])
            .await
            .unwrap_err();
        assert_eq!(messages(&errors)[0], "panic: oh");
        let errors = gather((panics::<()>(1, "oh"), cleans_up::<u8>(log.clone(), 2)));
        assert_eq!(messages(&errors.await.unwrap_err()), ["panic: oh"]);
        assert_eq!(log.take(), ["cleaned up"]);
    });
}

// S11, GA5: cancelled from outside it cancels, waits, and never returns.
#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(timeout(
            ms(10),
            gather([
                cleans_up::<()>(log.clone(), 5),
                cleans_up(log.clone(), 1),
                has_a_child(log.clone(), 3),
                works(1, ()),
            ]),
        ))
        .await;
        assert!(result.is_err());
        assert_eq!(time, 15);
        assert_eq!(log.take(), ["cleaned up"; 3]);

        let result = timeout(
            ms(10),
            gather((cleans_up::<()>(log.clone(), 5), fails::<()>(11, "no"))),
        );
        assert!(result.await.is_err());
    });
}

// S19: a failure in the cleanup wins over the deadline.
#[test]
fn cancelled_and_failing() {
    paused(async {
        let fails_late = async {
            let _guard = taskgroup::until_cancelled(sleep(60)).await;
            Err::<(), _>("late")
        };
        let result = timeout(ms(10), gather((fails_late,))).await;
        let errors = result.expect("failures win").unwrap_err();
        assert_eq!(messages(&errors), ["late"]);
    });
}

// S15: dropped half-way it leaves nothing behind that its scope does not wait for.
#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let (time, ()) = took(dropped_after(
            5,
            gather([
                has_a_child::<()>(log.clone(), 10),
                has_a_child(log.clone(), 1),
            ]),
        ))
        .await;
        assert_eq!(time, 15);
        assert_eq!(log.take(), ["cleaned up"; 2]);
    });
}

// S20, S21: what is ready at once is ready before any deadline; the rest is cut at its first
// suspension point.
#[test]
fn zero_deadline() {
    paused(async {
        let ready = timeout(ZERO, gather([std::future::ready(Ok::<_, BoxError>(1))]));
        assert_eq!(ready.await.unwrap().unwrap(), [1]);
        let (time, cut) = took(timeout(ZERO, gather([works(5, 1)]))).await;
        assert!(cut.is_err());
        assert_eq!(time, 0);
    });
}

// S27: with a limit at most so many run, and a failure starts nothing more.
#[test]
fn limited() {
    paused(async {
        let log = Log::default();
        let works = |n: u32| {
            let log = log.clone();
            async move {
                log.add(n.to_string());
                sleep(10).await;
                if n == 3 { Err("three") } else { Ok(n) }
            }
        };
        let (time, values) = took(TaskGroup::builder().limit(2).gather((4..8).map(works))).await;
        assert_eq!((time, values.unwrap()), (20, vec![4, 5, 6, 7]));
        log.take();
        let endless = TaskGroup::builder().limit(2).gather((0..).map(works));
        assert_eq!(messages(&endless.await.unwrap_err()), ["three"]);
        assert_eq!(log.take().len(), 4);
    });
}

// S5, S6: handles are futures too: gathered, they are tasks on all cores, and a failure is counted
// once.
#[test]
fn of_handles() {
    paused(async {
        let value = TaskGroup::run(async |group| {
            let tasks = [3, 1, 2].map(|n| group.spawn(works(n, n)));
            Ok(gather(tasks).await?)
        });
        assert_eq!(value.await.unwrap(), [3, 1, 2]);

        let run = TaskGroup::run(async |group| {
            let tasks = [
                group.spawn(fails::<()>(1, "bad")),
                group.spawn(works(2, ())),
            ];
            Ok(gather(tasks).await?)
        });
        let errors = run.await.unwrap_err();
        assert_eq!(messages(&errors), ["bad"]);

        // GA4: one that was cancelled alone has no value to give: an error, and gather itself is
        // not cancelled.
        let run = TaskGroup::run(async |group| {
            let task = group.spawn(works(60, ()));
            task.cancel();
            let error = gather([task]).await.unwrap_err();
            assert_eq!(error.len(), 1);
            Ok("goes on")
        });
        assert_eq!(run.await.unwrap(), "goes on");
    });
}

// S23: a failure says which future it was, and where.
#[test]
fn names() {
    paused(async {
        let gathered = TaskGroup::builder()
            .name("pages")
            .gather([works(1, ()), fails(1, "gone")]);
        let errors = gathered.await.unwrap_err();
        assert_eq!(errors.cause().path(), "pages/#2");
        assert!(errors.location().file().ends_with("gather.rs"));
        assert!(errors.cause().location().file().ends_with("gather.rs"));
    });
}
