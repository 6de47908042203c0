//! Deadlines at an instant, deadlines that move, and work that starts when the first try is slow.
//!
//! `timeout_with` gives the deadline to the work, which can move it: each message that arrives is
//! worth another second. `move_on_after` is for work that may be left out. `race_staggered` starts
//! the next mirror when the one before takes too long, and `race_by_key` says which one has won.

use std::time::Duration;

use taskgroup::{
    BoxError, current_deadline, move_on_after, race_by_key, race_staggered, timeout_at,
    timeout_with,
};
use tokio::time::{Instant, sleep};

/// Messages at these seconds; then silence.
async fn next_message(number: usize) -> Option<u64> {
    let pauses = [0.5, 0.8, 0.9];
    match pauses.get(number) {
        Some(pause) => sleep(Duration::from_secs_f64(*pause)).await,
        None => std::future::pending().await,
    }
    Some(number as u64)
}

async fn mirror(name: &'static str, seconds: u64) -> Result<&'static str, BoxError> {
    sleep(Duration::from_secs(seconds)).await;
    Ok(name)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let noon = start + Duration::from_secs(12);
    let late = timeout_at(noon, sleep(Duration::from_secs(60))).await;
    println!("{} after {:?}", late.unwrap_err(), start.elapsed());

    let start = Instant::now();
    let mut messages = 0;
    let idle = timeout_with(Duration::from_secs(1), async |deadline| {
        while next_message(messages).await.is_some() {
            messages += 1;
            deadline.reschedule_after(Duration::from_secs(1));
        }
    });
    let silent = idle.await.is_err();
    println!(
        "{messages} messages, then silence: {silent}, {:?}",
        start.elapsed()
    );

    let extra = move_on_after(Duration::from_secs(2), async {
        let left = current_deadline().expect("there is one") - Instant::now();
        println!("{left:?} for the extra work");
        sleep(Duration::from_secs(60)).await;
    });
    println!("the extra work is done: {}", extra.await.is_some());

    let start = Instant::now();
    let mirrors = [
        mirror("slow", 30),
        mirror("quick", 1),
        mirror("never needed", 1),
    ];
    let won = race_staggered(Duration::from_secs(2), mirrors).await?;
    println!("{won} won after {:?}", start.elapsed());

    let won = race_by_key([("north", mirror("far", 9)), ("south", mirror("near", 4))]);
    let (key, won) = won.await?;
    println!("{won}, in the {key}");
    Ok(())
}
