//! As `hyper`, with tokio-graceful-shutdown. It advises a `TaskTracker` for many short tasks.

use std::convert::Infallible;
use std::pin::pin;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use taskgroup_servers::{answer, grace, listen};
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
