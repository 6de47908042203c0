//! Groups in groups. TG11–TG14, TG36.

use taskgroup::error::Member;
use taskgroup::{ErrorGroup, is_cancelled, until_cancelled};

use crate::support::{Log, Outcome, everywhere, forever, group, messages, paused, sleep, turns};

/// The messages as a drawing: a nested group in brackets.
fn shape(error: &ErrorGroup) -> String {
    let member = |member: &Member| match member {
        Member::Task(task) => task.error().map_or("panic".to_owned(), ToString::to_string),
        Member::Group(group) => shape(group),
        other => panic!("an unknown member: {other:?}"),
    };
    let members: Vec<_> = error.members().iter().map(member).collect();
    format!("[{}]", members.join(" "))
}

async fn fails_in_cleanup(message: &'static str) -> Outcome {
    let _cancelled = until_cancelled(forever()).await;
    Err(message.into())
}

// TG11, S23
#[test]
fn tg11_an_outer_cancel_and_inner_children_that_fail_in_cleanup() {
    paused(async {
        let error = group(async |top| {
            let scope = top.clone();
            top.spawn(async move {
                group(async |_outer| {
                    group(async |inner| {
                        inner.spawn(fails_in_cleanup("a"));
                        inner.spawn(fails_in_cleanup("b"));
                        sleep(1).await;
                        scope.cancel();
                        forever().await;
                        Ok(())
                    })
                    .await?;
                    Ok(())
                })
                .await
            });
            Ok(())
        })
        .await
        .unwrap_err();
        // The task's group is a node of its own, too.
        assert_eq!(shape(&error), "[[[a b]]]");
    });
}

// TG12, S23
#[test]
fn tg12_the_same_with_a_live_child_in_the_outer_group() {
    paused(async {
        let log = Log::default();
        let error = group(async |top| {
            let (scope, log) = (top.clone(), log.clone());
            top.spawn(async move {
                group(async |outer| {
                    outer.spawn(log.forever("outer child"));
                    group(async |inner| {
                        inner.spawn(fails_in_cleanup("a"));
                        sleep(1).await;
                        scope.cancel();
                        forever().await;
                        Ok(())
                    })
                    .await?;
                    Ok(())
                })
                .await
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(shape(&error), "[[[a]]]");
        assert_eq!(log.take(), ["outer child"]);
    });
}

// TG13, S6, S7
#[test]
fn tg13_an_outer_child_fails_and_the_inner_group_is_cancelled() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |outer| {
            let seen = log.clone();
            outer.spawn(async move {
                seen.started(1).await;
                Outcome::<()>::Err("boom".into())
            });
            group(async |inner| {
                inner.spawn(log.forever("inner child"));
                forever().await;
                Ok(())
            })
            .await?;
            unreachable!("cancelled");
            #[allow(unreachable_code)]
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(shape(&error), "[boom]");
        assert_eq!(log.take(), ["inner child"]);
    });
}

// TG14, S23
#[test]
fn tg14_an_inner_child_fails() {
    everywhere(|| async {
        let log = Log::default();
        let error = group(async |outer| {
            outer.spawn(log.forever("outer child"));
            group(async |inner| {
                inner.spawn(async { Outcome::<()>::Err("boom".into()) });
                Ok(())
            })
            .await?;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(shape(&error), "[[boom]]");
        assert_eq!(log.take(), ["outer child"]);
    });
}

// TG36, S19
#[test]
fn tg36_both_groups_fail_together() {
    paused(async {
        let log = Log::default();
        let error = group(async |outer| {
            outer.spawn(async {
                sleep(10).await;
                Outcome::<()>::Err("outer".into())
            });
            let inner = group(async |inner| {
                inner.spawn(async {
                    sleep(10).await;
                    Outcome::<()>::Err("inner".into())
                });
                forever().await;
                Ok(())
            });
            let error = inner.await.unwrap_err();
            log.add(format!("{} {}", shape(&error), is_cancelled()));
            turns(1).await;
            log.add("the outer cancel was lost");
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take(), ["[inner] true"]);
        assert_eq!(messages(&error), ["outer"]);
        assert!(!is_cancelled());
    });
}
