//! As `queue`, with tokio-graceful-shutdown.

use std::sync::Arc;

use taskgroup_servers::{AT_ONCE, answer, grace, jobs};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_graceful_shutdown::{FutureExt, SubsystemBuilder, SubsystemHandle, Toplevel};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Queue = Arc<Mutex<UnboundedReceiver<String>>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let queue: Queue = Arc::new(Mutex::new(jobs()));
    let of_workers = queue.clone();
    Toplevel::new(async move |top: &mut SubsystemHandle| {
        for number in 1..=AT_ONCE {
            let queue = of_workers.clone();
            let worker = async move |subsystem: &mut SubsystemHandle| {
                take_jobs(queue, subsystem).await;
                Ok::<_, BoxError>(())
            };
            top.start(SubsystemBuilder::new(format!("worker {number}"), worker));
        }
        top.on_shutdown_requested().await;
        println!("stopping");
    })
    .catch_signals()
    .handle_shutdown_requests(grace())
    .await?;
    println!("stopped: {} jobs are left", queue.lock().await.len());
    Ok(())
}

async fn take_jobs(queue: Queue, subsystem: &SubsystemHandle) {
    let next = async || queue.lock().await.recv().await;
    while let Ok(Some(job)) = next().cancel_on_shutdown(subsystem).await {
        answer(&job).await;
    }
}
