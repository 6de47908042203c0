//! The live tree of a thousand tasks on three levels: one is shielded, one cleans up, one blocks
//! its worker.
//!
//! `taskgroup::observe::tree()` always works. Blocked tasks are detected while `report_blocking` is
//! on: its report comes from a separate thread while the task still blocks, so what a hook prints
//! is the program at a standstill.

use std::sync::{Once, mpsc};
use std::time::Duration;

use taskgroup::observe::{report_blocking, set_warning_hook};
use taskgroup::{BoxError, TaskGroup, shield, until_cancelled};
use tokio::time::sleep;

/// Level three: a separate group, with a task for each file.
async fn import(files: usize) -> Result<(), BoxError> {
    let group = TaskGroup::builder().name("files").limit(900);
    group
        .run(async |group| {
            for file in 1..=files {
                group
                    .task(format!("file_{file}"))
                    .spawn(sleep(Duration::from_secs(30)));
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Says goodbye when it is cancelled, which takes a second.
async fn upload() -> Result<(), BoxError> {
    let Err(cancelled) = until_cancelled(sleep(Duration::from_secs(30))).await else {
        return Ok(());
    };
    sleep(Duration::from_secs(1)).await;
    Err(cancelled.into())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let (report, reported) = mpsc::channel();
    let clock = tokio::runtime::Handle::current();
    let once = Once::new();
    set_warning_hook(move |warning| {
        if warning.task().name() == "thumbnail" {
            // The task blocks until the report is there, so one report is enough. It comes from a
            // thread outside the runtime, whose paused clock the ages in the tree are measured by.
            once.call_once(|| {
                let _virtual_time = clock.enter();
                println!("{}", taskgroup::observe::tree());
                let _ = report.send(());
            });
        }
    });
    report_blocking(Duration::from_millis(20));

    let shop = TaskGroup::builder().name("shop");
    shop.run(async |group| {
        group.task("import").spawn(import(996));
        group
            .task("save")
            .spawn(shield(sleep(Duration::from_secs(3))));
        let upload = group.task("upload").spawn(upload());
        sleep(Duration::from_millis(1500)).await;
        upload.cancel();
        sleep(Duration::from_millis(500)).await;
        group.task("thumbnail").spawn(async move {
            // A blocking call in async code: no other task gets a turn until it returns.
            reported.recv()
        });
        sleep(Duration::from_millis(500)).await;
        group.cancel();
        Ok(())
    })
    .await?;
    println!("{} live tasks", taskgroup::observe::live_tasks());
    Ok(())
}
