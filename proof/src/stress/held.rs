//! What a program keeps and uses from afar: open groups, cancel scopes, cancellers, tokens, futures
//! of a cancellation or an end, streams of outcomes, and limits that change.

use std::sync::Arc;

use taskgroup::{CancelScope, NotSpawned, OpenGroup, TaskGroup};
use tokio_util::sync::CancellationToken;

use super::bag::{patient, poll_once};
use super::child;
use super::foreign::Value;
use super::group::{self, Hand, Plan};
use super::record::{Alive, Ended, Record};
use super::steps;
use super::tally::{TALLY, count};
use super::world::{Thing, World};
use crate::random::Random;

/// A group without a body. Its failures go to wherever its owner takes it, unless it is closed.
pub(crate) struct Opened {
    group: OpenGroup,
    record: Arc<Record>,
}

impl Opened {
    /// Uses it in a way that needs no task.
    pub(crate) fn exchange(&self, world: &Arc<World>, random: &mut Random) {
        match random.below(8) {
            0 => self.group.cancel(),
            1 => self.group.cancel_with("by another"),
            2 => world.put(Thing::Canceller(self.group.group().canceller())),
            3 => world.put(Thing::Group(
                self.group.group().clone(),
                self.record.clone(),
            )),
            _ => self.spawn(world, random),
        }
    }

    fn spawn(&self, world: &Arc<World>, random: &mut Random) {
        let hand = Hand::foreign(world, &self.record);
        let alive = Alive::foreign(&self.record).expendable();
        let child = child::child(hand, Random::new(random.draw()), alive, false);
        match self.group.spawn(child) {
            Ok(handle) if random.one_in(2) => world.put(Thing::Handle(handle)),
            Ok(_) => {}
            Err(refused) => drop(refused.into_future()),
        }
    }

    /// Waits for its end or its first failure, but not for ever.
    pub(crate) async fn wait(&self, random: &mut Random) {
        if random.one_in(4) {
            patient(random, self.group.failed()).await;
            return;
        }
        if let Some(outcome) = patient(random, self.group.close()).await {
            self.check(&outcome);
        }
    }

    fn check(&self, outcome: &Result<(), taskgroup::ErrorGroup>) {
        self.record.ended(&match outcome {
            Ok(()) => Ended::Told,
            Err(error) => Ended::Failed(error),
        });
        if !self.group.group().is_cancelled() && self.group.group().live() > 0 {
            TALLY.violation("an open group was closed over a child");
        }
    }
}

/// Opens a group, spawns into it, and closes, keeps or drops it.
pub(crate) async fn open(hand: Hand, mut random: Random) {
    count(&TALLY.groups);
    let plan = Plan::draw(&hand, &mut random);
    let (tells, children) = (plan.tells, plan.children);
    let record = Record::new(None, tells, false);
    let builder = plan.reporting_to(&record, &hand.world, &mut random);
    let opened = Arc::new(Opened {
        group: builder.open(),
        record,
    });
    for _ in 0..children {
        opened.spawn(&hand.world, &mut random);
    }
    if random.one_in(2) {
        hand.world.put(Thing::Open(opened.clone()));
    }
    steps::step(hand, Random::new(random.draw())).await;
    match random.below(4) {
        0 => opened.wait(&mut random).await,
        1 => {
            opened.group.cancel();
            let outcome = opened.group.close().await;
            opened.check(&outcome);
        }
        _ => {}
    }
}

/// A section that others can cancel.
pub(crate) async fn cancel_scope(hand: Hand, mut random: Random) {
    let mut scope = CancelScope::new();
    let token = CancellationToken::new();
    if random.one_in(3) {
        scope.cancel_on(&token);
    }
    hand.world.put(Thing::Canceller(scope.canceller()));
    hand.world.put(Thing::Token(token));
    if random.one_in(8) {
        scope.cancel();
    }
    for _ in 0..=random.below(2) {
        let inside = steps::step(hand.clone(), Random::new(random.draw()));
        let ended = if random.one_in(4) {
            poll_once(scope.run(inside)).await
        } else {
            Some(scope.run(inside).await)
        };
        let cut_off = ended.is_some_and(|ended| ended.is_none());
        if cut_off != scope.has_cut_off() || (cut_off && !scope.is_cancelled()) {
            TALLY.violation("a cancel scope does not say what it did");
        }
    }
}

/// Futures and tokens of the cancellation and the end of what is around, given up or kept.
pub(crate) async fn watch(hand: Hand, mut random: Random) {
    let group = hand.open_group();
    let future: super::world::Boxed<()> = match (random.below(6), group) {
        (0, _) => Box::pin(taskgroup::when_cancelled()),
        (1, _) => Box::pin(taskgroup::when_ended()),
        (2, Some(group)) => Box::pin(group.when_cancelled()),
        (3, Some(group)) => Box::pin(group.when_ended()),
        (4, Some(group)) => Box::pin(group.cancellation_token().cancelled_owned()),
        _ => Box::pin(taskgroup::cancellation_token().cancelled_owned()),
    };
    let mut future = future;
    if random.one_in(2) {
        patient(&mut random, future.as_mut()).await;
    } else {
        poll_once(future.as_mut()).await;
    }
    if random.one_in(2) {
        hand.world.put(Thing::parked(future));
    }
}

/// The outcomes of children as they come.
pub(crate) async fn outcomes(hand: Hand, mut random: Random) {
    let Some(group) = hand.group.clone() else {
        return;
    };
    let mut outcomes = group.outcomes::<Value>();
    for _ in 0..1 + random.below(3) {
        let mut handles = Vec::new();
        group::spawn(&hand, &mut random, false, &mut handles);
        for handle in handles {
            outcomes.push(handle);
        }
        if random.one_in(2) {
            let taken = patient(&mut random, outcomes.next()).await;
            drop(taken);
        }
    }
    while random.one_in(2) {
        match patient(&mut random, outcomes.next()).await {
            Some(None) if outcomes.remaining() > 0 => {
                TALLY.violation("a stream of outcomes ended too early");
            }
            Some(None) | None => return,
            Some(Some(_)) => {}
        }
    }
}

/// Changes the limit of the group around, and tries for a place.
pub(crate) async fn places(hand: Hand, mut random: Random) {
    let (Some(group), Some(record)) = (&hand.group, &hand.record) else {
        return;
    };
    if group.limit().is_some() {
        let limit = usize::try_from(1 + random.below(4)).unwrap_or(1);
        group.set_limit(limit);
    }
    for _ in 0..random.below(3) {
        let alive = Alive::foreign(record).expendable();
        let child = child::child(hand.deeper(), Random::new(random.draw()), alive, false);
        match group.spawn_if_free(child) {
            Ok(handle) if !record.is_private() => hand.world.put(Thing::Handle(handle)),
            Ok(_) => {}
            Err(NotSpawned::Full(child)) => drop(child),
            Err(NotSpawned::Refused(refused)) => drop(refused.into_future()),
        }
        tokio::task::yield_now().await;
    }
}

/// Ties a group to a token that others can cancel.
pub(crate) fn tie(hand: &Hand, random: &mut Random, group: &TaskGroup) {
    if random.one_in(8) {
        let token = CancellationToken::new();
        group.cancel_on(&token);
        hand.world.put(Thing::Token(token));
        hand.world.put(Thing::Canceller(group.canceller()));
    }
}
