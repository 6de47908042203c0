//! As `axum`, with tokio-graceful-shutdown.

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use taskgroup_servers::{answer, grace, listen};
use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    Toplevel::new(async |top: &mut SubsystemHandle| {
        top.start(SubsystemBuilder::new("requests", serve));
    })
    .catch_signals()
    .handle_shutdown_requests(grace())
    .await?;
    println!("stopped");
    Ok(())
}

async fn serve(subsystem: &mut SubsystemHandle) -> Result<(), BoxError> {
    let listener = listen().await?;
    let app = Router::new().route("/{*path}", get(async |uri: Uri| answer(uri.path()).await));
    let asked = subsystem.create_cancellation_token();
    let stop = async move {
        asked.cancelled().await;
        println!("stopping");
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}
