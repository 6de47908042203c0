//! Three pages, each with its own retries, over HTTP: one is busy twice, one is refused for ever,
//! one does not exist.
//!
//! A status `503` and a refused connection are worth another try, a `404` is not. With `settle`,
//! one missing page does not affect the others.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backon::ExponentialBuilder;
use common::{Answer, HttpError, Server, ok, serve};
use hyper::StatusCode;
use taskgroup::combine::RetryError;
use taskgroup::{BoxError, Retry, settle_by_key};

fn is_worth_it(error: &HttpError) -> bool {
    match error {
        HttpError::Refused(_) | HttpError::Broken(_) => true,
        HttpError::Status(_, status) => *status == StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn fetch_with_retry(server: &Server, url: &str) -> Result<String, RetryError> {
    let waits = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(1))
        .with_max_times(2);
    let retry = Retry::new(waits)
        .try_timeout(Duration::from_secs(30))
        .on(is_worth_it);
    retry.run(async |_| server.get(url).await).await
}

async fn answer(path: &str, busy: &AtomicU32) -> Answer {
    match path {
        "/busy" if busy.fetch_add(1, Ordering::SeqCst) < 2 => {
            (StatusCode::SERVICE_UNAVAILABLE, String::new())
        }
        "/gone" => (StatusCode::NOT_FOUND, String::new()),
        _ => ok(format!("page {path}")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let busy = Arc::new(AtomicU32::new(0));
    let handler = move |path: String| {
        let busy = busy.clone();
        async move { answer(&path, &busy).await }
    };
    serve(handler, async |server| {
        let down = Server::refusing().await?;
        let pages = [(&server, "/busy"), (&down, "/down"), (&server, "/gone")];
        let pages = pages.map(|(server, url)| (url, fetch_with_retry(server, url)));
        let settled = settle_by_key(pages).await;
        for (url, page) in &settled.values {
            println!("{url}: {page:?}");
        }
        for (url, error) in &settled.failed {
            let retry = error
                .downcast_ref::<RetryError>()
                .expect("nothing else fails");
            println!(
                "{url}: {} ({:?} after {})",
                retry.last(),
                retry.gave_up(),
                retry.tries()
            );
        }
        Ok(())
    })
    .await
}
