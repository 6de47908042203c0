//! A worker with a queue. Jobs that have begun are finished, the others stay in the queue.

use std::process::ExitCode;
use std::sync::Arc;

use taskgroup::{
    BoxError, Policy, Runner, TaskGroup, checkpoint, shield, until_cancelled, until_stopped,
};
use taskgroup_servers::{AT_ONCE, answer, grace, jobs};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

type Queue = Arc<Mutex<UnboundedReceiver<String>>>;

fn main() -> ExitCode {
    Runner::new().graceful().grace(grace()).run_main(work)
}

async fn work() -> Result<(), BoxError> {
    let queue: Queue = Arc::new(Mutex::new(jobs()));
    let workers = TaskGroup::builder().policy(Policy::report(|failure| eprintln!("{failure}")));
    let service = workers.run(async |workers| {
        for number in 1..=AT_ONCE {
            let worker = workers.task(format!("worker {number}"));
            worker.spawn(take_jobs(queue.clone()));
        }
        let _ = until_cancelled(std::future::pending::<()>()).await;
        println!("stopping");
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("stopped: {} jobs are left", queue.lock().await.len());
    Ok(())
}

async fn take_jobs(queue: Queue) -> Result<(), BoxError> {
    let next = async || {
        // After the stop this suspends, even if the queue has more jobs.
        checkpoint().await;
        queue.lock().await.recv().await
    };
    while let Ok(Some(job)) = until_cancelled(next()).await {
        shield(answer(&job)).await;
    }
    Ok(())
}
