//! S33: the live tree.

use std::time::Duration;

use taskgroup::observe::{Node, NodeKind, NodeState, Tree, current_task, live_tasks, tree};
use taskgroup::{
    LocalGroup, ReasonKind, TaskGroup, defer, gather, settle_by_key, shield, timeout,
    until_cancelled,
};

use super::{alone, forever, paused, settled};

fn find<'a>(tree: &'a Tree, name: &str) -> &'a Node {
    let mut found = tree.nodes().iter().filter(|node| {
        node.name() == name && matches!(node.kind(), NodeKind::Task | NodeKind::Group)
    });
    let node = found
        .next()
        .unwrap_or_else(|| panic!("no `{name}` in\n{tree:#}"));
    assert!(found.next().is_none(), "two `{name}` in\n{tree:#}");
    node
}

fn state(name: &str) -> NodeState {
    find(&tree(), name).state()
}

#[test]
fn an_idle_process_has_one_node_and_no_tasks() {
    let _alone = alone();
    let tree = tree();
    assert_eq!(tree.nodes().len(), 1);
    assert_eq!(tree.nodes()[0].kind(), NodeKind::Process);
    assert_eq!((tree.tasks(), live_tasks()), (0, 0));
    assert_eq!(tree.to_string().lines().count(), 1);
}

#[test]
fn nodes_say_who_they_are_and_where_they_came_from() {
    paused(async {
        let first = line!();
        let run = TaskGroup::builder().name("outer").run(async |outer| {
            outer.task("worker").spawn(async {
                let inner = TaskGroup::builder().name("inner");
                inner
                    .run(async |inner| {
                        inner.task("leaf").spawn(forever());
                        Ok(())
                    })
                    .await
            });
            let last = line!();
            settled().await;
            let tree = tree();
            let leaf = find(&tree, "leaf");
            assert_eq!(leaf.path(), "outer/worker/inner/leaf");
            assert_eq!(leaf.path().names().count(), 4);
            assert_eq!(
                find(&outer.tree(), "leaf").path(),
                "outer/worker/inner/leaf"
            );
            assert_eq!(leaf.location().file(), file!());
            assert!((first..last).contains(&leaf.location().line()));
            assert_eq!(leaf.id(), leaf.info().id());
            assert_eq!(leaf.depth(), 4); // process, outer, worker, inner
            let kinds: Vec<_> = tree.nodes().iter().map(Node::kind).collect();
            assert_eq!(
                kinds,
                [
                    NodeKind::Process,
                    NodeKind::Group,
                    NodeKind::Task,
                    NodeKind::Group,
                    NodeKind::Task
                ]
            );
            assert_eq!((tree.tasks(), live_tasks()), (2, 2));
            outer.cancel();
            Ok(())
        });
        run.await.unwrap();
        assert_eq!((tree().nodes().len(), live_tasks()), (1, 0));
    });
}

/// Cleans up for `millis` when it is cancelled.
async fn careful(millis: u64) -> Result<(), taskgroup::Cancelled> {
    let cancelled = until_cancelled(forever()).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Err(cancelled)
}

