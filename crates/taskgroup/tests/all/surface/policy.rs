//! S26: when a group stops by itself, and what it then says.

use taskgroup::error::QuorumMissed;
use taskgroup::{Policy, ReasonKind, defer, shield, timeout};

use crate::support::{
    Log, Outcome, builder, everywhere, forever, messages, ms, paused, sleep, took,
};

async fn fails(after: u64, message: &'static str) -> Outcome<u64> {
    sleep(after).await;
    Err(message.into())
}

async fn works(after: u64) -> Outcome<u64> {
    sleep(after).await;
    Ok(after)
}

async fn panics(message: &'static str) -> Outcome<u64> {
    panic!("{message}")
}

// S26: siblings live, the values are in the handles, every failure comes out.
#[test]
fn collect_lets_siblings_live() {
    paused(async {
        let mut tasks = Vec::new();
        let (time, result) = took(builder().policy(Policy::collect()).run(async |group| {
            tasks.push(group.spawn(fails(1, "first")));
            tasks.push(group.spawn(works(5)));
            tasks.push(group.spawn(panics("second")));
            tasks.push(group.spawn(works(7)));
            Ok(())
        }))
        .await;
        assert_eq!(time, 7);
        let mut errors = messages(&result.unwrap_err());
        errors.sort();
        assert_eq!(errors, ["first", "panic: second"]);
        let values: Vec<_> = tasks
            .iter()
            .map(|task| task.outcome().unwrap().ok().copied())
            .collect();
        assert_eq!(values, [None, Some(5), None, Some(7)]);
    });
}

// S26: both sides of the outcome: the value of the body although a child failed.
#[test]
fn run_to_end_gives_value_and_failures() {
    paused(async {
        let (value, errors) = builder()
            .policy(Policy::collect())
            .run_to_end(async |group| {
                group.spawn(fails(1, "bad"));
                Ok(group.spawn(works(2)).await?)
            })
            .await;
        assert_eq!(value, Some(2));
        assert_eq!(messages(&errors.unwrap()), ["bad"]);

        let (value, errors) = builder().run_to_end(async |_| Ok("alone")).await;
        assert_eq!(value, Some("alone"));
        assert!(errors.is_none());

        let (value, errors) = builder()
            .run_to_end(async |group| {
                group.cancel();
                forever().await;
                Ok(())
            })
            .await;
        assert_eq!(value, None);
        assert!(errors.is_none());
    });
}

// S26, S22: at a deadline the failures so far come out, and the values so far are in the handles.
#[test]
fn collect_is_cut_by_a_deadline() {
    paused(async {
        let mut tasks = Vec::new();
        let run = builder().policy(Policy::collect()).run(async |group| {
            tasks.push(group.spawn(fails(1, "bad")));
            tasks.push(group.spawn(works(2)));
            tasks.push(group.spawn(works(60)));
            Ok(())
        });
        let (time, result) = took(timeout(ms(10), run)).await;
        assert_eq!(time, 10);
        let errors = result.expect("failures win over the deadline").unwrap_err();
        assert_eq!(messages(&errors), ["bad"]);
        assert!(errors.context().is_some());
        assert_eq!(*tasks[1].outcome().unwrap().unwrap(), 2);
        assert!(tasks[2].outcome().unwrap().unwrap_err().is_cancelled());
    });
}

// S26: a failure of the body ends the group whatever the policy.
#[test]
fn the_body_is_no_child() {
    paused(async {
        for policy in [Policy::collect(), Policy::first_success()] {
            let run = builder().policy(policy).run(async |group| {
                group.spawn(async { forever().await });
                sleep(1).await;
                Err::<(), _>("body".into())
            });
            assert_eq!(messages(&run.await.unwrap_err()), ["body"]);
        }
    });
}

// S26, S5: also when the body only passes on what a child failed with.
#[test]
fn the_body_passes_a_failure_on() {
    paused(async {
        let (time, result) = took(builder().policy(Policy::collect()).run(async |group| {
            group.spawn(works(60));
            Ok(group.spawn(fails(1, "bad")).await?)
        }))
        .await;
        assert_eq!(
            (time, messages(&result.unwrap_err())),
            (1, vec!["bad".into()])
        );
    });
}

// S26: nor is a body that failed forgiven because a child had succeeded.
#[test]
fn success_of_a_child_does_not_hide_the_body() {
    paused(async {
        let (_, errors) = builder()
            .policy(Policy::first_success())
            .run_to_end(async |group| {
                let _ = group.spawn(works(0)).await;
                Err::<(), _>("body".into())
            })
            .await;
        // The success came first and cancelled the body, whose error is an error still.
        assert_eq!(messages(&errors.unwrap()), ["body"]);
        let run = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                let _ = group.spawn(works(0)).await;
                Err::<(), _>("body".into())
            });
        assert_eq!(messages(&run.await.unwrap_err()), ["body"]);
    });
}

