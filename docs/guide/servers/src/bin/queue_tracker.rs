//! As `queue`, with the `TaskTracker` and the `CancellationToken` of tokio-util.

use std::process::ExitCode;
use std::sync::Arc;

use taskgroup_servers::{AT_ONCE, answer, grace, jobs};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Queue = Arc<Mutex<UnboundedReceiver<String>>>;

#[tokio::main]
async fn main() -> std::io::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let queue: Queue = Arc::new(Mutex::new(jobs()));
    let workers = TaskTracker::new();
    let stop = CancellationToken::new();
    for _ in 0..AT_ONCE {
        workers.spawn(take_jobs(queue.clone(), stop.clone()));
    }
    asked(&mut interrupt, &mut terminate).await;
    stop.cancel();
    println!("stopping");
    workers.close();
    tokio::select! {
        () = workers.wait() => {}
        () = tokio::time::sleep(grace()) => {
            eprintln!("cut off: {} workers", workers.len());
            std::process::exit(1);
        }
        () = asked(&mut interrupt, &mut terminate) => {
            eprintln!("cut off: {} workers", workers.len());
            std::process::exit(1);
        }
    }
    println!("stopped: {} jobs are left", queue.lock().await.len());
    Ok(ExitCode::SUCCESS)
}

async fn asked(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn take_jobs(queue: Queue, stop: CancellationToken) {
    loop {
        let job = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            job = async { queue.lock().await.recv().await } => job,
        };
        let Some(job) = job else { break };
        answer(&job).await;
    }
}
