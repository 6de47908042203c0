//! A service that owns its background work: a group in a field.
//!
//! `OpenGroup` has no body, so a struct can keep it. It is below the scope in which it was opened,
//! so nothing of it is lost: what fails comes out of `close`. `group()` is the same group with all
//! that a group can do. `start` waits until the child has reported that it is ready, with a value.

use std::sync::Arc;

use taskgroup::{BoxError, OpenGroup, Started, TaskGroup};
use tokio::sync::{mpsc, oneshot};

type Job = (u32, oneshot::Sender<u32>);

struct Squares {
    work: OpenGroup,
    jobs: mpsc::Sender<Job>,
}

async fn worker(ready: Started<mpsc::Sender<Job>>) -> Result<(), BoxError> {
    let (jobs, mut queue) = mpsc::channel::<Job>(8);
    ready.ready(jobs);
    while let Some((number, reply)) = queue.recv().await {
        let square = number
            .checked_mul(number)
            .ok_or("the number is too large")?;
        let _ = reply.send(square);
    }
    Ok(())
}

impl Squares {
    async fn open() -> Result<Arc<Self>, BoxError> {
        let work = TaskGroup::builder().name("squares").open();
        let (jobs, _worker) = work.group().start(worker).await?;
        Ok(Arc::new(Self { work, jobs }))
    }

    async fn of(&self, number: u32) -> Result<u32, BoxError> {
        let (reply, square) = oneshot::channel();
        self.jobs.send((number, reply)).await?;
        Ok(square.await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let squares = Squares::open().await?;
    println!("12 * 12 = {}", squares.of(12).await?);
    println!("too large: {}", squares.of(1 << 20).await.is_err());
    println!("{}", squares.work.close().await.unwrap_err());
    let refused = squares.work.spawn(async {});
    println!("a closed group takes no more: {}", refused.is_err());
    Ok(())
}
