//! Two tasks fail at the same moment, and both errors are returned.
//!
//! `run` returns one error that contains them all, each with its task: the cause first, the others
//! in the order in which they arrived.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use taskgroup::TaskGroup;
use tokio::time::sleep;

#[derive(Debug)]
struct ValueError(String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ValueError {}

/// Fails when its number is even.
async fn failing_task(number: u32) -> Result<String, ValueError> {
    sleep(Duration::from_millis(100)).await;
    if number % 2 == 0 {
        return Err(ValueError(format!("Task {number} failed!")));
    }
    Ok(format!("Task {number} succeeded"))
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let outcome = TaskGroup::run(async |group| {
        for number in 1..=4 {
            group.spawn(failing_task(number));
        }
        Ok(())
    })
    .await;
    if let Err(errors) = outcome {
        println!("Caught {} exceptions:", errors.len());
        for leaf in errors.leaves() {
            if let Some(error) = leaf.downcast_ref::<ValueError>() {
                println!("  - ValueError: {error}");
            }
        }
    }
}
