//! The time that a group grants for cleanup. S18.

use std::future::poll_fn;
use std::task::Poll;

use taskgroup::error::Overrun;
use taskgroup::observe::set_warning_hook;
use taskgroup::{ErrorGroup, LocalGroup, shield, timeout, until_cancelled};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::support::{Log, Outcome, builder, forever, group, messages, ms, paused, sleep, took};

/// The names of those who overran, with a check that it is said so.
fn overran(error: &ErrorGroup) -> Vec<String> {
    let name = |leaf: taskgroup::error::Leaf<'_>| {
        assert_eq!(
            leaf.task().downcast_ref::<Overrun>().unwrap().grace(),
            ms(50)
        );
        leaf.task().path().to_string()
    };
    error.leaves().map(name).collect()
}

// S18: guards and shields hold until the grace is over, and no longer; the names are told.
#[test]
fn what_overruns_is_dropped_and_named() {
    paused(async {
        let log = Log::default();
        let (after, error) = took(builder().name("group").grace(ms(50)).run(async |group| {
            let work = log.forever("guarded: work dropped");
            let cleanup = log.forever("guarded: cleanup dropped");
            group.task("guarded").spawn(async {
                let cancelled = until_cancelled(work).await;
                cleanup.await;
                cancelled
            });
            group
                .task("shielded")
                .spawn(shield(log.forever("shielded dropped")));
            let seen = log.clone();
            group.task("in time").spawn(async move {
                let cancelled = until_cancelled(forever()).await;
                sleep(40).await;
                seen.add("in time");
                cancelled
            });
            sleep(10).await;
            group.cancel();
            forever().await;
            Ok(())
        }))
        .await;
        assert_eq!(after, 60);
        let mut all = log.take();
        let forced = all.split_off(2);
        assert_eq!(all, ["guarded: work dropped", "in time"]);
        assert_eq!(forced.len(), 2, "{forced:?}");
        assert!(forced.iter().all(|line| line.ends_with("dropped")));
        assert_eq!(
            overran(&error.unwrap_err()),
            ["group/guarded", "group/shielded"]
        );
    });
}

// S18: cleanup within the grace is not reported, and the grace does not count before a
// cancellation.
#[test]
fn a_grace_that_is_kept_reports_nothing() {
    paused(async {
        let (after, ended) = took(builder().grace(ms(50)).run_cancellable(async |group| {
            group.spawn(async {
                let cancelled = until_cancelled(forever()).await;
                sleep(49).await;
                cancelled
            });
            sleep(1000).await;
            group.cancel();
            forever().await;
            Ok(())
        }))
        .await;
        assert_eq!(ended.unwrap(), None);
        assert_eq!(after, 1049);
    });
}

