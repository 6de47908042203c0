//! One round: several threads and runtimes, a few hundred operations, and the check of what is
//! left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use taskgroup::{BoxError, TaskGroup};
use tokio::runtime::{Builder, Runtime};

use super::Options;
use super::bag;
use super::foreign::guarded;
use super::group::{self, Hand};
use super::local;
use super::mode::Mode;
use super::record::{Alive, Record, Tells};
use super::tally::{TALLY, count};
use super::world::{Down, World};
use crate::oracle::Error;
use crate::random::Random;

const THREADS: u64 = 3;

/// How long the rest of a round may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one round. Its operations depend on the seed alone.
pub(super) fn run(options: &Options, seed: u64) -> Result<(), Error> {
    let mode = options.mode;
    let mut random = Random::new(seed);
    let tasks_before = taskgroup::observe::live_tasks();
    let world = Arc::new(World::new(options, &mut random)?);
    let shuts_down = random.below(10) < mode.shutdowns(&options.without);
    if mode == Mode::A2 {
        for _ in 0..3 {
            world.with_inner(&mut random, |runtime| {
                runtime.block_on(async {
                    tokio::spawn(resident_group());
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                    }
                });
            });
        }
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (world, random) = (world.clone(), Random::new(random.draw()));
            std::thread::Builder::new()
                .name(format!("thread {number}"))
                .spawn(move || thread(&world, random, shuts_down))
        })
        .collect::<Result<_, _>>()?;
    let mut own = Vec::new();
    for thread in threads {
        // The hook has counted a thread that panicked.
        if let Ok(runtime) = thread.join() {
            own.push(runtime?);
        }
    }
    tidy(&world, own, tasks_before)
}

/// Runs operations one after the other until the budget of the round is used up. Returns its own
/// runtime, because groups that were opened there may be in the bag.
fn thread(world: &Arc<World>, mut random: Random, shuts_down: bool) -> Result<Runtime, Error> {
    let own = Builder::new_current_thread().enable_all().build()?;
    let mut spawned = Vec::new();
    let mode = world.mode;
    while world.operation() {
        let kind = match mode {
            // Most groups end only when their runtime is shut down, so no thread may wait for one.
            Mode::B7 => 6 + random.below(5),
            _ => random.below(14),
        };
        let mut inner = Random::new(random.draw());
        let hand = Hand::outside(world);
        let slot = world.slot(&mut random);
        match kind {
            0..=3 => guarded(|| {
                drop(slot.handle.block_on(group::group(hand, inner, false)));
            }),
            4 | 5 => guarded(|| drop(own.block_on(group::group(hand, inner, false)))),
            6..=8 => {
                let group = group::group(hand, Random::new(inner.draw()), false);
                let task = slot.handle.spawn(group);
                if inner.one_in(8) {
                    task.abort();
                }
                spawned.push(task);
            }
            12 => guarded(|| slot.handle.block_on(local::local(hand, inner, 0))),
            13 => guarded(|| own.block_on(local::local(hand, inner, 0))),
            9 if mode != Mode::B7 => {
                guarded(|| own.block_on(bag::wait(world.clone(), inner, true)));
            }
            10 if shuts_down && inner.one_in(3) => {
                let how = match inner.below(3) {
                    0 => Down::Drop,
                    1 => Down::Background,
                    _ => Down::Timeout,
                };
                guarded(|| slot.shut_down(how, Some(&world.excused)));
            }
            _ => {
                for _ in 0..4 {
                    guarded(|| bag::exchange(world, &mut inner));
                }
            }
        }
    }
    if mode == Mode::B7 {
        for slot in &world.slots {
            slot.shut_down(Down::Timeout, Some(&world.excused));
        }
    }
    own.block_on(async {
        for task in spawned {
            match task.await {
                Err(error) if error.is_panic() => {
                    let payload = error.into_panic();
                    guarded(|| drop(payload));
                }
                _ => {}
            }
        }
    });
    Ok(own)
}

/// Shuts everything down in an order in which each thing can end, and checks that nothing is left.
fn tidy(world: &Arc<World>, mut own: Vec<Runtime>, tasks_before: usize) -> Result<(), Error> {
    // Things in the bag may contain more things, which then go into the bag.
    loop {
        let things = world.empty();
        if things.is_empty() {
            break;
        }
        for thing in things {
            guarded(|| drop(thing));
        }
    }
    own.extend(world.inner_runtimes());
    if world.mode != Mode::A2 {
        // There, groups end only when their runtime is shut down.
        finish(world, &own);
    }
    for runtime in own {
        guarded(|| drop(runtime));
    }
    drained(&Builder::new_current_thread().enable_all().build()?);
    for thing in world.empty() {
        guarded(|| drop(thing));
    }
    for slot in &world.slots {
        slot.shut_down(Down::Timeout, None);
    }
    let begin = Instant::now();
    loop {
        let tasks = taskgroup::observe::live_tasks();
        let alive = TALLY.alive.load(Ordering::SeqCst);
        let cleanups = TALLY.cleanups.load(Ordering::SeqCst);
        if tasks == tasks_before && alive == 0 && cleanups == 0 {
            return Ok(());
        }
        if begin.elapsed() >= PATIENCE {
            TALLY.violation(&format!(
                "after the round: {} tasks in the tree, {alive} futures of children, \
                 {cleanups} cleanups\n{}",
                tasks.wrapping_sub(tasks_before),
                taskgroup::observe::tree()
            ));
            // The next round does not report it again.
            TALLY.alive.store(0, Ordering::SeqCst);
            TALLY.resident.store(0, Ordering::SeqCst);
            TALLY.cleanups.store(0, Ordering::SeqCst);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Polls the runtimes that no thread polls any more until nothing is left in them, because things
/// from the bag may clean up there.
fn finish(world: &Arc<World>, own: &[Runtime]) {
    let begin = Instant::now();
    let is_busy = || {
        let alive = TALLY.alive.load(Ordering::SeqCst) - TALLY.resident.load(Ordering::SeqCst);
        alive > 0 || TALLY.cleanups.load(Ordering::SeqCst) > 0
    };
    while is_busy() && begin.elapsed() < PATIENCE {
        for runtime in own {
            guarded(|| {
                runtime.block_on(async {
                    for _ in 0..16 {
                        tokio::task::yield_now().await;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                });
            });
        }
        for thing in world.empty() {
            guarded(|| drop(thing));
        }
    }
}

/// Waits for what the process root has adopted.
fn drained(runtime: &Runtime) {
    guarded(|| {
        // These are failures of groups that were dropped outside every group.
        drop(runtime.block_on(taskgroup::drain()));
    });
}

/// Is part of the future of a child that only the shutdown of its runtime waits for.
struct Resident(());

impl Resident {
    fn new() -> Self {
        TALLY.resident.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        TALLY.resident.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A group that runs until its runtime is shut down.
pub(crate) async fn resident_group() {
    count(&TALLY.groups);
    let record = Record::new(None, Tells::Always, false);
    let run = TaskGroup::run(async move |group| {
        for _ in 0..3 {
            let alive = Alive::own(&record).expendable();
            let resident = Resident::new();
            group.spawn(async move {
                let (_alive, _resident) = (alive, resident);
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        std::future::pending::<()>().await;
        Ok::<_, BoxError>(())
    });
    drop(run.await);
}
