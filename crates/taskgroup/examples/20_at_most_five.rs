//! A hundred pages, at most five at once, on all cores.
//!
//! `limit` gives the group five places. `spawn` puts what finds no place into the queue of the
//! group, and the handles are there at once. A task that fails or is cancelled gives its place
//! back.

use std::sync::atomic::{AtomicUsize, Ordering};

use taskgroup::{BoxError, ErrorGroup, TaskGroup};

static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

async fn fetch(page: u32) -> Result<u32, BoxError> {
    let now = AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(now, Ordering::SeqCst);
    tokio::task::yield_now().await;
    AT_ONCE.fetch_sub(1, Ordering::SeqCst);
    Ok(page)
}

#[tokio::main]
async fn main() -> Result<(), ErrorGroup> {
    let group = TaskGroup::builder().limit(5);
    let pages = group.run(async |group| {
        let fetches: Vec<_> = (0..100).map(|page| group.spawn(fetch(page))).collect();
        let mut pages = 0;
        for fetch in fetches {
            fetch.await?;
            pages += 1;
        }
        Ok(pages)
    });
    println!("{} pages", pages.await?);
    let most = MOST.load(Ordering::SeqCst);
    println!("never more than five at once: {}", most <= 5);
    Ok(())
}
