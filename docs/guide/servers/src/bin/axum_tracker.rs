//! As `axum`, with the `TaskTracker` and the `CancellationToken` of tokio-util.

use std::process::ExitCode;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use taskgroup_servers::{answer, grace, listen};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::main]
async fn main() -> std::io::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = listen().await?;
    let requests = TaskTracker::new();
    let stop = CancellationToken::new();
    let app = Router::new()
        .route("/{*path}", get(async |uri: Uri| answer(uri.path()).await))
        .layer(from_fn_with_state(requests.clone(), counted));
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let server = tokio::spawn(server.into_future());
    asked(&mut interrupt, &mut terminate).await;
    stop.cancel();
    println!("stopping");
    tokio::select! {
        ended = server => ended??,
        () = tokio::time::sleep(grace()) => {
            eprintln!("cut off: {} requests", requests.len());
            std::process::exit(1);
        }
        () = asked(&mut interrupt, &mut terminate) => {
            eprintln!("cut off: {} requests", requests.len());
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

async fn counted(State(requests): State<TaskTracker>, request: Request, next: Next) -> Response {
    requests.track_future(next.run(request)).await
}
