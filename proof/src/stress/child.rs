//! A child: some steps, and one of the ways to end.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use taskgroup::{BoxError, ErrorGroup};

use super::foreign::{self, Mischief, StressError, Value};
use super::group::{self, Hand};
use super::record::{Alive, ids};
use super::steps;
use super::tally::TALLY;
use super::world::{Boxed, Thing};
use crate::random::Random;

/// Stands for a failure until it is returned. Only then does the failure get a number.
#[derive(Debug)]
pub(crate) struct Failing;

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

impl Error for Failing {}

/// The future of a child. Between the record of a failure and its return, nothing of the child is
/// dropped.
pub(crate) struct Child {
    // Dropped before `alive`.
    work: Boxed<Result<Value, BoxError>>,
    hand: Hand,
    random: Random,
    alive: Alive,
}

impl Future for Child {
    type Output = Result<Value, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.alive.polled();
        let ended = ready!(this.work.as_mut().poll(cx));
        this.alive.finished();
        Poll::Ready(ended.map_err(|error| record(&this.hand, &mut this.random, error)))
    }
}

/// Gives a failure its number, or records the failures inside.
fn record(hand: &Hand, random: &mut Random, error: BoxError) -> BoxError {
    if error.is::<Failing>() {
        return hand.fail(random).into();
    }
    if let (Some(record), Some(group)) = (&hand.record, error.downcast_ref::<ErrorGroup>()) {
        for id in ids(group) {
            record.failed(id);
        }
    }
    error
}

/// The same for the body of a group.
pub(crate) async fn failing(
    hand: Hand,
    body: impl Future<Output = Result<(), BoxError>>,
) -> Result<(), BoxError> {
    let mut random = Random::new(0);
    body.await
        .map_err(|error| record(&hand, &mut random, error))
}

/// A random child of the current group. An `endless` one ends only by cancellation.
pub(crate) fn child(hand: Hand, mut random: Random, alive: Alive, endless: bool) -> Child {
    // The value of a child is older than the child. Otherwise two values could hold the handles of
    // each other's tasks for ever, and the program itself would leak.
    let cargo = random.one_in(6).then(|| hand.world.take(&mut random));
    let cargo = match cargo.flatten() {
        // It may be the future of the group that the child belongs to. Then nothing could poll or
        // drop that future any more.
        Some(parked @ (Thing::Parked(_) | Thing::Open(_))) => {
            hand.world.put(parked);
            None
        }
        cargo => cargo,
    };
    Child {
        hand: hand.clone(),
        random: Random::new(random.draw()),
        alive,
        work: Box::pin(work(hand, random, endless, cargo)),
    }
}

async fn work(
    hand: Hand,
    mut random: Random,
    endless: bool,
    cargo: Option<Thing>,
) -> Result<Value, BoxError> {
    let world = &hand.world;
    for _ in 0..random.below(4) {
        steps::step(hand.clone(), Random::new(random.draw())).await;
    }
    if endless {
        std::future::pending::<()>().await;
    }
    match random.below(20) {
        0 | 1 => return Err(Failing.into()),
        2 | 3 if hand.depth < 4 => {
            let below = Random::new(random.draw());
            if let Some(error) = group::group(hand.deeper(), below, true).await {
                return Err(error.into());
            }
        }
        4 if world.mode.misbehaves() => {
            let id = TALLY.fresh_id();
            if let Some(record) = &hand.record {
                record.failed(id);
            }
            foreign::panic(&id.to_string());
        }
        _ => {}
    }
    let mischief = random.one_in(12) && world.mode.misbehaves();
    let mischief = mischief.then(|| Mischief::new(world, &mut random, None));
    Ok(Value::new(cargo, mischief))
}

/// The number of a failure that came back to the code that waited for it.
pub(crate) fn delivered(hand: &Hand, error: &StressError) {
    if let Some(record) = &hand.record {
        record.delivered(error.id());
    }
}
