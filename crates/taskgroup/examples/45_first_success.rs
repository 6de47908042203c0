//! The first success of several mirrors; the client closes the other requests. When all fail, every
//! error is returned, and nothing hangs.

mod common;

use common::{Answer, Server, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, ErrorGroup, race};

async fn first_success(mirrors: &[&Server], path: &str) -> Result<String, ErrorGroup> {
    race(mirrors.iter().map(|mirror| mirror.get(path))).await
}

async fn healthy(path: String) -> Answer {
    ok(format!("{path} of the healthy mirror"))
}

async fn sick(_path: String) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, String::new())
}

async fn asleep(_path: String) -> Answer {
    std::future::pending().await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let down = Server::refusing().await?;
    serve(healthy, async |healthy| {
        serve(sick, async |sick| {
            serve(asleep, async |asleep| {
                let mirrors = [&down, &sick, &asleep, &healthy];
                println!("{}", first_success(&mirrors, "/file").await?);
                Ok(())
            })
            .await?;

            let errors = first_success(&[&down, &sick], "/file").await.unwrap_err();
            let mut messages: Vec<_> = errors
                .leaves()
                .filter_map(|leaf| Some(leaf.task().error()?.to_string()))
                .collect();
            messages.sort(); // they come in order of arrival
            println!("all failed: {messages:?}");

            let none = first_success(&[], "/file").await.unwrap_err();
            println!("no mirrors: {}", none.cause());
            Ok(())
        })
        .await
    })
    .await
}
