//! S31, S26: the first success, or every failure.

use taskgroup::error::QuorumMissed;
use taskgroup::{BoxError, TaskGroup, race, race_by_key, race_staggered, timeout};

use super::{ZERO, cleans_up, dropped_after, fails, has_a_child, now, panics, works};
use crate::support::{Log, Outcome, builder, everywhere, messages, ms, paused, sleep, took};

// S26: a race without runners is an error, not a hang.
#[test]
fn empty() {
    let nobody = now(race(Vec::<std::future::Ready<Outcome>>::new())).unwrap();
    assert!(nobody.unwrap_err().contains::<QuorumMissed>());
    paused(async {
        let nobody = race_staggered(ZERO, Vec::<std::future::Ready<Outcome>>::new()).await;
        assert!(nobody.unwrap_err().contains::<QuorumMissed>());
    });
}

#[test]
fn one() {
    assert_eq!(
        now(race([async { Ok::<_, BoxError>(1) }]))
            .unwrap()
            .unwrap(),
        1
    );
    let lost = now(race([async { Err::<u8, _>("lost") }])).unwrap();
    assert_eq!(messages(&lost.unwrap_err()), ["lost"]);
}

// S26: the first success wins, failures before it do not count, the losers clean up before the
// value comes out.
#[test]
fn many() {
    paused(async {
        let log = Log::default();
        let (time, winner) = took(race([
            fails(1, "no"),
            panics(2, "no"),
            works(4, "late"),
            works(3, "first"),
            cleans_up(log.clone(), 5),
            has_a_child(log.clone(), 2),
        ]))
        .await;
        assert_eq!((time, winner.unwrap()), (8, "first"));
        assert_eq!(log.take(), ["cleaned up"; 2]);
    });
}

// S26: every error, no hang.
#[test]
fn all_fail() {
    everywhere(|| async {
        let errors = race((0..50).map(|n| async move { Err::<(), _>(n.to_string()) })).await;
        assert_eq!(errors.unwrap_err().len(), 50);
    });
    paused(async {
        let errors = race([fails::<()>(3, "c"), panics(1, "a"), fails(2, "b")])
            .await
            .unwrap_err();
        assert_eq!(messages(&errors), ["panic: a", "b", "c"]);
    });
}

#[test]
fn a_panic() {
    paused(async {
        let errors = race([panics::<()>(1, "oh")]).await.unwrap_err();
        assert_eq!(messages(&errors), ["panic: oh"]);
    });
}

#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let cut = timeout(
            ms(10),
            race([cleans_up::<()>(log.clone(), 5), cleans_up(log.clone(), 1)]),
        );
        let (time, cut) = took(cut).await;
        assert!(cut.is_err());
        assert_eq!((time, log.take().len()), (15, 2));
        // S6: no error is lost: what had failed until then comes out instead.
        let cut = timeout(ms(10), race([fails(1, "one"), works(60, ())])).await;
        assert_eq!(messages(&cut.unwrap().unwrap_err()), ["one"]);
    });
}

#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let (time, ()) = took(dropped_after(5, race([has_a_child::<()>(log.clone(), 10)]))).await;
        assert_eq!((time, log.take()), (15, vec!["cleaned up".into()]));
    });
}

#[test]
fn zero_deadline() {
    paused(async {
        assert_eq!(
            timeout(ZERO, race([async { Ok::<_, BoxError>(1) }]))
                .await
                .unwrap()
                .unwrap(),
            1
        );
        assert!(timeout(ZERO, race([works(1, ())])).await.is_err());
    });
}

// S27: with a limit the next runner starts when one is out.
#[test]
fn limited() {
    paused(async {
        let runners = [
            fails(2, "no"),
            fails(3, "no"),
            works(1, "third"),
            works(0, "never started"),
        ];
        let (time, winner) = took(TaskGroup::builder().limit(2).race(runners)).await;
        assert_eq!((time, winner.unwrap()), (3, "third"));
    });
}

