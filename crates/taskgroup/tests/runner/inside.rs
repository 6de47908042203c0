//! What needs no process of its own: leftovers, and what `run` and `run_test` give for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use libtest_mimic::Trial;
use taskgroup::{BoxError, Runner, TaskGroup, defer, until_cancelled};
use tokio::sync::oneshot;

use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("what_main_leaves_is_awaited", what_main_leaves_is_awaited),
        trial("run_tells_what_failed", run_tells_what_failed),
        trial(
            "run_test_panics_with_what_failed",
            run_test_panics_with_what_failed,
        ),
        trial("run_test_gives_the_value", run_test_gives_the_value),
    ]
}

type Log = Arc<Mutex<Vec<String>>>;

fn add(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

fn runners() -> [Runner; 2] {
    [
        Runner::new().signals(false).current_thread(),
        Runner::new().signals(false).worker_threads(2),
    ]
}

/// Leaves a task behind that cleans up until main is over, and then comes to `outcome`.
async fn leaves(log: &Log, outcome: Result<(), &'static str>) -> u8 {
    // It lives as long as this body, and no code sends anything.
    let (_main, main_over) = oneshot::channel::<()>();
    let (started, wait) = oneshot::channel();
    let inner = TaskGroup::run(async |group| {
        let log = log.clone();
        group.task("left").spawn(async move {
            let work = async {
                let _ = started.send(());
                std::future::pending::<()>().await;
            };
            let Err(cancelled) = until_cancelled(work).await else {
                unreachable!("it has no end");
            };
            let _ = main_over.await;
            add(&log, format!("cleaned up: {:?}", cancelled.reason().kind()));
            outcome?;
            Err::<(), BoxError>(cancelled.into())
        });
        std::future::pending::<Result<(), BoxError>>().await
    });
    tokio::select! {
        _ = inner => unreachable!("it has no end"),
        _ = wait => {}
    }
    let deferred = log.clone();
    defer(async move { add(&deferred, "deferred") });
    add(log, "main is over");
    42
}

// S14, S15
fn what_main_leaves_is_awaited() {
    for runner in runners() {
        let log = Log::default();
        assert_eq!(runner.run(async || leaves(&log, Ok(())).await).unwrap(), 42);
        let mut log = log.lock().unwrap().clone();
        assert_eq!(log.remove(0), "main is over");
        log.sort();
        assert_eq!(log, ["cleaned up: Dropped", "deferred"]);
    }
}

// S6, S15
fn run_tells_what_failed() {
    for runner in runners() {
        let log = Log::default();
        let error = runner
            .run(async || leaves(&log, Err("left to fail")).await)
            .unwrap_err();
        assert!(error.reason().is_none());
        let failures = error.failures().unwrap();
        assert_eq!(failures.leaf_count(), 1);
        assert_eq!(
            failures.cause().error().unwrap().to_string(),
            "left to fail"
        );
        let text = error.to_string();
        let start = "what the run left behind failed: ";
        assert!(
            text.starts_with(start) && text.contains("left to fail"),
            "{text}"
        );
        assert_eq!(error.into_value(), Some(42));
    }
}

// S15
fn run_test_panics_with_what_failed() {
    for runner in runners() {
        let log = Log::default();
        let test =
            AssertUnwindSafe(|| runner.run_test(async || leaves(&log, Err("left to fail")).await));
        let panic = catch_unwind(test).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("left to fail"), "{message}");
    }
}

fn run_test_gives_the_value() {
    for runner in runners() {
        let log = Log::default();
        assert_eq!(runner.run_test(async || leaves(&log, Ok(())).await), 42);
        assert_eq!(log.lock().unwrap().len(), 3);
    }
}
