//! Which task failed? Every leaf of the error has its name, its id, its path, and where it was
//! spawned.
//!
//! By type: a clause for each. By walking: all leaves, however deep. By name: a predicate.

use std::io;
use std::num::ParseIntError;
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup};
use tokio::time::sleep;

async fn fetch_user(id: u32) -> Result<u32, BoxError> {
    // All of them fail in the same instant, so all errors come out.
    sleep(Duration::from_millis(10)).await;
    match id {
        123 => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer").into()),
        124 => Ok("one hundred".parse()?),
        _ => Ok(id),
    }
}

async fn fetch_users(ids: std::ops::Range<u32>) -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().name("fetch");
    group
        .run(async |group| {
            for id in ids {
                let name = format!("fetch_user_{id}");
                group.task(name).spawn(fetch_user(id));
            }
            Ok(())
        })
        .await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ErrorGroup> {
    let main = TaskGroup::builder().name("main");
    let outcome = main.run(async |group| {
        group.task("users").spawn(fetch_users(120..130));
        Ok(())
    });
    let errors = outcome.await.unwrap_err();

    println!("walking:");
    for leaf in errors.leaves() {
        println!("  {} [{}]: {leaf}", leaf.path(), leaf.id());
    }
    let named = errors.subgroup_by(|leaf| leaf.name() == "fetch_user_124");
    println!("by name: {}", named.unwrap().cause());
    println!("by type:");
    errors
        .on::<io::Error>(|eg| println!("  io: {}", eg.cause().name()))
        .on::<ParseIntError>(|eg| println!("  parse: {}", eg.cause().name()))
        .rest()
}
