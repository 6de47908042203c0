//! A hundred requests, at most five at once, and the server checks.
//!
//! The server gives out five permits and panics when a sixth request comes. Among the hundred are
//! requests that fail, that are refused, that hang until they are cancelled, and that are cancelled
//! while they still queue. None of them leaks its place: the last five requests are answered only
//! when all five are there together, so a single lost place would stop the test for ever.

use std::sync::Arc;

use http::{Answer, Server, number, ok, serve};
use hyper::StatusCode;
use taskgroup::{BoxError, Policy, until_cancelled};
use tokio::sync::{Barrier, Semaphore, mpsc};

use crate::support::builder;

/// The server and the client of the examples.
#[path = "../../../examples/common/mod.rs"]
mod http;

const AT_ONCE: usize = 5;

async fn fetch(server: Server, page: u32) -> Result<String, BoxError> {
    if page % 10 == 9 && page < 95 {
        return Ok(Server::refusing().await?.get("/").await?);
    }
    let request = server.get(&format!("/page/{page}"));
    match until_cancelled(request).await {
        Ok(text) => Ok(text?),
        Err(cancelled) => {
            // The place is given back after the cleanup, which ends when the server has seen that
            // the client closed the connection.
            let others = server.seen().hung_up();
            while server.seen().hung_up() == others {
                tokio::task::yield_now().await;
            }
            Err(cancelled.into())
        }
    }
}

struct Site {
    permits: Semaphore,
    last: Barrier,
    hanging: mpsc::UnboundedSender<u32>,
}

impl Site {
    async fn answer(&self, page: u32) -> Answer {
        let permit = self.permits.try_acquire();
        let _permit = permit.expect("never more than five at once");
        match page {
            95.. => {
                self.last.wait().await;
            }
            _ if page % 10 == 3 => return (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            _ if page % 20 == 6 => {
                let _ = self.hanging.send(page);
                return std::future::pending().await;
            }
            _ => tokio::task::yield_now().await,
        }
        ok(format!("page {page}"))
    }
}

// S27
#[tokio::test]
async fn a_hundred_requests_five_at_once() {
    let (hanging, mut hangs) = mpsc::unbounded_channel();
    let site = Arc::new(Site {
        permits: Semaphore::new(AT_ONCE),
        last: Barrier::new(AT_ONCE),
        hanging,
    });
    let handler = move |path: String| {
        let site = site.clone();
        async move { site.answer(number(&path)).await }
    };
    serve(handler, async |server| {
        let group = builder().limit(AT_ONCE).policy(Policy::collect());
        let run = group.run_to_end(async |group| {
            let fetch = |page| group.spawn(fetch(server.clone(), page));
            let tasks: Vec<_> = (0..100).map(fetch).collect();
            for page in (16..95).step_by(20) {
                tasks[page].cancel(); // in the queue
            }
            for _ in (6..95).step_by(20) {
                let page = hangs.recv().await.expect("the site is there") as usize;
                tasks[page].cancel(); // running
                tasks[page].ended().await;
            }
            for task in &tasks {
                task.ended().await;
            }
            let done = tasks
                .iter()
                .filter(|task| matches!(task.outcome(), Some(Ok(_))));
            let done = done.count();
            let cancelled = tasks
                .iter()
                .filter(|task| matches!(task.outcome(), Some(Err(error)) if error.is_cancelled()));
            Ok((done, cancelled.count()))
        });
        let (counts, errors) = run.await;
        let (done, cancelled) = counts.expect("the body came to its end");
        let failed = errors.map_or(0, |errors| errors.leaf_count());
        assert_eq!((done, failed, cancelled), (72, 19, 9));
        let seen = server.seen();
        assert_eq!((seen.most(), seen.answered(), seen.hung_up()), (5, 82, 5));
        Ok(())
    })
    .await
    .unwrap();
}
