//! What becomes of a runtime that is opened in a poll of a child that is cancelled already: see
//! decision 0017.

use std::sync::Arc;
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, GroupBuilder, checkpoint, shield, until_cancelled};
use tokio::runtime::{Builder, Runtime};

use crate::common::{drivers, forever, isolated, on_threads, poll_once};

/// With a clock that jumps.
fn second_runtime() -> Arc<Runtime> {
    let mut builder = Builder::new_current_thread();
    Arc::new(builder.enable_all().start_paused(true).build().unwrap())
}

async fn works(builder: GroupBuilder) -> Result<u32, ErrorGroup> {
    let run = builder.run(async |group| {
        let child = group.spawn(async { Ok::<_, BoxError>(7) });
        Ok(child.await?)
    });
    run.await
}

/// Runs `code` in a child, with a group to cancel and a second runtime; the child must come to
/// `code`'s end.
fn in_a_child<F>(code: impl Fn(GroupBuilder, taskgroup::TaskGroup, Arc<Runtime>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for (driver, builder) in drivers() {
        println!("-- {driver}");
        let other = second_runtime();
        let (told, tells) = std::sync::mpsc::channel();
        let run = builder.clone().run_cancellable(async |group| {
            let code = code(builder.clone(), group.clone(), other.clone());
            group.task("child").spawn(async move {
                code.await;
                told.send(()).unwrap();
                forever().await;
            });
            forever().await;
            Ok(())
        });
        let ended = on_threads(2).block_on(run);
        assert!(matches!(ended, Ok(None)), "{ended:?}");
        tells.recv().expect("the code came to its end");
        drop(other);
    }
}

// S45: a task of the second runtime stands outside, so what it awaits comes back.
#[test]
fn a_task_of_a_second_runtime_works() {
    isolated(|| {
        in_a_child(|builder, group, other| async move {
            group.cancel();
            let value = tokio::task::block_in_place(|| {
                let task = other.spawn(async move {
                    assert!(!taskgroup::is_cancelled());
                    assert!(taskgroup::current().is_none());
                    works(builder).await
                });
                other.block_on(task)
            });
            assert_eq!(value.unwrap().unwrap(), 7);
        });
    });
}

// S45, S37: the body of `block_on` is the child's code. It sees the child's cancellation, and an
// await of this crate suspends in it.
#[test]
fn the_body_of_block_on_is_code_of_the_child() {
    isolated(|| {
        in_a_child(|builder, group, other| async move {
            group.cancel();
            tokio::task::block_in_place(|| {
                other.block_on(async {
                    assert!(taskgroup::is_cancelled());
                    let here = taskgroup::current().unwrap();
                    assert_eq!(here.name(), "child");
                    assert!(poll_once(std::pin::pin!(checkpoint())).is_pending());
                    // Only Tokio's own timeout gets out of that.
                    let second = Duration::from_secs(1);
                    let stuck = tokio::time::timeout(second, works(builder)).await;
                    assert!(stuck.is_err(), "{stuck:?}");
                });
            });
        });
    });
}

// S12: a guard lets the code go on, in a `block_on` as well.
#[test]
fn a_guard_lets_the_body_of_block_on_go_on() {
    isolated(|| {
        in_a_child(|builder, group, other| async move {
            group.cancel();
            let guard = until_cancelled(forever()).await;
            let value = tokio::task::block_in_place(|| other.block_on(works(builder)));
            assert_eq!(value.unwrap(), 7);
            drop(guard);
        });
    });
}

// S13: so does a shield.
#[test]
fn a_shield_lets_the_body_of_block_on_go_on() {
    isolated(|| {
        in_a_child(|builder, group, other| {
            shield(async move {
                group.cancel();
                let value = tokio::task::block_in_place(|| other.block_on(works(builder)));
                assert_eq!(value.unwrap(), 7);
            })
        });
    });
}
