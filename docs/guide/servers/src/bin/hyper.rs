//! A server with hyper. Requests in flight are answered, then each connection is closed.

use std::convert::Infallible;
use std::pin::pin;
use std::process::ExitCode;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use taskgroup::{
    BoxError, Policy, Runner, TaskGroup, shield, until_cancelled, until_stopped, when_cancelled,
};
use taskgroup_servers::{answer, grace, listen};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    Runner::new().graceful().grace(grace()).run_main(serve)
}

async fn serve() -> Result<(), BoxError> {
    let listener = listen().await?;
    let clients = TaskGroup::builder()
        .name("clients")
        .policy(Policy::report(|failure| eprintln!("{failure}")));
    let service = clients.run(async |clients| {
        while let Ok(accepted) = until_cancelled(listener.accept()).await {
            let (stream, address) = accepted?;
            clients
                .task(format!("client {address}"))
                .spawn(talk(stream));
        }
        println!("stopping");
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("stopped");
    Ok(())
}

async fn talk(stream: TcpStream) -> hyper::Result<()> {
    let stop = when_cancelled();
    let mut connection =
        pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)));
    shield(async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    })
    .await
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(answer(request.uri().path()).await.into()))
}
