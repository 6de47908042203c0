//! Blocking work is a child on its own thread, and the async tasks continue meanwhile.
//!
//! The first closure blocks until another task has sent something. On the thread of the tasks it
//! would wait for ever, and no async sleep could help. The second closure is long, and checks
//! between its steps whether it is still needed. It is cancelled, and the group waits until it has
//! really stopped.

use std::sync::mpsc;

use taskgroup::{BlockingToken, BoxError, ErrorGroup, TaskGroup, checkpoint};

fn blocking_sum(numbers: &mpsc::Receiver<u32>) -> Result<u32, BoxError> {
    Ok(numbers.iter().sum()) // blocks until the sender is dropped
}

fn endless(token: &BlockingToken, begun: &mpsc::Sender<()>) -> Result<(), BoxError> {
    let _ = begun.send(());
    loop {
        if let Err(cancelled) = token.check() {
            println!("the blocking work stops: {}", token.is_cancelled());
            return Err(cancelled.into());
        }
        std::thread::yield_now();
    }
}

#[tokio::main]
async fn main() -> Result<(), ErrorGroup> {
    let sum = TaskGroup::run(async |group| {
        let (sender, numbers) = mpsc::channel();
        let sum = group
            .task("sum")
            .spawn_blocking(move |_| blocking_sum(&numbers));
        group.task("numbers").spawn(async move {
            for number in 1..=4 {
                checkpoint().await;
                sender.send(number)?;
            }
            Ok::<_, BoxError>(())
        });
        Ok(sum.await?)
    })
    .await?;
    println!("sum {sum}");

    TaskGroup::run(async |group| {
        let (begun, wait) = mpsc::channel();
        let task = group.task("endless");
        let task = task.spawn_blocking(move |token| endless(&token, &begun));
        while wait.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        task.cancel();
        println!(
            "cancelled: {}",
            task.await.is_err_and(|error| error.is_cancelled())
        );
        Ok(())
    })
    .await?;
    println!("{} tasks left", taskgroup::observe::live_tasks());
    Ok(())
}
