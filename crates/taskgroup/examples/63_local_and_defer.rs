//! A value that everything below sees, and cleanup that is registered where it becomes necessary.
//!
//! `Local` is a variable of a scope: its value reaches the tasks below, on whatever thread they
//! run. `defer` registers a future that runs when the task ends, in whatever way: the last one
//! first, and it may await.

use taskgroup::{ErrorGroup, Local, TaskGroup, defer};

static REQUEST: Local<u32> = Local::new();

fn log(text: &str) {
    let request = REQUEST
        .get()
        .map_or("no request".to_owned(), |id| format!("request {id}"));
    println!("{request}: {text}");
}

async fn handle() -> Result<(), ErrorGroup> {
    log("begins");
    TaskGroup::run(async |group| {
        group.task("store").spawn(async {
            defer(async { log("the store is closed") });
            defer(async {
                tokio::task::yield_now().await;
                log("the store is flushed");
            });
            log("stores");
            Err::<(), _>("disk full")
        });
        Ok(())
    })
    .await
}

#[tokio::main]
async fn main() {
    for id in [7, 8] {
        let outcome = REQUEST.scope(id, handle()).await;
        println!("request {id} ended: {}", outcome.unwrap_err());
    }
    log("done");
}
