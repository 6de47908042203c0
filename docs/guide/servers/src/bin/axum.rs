//! A server with axum. A layer makes each request a task, so that it has a name and an owner.

use std::process::ExitCode;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use taskgroup::{BoxError, Runner, TaskGroup, shield, until_stopped, when_cancelled};
use taskgroup_servers::{answer, grace, listen};

fn main() -> ExitCode {
    Runner::new().graceful().grace(grace()).run_main(serve)
}

async fn serve() -> Result<(), BoxError> {
    let listener = listen().await?;
    let requests = TaskGroup::builder().name("requests");
    let service = requests.run(async |requests| {
        let app = Router::new()
            .route("/{*path}", get(async |uri: Uri| answer(uri.path()).await))
            .layer(from_fn_with_state(requests, as_a_task));
        let asked = when_cancelled();
        let stop = async {
            asked.await;
            println!("stopping");
        };
        shield(
            axum::serve(listener, app)
                .with_graceful_shutdown(stop)
                .into_future(),
        )
        .await?;
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("stopped");
    Ok(())
}

async fn as_a_task(State(requests): State<TaskGroup>, request: Request, next: Next) -> Response {
    let name = format!("{} {}", request.method(), request.uri().path());
    let work = async { Ok::<_, BoxError>(next.run(request).await) };
    match requests.task(name).spawn(shield(work)).await {
        Ok(response) => response,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
