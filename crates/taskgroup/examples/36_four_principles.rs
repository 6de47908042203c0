//! The four principles, each shown in a few lines that print what they found: children end before
//! their parent, errors propagate, cancellation is automatic, nothing leaks.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use taskgroup::observe::live_tasks;
use taskgroup::{TaskGroup, until_cancelled};
use tokio::time::sleep;

static CLEANED_UP: AtomicU32 = AtomicU32::new(0);

/// Takes an hour, and a second for its cleanup.
async fn worker() -> Result<(), taskgroup::Cancelled> {
    if let Err(cancelled) = until_cancelled(sleep(Duration::from_secs(3600))).await {
        sleep(Duration::from_secs(1)).await;
        CLEANED_UP.fetch_add(1, Ordering::SeqCst);
        return Err(cancelled);
    }
    Ok(())
}

/// A task that spawns tasks that spawn tasks.
fn grow(group: TaskGroup, levels: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if levels > 0 {
            for _ in 0..2 {
                group.spawn(grow(group.clone(), levels - 1));
            }
        }
        sleep(Duration::from_secs(1)).await;
    })
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    // 1. The children end before the parent: `run` has returned, so all of them have ended, even
    //    those that were spawned late.
    let mut known = 0;
    let run = TaskGroup::run(async |group| {
        group.spawn(grow(group.clone(), 3));
        sleep(Duration::from_millis(500)).await;
        known = live_tasks();
        Ok(())
    });
    run.await.unwrap();
    println!(
        "children end before the parent: {known} tasks, {} left",
        live_tasks()
    );

    // 2. Errors propagate, and none is lost on the way.
    let run = TaskGroup::run(async |group| {
        group.spawn(async {
            let inner = TaskGroup::run(async |group| {
                group.task("deep").spawn(async { Err::<(), _>("boom") });
                Ok(())
            });
            inner.await
        });
        Ok(())
    });
    let error = run.await.unwrap_err();
    println!(
        "errors propagate: {} came out, from `{}`",
        error.leaf_count(),
        error.cause().name()
    );

    // 3. Cancellation is automatic: no code notifies the tasks below, and all of them clean up.
    let run = TaskGroup::run(async |group| {
        for _ in 0..5 {
            group.spawn(worker());
        }
        sleep(Duration::from_secs(1)).await;
        Err::<(), _>("the body fails".into())
    });
    run.await.unwrap_err();
    let cleaned_up = CLEANED_UP.load(Ordering::SeqCst);
    println!("cancellation is automatic: {cleaned_up} of 5 cleaned up");

    // 4. No leak: every task is in the tree while it lives, and the tree is empty afterwards.
    let run = TaskGroup::run(async |group| {
        group.task("tracked").spawn(sleep(Duration::from_secs(1)));
        tokio::task::yield_now().await;
        let tree = taskgroup::observe::tree();
        println!("no leak: the tree knows of {} task", tree.tasks());
        Ok(())
    });
    run.await.unwrap();
    println!(
        "no leak: the tree knows of {} tasks",
        taskgroup::observe::tree().tasks()
    );
}
