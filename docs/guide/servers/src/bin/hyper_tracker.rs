//! As `hyper`, with the `TaskTracker` and the `CancellationToken` of tokio-util.

use std::convert::Infallible;
use std::pin::pin;
use std::process::ExitCode;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use taskgroup_servers::{answer, grace, listen};
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

async fn talk(stream: TcpStream, stop: CancellationToken) -> hyper::Result<()> {
    let mut connection =
        pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(answer(request.uri().path()).await.into()))
}
