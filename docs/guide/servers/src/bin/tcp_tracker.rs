//! As `tcp`, with the `TaskTracker` and the `CancellationToken` of tokio-util.

use std::process::ExitCode;

use taskgroup_servers::{answer, grace, listen};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> std::io::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = listen().await?;
    let clients = TaskTracker::new();
    let stop = CancellationToken::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = asked(&mut interrupt, &mut terminate) => break,
        };
        let stop = stop.clone();
        clients.spawn(async move {
            if let Err(error) = talk(stream, stop).await {
                eprintln!("client {address}: {error}");
            }
        });
    }
    stop.cancel();
    println!("stopping");
    clients.close();
    tokio::select! {
        () = clients.wait() => {}
        () = tokio::time::sleep(grace()) => {
            eprintln!("cut off: {} clients", clients.len());
            std::process::exit(1);
        }
        () = asked(&mut interrupt, &mut terminate) => {
            eprintln!("cut off: {} clients", clients.len());
            std::process::exit(1);
        }
    }
    println!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn asked(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
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
