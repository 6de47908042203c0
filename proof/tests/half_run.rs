//! Groups that are run half-way: polled by reference under a limit, then polled on, awaited or
//! dropped.
//!
//! No oracle can say that: in Python nothing is polled by hand. So the promise itself is what is
//! checked, for random groups and random hands:
//!
//! - everything ends, and nothing that was begun outlives the group around it;
//! - each child that began is dropped once, each release that is owed and all that was deferred
//!   runs;
//! - a group that says `Ok` cut nothing off: each of its children came to its end (S40).

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, TaskGroup, bracket, defer, move_on_after, shield};
use taskgroup_proof::random::Random;

const SEEDS: u64 = 3000;

/// Longer than any of the programs.
const FOREVER: Duration = Duration::from_secs(3600);

/// More polls of the outer group than any of the programs takes. What is polled again and again
/// keeps the virtual time from passing.
const POLLS: u64 = 100_000;

type Outcome = Result<Option<()>, ErrorGroup>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What the groups of one seed did.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    finished: AtomicU64,
    gone: AtomicU64,
    acquired: AtomicU64,
    released: AtomicU64,
    put_off: AtomicU64,
    deferred: AtomicU64,
    spawned: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}

/// A child that has begun.
struct Begun(Arc<Tally>);

impl Begun {
    fn new(tally: &Arc<Tally>) -> Self {
        add(&tally.begun);
        Self(tally.clone())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        add(&self.0.gone);
    }
}

async fn pause(random: &mut Random) {
    tokio::time::sleep(Duration::from_millis(random.below(40))).await;
}

fn put_off(tally: &Arc<Tally>, mut random: Random) {
    add(&tally.put_off);
    let tally = tally.clone();
    defer(async move {
        pause(&mut random).await;
        add(&tally.deferred);
    });
}

/// Has something that is to be released.
async fn hold(tally: &Arc<Tally>, random: &mut Random) {
    let (mut later, done) = (Random::new(random.draw()), tally.clone());
    let acquire = async {
        add(&tally.acquired);
        Ok::<_, BoxError>(())
    };
    let work = async |_: &mut ()| {
        pause(random).await;
        Ok::<_, BoxError>(())
    };
    let release = move |()| async move {
        pause(&mut later).await;
        add(&done.released);
    };
    // The first part is shielded: nothing comes between the count and the release that is owed.
    let held = bracket(acquire, work, release).await;
    held.expect("it does not fail");
}

async fn child(mut random: Random, tally: Arc<Tally>) {
    let _begun = Begun::new(&tally);
    match random.below(5) {
        0 => shield(pause(&mut random)).await,
        1 => hold(&tally, &mut random).await,
        2 => put_off(&tally, Random::new(random.draw())),
        _ => pause(&mut random).await,
    }
    add(&tally.finished);
}

/// The counts of all groups of one seed.
#[derive(Clone, Default)]
struct World {
    light: bool,
    groups: Arc<Mutex<Vec<Arc<Tally>>>>,
}

impl World {
    fn groups(&self) -> MutexGuard<'_, Vec<Arc<Tally>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group of some children. Its body may wait, defer or hold something, and have a half-run
    /// group of its own. So a bracket is dropped half-way, too: in a child it never is.
    fn group(&self, mut random: Random, depth: u64) -> (Running<'_>, Arc<Tally>) {
        let tally = Arc::new(Tally::default());
        self.groups().push(tally.clone());
        let counts = tally.clone();
        let mut builder = TaskGroup::builder();
        if self.light {
            builder = builder.light_tasks();
        }
        let running = Box::pin(async move {
            let body = async |group: TaskGroup| {
                for _ in 0..random.below(4) {
                    add(&counts.spawned);
                    group.spawn(child(Random::new(random.draw()), counts.clone()));
                }
                if random.one_in(3) {
                    put_off(&counts, Random::new(random.draw()));
                }
                if random.one_in(2) {
                    pause(&mut random).await;
                }
                if random.one_in(4) {
                    hold(&counts, &mut random).await;
                }
                if depth > 0 && random.one_in(2) {
                    self.handle(&mut random, depth - 1).await;
                }
                Ok(())
            };
            builder.run_cancellable(body).await
        });
        (running, tally)
    }

    /// Polls a group for a while, perhaps several times, and then awaits it or drops it.
    async fn handle(&self, random: &mut Random, depth: u64) {
        let (mut running, tally) = self.group(Random::new(random.draw()), depth);
        let mut outcome = None;
        for _ in 0..random.below(4) {
            let limit = Duration::from_millis(1 + random.below(30));
            let polled: Option<Outcome> = match random.below(3) {
                // The library's own deadline: the group is opened below it, and ends with it.
                0 => move_on_after(limit, &mut running).await,
                1 => tokio::time::timeout(limit, &mut running).await.ok(),
                _ => tokio::select! {
                    biased;
                    outcome = &mut running => Some(outcome),
                    () = tokio::time::sleep(limit) => None,
                },
            };
            if polled.is_some() {
                outcome = polled;
                break;
            }
            if random.one_in(2) {
                // Parked: it holds nothing off.
                pause(random).await;
            }
        }
        if outcome.is_none() {
            if random.one_in(2) {
                drop(running);
                return;
            }
            outcome = Some(running.await);
        }
        let whole = of(&tally.finished) == of(&tally.spawned);
        match outcome {
            Some(Ok(Some(()))) => assert!(whole, "a group that was cut off says Ok: {tally:?}"),
            Some(Ok(None)) | None => {}
            Some(Err(error)) => panic!("nothing fails: {error:#}"),
        }
    }
}

fn run(seed: u64, light: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be had");
    let world = World {
        light,
        ..World::default()
    };
    let seen = world.clone();
    let all = async move {
        let mut random = Random::new(seed);
        let cancels = random.one_in(3);
        let outer = TaskGroup::builder().run_cancellable(async |group| {
            if cancels {
                let (delay, outer) = (Duration::from_millis(random.below(60)), group.clone());
                group.spawn(async move {
                    tokio::time::sleep(delay).await;
                    outer.cancel();
                });
            }
            for _ in 0..=random.below(2) {
                world.handle(&mut random, 2).await;
            }
            Ok(())
        });
        let (mut outer, mut polls) = (std::pin::pin!(outer), 0);
        let outer = std::future::poll_fn(|cx| {
            polls += 1;
            assert!(polls < POLLS, "the outer group is polled for ever");
            outer.as_mut().poll(cx)
        });
        let ended = tokio::time::timeout(FOREVER, outer).await;
        let outcome = ended.expect("the outer group ends").expect("nothing fails");
        // Here nothing below is alive, and nothing is still to be done.
        for tally in world.groups().iter() {
            for (begun, ended, what) in [
                (&tally.begun, &tally.gone, "children"),
                (&tally.acquired, &tally.released, "releases"),
                (&tally.put_off, &tally.deferred, "deferred work"),
            ] {
                assert_eq!(
                    of(begun),
                    of(ended),
                    "{what} of {tally:?}, the outer one gave {outcome:?}"
                );
            }
        }
    };
    runtime.block_on(all);
    assert!(!seen.groups().is_empty(), "there was a group to look at");
}

#[test]
fn groups_that_are_run_half_way_keep_the_promise() {
    for light in [false, true] {
        for seed in 0..SEEDS {
            let ran = std::panic::catch_unwind(|| run(seed, light));
            assert!(ran.is_ok(), "seed {seed}, light tasks: {light}");
        }
    }
}
