//! A part of a task, a task and a group, each cancelled by code that has nothing but a canceller.
//!
//! A `Canceller` can be cloned and sent, and can do nothing else. `cancel_with` says why, and the
//! one that is cancelled reads the reason. `when_cancelled` is a future of it for code outside the
//! tree, such as a library that wants to be told.

use taskgroup::{BoxError, CancelScope, TaskGroup, until_cancelled};
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        // A part of this body.
        let mut search = CancelScope::new();
        let button = search.canceller();
        group
            .task("button")
            .spawn(async move { button.cancel_with("the user pressed stop") });
        let found = search.run(std::future::pending::<u32>()).await;
        println!("found {found:?}, cut off: {}", search.has_cut_off());

        // One child, which reads why.
        let (reads, said) = oneshot::channel();
        let child = group.task("upload").spawn(async move {
            let waits = until_cancelled(std::future::pending::<()>());
            if let Err(cancelled) = waits.await {
                let reason = cancelled.reason().message().unwrap_or_default().to_owned();
                let _ = reads.send(reason);
                return Err(cancelled);
            }
            Ok(())
        });
        tokio::task::yield_now().await;
        child.canceller().cancel_with("the disk is full");
        println!("the upload was told: {}", said.await?);
        child.ended().await;
        Ok(())
    })
    .await?;

    // A whole group, seen from outside.
    let run = TaskGroup::builder().name("shop").run(async |group| {
        let (cancelled, ended) = (group.when_cancelled(), group.when_ended());
        let watcher = tokio::spawn(async move {
            cancelled.await;
            println!("the shop closes");
            ended.await;
            println!("the shop is empty");
        });
        let closing = group.canceller();
        group.spawn(async move { closing.cancel_with("closing time") });
        group.spawn(std::future::pending::<()>());
        Ok(watcher)
    });
    let watcher = run.await?;
    watcher.await?;
    Ok(())
}
