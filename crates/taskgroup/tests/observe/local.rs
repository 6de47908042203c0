//! TR27, TG27: values that follow the tree.

use std::time::Duration;

use taskgroup::{Local, TaskGroup, defer, timeout, until_cancelled};

use super::{forever, paused, settled};

static USER: Local<String> = Local::new();
static OTHER: Local<String> = Local::new();

async fn seen() -> Result<Option<String>, std::io::Error> {
    Ok(USER.get())
}

#[test]
fn everything_below_sees_the_value_and_nothing_else_does() {
    paused(async {
        assert_eq!(USER.get(), None);
        let run = TaskGroup::run(async |outer| {
            let siblings = outer.clone();
            let inside = USER.scope("Ada".into(), async {
                assert_eq!((USER.get().as_deref(), OTHER.get()), (Some("Ada"), None));
                TaskGroup::run(async |inner| {
                    let child = inner.spawn(async {
                        tokio::task::yield_now().await;
                        let deep =
                            TaskGroup::run(async |deepest| Ok(deepest.spawn(seen()).await?));
                        timeout(Duration::from_secs(1), deep).await.unwrap()
                    });
                    assert_eq!(child.await?.as_deref(), Some("Ada"));
                    // Owned by a group outside, so outside.
                    assert_eq!(siblings.spawn(seen()).await?, None);
                    Ok(())
                })
                .await
            });
            inside.await?;
            assert_eq!(USER.get(), None);
            assert_eq!(outer.spawn(seen()).await?, None);
            Ok(())
        });
        run.await.unwrap();
    });
}

#[test]
fn the_innermost_value_counts() {
    paused(async {
        USER.scope("Ada".into(), async {
            USER.scope("Grace".into(), async {
                assert_eq!(USER.get().as_deref(), Some("Grace"));
            })
            .await;
            assert_eq!(USER.get().as_deref(), Some("Ada"));
        })
        .await;
    });
}

#[test]
fn a_cancellation_passes_through_and_cleanup_still_sees_the_value() {
    paused(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (tell_late, told_late) = tokio::sync::oneshot::channel();
        let run = TaskGroup::run(async |group| {
            let task = group.spawn(USER.scope("Ada".into(), async {
                defer(async move {
                    tell_late.send(USER.get()).unwrap();
                });
                let cancelled = until_cancelled(forever()).await.unwrap_err();
                settled().await;
                tell.send(USER.get()).unwrap();
                Err::<(), _>(cancelled)
            }));
            settled().await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(told.await.unwrap().as_deref(), Some("Ada"));
        assert_eq!(told_late.await.unwrap().as_deref(), Some("Ada"));
    });
}

#[test]
fn a_panic_passes_through() {
    paused(async {
        let run = TaskGroup::run(async |group| {
            group.spawn(USER.scope("Ada".into(), async {
                assert_eq!(USER.get(), None, "seen: {:?}", USER.get());
            }));
            Ok(())
        });
        let error = run.await.unwrap_err();
        let leaf = error.leaves().next().unwrap();
        assert!(
            leaf.task()
                .panic_message()
                .unwrap()
                .contains("seen: Some(\"Ada\")")
        );
    });
}
