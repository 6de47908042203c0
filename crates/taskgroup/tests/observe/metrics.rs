//! Counts and durations through the facade of the crate `metrics`. S34.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshot};
use taskgroup::{BoxError, LocalGroup, Policy, TaskGroup, defer, settle_by_key, shield};

use super::{forever, paused, settled};

type Metrics = Vec<(MetricKind, String, Vec<(String, String)>, DebugValue)>;

/// Runs `test` in virtual time with a recorder, and returns what that was told.
fn recorded<F: Future>(test: F) -> Metrics {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        paused(async {
            taskgroup::observe::describe_metrics();
            test.await;
        });
    });
    let snapshot: Snapshot = snapshotter.snapshot();
    let all = snapshot.into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let (kind, key) = key.into_parts();
        let labels = key.labels();
        let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
        (kind, key.name().to_owned(), labels.collect(), value)
    })
    .collect()
}

fn found<'a>(metrics: &'a Metrics, metric: &str, labels: &[&str]) -> Option<&'a DebugValue> {
    let mut found = metrics.iter().filter(|(_, name, own, _)| {
        let values: Vec<_> = own.iter().map(|(_, value)| value.as_str()).collect();
        name == metric && values == labels
    });
    let value = found.next().map(|(.., value)| value);
    assert!(found.next().is_none(), "{metric} {labels:?} twice");
    value
}

fn count(metrics: &Metrics, metric: &str, labels: &[&str]) -> u64 {
    match found(metrics, metric, labels) {
        None => 0,
        Some(DebugValue::Counter(count)) => *count,
        Some(other) => panic!("{metric} is no counter: {other:?}"),
    }
}

fn running(metrics: &Metrics, name: &str) -> f64 {
    match found(metrics, "taskgroup_tasks_running", &[name]) {
        Some(DebugValue::Gauge(count)) => count.0,
        other => panic!("{name}: {other:?}"),
    }
}

fn seconds(metrics: &Metrics, name: &str, outcome: &str) -> Vec<f64> {
    let duration = "taskgroup_task_duration_seconds";
    match found(metrics, duration, &[name, outcome]) {
        None => Vec::new(),
        Some(DebugValue::Histogram(all)) => all.iter().map(|value| value.0).collect(),
        Some(other) => panic!("no histogram: {other:?}"),
    }
}

const STARTED: &str = "taskgroup_tasks_started_total";
const FINISHED: &str = "taskgroup_tasks_finished_total";
const NOT_STARTED: &str = "taskgroup_tasks_not_started_total";

