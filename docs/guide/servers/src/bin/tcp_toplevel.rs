//! As `tcp`, with tokio-graceful-shutdown. It advises a `TaskTracker` for many short tasks.

use taskgroup_servers::{answer, grace, listen};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_graceful_shutdown::{FutureExt, SubsystemBuilder, SubsystemHandle, Toplevel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    Toplevel::new(async |top: &mut SubsystemHandle| {
        top.start(SubsystemBuilder::new("clients", serve));
    })
    .catch_signals()
    .handle_shutdown_requests(grace())
    .await?;
    println!("stopped");
    Ok(())
}

async fn serve(subsystem: &mut SubsystemHandle) -> Result<(), BoxError> {
    let listener = listen().await?;
    let clients = TaskTracker::new();
    while let Ok(accepted) = listener.accept().cancel_on_shutdown(subsystem).await {
        let (stream, address) = accepted?;
        let stop = subsystem.create_cancellation_token();
        clients.spawn(async move {
            if let Err(error) = talk(stream, stop).await {
                eprintln!("client {address}: {error}");
            }
        });
    }
    println!("stopping");
    clients.close();
    clients.wait().await;
    Ok(())
}

async fn talk(mut stream: TcpStream, stop: CancellationToken) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            () = stop.cancelled() => break,
        };
        let Some(line) = line else { break };
        writer.write_all(answer(&line).await.as_bytes()).await?;
    }
    Ok(())
}
