//! Signals between the tasks of one group: a queue, an event, and a watched value. All of them are
//! Tokio's own.
//!
//! They live in the same group as the tasks that use them, and nothing gets stuck: a task that
//! waits for a signal that will never come is cancelled like any other, and a queue closes when its
//! last sender is dropped.

use std::sync::Arc;
use std::time::Duration;

use taskgroup::{BoxError, TaskGroup};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

async fn produce(queue: mpsc::Sender<u32>, go: Arc<Notify>) -> Result<(), BoxError> {
    go.notified().await;
    println!("producer: go");
    for item in 1..=4 {
        queue.send(item).await?;
    }
    Ok(())
}

async fn consume(mut queue: mpsc::Receiver<u32>, sums: watch::Sender<u32>) {
    while let Some(item) = queue.recv().await {
        sleep(Duration::from_millis(100)).await;
        sums.send_modify(|sum| *sum += item);
    }
    println!("consumer: the queue is closed");
}

async fn alarm(mut sums: watch::Receiver<u32>) -> Result<(), BoxError> {
    let sum = *sums.wait_for(|sum| *sum >= 5).await?;
    println!("alarm: {sum}");
    Ok(())
}

/// Waits for an event that will never be sent.
async fn forgotten(event: Arc<Notify>) {
    event.notified().await;
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        let go = Arc::new(Notify::new());
        let (queue, items) = mpsc::channel(2);
        let (sums, watched) = watch::channel(0);
        let producer = group.task("produce").spawn(produce(queue, go.clone()));
        let consumer = group.task("consume").spawn(consume(items, sums));
        group.task("alarm").spawn(alarm(watched));
        group.task("forgotten").spawn(forgotten(Arc::default()));

        sleep(Duration::from_secs(1)).await;
        println!("main: {} tasks wait", group.live());
        go.notify_one();
        producer.await?;
        consumer.await?;
        println!("main: {} task still waits", group.live());
        group.cancel();
        Ok(())
    })
    .await?;
    println!("main: no task waits");
    Ok(())
}