async fn ms(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

// S34: each child counts once, by its name and its outcome.
#[test]
fn children_are_counted_by_name_and_outcome() {
    let metrics = recorded(async {
        let group = TaskGroup::builder()
            .policy(Policy::collect())
            .limit(6)
            .grace(Duration::from_millis(500));
        let run = group.run(async |group| {
            group.task("fetch").spawn(async { ms(250).await });
            group.task("fetch").spawn(async {
                ms(1_500).await;
                Err::<(), _>("down")
            });
            group.task("parse").spawn(async { panic!("oh") });
            group.task("wait").spawn(forever());
            group.task("stubborn").spawn(shield(forever()));
            group.spawn(async {
                // It is no child (S42).
                defer(ms(1));
            });
            // At the limit: it never begins.
            group.task("queued").spawn(forever());
            group.task("queued").spawn(forever());
            group.task("queued").spawn(forever());
            tokio::time::sleep(Duration::from_secs(2)).await;
            group.cancel();
            group.task("refused").spawn(async {});
            Ok(())
        });
        run.await.unwrap_err();
    });
    assert_eq!(count(&metrics, STARTED, &["fetch"]), 2);
    assert_eq!(count(&metrics, FINISHED, &["fetch", "succeeded"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["fetch", "failed"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["parse", "panicked"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["wait", "cancelled"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["stubborn", "killed"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["(unnamed)", "succeeded"]), 1);
    // Two begin in the places of those that have ended, and one finds none.
    let began = count(&metrics, STARTED, &["queued"]);
    assert_eq!(began + count(&metrics, NOT_STARTED, &["queued"]), 3);
    assert_eq!(count(&metrics, FINISHED, &["queued", "cancelled"]), began);
    for name in ["fetch", "parse", "wait", "stubborn", "(unnamed)"] {
        assert_eq!(running(&metrics, name), 0.0, "{name}");
    }
    let close = |seconds: Vec<f64>, expected: f64| {
        assert_eq!(seconds.len(), 1);
        assert!((seconds[0] - expected).abs() < 1e-6, "{seconds:?}");
    };
    close(seconds(&metrics, "fetch", "succeeded"), 0.25);
    close(seconds(&metrics, "fetch", "failed"), 1.5);
    close(seconds(&metrics, "stubborn", "killed"), 2.5);
    let names: Vec<_> = metrics.iter().flat_map(|(.., labels, _)| labels).collect();
    let unknown = |name: &str| names.iter().all(|(_, value)| value != name);
    assert!(unknown("refused") && unknown("cleanup"));
}

// S34: what runs now.
#[test]
fn what_runs_is_known() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    // What it has changed by since the last look.
    let change = || {
        let all = snapshotter.snapshot().into_vec();
        let gauge = all
            .into_iter()
            .find(|(key, ..)| key.kind() == MetricKind::Gauge);
        match gauge.map(|(.., value)| value) {
            Some(DebugValue::Gauge(value)) => value.0,
            other => panic!("{other:?}"),
        }
    };
    metrics::with_local_recorder(&recorder, || {
        paused(async {
            let run = TaskGroup::run(async |group| {
                for _ in 0..3 {
                    group.task("worker").spawn(forever());
                }
                settled().await;
                assert_eq!(change(), 3.0);
                group.cancel();
                Ok(())
            });
            run.await.unwrap();
            assert_eq!(change(), -3.0);
        });
    });
}

// A name that is made at run time is no label, whatever it is: labels are for ever.
#[test]
fn names_that_are_made_share_a_label() {
    let metrics = recorded(async {
        TaskGroup::run(async |group| {
            for page in 0..1_000 {
                group.task(format!("page {page}")).spawn(async {});
            }
            let configured: &'static str = String::from("from a file").leak();
            group.task(configured).spawn(async {});
            Ok(())
        })
        .await
        .unwrap();
    });
    let labels: std::collections::BTreeSet<_> =
        metrics.iter().map(|(.., labels, _)| &labels[0].1).collect();
    assert_eq!(labels.len(), 2, "{labels:?}");
    let made = ["(made at run time)", "succeeded"];
    assert_eq!(count(&metrics, FINISHED, &made), 1_000);
    assert_eq!(count(&metrics, FINISHED, &["from a file", "succeeded"]), 1);
}

// S31, S48: what is polled inside the task of its group counts as well, also if it is dropped
// half-way.
#[test]
fn inline_children_count() {
    let metrics = recorded(async {
        let run = LocalGroup::run(async |group| {
            group.task("borrows").spawn(async { ms(40).await });
            let cut = group.task("cut").spawn(forever());
            settled().await;
            cut.cancel();
            Ok(())
        });
        run.await.unwrap();
        tokio::select! {
            biased;
            _ = settle_by_key([(1, async { forever().await; Ok::<_, BoxError>(()) })]) => {}
            () = settled() => {}
        }
    });
    assert_eq!(count(&metrics, FINISHED, &["borrows", "succeeded"]), 1);
    assert_eq!(count(&metrics, FINISHED, &["cut", "cancelled"]), 1);
    let made = ["(made at run time)", "cancelled"];
    assert_eq!(count(&metrics, FINISHED, &made), 1);
    assert_eq!(running(&metrics, "(made at run time)"), 0.0);
    assert_eq!(seconds(&metrics, "borrows", "succeeded"), [0.04]);
}

// S34, S16: so does what never begins, and what is refused does not, as with tasks.
#[test]
fn inline_children_that_never_begin_count() {
    let metrics = recorded(async {
        let run = LocalGroup::run(async |group| {
            group.task("cut").spawn(forever()).cancel();
            settled().await;
            group.task("queued").spawn(forever());
            group.cancel();
            group.task("refused").spawn(forever());
            Ok(())
        });
        run.await.unwrap();
        let mut half = Box::pin(LocalGroup::run(async |group| {
            group.task("dropped").spawn(forever());
            // Its children are polled after it.
            forever().await;
            Ok(())
        }));
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(half.as_mut().poll(&mut context).is_pending());
        drop(half);
    });
    for name in ["cut", "queued"] {
        assert_eq!(count(&metrics, NOT_STARTED, &[name]), 1, "{name}");
        assert_eq!(count(&metrics, STARTED, &[name]), 0, "{name}");
    }
    let dropped = [NOT_STARTED, STARTED].map(|metric| count(&metrics, metric, &["dropped"]));
    assert_eq!(dropped.iter().sum::<u64>(), 1);
    assert_eq!(count(&metrics, NOT_STARTED, &["refused"]), 0);
}

/// A recorder whose counters panic.
struct NoCounters(DebuggingRecorder);

impl metrics::Recorder for NoCounters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic!("no counters")
    }
    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.0.register_gauge(key, metadata)
    }
    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.0.register_histogram(key, metadata)
    }
}

// S39: how many run is right although a counter panics.
#[test]
fn a_counter_that_panics_spoils_no_gauge() {
    let recorder = NoCounters(DebuggingRecorder::new());
    let snapshotter = recorder.0.snapshotter();
    // What it has changed by since the last look.
    let change = || {
        let all = snapshotter.snapshot().into_vec();
        all.into_iter().find_map(|(.., value)| match value {
            DebugValue::Gauge(count) => Some(count.0),
            _ => None,
        })
    };
    metrics::with_local_recorder(&recorder, || {
        paused(async {
            let run = TaskGroup::run(async |group| {
                group.task("child").spawn(forever());
                settled().await;
                assert_eq!(change(), Some(1.0));
                group.cancel();
                Ok(())
            });
            run.await.unwrap();
        });
    });
    assert_eq!(change(), Some(-1.0));
}
