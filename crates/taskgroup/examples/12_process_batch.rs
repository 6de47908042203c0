//! A batch whose successes and failures are both needed: every item is in one of two lists, under
//! its index.
//!
//! No success is lost because another item failed. `settle` is `gather(return_exceptions=True)`
//! without the mix of results and exceptions in one list. The second function does the same with
//! tasks in a group, which run on all cores.

use std::fmt;
use std::time::Duration;

use taskgroup::{BoxError, Policy, TaskError, TaskGroup, settle};
use tokio::time::sleep;

#[derive(Debug)]
struct ValueError(String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

async fn process_item(item: &'static str) -> Result<usize, BoxError> {
    sleep(Duration::from_millis(10)).await;
    match item {
        "" => Err(Box::new(ValueError("an empty item".to_owned()))),
        "stop" => Err("the machine stopped".into()),
        _ => Ok(item.len()),
    }
}

type Batch = (Vec<(usize, usize)>, Vec<(usize, TaskError)>);

async fn process_batch(items: &[&'static str]) -> Batch {
    let settled = settle(items.iter().map(|item| process_item(item))).await;
    (settled.values, settled.failed)
}

/// With tasks: under this policy a failure cancels no other task, and `run_to_end` returns the
/// values and the errors.
async fn process_in_tasks(items: &[&'static str]) -> (Vec<usize>, usize) {
    let group = TaskGroup::builder().policy(Policy::collect());
    let run = group.run_to_end(async |group| {
        let tasks = items.iter().map(|item| group.spawn(process_item(item)));
        let mut results = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            results.extend(task.await);
        }
        Ok(results)
    });
    let (results, errors) = run.await;
    (
        results.unwrap_or_default(),
        errors.map_or(0, |errors| errors.leaf_count()),
    )
}

#[tokio::main]
async fn main() {
    for items in [&["one", "", "three", "stop"][..], &["one", "two"], &[]] {
        let (results, errors) = process_batch(items).await;
        println!("{items:?}");
        println!("  results {results:?}");
        for (index, error) in errors {
            let kind = if error.is::<ValueError>() {
                "ValueError"
            } else {
                "another"
            };
            println!(
                "  error at {index}, {kind}: {}",
                error.error().expect("no panic")
            );
        }
        println!("  with tasks: {:?}", process_in_tasks(items).await);
    }
}
