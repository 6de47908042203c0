//! S31: the same thing again. In virtual time: what it waits is counted to the millisecond.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use backon::{ConstantBuilder, ExponentialBuilder};
use taskgroup::combine::{GaveUp, RetryError, TryFault};
use taskgroup::{BoxError, Retry, TaskGroup, timeout};

use super::{ZERO, cleans_up, dropped_after, has_a_child};
use crate::support::{Log, Outcome, ms, paused, sleep, took};

fn every_10ms(times: usize) -> ConstantBuilder {
    ConstantBuilder::new()
        .with_delay(ms(10))
        .with_max_times(times)
}

// S31: no waits, one try; nothing is slept after it.
#[test]
fn empty() {
    paused(async {
        let (time, result) =
            took(Retry::new(every_10ms(0)).run(async |_| Err::<(), _>("no"))).await;
        let error = result.unwrap_err();
        assert_eq!(
            (time, error.tries(), error.gave_up()),
            (0, 1, GaveUp::TriesUsedUp)
        );
        assert_eq!(error.to_string(), "gave up after 1 try: no");
    });
}

#[test]
fn one() {
    paused(async {
        let (time, value) =
            took(Retry::new(every_10ms(5)).run(async |n| Ok::<_, BoxError>(n))).await;
        assert_eq!((time, value.unwrap()), (0, 1));
    });
}

// S31: fresh waits for each run of one policy; the try knows its number and may change what it
// borrows.
#[test]
fn many() {
    paused(async {
        let exponential = ExponentialBuilder::new()
            .with_min_delay(ms(500))
            .with_factor(2.0)
            .with_max_times(4);
        let retry = Retry::new(exponential);
        for _ in 0..2 {
            let mut seen = Vec::new();
            let (time, value) = took(retry.run(|attempt| {
                seen.push(attempt);
                async move {
                    if attempt < 4 {
                        Err("not yet")
                    } else {
                        Ok("there")
                    }
                }
            }))
            .await;
            assert_eq!((time, value.unwrap()), (500 + 1000 + 2000, "there"));
            assert_eq!(seen, [1, 2, 3, 4]);
        }
    });
}

// S31: never sleeps after the last try.
#[test]
fn all_fail() {
    paused(async {
        let mut tries = 0;
        let (time, result) = took(Retry::new(every_10ms(3)).run(|_| {
            tries += 1;
            async {
                sleep(1).await;
                Err::<(), _>(Error::from(ErrorKind::ConnectionRefused))
            }
        }))
        .await;
        let error = result.unwrap_err();
        assert_eq!(
            (tries, error.tries(), error.gave_up()),
            (4, 4, GaveUp::TriesUsedUp)
        );
        assert_eq!(time, 4 + 3 * 10);
        assert_eq!(error.elapsed(), ms(34));
        assert!(error.location().file().ends_with("retry.rs"));
        let TryFault::Failed(last) = error.into_last() else {
            panic!("it failed");
        };
        assert_eq!(
            last.downcast_ref::<Error>().unwrap().kind(),
            ErrorKind::ConnectionRefused
        );
    });
}

// S31: only on the errors that one names.
#[test]
fn only_on_some_errors() {
    paused(async {
        let retry =
            Retry::new(every_10ms(9)).on(|error: &Error| error.kind() == ErrorKind::TimedOut);
        let kinds = [
            ErrorKind::TimedOut,
            ErrorKind::TimedOut,
            ErrorKind::NotFound,
        ];
        let (time, result) =
            took(retry.run(async |attempt| Err::<(), _>(Error::from(kinds[attempt as usize - 1]))))
                .await;
        let error = result.unwrap_err();
        assert_eq!(
            (time, error.tries(), error.gave_up()),
            (20, 3, GaveUp::NotWorthIt)
        );
        assert_eq!(
            error.to_string(),
            "gave up after 3 tries, for good: entity not found"
        );
    });
}

// S31, S20: each try has its limit; one that runs out of it cleans up before the next begins.
#[test]
fn try_timeout() {
    paused(async {
        let log = Log::default();
        let retry = Retry::new(every_10ms(1))
            .try_timeout(ms(50))
            .on(|_: &BoxError| false);
        let (time, result) = took(retry.run(async |_| cleans_up::<()>(log.clone(), 5).await)).await;
        let error = result.unwrap_err();
        assert_eq!(time, 2 * (50 + 5) + 10);
        assert_eq!((error.tries(), log.take().len()), (2, 2));
        assert!(matches!(error.last(), TryFault::TimedOut(_)));
        assert_eq!(error.to_string(), "gave up after 2 tries: timed out");
    });
}

// S21: a timeout of the work's own is an error of the work.
#[test]
fn a_foreign_timeout() {
    paused(async {
        let retry = Retry::new(every_10ms(1)).try_timeout(ms(50));
        let result = retry.run(async |_| timeout(ms(5), sleep(60)).await).await;
        assert!(matches!(result.unwrap_err().last(), TryFault::Failed(_)));
    });
}

