//! Handled, unless it is critical: then it is raised again.
//!
//! The handler of a clause returns what it was given, and that part is an error again, in its old
//! place. Only the matched part comes back. To return the whole group, including what other clauses
//! took, keep a clone of it.

use std::io;
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn risky_operation(message: &'static str) -> Result<(), BoxError> {
    sleep(Duration::from_millis(10)).await;
    match message {
        "not text" => Err(Box::new(std::fmt::Error)),
        _ => Err(io::Error::other(message).into()),
    }
}

async fn run(messages: &[&'static str]) -> Result<(), ErrorGroup> {
    TaskGroup::run(async |group| {
        for message in messages {
            group.task(*message).spawn(risky_operation(message));
        }
        Ok(())
    })
    .await
}

fn is_critical(part: &ErrorGroup) -> bool {
    part.leaves()
        .any(|leaf| leaf.to_string().to_lowercase().contains("critical"))
}

/// I/O errors are handled if none of them is critical. Unexpected errors are logged and raised
/// again.
fn handle(errors: ErrorGroup) -> Result<(), ErrorGroup> {
    errors
        .on::<io::Error>(|eg| {
            if is_critical(&eg) {
                return Err(eg);
            }
            println!("  handled {} non-critical errors", eg.leaf_count());
            Ok(())
        })
        .on_match(
            |leaf| !leaf.is::<io::Error>(),
            |eg| {
                println!("  unexpected: {}", eg.cause());
                Err::<(), _>(eg)
            },
        )
        .rest()
}

fn names(errors: &ErrorGroup) -> Vec<&str> {
    errors.leaves().map(|leaf| leaf.task().name()).collect()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    for messages in [
        &["slow disk", "full disk"][..],
        &["slow disk", "CRITICAL: no disk"],
        &["slow disk", "not text"],
    ] {
        println!("{messages:?}");
        let errors = run(messages).await.unwrap_err();
        let whole = errors.clone();
        match handle(errors) {
            Ok(()) => println!("  nothing is left"),
            Err(rest) => {
                println!("  left: {:?}", names(&rest));
                println!("  the whole group: {:?}", names(&whole));
            }
        }
    }
}
