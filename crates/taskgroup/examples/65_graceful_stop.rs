//! A program that finishes what it has begun when it gets `SIGTERM`, and exits with 0.
//!
//! With `graceful` the signal does not cancel `main`, but the section that `until_stopped` runs.
//! Here the program sends the signal to itself. `Runner` has the same settings as
//! `#[taskgroup::main]`.

use std::process::{Command, ExitCode};
use std::time::Duration;

use taskgroup::{
    BoxError, Runner, TaskGroup, shield, until_cancelled, until_stopped, when_stopped,
};
use tokio::sync::{mpsc, oneshot};

fn send_sigterm() -> std::io::Result<()> {
    let own = std::process::id().to_string();
    Command::new("kill")
        .args(["-TERM", &own])
        .status()
        .map(drop)
}

async fn serve() -> Result<(), BoxError> {
    let (requests, mut queue) = mpsc::channel(8);
    requests.send("GET /").await?;
    let (closing, closed) = oneshot::channel::<()>();
    let mut closed = Some(closed);
    let service = TaskGroup::builder().name("service").run(async |group| {
        // The signal interrupts the wait for another request, since `requests` is still open.
        while let Ok(Some(request)) = until_cancelled(queue.recv()).await {
            let closed = closed.take();
            group.task(request).spawn(shield(async move {
                // The answer is under way when the program is asked to stop.
                when_stopped().await;
                if let Some(closed) = closed {
                    let _ = closed.await;
                }
                println!("{request} is answered");
            }));
            send_sigterm()?;
        }
        println!("no more requests");
        drop(closing);
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("stopped");
    Ok(())
}

fn main() -> ExitCode {
    Runner::new()
        .current_thread()
        .graceful()
        .grace(Duration::from_secs(10))
        .run_main(serve)
}
