//! Load for minutes, on two workers: groups whose children are spawned, fail, are cancelled and
//! time out at random.
//!
//! At the end every child must have been dropped, and the memory must be where it was after the
//! first minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use taskgroup::{TaskGroup, bracket, shield, timeout, until_cancelled};

use crate::oracle::Error;
use crate::random::Random;

/// What is counted.
#[derive(Debug, Default)]
struct Counts {
    groups: AtomicU64,
    spawned: AtomicU64,
    dropped: AtomicU64,
    released: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Counts the end of a child when it is dropped.
struct Alive(Arc<Counts>);

impl Drop for Alive {
    fn drop(&mut self) {
        count(&self.0.dropped);
    }
}

/// Runs for `length` and prints a line from time to time. Returns whether nothing was left and the
/// memory did not grow.
///
/// # Errors
/// If no runtime can be built.
pub fn run(length: Duration, seed: u64) -> Result<bool, Error> {
    let counts = Arc::new(Counts::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let start = Instant::now();
    let mut early = None;
    runtime.block_on(async {
        let mut random = Random::new(seed);
        let mut next = Duration::ZERO;
        while start.elapsed() < length {
            // Several groups at the same time, each in a task of an outer one.
            let outcome = TaskGroup::run(async |outer| {
                for _ in 0..8 {
                    let random = Random::new(random.draw());
                    outer.spawn(one_group(random, counts.clone()));
                }
                Ok(())
            })
            .await;
            if let Err(error) = outcome {
                return Err(Error::from(error));
            }
            if start.elapsed() >= next {
                let memory = resident()?;
                println!("{}", line(start.elapsed(), &counts, memory));
                // The memory is steady after a minute, or after a third of a short run.
                if early.is_none() && start.elapsed() >= (length / 3).min(Duration::from_secs(60)) {
                    early = Some(memory);
                }
                next = start.elapsed() + Duration::from_secs(20);
            }
        }
        Ok(())
    })?;
    drop(runtime);
    let memory = resident()?;
    println!("{}", line(start.elapsed(), &counts, memory));
    let live = counts.spawned.load(Ordering::Relaxed) - counts.dropped.load(Ordering::Relaxed);
    let early = early.unwrap_or(memory);
    println!("live tasks at the end: {live}; memory {early} KiB early, {memory} KiB at the end");
    // The amount that the allocator keeps varies a little.
    Ok(live == 0 && memory <= early + early / 4 + 2048)
}

fn line(elapsed: Duration, counts: &Counts, memory: u64) -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{:>5} s  {} groups, {} children: {} failed groups, {} cancelled, {} timed out, {} releases; {memory} KiB",
        elapsed.as_secs(),
        of(&counts.groups),
        of(&counts.spawned),
        of(&counts.failed),
        of(&counts.cancelled),
        of(&counts.timed_out),
        of(&counts.released),
    )
}

/// One group with random children and a random way to end.
async fn one_group(mut random: Random, counts: Arc<Counts>) {
    count(&counts.groups);
    let children = 1 + random.below(40);
    let limit = Duration::from_micros(random.below(3_000));
    let builder = TaskGroup::builder();
    let builder = match random.below(4) {
        0 => builder.light_tasks(),
        1 => builder.limit(4),
        _ => builder,
    };
    let cancels = random.one_in(4);
    let group = builder.run_cancellable(async |group| {
        for _ in 0..children {
            count(&counts.spawned);
            let (alive, random) = (Alive(counts.clone()), Random::new(random.draw()));
            let handle = group.spawn(child(alive, random));
            if handle.index() % 16 == 7 {
                handle.cancel();
            }
        }
        if cancels {
            tokio::task::yield_now().await;
            group.cancel();
            // Here the body is dropped.
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    match timeout(limit, group).await {
        Ok(Ok(Some(()))) => {}
        Ok(Ok(None)) => count(&counts.cancelled),
        Ok(Err(_)) => count(&counts.failed),
        Err(_) => count(&counts.timed_out),
    }
}

async fn child(alive: Alive, mut random: Random) -> Result<(), &'static str> {
    let pause = Duration::from_micros(random.below(2_000));
    match random.below(12) {
        0 => return Err("failed"),
        1 => tokio::time::sleep(pause).await,
        2 => shield(tokio::time::sleep(pause)).await,
        3 => {
            let counts = alive.0.clone();
            let work = async |_: &mut ()| {
                tokio::time::sleep(pause).await;
                Ok::<_, &str>(())
            };
            let release = move |()| async move { count(&counts.released) };
            bracket(async { Ok::<_, &str>(()) }, work, release).await?;
        }
        4 => {
            if let Err(cancelled) = until_cancelled(tokio::time::sleep(pause)).await {
                tokio::task::yield_now().await;
                drop(cancelled);
            }
        }
        5 => {
            // Dropped half-way: the enclosing scope adopts the children.
            let inner = TaskGroup::run(async |group| {
                group.spawn(shield(tokio::time::sleep(pause)));
                Ok(())
            });
            tokio::select! {
                _ = inner => {}
                () = tokio::task::yield_now() => {}
            }
        }
        _ => tokio::task::yield_now().await,
    }
    Ok(())
}

/// The memory of this process in KiB.
fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS in /proc/self/status")?.parse()?)
}
