//! S36: a task that blocks its worker is reported while it does.
//!
//! Nothing here waits for a time to pass: what blocks goes on until it has been reported, however
//! long that takes.

use std::sync::mpsc;
use std::time::Duration;

use taskgroup::TaskGroup;
use taskgroup::observe::{NodeState, WarningKind, report_blocking, set_warning_hook, tree};

use super::alone;

/// Turns the reports on and gives those about tasks with this name, until it is dropped.
struct Reports(mpsc::Receiver<taskgroup::observe::Warning>);

impl Reports {
    fn about(name: &'static str) -> Self {
        let (send, receive) = mpsc::channel();
        set_warning_hook(move |warning| {
            // On a loaded machine an innocent thread may stand still, too.
            if warning.kind() == WarningKind::Blocking && warning.task().name() == name {
                let _ = send.send(warning.clone());
            }
        });
        report_blocking(Duration::from_millis(10));
        Self(receive)
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        report_blocking(None);
        taskgroup::observe::reset_warning_hook();
    }
}

fn on_both_flavours(test: impl AsyncFn()) {
    let current = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    current.block_on(test());
    let multi = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    multi.block_on(test());
}

#[test]
fn a_blocking_task_is_named_while_it_blocks() {
    let _alone = alone();
    on_both_flavours(async || {
        for light_tasks in [false, true] {
            let reports = Reports::about("culprit");
            let mut group = TaskGroup::builder().name("group");
            if light_tasks {
                group = group.light_tasks();
            }
            let run = group.run(async |group| {
                group.task("culprit").spawn(async move {
                    let report = reports.0.recv().unwrap();
                    assert_eq!(report.task().path(), "group/culprit");
                    assert_eq!(report.task().location().file(), file!());
                    let text = report.to_string();
                    assert!(
                        text.contains("task `group/culprit` [")
                            && text.contains(file!())
                            && text.contains(") has blocked its worker for "),
                        "{text}"
                    );
                    // The tree knows it too: although this is the task's first poll, it is no
                    // longer one of the queued.
                    let tree = tree();
                    let node = tree.nodes().iter().find(|node| node.name() == "culprit");
                    assert_eq!(
                        node.map(taskgroup::observe::Node::state),
                        Some(NodeState::Blocked),
                        "{tree}"
                    );
                    // It goes on, and so do the reports, more and more rarely.
                    assert_eq!(reports.0.recv().unwrap().task().name(), "culprit");
                });
                Ok(())
            });
            run.await.unwrap();
        }
    });
}

// S36, S31: of what is polled inside one task, the child that blocks is named.
#[test]
fn an_inline_child_is_named_while_it_blocks() {
    let _alone = alone();
    on_both_flavours(async || {
        let reports = Reports::about("culprit");
        let run = TaskGroup::builder().name("group").run(async |group| {
            let task = group.task("task").spawn(async move {
                let culprit = async move {
                    let report = reports.0.recv().unwrap();
                    assert_eq!(report.task().path(), "group/task/pages/culprit");
                    let tree = tree();
                    let blocked = tree
                        .nodes()
                        .iter()
                        .filter(|node| node.state() == NodeState::Blocked);
                    let names: Vec<_> = blocked.map(|node| node.name().to_owned()).collect();
                    assert_eq!(names, ["task", "culprit"], "{tree}");
                };
                let pages = TaskGroup::builder().name("pages");
                pages.settle_by_key([("culprit", culprit)]).await;
            });
            Ok(task.await?)
        });
        run.await.unwrap();
    });
}

#[test]
fn the_body_of_a_group_is_watched_like_a_task() {
    let _alone = alone();
    on_both_flavours(async || {
        let reports = Reports::about("body at fault");
        let run = TaskGroup::builder()
            .name("body at fault")
            .run(async |group| {
                let report = reports.0.recv().unwrap();
                assert_eq!(report.task().id(), group.id());
                assert_eq!(group.tree().nodes()[0].state(), NodeState::Blocked);
                Ok(())
            });
        run.await.unwrap();
    });
}

