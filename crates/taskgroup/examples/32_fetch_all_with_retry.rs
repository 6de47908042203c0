//! All pages, each with its own retries, or none: one is busy twice and arrives, and one that does
//! not exist ends the whole.
//!
//! The pages are children of one group. A status `503` and a refused connection are worth another
//! try; a `404` is not, so it fails its child at once. The group then cancels the other pages,
//! whether they wait for an answer or for their next try. For the pages that did arrive in spite of
//! the others, use `settle_by_key`, as in `12_process_batch`.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backon::ExponentialBuilder;
use common::{Answer, HttpError, Server, ok, serve};
use hyper::StatusCode;
use taskgroup::combine::RetryError;
use taskgroup::{BoxError, ErrorGroup, Retry, TaskGroup};

fn is_worth_it(error: &HttpError) -> bool {
    match error {
        HttpError::Refused(_) | HttpError::Broken(_) => true,
        HttpError::Status(_, status) => *status == StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn fetch_with_retry(server: Server, url: &str) -> Result<String, RetryError> {
    let waits = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(1))
        .with_max_times(2);
    let retry = Retry::new(waits)
        .try_timeout(Duration::from_secs(30))
        .on(is_worth_it);
    retry.run(async |_| server.get(url).await).await
}

async fn fetch_all(server: &Server, urls: &[&'static str]) -> Result<Vec<String>, ErrorGroup> {
    TaskGroup::run(async |group| {
        let fetch = |url: &'static str| {
            let page = fetch_with_retry(server.clone(), url);
            group.task(url).spawn(page)
        };
        let fetches: Vec<_> = urls.iter().copied().map(fetch).collect();
        let mut pages = Vec::new();
        for fetch in fetches {
            pages.push(fetch.await?);
        }
        Ok(pages)
    })
    .await
}

async fn answer(path: &str, busy: &AtomicU32) -> Answer {
    match path {
        "/busy" if busy.fetch_add(1, Ordering::SeqCst) < 2 => {
            (StatusCode::SERVICE_UNAVAILABLE, String::new())
        }
        "/gone" => (StatusCode::NOT_FOUND, String::new()),
        "/slow" => std::future::pending().await,
        _ => ok(format!("page {path}")),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let busy = Arc::new(AtomicU32::new(0));
    let handler = move |path: String| {
        let busy = busy.clone();
        async move { answer(&path, &busy).await }
    };
    serve(handler, async |server| {
        println!("{:?}", fetch_all(&server, &["/busy", "/news"]).await?);

        let failed = fetch_all(&server, &["/slow", "/gone", "/news"]).await;
        for page in failed.unwrap_err().leaves() {
            println!("{page}");
        }
        Ok(())
    })
    .await
}
