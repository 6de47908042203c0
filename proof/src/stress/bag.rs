//! What a task does with a thing from the bag, at once or by waiting for it for a while.

use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use super::child;
use super::foreign::guarded;
use super::group::Hand;
use super::record::{Alive, Record};
use super::tally::TALLY;
use super::tally::count;
use super::world::{Thing, World};
use crate::random::Random;
use taskgroup::TaskGroup;

/// Takes a thing and does something with it that needs no task, so that a thread, a destructor, a
/// waker or a child can call this.
pub(crate) fn exchange(world: &Arc<World>, random: &mut Random) {
    if !world.operation() {
        return;
    }
    let Some(thing) = world.take(random) else {
        return;
    };
    match thing {
        Thing::Group(group, record) => {
            match random.below(8) {
                0 => group.cancel(),
                1 => {
                    look(|text| write!(text, "{} {:?}", group.tree(), group.info()));
                }
                2 => {
                    let _ = (group.live(), group.is_cancelled(), group.reason());
                }
                3 => return,
                _ => spawn_into(world, random, &group, &record),
            }
            world.put(Thing::Group(group, record));
        }
        Thing::Handle(handle) => {
            match random.below(6) {
                0 => {
                    count(&TALLY.cancelled);
                    handle.cancel();
                }
                1 => {
                    look(|text| write!(text, "{:?} {}", handle.info(), handle.is_finished()));
                }
                2 => {
                    let _ = handle.outcome();
                }
                3 => return,
                _ => {}
            }
            world.put(Thing::Handle(handle));
        }
        Thing::Parked(parked) => {
            if random.one_in(4) {
                drop(parked);
            } else {
                world.put(Thing::Parked(parked));
            }
        }
        Thing::Value(value) => {
            if random.one_in(2) {
                drop(value);
            } else {
                world.put(Thing::Value(value));
            }
        }
        Thing::Open(opened) => {
            opened.exchange(world, random);
            if !random.one_in(4) {
                world.put(Thing::Open(opened));
            }
        }
        Thing::Canceller(canceller) => match random.below(4) {
            0 => canceller.cancel(),
            1 => canceller.cancel_with("from the bag".to_owned()),
            2 => {}
            _ => world.put(Thing::Canceller(canceller)),
        },
        Thing::Token(token) => {
            if random.one_in(2) {
                token.cancel();
            }
        }
    }
}

/// Formats something of the library that may contain foreign code.
pub(crate) fn look(write: impl FnOnce(&mut String) -> std::fmt::Result) {
    guarded(|| {
        let mut text = String::new();
        let _ = write(&mut text);
    });
}

/// A child for a group of another task.
fn spawn_into(world: &Arc<World>, random: &mut Random, group: &TaskGroup, record: &Arc<Record>) {
    let hand = Hand::foreign(world, record);
    let alive = Alive::foreign(record).expendable();
    let child = child::child(hand, Random::new(random.draw()), alive, false);
    let handle = if random.one_in(2) {
        group.spawn(child)
    } else {
        match group.try_spawn(child) {
            Ok(handle) => handle,
            Err(refused) => return drop(refused.into_future()),
        }
    };
    if random.one_in(2) {
        world.put(Thing::Handle(handle));
    }
}

/// Takes a thing and waits for it, but not for ever, because the thing may itself wait for the
/// caller.
///
/// Only a `steady` task keeps a wait for a place. If a place is given to a wait that no task polls,
/// tasks that are blocked on its group lack that place.
pub(crate) async fn wait(world: Arc<World>, mut random: Random, steady: bool) {
    let Some(thing) = world.take(&mut random) else {
        return;
    };
    match thing {
        Thing::Handle(handle) => match random.below(4) {
            0 => {
                if let Some(Ok(value)) = patient(&mut random, handle).await {
                    world.put(Thing::Value(value));
                }
            }
            1 => {
                patient(&mut random, handle.ended()).await;
                world.put(Thing::Handle(handle));
            }
            2 => {
                let patience = Duration::from_micros(random.below(2_000));
                let waiting = async { (&handle).await.is_ok() };
                taskgroup::move_on_after(patience, waiting).await;
                world.put(Thing::Handle(handle));
            }
            _ => {
                // Given up at once.
                poll_once((&handle).into_future()).await;
                poll_once(handle.ended()).await;
                world.put(Thing::Handle(handle));
            }
        },
        Thing::Group(group, record) => {
            let hand = Hand::foreign(&world, &record);
            let alive = Alive::foreign(&record).expendable();
            let child = child::child(hand, Random::new(random.draw()), alive, false);
            let waiting = group.spawn_when_free(child);
            let spawned = if steady {
                patient(&mut random, waiting).await
            } else {
                poll_once(waiting).await
            };
            if let Some(handle) = spawned {
                world.put(Thing::Handle(handle));
            }
            world.put(Thing::Group(group, record));
        }
        Thing::Parked(parked) => {
            let mut parked = parked.into_inner().unwrap_or_else(PoisonError::into_inner);
            match random.below(3) {
                0 => {
                    patient(&mut random, parked).await;
                }
                1 => {
                    if poll_once(parked.as_mut()).await.is_none() {
                        world.put(Thing::parked(parked));
                    }
                }
                _ => drop(parked),
            }
        }
        Thing::Value(value) => drop(value),
        Thing::Open(opened) => {
            opened.wait(&mut random).await;
            world.put(Thing::Open(opened));
        }
        Thing::Canceller(canceller) => canceller.cancel(),
        Thing::Token(token) => {
            patient(&mut random, token.cancelled()).await;
            world.put(Thing::Token(token));
        }
    }
}

/// Waits for a few turns or a short time, then gives up.
pub(crate) async fn patient<F: Future>(random: &mut Random, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    if random.one_in(2) {
        for _ in 0..random.below(6) {
            if let Some(output) = poll_once(future.as_mut()).await {
                return Some(output);
            }
            tokio::task::yield_now().await;
        }
        return None;
    }
    let patience = Duration::from_micros(random.below(1_500));
    tokio::time::timeout(patience, future).await.ok()
}

/// Polls it once, and drops it if it is not ready.
pub(crate) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
