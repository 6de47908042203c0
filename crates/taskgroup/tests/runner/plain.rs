//! Programs with a plain `#[tokio::main]` that leave something behind, and end without
//! [`taskgroup::drain`].

use std::process::ExitCode;

use taskgroup::{BoxError, TaskGroup, bracket, defer, shield, until_cancelled};
use tokio::sync::oneshot;

pub(crate) fn run(name: &str) -> Option<ExitCode> {
    match name {
        "plain_cleanup" => leaves_a_cleanup(),
        "plain_cleanup_on_one_thread" => leaves_a_cleanup_on_one_thread(),
        "plain_shield" => leaves_a_shield(),
        "plain_release" => leaves_a_release(),
        "plain_failure" => leaves_a_failure(),
        "plain_deferred" => leaves_what_was_deferred(),
        "plain_deferred_alone" => leaves_what_was_deferred_alone(),
        "plain_drained" => drains(),
        "plain_nothing" => leaves_nothing(),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Polls a group until `child` has begun, and drops it then.
async fn drop_half_way<F>(child: impl FnOnce(oneshot::Sender<()>) -> F)
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let (begun, begins) = oneshot::channel();
    let run = TaskGroup::run(async |group| {
        group.task("left").spawn(child(begun));
        std::future::pending::<Result<(), BoxError>>().await
    });
    tokio::select! {
        _ = run => unreachable!("it has no end"),
        _ = begins => {}
    }
}

async fn cleans_up(begun: oneshot::Sender<()>) -> Result<(), BoxError> {
    let work = async {
        let _ = begun.send(());
        std::future::pending::<()>().await;
    };
    let cancelled = until_cancelled(work).await;
    tokio::time::sleep(crate::programs::HOUR).await;
    Ok(cancelled?)
}

#[tokio::main]
async fn leaves_a_cleanup() {
    drop_half_way(cleans_up).await;
}

/// The child is not polled between its cancellation and the end.
#[tokio::main(flavor = "current_thread")]
async fn leaves_a_cleanup_on_one_thread() {
    drop_half_way(cleans_up).await;
}

#[tokio::main(flavor = "current_thread")]
async fn leaves_a_shield() {
    drop_half_way(async |begun| {
        shield(async move {
            let _ = begun.send(());
            std::future::pending::<()>().await;
        })
        .await;
        Ok(())
    })
    .await;
}

/// The release has not begun, and does not begin.
#[tokio::main(flavor = "current_thread")]
async fn leaves_a_release() {
    let (begun, begins) = oneshot::channel();
    let work = async |_: &mut ()| {
        let _ = begun.send(());
        std::future::pending::<Result<(), BoxError>>().await
    };
    let release = async |(): ()| Ok::<_, BoxError>(());
    let whole = bracket(async { Ok::<_, BoxError>(()) }, work, release);
    tokio::select! {
        _ = whole => unreachable!("it has no end"),
        _ = begins => {}
    }
}

/// What was left has ended, with a failure.
#[tokio::main]
async fn leaves_a_failure() {
    let (ended, ends) = oneshot::channel::<()>();
    drop_half_way(async move |begun| {
        let _ended = ended;
        let work = async {
            let _ = begun.send(());
            std::future::pending::<()>().await;
        };
        let _cancelled = until_cancelled(work).await;
        Err("the disk is full".into())
    })
    .await;
    let _ = ends.await;
    // The failure is recorded after the future of the child has gone.
    while taskgroup::observe::live_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::main]
async fn leaves_what_was_deferred() {
    TaskGroup::run(async |group| {
        group.spawn(async {});
        Ok(())
    })
    .await
    .unwrap();
    defer(async { println!("deferred") });
}

#[tokio::main]
async fn leaves_what_was_deferred_alone() {
    defer(async { println!("deferred") });
}

#[tokio::main]
async fn drains() {
    drop_half_way(async |begun| {
        let work = async {
            let _ = begun.send(());
            std::future::pending::<()>().await;
        };
        let _cancelled = until_cancelled(work).await;
        Err("the disk is full".into())
    })
    .await;
    defer(async { println!("deferred") });
    println!("{}", taskgroup::drain().await.unwrap_err());
}

#[tokio::main]
async fn leaves_nothing() {
    TaskGroup::run(async |group| {
        group.spawn(async {});
        Ok(())
    })
    .await
    .unwrap();
}
