//! A deadline outside, a group inside: all pages within thirty seconds, or none, and no download
//! continues.
//!
//! The first set of pages arrives at once. In the second set one page never comes, so the deadline,
//! this time a tenth of a second, cancels the group. When `timeout` returns, the client has closed
//! its connections already, and the server notices.

mod common;

use std::time::Duration;

use common::{Answer, Server, ok, serve};
use taskgroup::{BoxError, TaskGroup, timeout};

async fn fetch_with_timeout(
    server: &Server,
    urls: &[&str],
    limit: Duration,
) -> Result<Vec<String>, BoxError> {
    let group = TaskGroup::run(async |group| {
        let pages: Vec<_> = urls
            .iter()
            .map(|url| group.spawn(server.get(url)))
            .collect();
        let mut texts = Vec::new();
        for page in pages {
            texts.push(page.await?);
        }
        Ok(texts)
    });
    Ok(timeout(limit, group).await??)
}

async fn handler(path: String) -> Answer {
    match path.as_str() {
        "/never" => std::future::pending().await,
        _ => ok(format!("page {path}")),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    serve(handler, async |server| {
        let pages = fetch_with_timeout(&server, &["/a", "/b", "/c"], Duration::from_secs(30));
        println!("{:?}", pages.await?);

        let pages = fetch_with_timeout(&server, &["/never", "/d"], Duration::from_millis(100));
        println!("{}", pages.await.unwrap_err());

        while server.seen().hung_up() == 0 {
            tokio::task::yield_now().await;
        }
        println!("the server works on {} requests", server.seen().running());
        Ok(())
    })
    .await
}