// S31: the budget covers tries and waits, and a wait after which no time would be left is not
// begun.
#[test]
fn budget() {
    paused(async {
        let work = async |_: u32| {
            sleep(30).await;
            Err::<(), _>("no")
        };
        // 30, wait 10, 30, wait 10 to 80, cut at 100.
        let retry = Retry::new(every_10ms(100)).budget(ms(100));
        let (time, result) = took(retry.run(work)).await;
        let error = result.unwrap_err();
        assert_eq!(
            (time, error.tries(), error.gave_up()),
            (100, 3, GaveUp::BudgetUsedUp)
        );
        assert!(matches!(error.last(), TryFault::TimedOut(_)));
        assert_eq!(
            error.to_string(),
            "gave up after 3 tries, out of time: timed out"
        );
        // 30, wait 10, 30: at 70 another wait would end at the end.
        let (time, result) = took(Retry::new(every_10ms(100)).budget(ms(80)).run(work)).await;
        let error = result.unwrap_err();
        assert_eq!(
            (time, error.tries(), error.gave_up()),
            (70, 2, GaveUp::BudgetUsedUp)
        );
        assert!(matches!(error.last(), TryFault::Failed(_)));
    });
}

// S21: no budget at all: what is ready at once is tried, and nothing is waited.
#[test]
fn zero_deadline() {
    paused(async {
        let retry = Retry::new(every_10ms(9)).budget(ZERO);
        assert_eq!(retry.run(async |_| Ok::<_, BoxError>(1)).await.unwrap(), 1);
        let (time, result) = took(retry.run(async |_| {
            sleep(1).await;
            Ok::<_, BoxError>(())
        }))
        .await;
        assert_eq!((time, result.unwrap_err().tries()), (0, 1));
        let (time, result) = took(timeout(ZERO, retry.run(async |_| Err::<(), _>("no")))).await;
        assert_eq!((time, result.unwrap().unwrap_err().tries()), (0, 1));
        let endless = Retry::new(every_10ms(9))
            .budget(Duration::MAX)
            .try_timeout(Duration::MAX);
        assert_eq!(
            endless
                .run(async |n| if n < 3 { Err("") } else { Ok(n) })
                .await
                .unwrap(),
            3
        );
    });
}

// S11: cancelled in a try or in a wait.
#[test]
fn cancelled_from_outside() {
    paused(async {
        let retry = Retry::new(every_10ms(9));
        let log = Log::default();
        let (time, cut) = took(timeout(
            ms(5),
            retry.run(async |_| cleans_up::<()>(log.clone(), 2).await),
        ))
        .await;
        assert!(cut.is_err());
        assert_eq!((time, log.take().len()), (7, 1));
        let (time, cut) = took(timeout(ms(15), retry.run(async |_| Err::<(), _>("no")))).await;
        assert!(cut.is_err());
        assert_eq!(time, 15);
    });
}

// S12: cleanup may try again too, while its guard is held.
#[test]
fn in_cleanup() {
    paused(async {
        let log = Log::default();
        let work = async {
            let cancelled = taskgroup::until_cancelled(sleep(60)).await.unwrap_err();
            let retry = Retry::new(every_10ms(9));
            let closed = retry.run(async |n| if n < 3 { Err("not yet") } else { Ok(n) });
            log.add(format!("closed at try {}", closed.await.unwrap()));
            drop(cancelled);
        };
        let (time, _) = took(timeout(ms(5), work)).await;
        assert_eq!((time, log.take()), (25, vec!["closed at try 3".into()]));
    });
}

#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let retry = Retry::new(every_10ms(9));
        let work = retry.run(async |_| has_a_child::<()>(log.clone(), 10).await);
        let (time, ()) = took(dropped_after(5, work)).await;
        assert_eq!((time, log.take().len()), (15, 1));
    });
}

// S10: a panic is not tried again.
#[test]
fn a_panic() {
    paused(async {
        let run = TaskGroup::run(async |group| {
            group.spawn(async {
                let retry = Retry::new(every_10ms(9));
                retry.run(async |n| -> Outcome { panic!("try {n}") }).await
            });
            Ok(())
        });
        let errors = run.await.unwrap_err();
        assert_eq!(errors.cause().panic_message(), Some("try 1"));
    });
}

// S23: as an error in a group it says the number of tries, and the chain goes on with what the last
// error came from.
#[test]
fn in_a_group() {
    paused(async {
        let run = TaskGroup::run(async |group| {
            group.spawn(async {
                let retry = Retry::new(every_10ms(1));
                retry
                    .run(async |_| Err::<(), _>(Error::other(std::fmt::Error)))
                    .await
            });
            Ok(())
        });
        let errors = run.await.unwrap_err();
        let error = errors.find::<RetryError>().unwrap();
        assert_eq!(error.tries(), 2);
        assert!(std::error::Error::source(error).is_none());
    });
}
