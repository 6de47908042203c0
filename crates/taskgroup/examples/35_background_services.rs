//! Services that live as long as the group: a heartbeat, and a log that is rotated.
//!
//! A background child is owned like any other, but the group does not wait for it. When the work is
//! done the child is cancelled, cleans up, and the group ends. A service handles its own errors if
//! it can continue after them. An error that it returns fails the group, and is not lost in a log.

use std::time::Duration;

use taskgroup::{BoxError, Cancelled, ErrorGroup, TaskGroup, until_cancelled};
use tokio::time::sleep;

/// Has nothing to clean up, so it does not handle its end.
async fn heartbeat() {
    for beat in 1.. {
        sleep(Duration::from_secs(1)).await;
        println!("heartbeat {beat}");
    }
}

async fn rotate(number: u32) -> Result<(), BoxError> {
    match number {
        2 => Err("disk full".into()),
        _ => Ok(()),
    }
}

async fn log_rotation() -> Result<(), Cancelled> {
    let mut number = 0;
    loop {
        if let Err(cancelled) = until_cancelled(sleep(Duration::from_millis(1400))).await {
            println!("log {number} closed");
            return Err(cancelled);
        }
        number += 1;
        // Its own error handling: the next rotation may succeed.
        match rotate(number).await {
            Ok(()) => println!("log {number} opened"),
            Err(error) => println!("log {number} not opened: {error}"),
        }
    }
}

async fn work(seconds: u64) -> Result<u64, BoxError> {
    sleep(Duration::from_millis(1000 * seconds + 500)).await;
    println!("work {seconds} done");
    Ok(seconds)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    let sum = TaskGroup::run(async |group| {
        group.task("heartbeat").background().spawn(heartbeat());
        group.task("log").background().spawn(log_rotation());
        let (first, second) = (group.spawn(work(2)), group.spawn(work(4)));
        Ok(first.await? + second.await?)
    })
    .await?;
    println!("sum {sum}, {} tasks left", taskgroup::observe::live_tasks());
    Ok(())
}
