//! A hundred items, a line each second: how many are done, how many have failed.
//!
//! The group counts, not the tasks. The reporter is a background child: the group does not wait for
//! it, ends it, and does not count it. Items that were cancelled or never started are in one of the
//! five states, too, so the counts add up however the run ends. The second half is stopped after
//! two failures.

use std::time::Duration;

use taskgroup::observe::Counts;
use taskgroup::{BoxError, Policy, Progress, TaskGroup};
use tokio::time::sleep;

async fn do_work(item: u32) -> Result<u32, BoxError> {
    sleep(Duration::from_millis(900)).await;
    if item % 25 == 24 {
        return Err(format!("item {item} is broken").into());
    }
    Ok(item)
}

fn show(counts: Counts) {
    let total = counts.total();
    println!(
        "Progress: {}/{total} (failed: {})",
        counts.done, counts.failed
    );
    assert_eq!(total, 100);
}

/// Prints a line each second, for ever.
async fn report(progress: Progress) {
    loop {
        show(progress.counts());
        sleep(Duration::from_secs(1)).await;
    }
}

async fn process(policy: Policy) {
    let progress = Progress::expecting(100);
    let group = TaskGroup::builder().limit(20).policy(policy);
    let run = group.progress(&progress).run(async |group| {
        let reporter = group.task("report").background();
        reporter.spawn(report(progress.clone()));
        for item in 0..100 {
            group.spawn(do_work(item));
        }
        Ok(())
    });
    let outcome = run.await;
    let last = progress.counts();
    show(last);
    println!(
        "{} errors",
        outcome.map_or_else(|errors| errors.leaf_count(), |()| 0)
    );
    println!(
        "{} done, {} failed, {} cancelled",
        last.done, last.failed, last.cancelled
    );
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    process(Policy::collect()).await;
    process(Policy::stop_after(2)).await;
}
