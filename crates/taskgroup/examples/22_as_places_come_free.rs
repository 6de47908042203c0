//! More work than places: wait for a place, take one only if it is free, or run futures in place.
//!
//! `spawn` queues what finds no place. For an endless source that is too much: `spawn_when_free`
//! waits until a place is free. `spawn_if_free` gives the future back instead of waiting.
//! `outcomes` hands out results while the group still spawns. `map` needs no tasks at all: its
//! futures run in the caller, may borrow, and come out in order.

use std::time::Duration;

use taskgroup::{BoxError, TaskGroup, map};
use tokio::time::{Instant, sleep};

async fn work(number: u64) -> Result<u64, BoxError> {
    sleep(Duration::from_secs(1)).await;
    Ok(number * number)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let group = TaskGroup::builder().limit(2);
    group
        .run(async |group| {
            for number in 0..6 {
                group.spawn_when_free(work(number)).await;
                println!("{number} has a place after {} s", start.elapsed().as_secs());
            }
            Ok(())
        })
        .await?;

    let group = TaskGroup::builder().limit(1);
    let refused = group.run(async |group| {
        group.spawn(work(1));
        let extra = group.spawn_if_free(work(2));
        let refused = extra.is_err();
        group.set_limit(2);
        group
            .spawn_if_free(work(2))
            .map_err(|_| "there is a place now")?;
        Ok(refused)
    });
    println!("the extra one was refused: {}", refused.await?);

    let sum = TaskGroup::run(async |group| {
        let mut outcomes = group.outcomes();
        outcomes.spawn(work(3));
        let mut sum = 0;
        while let Some((_, square)) = outcomes.next().await {
            let square = square?;
            sum += square;
            if square < 1000 {
                outcomes.spawn(work(square));
            }
        }
        Ok(sum)
    });
    println!("the squares of 3, 9 and 81 add up to {}", sum.await?);

    let offset = String::from("100 more");
    let squares = map(2, 0..5, async |number| {
        Ok::<_, BoxError>(work(number).await? + offset.len() as u64)
    });
    println!("{:?}", squares.await?);
    Ok(())
}