#[test]
fn what_is_inside_a_task_counts_as_the_task() {
    let _alone = alone();
    on_both_flavours(async || {
        let reports = Reports::about("outer");
        let run = TaskGroup::run(async |group| {
            group.task("outer").spawn(async move {
                taskgroup::shield(async move {
                    tokio::task::yield_now().await;
                    reports.0.recv().unwrap();
                    let blocked =
                        |node: &&taskgroup::observe::Node| node.state() == NodeState::Blocked;
                    let tree = tree();
                    let blocked: Vec<_> = tree.nodes().iter().filter(blocked).collect();
                    assert_eq!(blocked.len(), 2, "the task and its shield\n{tree}");
                })
                .await;
            });
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
#[should_panic(expected = "a threshold of zero")]
fn a_threshold_of_zero_is_refused() {
    report_blocking(Duration::ZERO);
}

// S2: a child that never yields costs its worker, not its siblings, and the group waits for it.
#[test]
fn siblings_of_a_task_that_never_yields_go_on_and_the_group_waits() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for light_tasks in [false, true] {
        let reports = Reports::about("stubborn");
        let (release, released) = mpsc::channel();
        let mut group = TaskGroup::builder().name("group");
        if light_tasks {
            group = group.light_tasks();
        }
        let (named, stubborn) = runtime.block_on(async {
            let run = group.run(async |group| {
                let stubborn = group.task("stubborn").spawn(async move {
                    released.recv().unwrap();
                    Ok::<_, taskgroup::BoxError>("released")
                });
                let watched = group.clone();
                let sibling = group.task("sibling").spawn(async move {
                    let report = loop {
                        match reports.0.try_recv() {
                            Ok(report) => break report,
                            Err(_) => tokio::task::yield_now().await,
                        }
                    };
                    // The stubborn one has not ended, and without us it never would.
                    assert_eq!(watched.live(), 2);
                    release.send(()).unwrap();
                    Ok::<_, taskgroup::BoxError>(report.task().path().to_string())
                });
                Ok((sibling, stubborn))
            });
            let (sibling, stubborn) = run.await.unwrap();
            assert!(stubborn.is_finished(), "the group waited");
            (sibling.await.unwrap(), stubborn.await.unwrap())
        });
        assert_eq!(named, "group/stubborn");
        assert_eq!(stubborn, "released");
    }
}

// S18: the hook for warnings is foreign code, and what calls it here is the one sleeper of the
// runtime.
#[test]
fn a_warning_hook_that_panics_silences_no_alarm() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (send, calls) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    set_warning_hook(move |warning| {
        if warning.kind() == WarningKind::StillWaiting && warning.to_string().contains("explosive")
        {
            let _ = send.send(());
            panic!("in the hook");
        }
    });
    runtime.block_on(async {
        let group = TaskGroup::builder().name("explosive");
        let run = group.grace(Duration::ZERO).run(async |group| {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            group.spawn_blocking(move |_| {
                let _ = begun.send(());
                // It is told of twice, so the first panic was not the end of it.
                calls.recv().unwrap();
                calls.recv().unwrap();
                ended.send(()).unwrap();
            });
            let _ = has_begun.await;
            group.cancel();
            Ok(())
        });
        // The clock does not move by itself while a thread blocks.
        let clock = async {
            loop {
                tokio::time::advance(Duration::from_secs(1)).await;
                std::thread::yield_now();
            }
        };
        tokio::select! {
            _overrun = run => {}
            () = clock => unreachable!(),
        }
    });
    taskgroup::observe::reset_warning_hook();
    has_ended.recv().unwrap();
}

// S18: the end of a grace cancels once more, by force, and that starts no second grace. What blocks
// is named.
#[test]
fn a_group_that_outlives_its_grace_is_told_of_once_every_five_seconds() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (send, told) = mpsc::channel();
    set_warning_hook(move |warning| {
        let text = warning.to_string();
        if warning.kind() == WarningKind::StillWaiting && text.contains("group `late` (") {
            let _ = send.send(text);
        }
    });
    let (seen, texts) = mpsc::channel();
    runtime.block_on(async {
        let group = TaskGroup::builder().name("late");
        let run = group.grace(Duration::from_secs(1)).run(async |group| {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            group.task("deaf").spawn_blocking(move |_| {
                let _ = begun.send(());
                for _ in 0..3 {
                    seen.send(told.recv().unwrap()).unwrap();
                }
            });
            let _ = has_begun.await;
            group.cancel();
            Ok(())
        });
        let clock = async {
            loop {
                tokio::time::advance(Duration::from_secs(1)).await;
                std::thread::yield_now();
            }
        };
        tokio::select! {
            _overrun = run => {}
            () = clock => unreachable!(),
        }
    });
    taskgroup::observe::reset_warning_hook();
    let texts: Vec<String> = texts.iter().collect();
    assert_eq!(texts.len(), 3);
    let mut last = 0;
    for text in &texts {
        let (seconds, what) = text
            .strip_prefix("group `late` (")
            .and_then(|text| text.split_once("): "))
            .filter(|(place, _)| place.contains(file!()))
            .and_then(|(_, text)| text.split_once("s after its grace it still waits for "))
            .unwrap();
        let seconds: u32 = seconds.parse().unwrap();
        // The clock goes by whole seconds, so a report may come one late.
        assert!(seconds >= last + 5, "{texts:#?}");
        last = seconds;
        // What blocks has the name of its task.
        assert!(what.starts_with("`late/deaf` ("), "{texts:#?}");
    }
}
