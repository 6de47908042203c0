//! A deadline for the whole group and one for each child, together.
//!
//! Everything has three seconds, and each child has one. A child that exceeds its own second fails
//! with `TimedOut`, which is an error like any other. Here the child handles it and returns an
//! empty page, and its siblings never notice. If every child stays within its second but there are
//! too many of them, the group's deadline fires.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, timeout};
use tokio::time::{Instant, sleep};

async fn fetch(millis: u64) -> Result<String, BoxError> {
    sleep(Duration::from_millis(millis)).await;
    Ok(format!("a page after {millis} ms"))
}

/// Takes at most a second. A slower page is empty.
async fn fetch_or_nothing(millis: u64) -> Result<String, BoxError> {
    match timeout(Duration::from_secs(1), fetch(millis)).await {
        Ok(page) => page,
        Err(timed_out) => Ok(format!("nothing ({timed_out})")),
    }
}

async fn all(times: &[u64], at_once: usize) -> Result<Vec<String>, BoxError> {
    let group = TaskGroup::builder().limit(at_once).run(async |group| {
        let pages = times
            .iter()
            .map(|&time| group.spawn(fetch_or_nothing(time)));
        let mut texts = Vec::new();
        for page in pages.collect::<Vec<_>>() {
            texts.push(page.await?);
        }
        Ok(texts)
    });
    Ok(timeout(Duration::from_secs(3), group).await??)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    for page in all(&[200, 5000, 900], 3).await? {
        println!("{page}");
    }
    println!("in {:?}", start.elapsed());

    let start = Instant::now();
    println!("{}", all(&[900; 8], 2).await.unwrap_err());
    println!("in {:?}", start.elapsed());
    Ok(())
}