// S18: the body overruns.
#[test]
fn a_body_that_overruns_is_named() {
    paused(async {
        let log = Log::default();
        let error = builder()
            .name("group")
            .grace(ms(50))
            .run(async |group| {
                group.cancel();
                shield(log.forever("body dropped")).await;
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(log.take(), ["body dropped"]);
        assert_eq!(overran(&error), ["group/body"]);
    });
}

// S18: what is polled inside the task of its group is named as well: children of a local group,
// futures of a helper. The body is not, as it only waits for them.
#[test]
fn inline_children_that_overrun_are_named() {
    paused(async {
        let log = Log::default();
        let run = LocalGroup::builder()
            .settings(builder().name("local").grace(ms(50)))
            .run(async |group| {
                group
                    .task("borrows")
                    .spawn(shield(log.forever("borrows dropped")));
                group.task("in time").spawn(forever());
                sleep(10).await;
                group.cancel();
                forever().await;
                Ok(())
            });
        assert_eq!(overran(&run.await.unwrap_err()), ["local/borrows"]);
        assert_eq!(log.take(), ["borrows dropped"]);

        let helper = builder().name("mirrors").grace(ms(50));
        let pages = helper.settle_by_key([("a", shield(sleep(500))), ("b", shield(sleep(20)))]);
        let (after, settled) = took(timeout(ms(10), pages)).await;
        let settled = settled.unwrap();
        assert_eq!(after, 60);
        assert_eq!(settled.values, [("b", ())]);
        assert_eq!(overran(&settled.errors.unwrap()), ["mirrors/a"]);
    });
}

// S18: the innermost counts here as well: a task that only waits for its own inline child is not
// named, nor is an inline child that only waits for its own task.
#[test]
fn the_innermost_inline_child_is_named() {
    paused(async {
        let run = builder().name("outer").grace(ms(50)).run(async |outer| {
            outer.task("middle").spawn(async {
                let inner = builder().name("inner");
                let slow = shield(sleep(500));
                inner.settle_by_key([("slow", slow)]).await;
            });
            outer.task("other").spawn(async {
                let deeper = async {
                    let deepest = builder().name("deepest");
                    deepest
                        .run(async |group| {
                            group.task("task").spawn(shield(sleep(500)));
                            Ok(())
                        })
                        .await
                };
                let inner = builder().name("inner").settle_by_key([("waits", deeper)]);
                inner.await;
            });
            sleep(10).await;
            outer.cancel();
            forever().await;
            Ok(())
        });
        let mut names = overran(&run.await.unwrap_err());
        names.sort();
        assert_eq!(
            names,
            [
                "outer/middle/inner/slow",
                "outer/other/inner/waits/deepest/task"
            ]
        );
    });
}

// S18: far below: the innermost task is named, not those who only wait for it. Deferred work and
// releases are cut off too.
#[test]
fn the_innermost_task_is_named() {
    paused(async {
        let log = Log::default();
        let error = builder().name("outer").grace(ms(50)).run(async |outer| {
            let deferred = log.forever("deferred dropped");
            outer.task("middle").spawn(async {
                builder()
                    .name("inner")
                    .run(async |inner| {
                        inner.task("slow").spawn(async {
                            taskgroup::defer(deferred);
                            forever().await;
                        });
                        Ok(())
                    })
                    .await
            });
            sleep(10).await;
            outer.cancel();
            forever().await;
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(log.take(), ["deferred dropped"]);
        assert_eq!(error.leaf_count(), 1);
        let name = overran(&error).remove(0);
        assert!(name.starts_with("outer/middle/inner/slow"), "{name}");
    });
}

// S18: under a shield too, and for what is opened there in the last moment.
#[test]
fn the_end_of_a_grace_is_known_below_shields() {
    paused(async {
        let log = Log::default();
        let error = builder().grace(ms(50)).run(async |outer| {
            let over = Instant::now() + ms(60);
            let seen = log.clone();
            outer.spawn(shield(group(async move |inner| {
                // Only the end of the grace wakes it: it is polled once more, and dropped
                // where that ends.
                poll_fn(|_| {
                    if Instant::now() < over {
                        return Poll::Pending;
                    }
                    Poll::Ready(())
                })
                .await;
                seen.add(format!("what was there: {}", inner.is_cancelled()));
                let late = shield(group(async |late| Ok(late.is_cancelled())));
                seen.add(format!("what comes late: {}", late.await.unwrap()));
                forever().await;
                Ok(())
            })));
            sleep(10).await;
            outer.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(error.await.unwrap_err().leaf_count(), 1);
        assert_eq!(
            log.take(),
            ["what was there: true", "what comes late: true"]
        );
    });
}

// S18: an error beside an overrun: both come out, in order of arrival.
#[test]
fn a_failure_comes_before_the_overrun_that_it_caused() {
    paused(async {
        let error = builder().grace(ms(50)).run(async |group| {
            group.spawn(shield(forever()));
            group.spawn(async { Outcome::<()>::Err("boom".into()) });
            forever().await;
            Ok(())
        });
        let all = messages(&error.await.unwrap_err());
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], "boom");
    });
}

// S18: what cannot be dropped because it never suspends is named by a warning. The child blocks its
// thread until it has been named, so this takes the five real seconds that the first warning takes.
#[test]
fn a_child_that_never_yields_is_named_by_a_warning() {
    let (name, named) = std::sync::mpsc::channel();
    set_warning_hook(move |warning| {
        // Other tests may warn meanwhile.
        if warning.to_string().contains("stubborn") {
            let _ = name.send((warning.kind(), warning.to_string()));
        }
    });
    let (heard, warning) = std::sync::mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let error = runtime.block_on(builder().name("group").grace(ms(50)).run(async |group| {
        let (started, wait) = tokio::sync::oneshot::channel();
        group.task("stubborn").spawn(async move {
            let _ = started.send(());
            let _ = heard.send(named.recv().unwrap());
        });
        let _ = wait.await;
        group.cancel();
        Ok(())
    }));
    taskgroup::observe::reset_warning_hook();
    let (kind, text) = warning.recv().unwrap();
    assert_eq!(kind, taskgroup::observe::WarningKind::StillWaiting);
    // Five seconds and as much as the machine was late.
    let (late, what) = text
        .strip_prefix("group `group` (")
        .and_then(|rest| rest.split_once("): "))
        .filter(|(place, _)| place.contains(file!()))
        .and_then(|(_, rest)| rest.split_once("s after its grace it still "))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(late.parse::<u32>().unwrap() >= 5, "{text}");
    assert!(
        what.starts_with("waits for `group/stubborn` (") && what.contains("grace.rs:"),
        "{text}"
    );
    assert_eq!(overran(&error.unwrap_err()), ["group/stubborn"]);
}