// S26: the first success cancels the others; failures before it are put up with and can be asked
// for.
#[test]
fn first_success() {
    paused(async {
        let log = Log::default();
        let (time, result) = took(
            builder()
                .policy(Policy::first_success())
                .run(async |group| {
                    group.spawn(fails(1, "lost"));
                    group.spawn(works(2));
                    group.spawn(log.forever("dropped"));
                    Ok("body")
                }),
        )
        .await;
        assert_eq!((time, result.unwrap()), (2, "body"));
        assert_eq!(log.take(), ["dropped"]);

        let mut loser = None;
        let (_, errors) = builder()
            .policy(Policy::first_success())
            .run_to_end(async |group| {
                group.spawn(fails(1, "lost"));
                group.spawn(works(2));
                loser = Some(group.spawn(async { forever().await }));
                Ok(())
            })
            .await;
        assert_eq!(messages(&errors.unwrap()), ["lost"]);
        let loser = loser.unwrap().await.unwrap_err();
        let taskgroup::JoinError::Cancelled(cancelled) = loser else {
            panic!("it was cancelled");
        };
        assert_eq!(cancelled.reason().kind(), ReasonKind::Satisfied);
    });
}

// S26: never a hang when all fail: every error comes out.
#[test]
fn first_success_when_all_fail() {
    everywhere(|| async {
        let errors = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                for number in 0..100 {
                    group.spawn(async move { Err::<(), _>(number.to_string()) });
                }
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(errors.len(), 100);
    });
}

// S26: fewer successes than asked for and no failure: that is an error too.
#[test]
fn quorum() {
    paused(async {
        let run = |workers: u64| {
            builder().policy(Policy::quorum(3)).run(async move |group| {
                for number in 1..=workers {
                    group.spawn(works(number));
                }
                Ok(())
            })
        };
        let (time, result) = took(run(5)).await;
        result.unwrap();
        assert_eq!(time, 3);

        let errors = run(2).await.unwrap_err();
        let missed = errors.find::<QuorumMissed>().unwrap();
        assert_eq!((missed.succeeded(), missed.wanted()), (2, 3));
        assert!(run(0).await.unwrap_err().contains::<QuorumMissed>());
    });
}

// S26: background children are owned and count for nothing.
#[test]
fn background_children_are_no_quorum() {
    paused(async {
        let run = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                group.task("extra").background().spawn(works(1));
                sleep(5).await;
                Ok(())
            });
        assert!(run.await.unwrap_err().contains::<QuorumMissed>());
    });
}

// S26: the n-th failure ends the group.
#[test]
fn stop_after_n_failures() {
    paused(async {
        let (time, result) = took(builder().policy(Policy::stop_after(2)).run(async |group| {
            group.spawn(fails(1, "one"));
            group.spawn(fails(2, "two"));
            group.spawn(fails(3, "three"));
            forever().await;
            Ok(())
        }))
        .await;
        assert_eq!(time, 2);
        assert_eq!(messages(&result.unwrap_err()), ["one", "two"]);

        let alone = builder().policy(Policy::stop_after(2)).run(async |group| {
            group.spawn(fails(1, "one"));
            Ok(group.spawn(works(2)).await?)
        });
        assert_eq!(messages(&alone.await.unwrap_err()), ["one"]);
    });
}

// S26: a quorum that is given up early.
#[test]
fn quorum_or_stop() {
    paused(async {
        let policy = Policy::quorum(2).or_stop_after(2);
        let (time, result) = took(builder().policy(policy).run(async |group| {
            group.spawn(works(1));
            group.spawn(fails(2, "one"));
            group.spawn(fails(3, "two"));
            group.spawn(works(60));
            Ok(())
        }))
        .await;
        assert_eq!(time, 3);
        assert_eq!(messages(&result.unwrap_err()), ["one", "two"]);
    });
}

// S26: zero of anything is one.
#[test]
fn zero_counts_as_one() {
    assert_eq!(Policy::quorum(0), Policy::first_success());
    assert_eq!(Policy::stop_after(0), Policy::default());
}

// S42: a cleanup is no child.
#[test]
fn fault_b3_cleanup_counts_for_no_policy() {
    everywhere(|| async {
        let error = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                defer(async {});
                group.spawn(async { Err::<(), _>("the only child has failed") });
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["the only child has failed"]);

        let missed = builder().policy(Policy::quorum(1)).run(async |_| {
            defer(async {});
            Ok(())
        });
        let missed = missed.await.unwrap_err();
        assert!(missed.into_single().unwrap().is::<QuorumMissed>());
    });
}

// S42: but its failure comes out, whatever the policy puts up with.
#[test]
fn a_failing_cleanup_is_never_put_up_with() {
    everywhere(|| async {
        let error = builder()
            .policy(Policy::first_success())
            .run(async |group| {
                defer(async { Err::<(), _>("cleanup") });
                group.spawn(async {});
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["cleanup"]);

        // It is not one of the failures that end the group.
        let log = Log::default();
        let error = builder()
            .policy(Policy::stop_after(2))
            .run(async |group| {
                shield(async { defer(async { Err::<(), _>("cleanup") }) }).await;
                let own = log.clone();
                let failing = group.spawn(async { Err::<(), _>("child") });
                group.spawn(async move {
                    failing.ended().await;
                    own.add("lives");
                });
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["cleanup", "child"]);
        assert_eq!(log.take(), ["lives"]);
    });
}
