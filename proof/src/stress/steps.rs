//! The steps of children and bodies.

use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use taskgroup::{BoxError, Local, TaskGroup};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::bag::{self, patient, poll_once};
use super::child;
use super::combine;
use super::foreign::{Mischief, Noisy, StressError, Value};
use super::group::{self, Hand};
use super::held;
use super::mode::Step;
use super::record::{Alive, Cleanup};
use super::tally::lock;
use super::world::{Boxed, Thing};
use crate::random::Random;

/// The deepest level of nesting.
const DEPTH: u32 = 5;

struct Cargo {
    thing: Mutex<Option<Thing>>,
    mischief: Mutex<Option<Mischief>>,
}

static CARGO: Local<Arc<Cargo>> = Local::new();

fn short(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(1_000))
}

/// A random step. It ends by itself, even if what it waits for does not come.
pub(crate) fn step(hand: Hand, mut random: Random) -> Boxed<()> {
    Box::pin(async move {
        let drawn = hand.world.mode.step(&mut random);
        let left = hand.world.operation();
        let left = left && !hand.world.without.step(drawn);
        if !left || hand.depth >= DEPTH {
            return tokio::task::yield_now().await;
        }
        run(drawn, hand.deeper(), random).await;
    })
}

async fn run(step: Step, hand: Hand, mut random: Random) {
    match step {
        Step::Yield => {
            for _ in 0..random.below(6) {
                tokio::task::yield_now().await;
            }
        }
        Step::Sleep => tokio::time::sleep(short(&mut random)).await,
        Step::Checkpoint => {
            for _ in 0..random.below(10) {
                taskgroup::checkpoint().await;
            }
        }
        Step::Exchange => bag::exchange(&hand.world, &mut random),
        Step::Wait => bag::wait(hand.world, random, hand.steady).await,
        Step::Sibling => sibling(&hand, &mut random).await,
        Step::Nested => drop(group::group(hand, random, true).await),
        Step::HalfRun => half_run(hand, random).await,
        Step::Park => {
            let parked = Hand {
                steady: false,
                ..hand.clone()
            };
            let mut group = group::group(parked, Random::new(random.draw()), false);
            if poll_once(group.as_mut()).await.is_none() {
                let parked = Box::pin(async move { drop(group.await) });
                hand.world.put(Thing::parked(parked));
            }
        }
        Step::Deadline => deadline(hand, random).await,
        Step::Shield => taskgroup::shield(self::step(hand, random)).await,
        Step::Bracket => bracket(hand, random).await,
        Step::Defer => defer(&hand, random),
        Step::UntilCancelled => {
            let inside = self::step(hand, Random::new(random.draw()));
            if let Err(cancelled) = taskgroup::until_cancelled(inside).await {
                for _ in 0..random.below(3) {
                    tokio::task::yield_now().await;
                }
                drop(cancelled);
            }
        }
        Step::Local => local(hand, random).await,
        Step::Blocking => blocking(&hand, &mut random),
        Step::BlockInPlace => in_place(|| bag::exchange(&hand.world, &mut random)),
        Step::InnerRuntime => inner_runtime(&hand, &mut random),
        Step::GiveUp => give_up(&hand, &mut random).await,
        Step::Combine => combine::combine(hand, random).await,
        Step::Start => start(hand, random).await,
        Step::Open => held::open(hand, random).await,
        Step::CancelScope => held::cancel_scope(hand, random).await,
        Step::Watch => held::watch(hand, random).await,
        Step::Outcomes => held::outcomes(hand, random).await,
        Step::Places => held::places(hand, random).await,
        Step::Waker => {
            let mut inside = self::step(hand.clone(), Random::new(random.draw()));
            std::future::poll_fn(|cx| {
                let waker = Noisy::waker(&hand.world, &mut random, cx.waker());
                inside.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await;
        }
        Step::Mischief => {
            let group = hand.open_group();
            let mischief = Mischief::new(&hand.world, &mut random, group);
            let waker = std::future::poll_fn(|cx| std::task::Poll::Ready(cx.waker().clone())).await;
            let mischief = mischief.waking(&waker);
            self::step(hand, random).await;
            drop(mischief);
        }
    }
}

async fn sibling(hand: &Hand, random: &mut Random) {
    let mut handles = Vec::new();
    group::spawn(hand, random, false, &mut handles);
    let handle = handles.pop().filter(|_| random.one_in(2));
    if let Some(handle) = handle {
        patient(random, handle).await;
    }
}

/// A group that is dropped at a random point.
async fn half_run(hand: Hand, mut random: Random) {
    let turns = random.below(6);
    let mut group = group::group(hand, Random::new(random.draw()), true);
    for _ in 0..turns {
        tokio::select! {
            biased;
            _ = group.as_mut() => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

async fn deadline(hand: Hand, mut random: Random) {
    let inside = step(hand, Random::new(random.draw()));
    let limit = short(&mut random);
    match random.below(4) {
        0 => drop(taskgroup::timeout(limit, inside).await),
        1 => drop(taskgroup::timeout_at((Instant::now() + limit).into(), inside).await),
        2 => drop(taskgroup::move_on_after(limit, inside).await),
        _ => {
            let work = async move |deadline: taskgroup::Deadline| {
                let mut inside = inside;
                if poll_once(inside.as_mut()).await.is_none() {
                    deadline.reschedule_after(limit / 2);
                    let _ = (deadline.remaining(), deadline.expired());
                    inside.await;
                }
            };
            drop(taskgroup::timeout_with(limit, work).await);
        }
    }
}

async fn bracket(hand: Hand, mut random: Random) {
    let excused = hand.world.excused.clone();
    let acquire = async move {
        tokio::task::yield_now().await;
        Ok::<_, StressError>(Cleanup::new(&excused))
    };
    let fails = random.one_in(4);
    let mut inner = Random::new(random.draw());
    let turns = random.below(3);
    let work = {
        let hand = hand.clone();
        async move |_: &mut Cleanup| {
            step(hand.clone(), Random::new(inner.draw())).await;
            if fails {
                return Err(hand.fail(&mut inner));
            }
            Ok(())
        }
    };
    let release = move |cleanup: Cleanup| async move {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        cleanup.run();
    };
    if let Err(error) = taskgroup::bracket(acquire, work, release).await {
        child::delivered(&hand, &error);
    }
}

fn defer(hand: &Hand, mut random: Random) {
    let cleanup = Cleanup::new(&hand.world.excused);
    let turns = random.below(3);
    let world = hand.world.clone();
    taskgroup::defer(async move {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        // This comes before anything that may panic.
        cleanup.run();
        bag::exchange(&world, &mut random);
    });
}

/// Keeps a thing of another group, and a destructor, during a step.
async fn local(hand: Hand, mut random: Random) {
    let mischief = random.one_in(3) && hand.world.mode.misbehaves();
    let mischief = mischief.then(|| Mischief::new(&hand.world, &mut random, None));
    // This is older than the scope. The handle of a task below the scope would keep it for ever.
    let cargo = Arc::new(Cargo {
        thing: Mutex::new(hand.world.take(&mut random)),
        mischief: Mutex::new(mischief),
    });
    let inside = async move {
        step(hand.clone(), Random::new(random.draw())).await;
        if random.one_in(3) {
            // It is not dropped under the lock.
            let thing = CARGO.with(|cargo| cargo.and_then(|cargo| lock(&cargo.thing).take()));
            let mischief = CARGO.with(|cargo| cargo.and_then(|cargo| lock(&cargo.mischief).take()));
            drop((thing, mischief));
        }
    };
    CARGO.scope(cargo, inside).await;
}

fn blocking(hand: &Hand, random: &mut Random) {
    let (Some(group), Some(record)) = (&hand.group, &hand.record) else {
        return;
    };
    let world = hand.world.clone();
    let mut random = Random::new(random.draw());
    let mut alive = Alive::own(record).expendable();
    let handle = group.spawn_blocking(move |token| {
        alive.polled();
        if token.check().is_ok() {
            bag::exchange(&world, &mut random);
        }
        if random.one_in(4) {
            std::thread::sleep(short(&mut random));
        }
        alive.finished();
        Ok::<_, BoxError>(Value::default())
    });
    if !record.is_private() {
        hand.world.put(Thing::Handle(handle));
    }
}

/// Runs `work` in `block_in_place`, if that is possible.
fn in_place(work: impl FnOnce()) {
    if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        tokio::task::block_in_place(work);
    }
}

fn inner_runtime(hand: &Hand, random: &mut Random) {
    in_place(|| {
        let opens = random.one_in(4) && hand.world.mode.misbehaves();
        let turns = 1 + random.below(4);
        let awaits = random.one_in(2);
        hand.world.with_inner(random, |runtime| {
            if opens {
                runtime.spawn(super::round::resident_group());
            }
            runtime.block_on(async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                // In a cancelled child without a guard these unwind out of the `block_on`. The
                // group has no child, because that would belong to the runtime around. If that
                // runtime is shut down, it neither polls nor drops the child before this thread
                // returns.
                if awaits {
                    let work = async |_: TaskGroup| {
                        taskgroup::shield(tokio::task::yield_now()).await;
                        taskgroup::checkpoint().await;
                        Ok(())
                    };
                    // If a section that is put aside holds the child, nothing is unwound.
                    let limit = Duration::from_millis(1);
                    let _ = tokio::time::timeout(limit, taskgroup::checkpoint()).await;
                    let _ = tokio::time::timeout(limit, TaskGroup::run(work)).await;
                }
            });
        });
    });
}

async fn give_up(hand: &Hand, random: &mut Random) {
    let (Some(group), Some(record)) = (&hand.group, &hand.record) else {
        return;
    };
    let alive = Alive::foreign(record).expendable();
    let child = child::child(hand.deeper(), Random::new(random.draw()), alive, false);
    let Some(handle) = poll_once(group.spawn_when_free(child)).await else {
        return;
    };
    for _ in 0..random.below(4) {
        poll_once(handle.ended()).await;
        poll_once((&handle).into_future()).await;
        poll_once(taskgroup::until_cancelled(std::future::pending::<()>())).await;
        tokio::task::yield_now().await;
    }
    poll_once(taskgroup::wait([&handle], taskgroup::combine::Until::All)).await;
}

async fn start(hand: Hand, mut random: Random) {
    let Some(group) = hand.group.clone() else {
        return;
    };
    let Some(record) = hand.record.clone() else {
        return;
    };
    let mut inner = Random::new(random.draw());
    let inside = hand.clone();
    let starting = group.start(move |started: taskgroup::Started<()>| async move {
        let mut alive = Alive::foreign(&record).expendable();
        alive.polled();
        step(inside.clone(), Random::new(inner.draw())).await;
        if inner.one_in(3) {
            return Err(inside.fail(&mut inner));
        }
        started.ready(());
        step(inside, Random::new(inner.draw())).await;
        Ok(Value::default())
    });
    match patient(&mut random, starting).await {
        Some(Ok(((), handle))) => hand.world.put(Thing::Handle(handle)),
        Some(Err(taskgroup::StartError::Failed(error))) => {
            if let Some(error) = error.downcast_ref() {
                child::delivered(&hand, error);
            }
        }
        Some(Err(_)) | None => {}
    }
}