// ST1: the next starts when the one before has failed, or after the delay; the first success wins;
// all errors are kept.
#[test]
fn staggered() {
    paused(async {
        let log = Log::default();
        let start = tokio::time::Instant::now();
        let runner = |name: &'static str, takes: u64, wins: bool| {
            let log = log.clone();
            async move {
                log.add(format!("{name} {}", start.elapsed().as_millis()));
                sleep(takes).await;
                if wins { Ok(name) } else { Err(name) }
            }
        };
        let runners = [
            runner("slow", 100, true),
            runner("fails at once", 0, false),
            runner("fails soon", 4, false),
            runner("wins", 13, true),
            runner("late", 60, true),
            runner("never", 0, true),
        ];
        let (time, winner) = took(race_staggered(ms(10), runners)).await;
        assert_eq!((time, winner.unwrap()), (27, "wins"));
        assert_eq!(
            log.take(),
            [
                "slow 0",
                "fails at once 10",
                "fails soon 10",
                "wins 14",
                "late 24"
            ]
        );
        let errors = race_staggered(
            ms(10),
            [fails::<()>(1, "a"), panics(50, "b"), fails(1, "c")],
        )
        .await;
        assert_eq!(messages(&errors.unwrap_err()), ["a", "c", "panic: b"]);
    });
}

// S31: settings of a staggered race: a name in the errors, a limit, and the policy stays.
#[test]
fn staggered_with_settings() {
    paused(async {
        let log = Log::default();
        let fails = async |number: u32| {
            log.add(format!("{number} begins"));
            sleep(5).await;
            log.add(format!("{number} ends"));
            Outcome::<u32>::Err("no".into())
        };
        let race = builder().name("mirrors").limit(1);
        let errors = race.race_staggered(ms(1), [fails(1), fails(2)]).await;
        let errors = errors.unwrap_err();
        assert_eq!(errors.cause().info().path().to_string(), "mirrors/#1");
        assert_eq!(errors.len(), 2);
        let order = ["1 begins", "1 ends", "2 begins", "2 ends"];
        assert_eq!(log.take(), order);
    });
}

// S31, S23: a race by key gives the key of the winner, and calls the others by theirs.
#[test]
fn by_key() {
    everywhere(|| async {
        let empty = race_by_key(Vec::<(u8, std::future::Ready<Outcome>)>::new()).await;
        assert!(empty.unwrap_err().contains::<QuorumMissed>());
        let one = race_by_key([(7_u8, async { Ok::<_, BoxError>("seven") })]).await;
        assert_eq!(one.unwrap(), (7, "seven"));
    });
    paused(async {
        let runners = [
            ("down", fails(1, "no")),
            ("slow", works(9, "late")),
            ("quick", works(3, "first")),
        ];
        let (time, won) = took(race_by_key(runners)).await;
        assert_eq!((time, won.unwrap()), (3, ("quick", "first")));

        // A group that an entrant runs is below the entrant.
        let below = async {
            let lookup = builder().name("lookup").run(async |group| {
                group.task("dns").spawn(fails::<()>(2, "no such host"));
                Ok(())
            });
            lookup.await.map_err(BoxError::from)
        };
        let runners: Vec<(_, super::Job<'_, ()>)> = vec![
            ("a", fails(1, "refused")),
            ("b", Box::pin(below)),
            ("c", panics(3, "oh")),
        ];
        let race = builder().name("mirrors");
        let errors = race.race_by_key(runners).await.unwrap_err();
        let paths: Vec<_> = errors
            .leaves()
            .map(|leaf| leaf.task().path().to_string())
            .collect();
        assert_eq!(paths, ["mirrors/a", "mirrors/b/lookup/dns", "mirrors/c"]);
    });
}

// S31: one after the other and by key: the next starts when the one before has failed.
#[test]
fn staggered_by_key() {
    paused(async {
        let log = Log::default();
        let dial = async |address: &'static str, takes: u64, answers: bool| {
            log.add(address);
            sleep(takes).await;
            if answers { Ok(takes) } else { Err("no route") }
        };
        let runners = || {
            [
                ("::1", dial("::1", 5, false)),
                ("10.0.0.1", dial("10.0.0.1", 90, true)),
                ("10.0.0.2", dial("10.0.0.2", 20, true)),
            ]
        };
        let race = builder().name("connect");
        let (time, won) = took(race.race_staggered_by_key(ms(30), runners())).await;
        // 5 until the first has failed, 30 until the third begins, 20 for its work.
        assert_eq!((time, won.unwrap()), (55, ("10.0.0.2", 20)));
        assert_eq!(log.take(), ["::1", "10.0.0.1", "10.0.0.2"]);

        let race = builder().name("connect");
        let only = [("::1", dial("::1", 5, false))];
        let errors = race.race_staggered_by_key(ms(30), only).await.unwrap_err();
        assert_eq!(errors.cause().path(), "connect/::1");
    });
}
