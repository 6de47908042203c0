//! Gathering by hand leaks, a group does not.
//!
//! Both halves request a user, orders and preferences, and the first request fails. In the first
//! half the tasks are Tokio's, and the first error is returned at once: the other two continue in
//! the background, unknown to the caller. In the second half no task is left when the error is
//! returned.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};
use tokio::time::sleep;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts itself while it exists.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn request(what: &'static str, seconds: u64) -> Result<&'static str, BoxError> {
    let _running = Running::new();
    sleep(Duration::from_secs(seconds)).await;
    match what {
        "user" => Err("no such user".into()),
        _ => {
            println!("  {what} arrived");
            Ok(what)
        }
    }
}

async fn gathered_by_hand() -> Result<(), BoxError> {
    let user = tokio::spawn(request("user", 1));
    let orders = tokio::spawn(request("orders", 2));
    let preferences = tokio::spawn(request("preferences", 3));
    tokio::try_join!(async { user.await? }, async { orders.await? }, async {
        preferences.await?
    },)?;
    Ok(())
}

async fn in_a_group() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(request("user", 1));
        group.spawn(request("orders", 2));
        group.spawn(request("preferences", 3));
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("by hand: {}", gathered_by_hand().await.unwrap_err());
    println!("  {} requests still run", RUNNING.load(Ordering::SeqCst));
    sleep(Duration::from_secs(10)).await;

    println!("in a group: {}", in_a_group().await.unwrap_err());
    println!("  {} requests still run", RUNNING.load(Ordering::SeqCst));
    sleep(Duration::from_secs(10)).await;
}
