//! Ten tasks, one of which fails, in the style of a group: the failure cancels the others and is
//! returned as the group's error.
//!
//! This takes no code. When `run` returns, no task of the group is left. To show that, this program
//! counts live tasks itself: each task holds a `Present`, whose destructor runs when the task is
//! dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};
use tokio::time::sleep;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Present;

impl Present {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn task(number: u32) -> Result<(), BoxError> {
    let _present = Present::new();
    println!(">task {number} executing");
    sleep(Duration::from_secs(1)).await;
    if number == 5 {
        println!(">task {number} failing");
        return Err("Something bad happened".into());
    }
    sleep(Duration::from_secs(1)).await;
    println!(">task {number} done");
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let _present = Present::new();
    let outcome = TaskGroup::run(async |group| {
        for number in 0..10 {
            group.spawn(task(number));
        }
        Ok(())
    })
    .await;
    if outcome.is_err() {
        println!("At least one task failed, rest were cancelled");
        let running = RUNNING.load(Ordering::SeqCst);
        println!("There are only {running} task(s) currently running");
    }
}