#[test]
fn every_state_is_told_from_the_others() {
    paused(async {
        let run = TaskGroup::builder().name("states").run(async |group| {
            group.task("suspended").spawn(forever());
            group.task("running").spawn(async {
                settled().await;
                assert_eq!(state("running"), NodeState::Running);
            });
            group
                .task("shielded")
                .spawn(shield(tokio::time::sleep(Duration::from_millis(30))));
            let cleaning = group.task("cleaning").spawn(careful(30));
            let cancelling = group.task("cancelling").spawn(async {
                let inner = TaskGroup::builder().name("inner");
                inner
                    .run(async |inner| {
                        inner.task("below").spawn(careful(30));
                        Ok(())
                    })
                    .await
            });
            group.task("ending").spawn(async {
                defer(tokio::time::sleep(Duration::from_millis(30)));
            });
            let shielded_too = group.task("shielded and cancelled").spawn(async {
                shield(tokio::time::sleep(Duration::from_millis(30))).await;
            });
            settled().await;
            settled().await;
            cleaning.cancel();
            cancelling.cancel();
            shielded_too.cancel();
            settled().await;
            let expected = [
                ("states", NodeState::Running),
                ("suspended", NodeState::Suspended),
                ("shielded", NodeState::Shielded),
                ("cleaning", NodeState::CleaningUp),
                ("cancelling", NodeState::Cancelling),
                ("inner", NodeState::CleaningUp), // its body is over, and it waits for the cleanup below
                ("below", NodeState::CleaningUp),
                ("ending", NodeState::Ending),
                ("cleanup", NodeState::CleaningUp), // the task that runs what was deferred
                ("shielded and cancelled", NodeState::Shielded),
            ];
            for (name, expected) in expected {
                assert_eq!(state(name), expected, "{name} in\n{:#}", tree());
            }
            let tree = tree();
            let reason = |name| {
                find(&tree, name)
                    .reason()
                    .map(taskgroup::CancelReason::kind)
            };
            assert_eq!(reason("suspended"), None);
            for name in [
                "cleaning",
                "cancelling",
                "inner",
                "below",
                "shielded and cancelled",
            ] {
                assert_eq!(reason(name), Some(ReasonKind::CancelCalled), "{name}");
            }
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn deadlines_shields_and_sections_stand_where_they_are() {
    paused(async {
        let group = TaskGroup::builder().name("group").grace(Duration::ZERO);
        let run = group.run(async |group| {
            group.task("task").spawn(async {
                let work = until_cancelled(shield(forever()));
                let _ = timeout(Duration::from_secs(10), work).await;
            });
            tokio::time::sleep(Duration::from_secs(4)).await;
            let tree = group.tree();
            // `until_cancelled` is no node: what is below it stands below the deadline.
            let expected = [
                (0, NodeKind::Group, "group"),
                (1, NodeKind::Task, "task"),
                (2, NodeKind::Deadline, "task"),
                (3, NodeKind::Shield, "task"),
            ];
            assert_eq!(
                shape(&tree),
                expected.map(|(depth, kind, name)| (depth, kind, name.to_owned()))
            );
            assert_eq!(tree.nodes()[2].remaining(), Some(Duration::from_secs(6)));
            assert_eq!(tree.nodes()[1].state(), NodeState::Shielded);
            Err::<(), _>("enough".into())
        });
        // The shield holds until the grace is over.
        let error = run.await.unwrap_err();
        assert_eq!(error.len(), 2);
    });
}

/// Depth, kind and name of each node.
fn shape(tree: &Tree) -> Vec<(usize, NodeKind, String)> {
    let nodes = tree.nodes().iter();
    nodes
        .map(|node| (node.depth(), node.kind(), node.name().to_owned()))
        .collect()
}

// S33, S48: what is polled inside the task of its group is in the tree as well, by its name.
#[test]
fn children_of_a_local_group_are_in_the_tree() {
    paused(async {
        let settings = TaskGroup::builder().name("local");
        let run = LocalGroup::builder().settings(settings).run(async |group| {
            group.task("first").spawn(forever());
            group.spawn(shield(forever()));
            group.group().task("parallel").spawn(forever());
            tokio::time::sleep(Duration::from_secs(3)).await;
            let tree = group.group().tree();
            let expected = [
                (0, NodeKind::Group, "local"),
                (1, NodeKind::Task, "parallel"),
                (1, NodeKind::Child, "first"),
                (1, NodeKind::Child, "#2"),
                (2, NodeKind::Shield, "#2"),
            ];
            let expected = expected.map(|(depth, kind, name)| (depth, kind, name.to_owned()));
            assert_eq!(shape(&tree), expected, "{tree}");
            let first = &tree.nodes()[2];
            assert_eq!(first.path(), "local/first");
            assert_eq!(first.age(), Some(Duration::from_secs(3)));
            assert_eq!(first.location().file(), file!());
            assert_eq!(first.state(), NodeState::Running);
            assert_eq!(tree.nodes()[3].state(), NodeState::Shielded);
            assert_ne!(first.id(), tree.nodes()[3].id());
            // They are no tasks.
            assert_eq!(tree.tasks(), 1);
            assert!(tree.to_string().contains("child `first` ["), "{tree}");
            Err::<(), _>("enough".into())
        });
        // It is dropped half-way, because the shield would hold it for ever.
        let _ = timeout(Duration::from_secs(1), async {
            tokio::select! {
                _ = run => {}
                () = tokio::time::sleep(Duration::from_secs(4)) => {}
            }
        })
        .await;
    });
}

// S33, S31: entrants and keys, and what they open.
#[test]
fn entrants_and_keys_are_in_the_tree() {
    paused(async {
        let run = TaskGroup::builder().name("outer").run(async |outer| {
            outer.task("fetch").spawn(async {
                let below = async {
                    TaskGroup::builder()
                        .name("inner")
                        .run(async |inner| {
                            inner.task("leaf").spawn(forever());
                            Ok(())
                        })
                        .await
                        .unwrap();
                };
                let boxed: [std::pin::Pin<Box<dyn Future<Output = ()> + Send>>; 2] =
                    [Box::pin(forever()), Box::pin(below)];
                settle_by_key(["users", "orders"].into_iter().zip(boxed)).await;
            });
            outer.task("pair").spawn(async {
                let never = || async {
                    forever().await;
                    Ok::<_, taskgroup::BoxError>(())
                };
                let _ = gather((never(), never())).await;
            });
            settled().await;
            let tree = outer.tree();
            let names: Vec<_> = tree
                .nodes()
                .iter()
                .map(|node| node.path().to_string())
                .collect();
            let group = |at: usize| tree.nodes()[at].name().to_owned();
            let (settle, pair) = (group(2), group(7));
            assert_eq!(
                names,
                [
                    "outer".to_owned(),
                    "outer/fetch".to_owned(),
                    format!("outer/fetch/{settle}"),
                    format!("outer/fetch/{settle}/users"),
                    format!("outer/fetch/{settle}/orders"),
                    format!("outer/fetch/{settle}/orders/inner"),
                    format!("outer/fetch/{settle}/orders/inner/leaf"),
                    "outer/pair".to_owned(),
                    format!("outer/pair/{}", group(8)),
                    format!("outer/pair/{}/#1", group(8)),
                    format!("outer/pair/{}/#2", group(8)),
                ]
            );
            assert_eq!(pair, "pair");
            let orders = find_child(&tree, "orders");
            assert_eq!((orders.kind(), orders.tasks()), (NodeKind::Child, 1));
            outer.cancel();
            Ok(())
        });
        run.await.unwrap();
        assert_eq!((tree().nodes().len(), live_tasks()), (1, 0));
    });
}

fn find_child<'a>(tree: &'a Tree, name: &str) -> &'a Node {
    let mut nodes = tree.nodes().iter();
    let child = |node: &&Node| node.kind() == NodeKind::Child && node.name() == name;
    nodes
        .find(child)
        .unwrap_or_else(|| panic!("no `{name}` in\n{tree:#}"))
}

#[test]
fn ages_follow_virtual_time() {
    paused(async {
        let run = TaskGroup::builder().name("group").run(async |group| {
            group.task("first").spawn(forever());
            tokio::time::sleep(Duration::from_secs(90)).await;
            group.task("second").spawn(forever());
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let tree = group.tree();
            let age = |name| find(&tree, name).age().unwrap().as_millis();
            assert_eq!(age("group"), 91_500);
            assert_eq!(age("first"), 91_500);
            assert_eq!(age("second"), 1_500);
            let text = tree.to_string();
            assert!(
                text.contains("task `first` [") && text.contains("suspended, 1 min 31 s old"),
                "{text}"
            );
            assert!(text.contains("suspended, 1.5 s old"), "{text}");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn what_has_not_started_is_counted() {
    paused(async {
        let run = TaskGroup::builder()
            .name("group")
            .limit(2)
            .run(async |group| {
                for _ in 0..12 {
                    group.spawn(forever());
                }
                assert_eq!(
                    (group.tree().nodes().len(), group.tree().nodes()[0].queued()),
                    (1, 12)
                );
                assert_eq!((group.tree().tasks(), live_tasks()), (12, 12));
                settled().await;
                let tree = group.tree();
                assert_eq!((tree.nodes().len(), tree.nodes()[0].queued()), (3, 10));
                assert_eq!((tree.tasks(), live_tasks()), (12, 12));
                assert!(tree.to_string().contains(", 12 tasks, 10 queued"), "{tree}");
                group.cancel();
                Ok(())
            });
        run.await.unwrap();
    });
}

#[test]
fn a_wide_group_shows_what_matters_and_counts_the_rest() {
    paused(async {
        let run = TaskGroup::builder().name("wide").run(async |group| {
            for index in 0..500 {
                group.task(format!("plain {index}")).spawn(forever());
            }
            group.task("precious").spawn(shield(settled()));
            group.task("parent").spawn(async {
                TaskGroup::run(async |inner| {
                    inner.task("child").spawn(forever());
                    Ok(())
                })
                .await
            });
            tokio::task::yield_now().await;
            while group
                .tree()
                .nodes()
                .iter()
                .filter(|node| node.name() == "child")
                .count()
                == 0
            {
                tokio::task::yield_now().await;
            }
            let tree = group.tree();
            let text = tree.to_string();
            assert_eq!(tree.tasks(), 503);
            assert!(
                text.contains("`precious`") && text.contains("`child`"),
                "{text}"
            );
            assert!(
                text.contains("`plain 7`") && !text.contains("`plain 8`"),
                "{text}"
            );
            assert!(text.ends_with("└─ … and 492 more suspended"), "{text}");
            assert_eq!(format!("{tree:#}").lines().count(), tree.nodes().len());
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn line_breaks_in_a_name_do_not_break_the_tree() {
    paused(async {
        let run = TaskGroup::builder().name("a\nb").run(async |group| {
            group.task("c\r\n   d").spawn(forever());
            settled().await;
            let text = group.tree().to_string();
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.contains("`a b`") && text.contains("`c d`"), "{text}");
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
    });
}

/// A chain of `depth` groups, each with one task that runs the next.
fn chain(depth: usize) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return forever().await;
        }
        let _ = TaskGroup::run(async |group| {
            group.spawn(chain(depth - 1));
            Ok(())
        })
        .await;
    })
}

// T7: as deep as the heap allows, on a stack of half a megabyte.
#[test]
fn a_deep_tree_is_taken_printed_and_dropped_without_recursion() {
    let _alone = alone();
    const DEPTH: usize = 50_000; // two nodes for each: 100 000 levels
    let deep = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let run = TaskGroup::run(async |group| {
                group.spawn(chain(DEPTH));
                while live_tasks() <= DEPTH {
                    for _ in 0..DEPTH {
                        tokio::task::yield_now().await;
                    }
                }
                settled().await;
                let tree = group.tree();
                assert_eq!(tree.nodes().last().unwrap().depth(), 2 * DEPTH + 1);
                assert_eq!(tree.tasks(), DEPTH + 1);
                let text = tree.to_string();
                assert_eq!(text.lines().count(), tree.nodes().len());
                let longest = text.lines().map(str::len).max().unwrap();
                assert!(
                    longest < 400,
                    "the text is linear, so no line is long: {longest}"
                );
                group.cancel();
                Ok(())
            });
            run.await.unwrap();
        });
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(deep).unwrap().join().unwrap();
}

#[test]
fn current_says_who_is_asking() {
    paused(async {
        assert!(current_task().is_none());
        let run = TaskGroup::builder().name("group").run(async |group| {
            assert!(
                current_task().is_none(),
                "the body belongs to a task of Tokio's"
            );
            let task = group.task("task").spawn(async {
                let me = current_task().unwrap();
                assert_eq!(me.path(), "group/task");
                timeout(Duration::from_secs(1), async {
                    assert_eq!(current_task().unwrap().path(), "group/task");
                })
                .await
                .unwrap();
                Ok::<_, std::io::Error>(me.id())
            });
            let id = task.id();
            assert_eq!(task.await.unwrap(), id);
            Ok(())
        });
        run.await.unwrap();
    });
}

#[cfg(feature = "runner")]
#[test]
fn a_run_sees_its_own_tree_only() {
    let _alone = alone();
    let runner = || taskgroup::Runner::new().current_thread().signals(false);
    let ran = runner().run(async || {
        assert_eq!(current_task().unwrap().path(), "main");
        let inside = std::thread::spawn(move || {
            runner().run(async || {
                let run = Tree::of_run();
                assert_eq!(run.nodes().len(), 1);
                assert_eq!(run.nodes()[0].kind(), NodeKind::Run);
                assert_eq!(run.nodes()[0].name(), "main");
                let runs = tree()
                    .nodes()
                    .iter()
                    .filter(|node| node.kind() == NodeKind::Run)
                    .count();
                assert_eq!(runs, 2);
            })
        });
        inside.join().unwrap().unwrap();
    });
    ran.unwrap();
}
