//! What is left outside any scope belongs to the process root, and `drain` waits for it. A binary
//! of its own, and one test at a time: there is one root for all. S1, S15.

use std::sync::{Arc, Mutex, MutexGuard};

use taskgroup::{ReasonKind, TaskGroup, defer, drain, until_cancelled};

type Log = Arc<Mutex<Vec<String>>>;

fn alone() -> MutexGuard<'static, ()> {
    static ROOT: Mutex<()> = Mutex::new(());
    ROOT.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn everywhere<F: Future<Output = ()>>(test: impl Fn(Log) -> F) {
    let _alone = alone();
    for mut builder in [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ] {
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test(Log::default()));
    }
}

fn add(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

/// Drops a group half-way whose child takes some turns to clean up, and then returns `outcome`.
async fn cut_off(log: &Log, outcome: Result<(), &'static str>) {
    let (started, wait) = tokio::sync::oneshot::channel();
    let inner = TaskGroup::run(async |group| {
        let log = log.clone();
        group.task("left").spawn(async move {
            let work = async {
                let _ = started.send(());
                std::future::pending::<()>().await;
            };
            let Err(cancelled) = until_cancelled(work).await else {
                return Ok(());
            };
            add(&log, format!("{:?}", cancelled.reason().kind()));
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            add(&log, "cleaned up");
            outcome?;
            Err::<(), taskgroup::BoxError>(cancelled.into())
        });
        std::future::pending::<()>().await;
        Ok(())
    });
    tokio::select! {
        _ = inner => unreachable!("it has no end"),
        _ = wait => {}
    }
}

// S15
#[test]
fn drain_waits_for_what_was_left() {
    everywhere(async |log| {
        cut_off(&log, Ok(())).await;
        drain().await.unwrap();
        assert_eq!(
            *log.lock().unwrap(),
            [format!("{:?}", ReasonKind::Dropped), "cleaned up".into()]
        );
        // Nothing is left, so this is ready at once.
        drain().await.unwrap();
    });
}

// S6, S15
#[test]
fn drain_gives_the_failures() {
    everywhere(async |log| {
        cut_off(&log, Err("left behind")).await;
        let error = drain().await.unwrap_err();
        assert_eq!(error.cause().error().unwrap().to_string(), "left behind");
        drain().await.unwrap();
    });
}

// S14
#[test]
fn deferred_outside_any_scope_runs_at_the_next_drain() {
    everywhere(async |log| {
        for number in 0..2 {
            let seen = log.clone();
            defer(async move { add(&seen, format!("deferred {number}")) });
        }
        assert!(log.lock().unwrap().is_empty());
        drain().await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["deferred 1", "deferred 0"]);
    });
}

// S15: inside a group nothing gets to the root.
#[test]
fn a_group_leaves_nothing_to_the_root() {
    everywhere(async |log| {
        let error = TaskGroup::run(async |_| {
            cut_off(&log, Err("left behind")).await;
            Ok(())
        });
        error.await.unwrap_err();
        assert_eq!(log.lock().unwrap().last().unwrap(), "cleaned up");
        drain().await.unwrap();
    });
}

// S44: no code asks for what was left behind, over and over again.
#[test]
fn fault_d3_failures_that_nobody_asks_for_are_bounded() {
    everywhere(async |_| {
        let warned = Log::default();
        let told = warned.clone();
        taskgroup::observe::set_warning_hook(move |warning| {
            if warning.kind() == taskgroup::observe::WarningKind::FailuresNotKept {
                add(&told, warning.to_string());
            }
        });
        for _ in 0..2 {
            for _ in 0..1_250 {
                let seen = Log::default();
                cut_off(&seen, Err("left behind")).await;
                while seen.lock().unwrap().len() < 2 {
                    tokio::task::yield_now().await;
                }
            }
            let error = drain().await.unwrap_err();
            assert_eq!(error.leaf_count(), 1_001);
            let last = error.into_leaves().pop().unwrap();
            assert_eq!(
                last.downcast_ref::<taskgroup::error::NotKept>()
                    .unwrap()
                    .count(),
                250
            );
            assert_eq!(
                last.error().unwrap().to_string(),
                "250 more failures were not kept"
            );
            drain().await.unwrap();
        }
        taskgroup::observe::reset_warning_hook();
        let warned = warned.lock().unwrap();
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(
            warned[0].contains("Take them with `taskgroup::drain().await`"),
            "{warned:?}"
        );
    });
}

// S35: what fails while an exploration goes down is no business of the process.
#[cfg(feature = "testing")]
#[test]
fn an_exploration_leaves_nothing_to_the_root() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    {
        let _alone = alone();
        let stuck = taskgroup::testing::Explorer::new().run(0..1, async || {
            TaskGroup::run(async |group| {
                group.spawn(async {
                    let _bomb = Bomb;
                    std::future::pending::<()>().await;
                });
                Ok(())
            })
            .await
        });
        stuck.unwrap_err();
    }
    everywhere(async |_| drain().await.unwrap());
}
