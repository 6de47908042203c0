//! Why cancel the rest? Parallel requests to an overloaded server.
//!
//! Twenty requests are under way when one is answered with `503`. It is not worth waiting for the
//! others, and each one that continued would make the overload worse. The client closes them before
//! the error is returned.

mod common;

use std::sync::Arc;

use common::{Answer, number, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, TaskGroup};
use tokio::sync::Barrier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // The server is overloaded as soon as all twenty have arrived.
    let overload = Arc::new(Barrier::new(20));
    let handler = move |path: String| {
        let overload = overload.clone();
        async move { answer(&path, &overload).await }
    };
    serve(handler, async |server| {
        let group = TaskGroup::builder().name("requests");
        let requests = group.run(async |group| {
            for id in 0..20 {
                let name = format!("fetch_{id}");
                group.task(name).spawn(server.get(&format!("/item/{id}")));
            }
            Ok(())
        });
        println!("{}", requests.await.unwrap_err());

        let seen = server.seen();
        while seen.running() > 0 {
            tokio::task::yield_now().await;
        }
        println!("{} at once, {} answered", seen.most(), seen.answered());
        println!("{} hung up", seen.hung_up());
        println!("and now: {}", server.get("/health").await?);
        Ok(())
    })
    .await
}

async fn answer(path: &str, overload: &Barrier) -> Answer {
    if path == "/health" {
        return ok("healthy");
    }
    overload.wait().await;
    match number(path) {
        7 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        _ => std::future::pending().await,
    }
}
