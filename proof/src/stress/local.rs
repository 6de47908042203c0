//! Local groups: children that are polled inside the task that runs them.

use std::cell::Cell;
use std::rc::Rc;

use taskgroup::{BoxError, LocalGroup, LocalHandle};

use super::bag::{patient, poll_once};
use super::child;
use super::foreign::Value;
use super::group::{Hand, Plan};
use super::held;
use super::record::{Alive, Ended, Record, Watch};
use super::steps;
use super::tally::{TALLY, count};
use super::world::Thing;
use crate::random::Random;

/// The destructor of a local child, which comes back into its group.
struct Comes<'env> {
    group: LocalGroup<'env>,
    random: Random,
    left: &'env Cell<u32>,
}

impl Drop for Comes<'_> {
    fn drop(&mut self) {
        self.left.set(self.left.get() + 1);
        let left = self.left;
        match self.random.below(8) {
            0 => self.group.cancel(),
            1 => drop(self.group.spawn(async move { left.set(left.get() + 1) })),
            2 => drop(self.group.group().spawn(async {})),
            3 => drop(self.group.task("late").spawn(tokio::task::yield_now())),
            _ => {}
        }
    }
}

/// Runs a random local group and checks its outcome.
pub(crate) async fn local(hand: Hand, mut random: Random, depth: u32) {
    count(&TALLY.groups);
    let plan = Plan::draw(&hand, &mut random);
    let (tells, children, doomed) = (plan.tells, plan.children, plan.doomed);
    let record = Record::new(None, tells, false);
    let watch = Watch(record.clone());
    let builder = plan.reporting_to(&record, &hand.world, &mut random);
    let left = Cell::new(0);
    let drops_at = random.one_in(4).then(|| random.below(6));
    let run = {
        let (record, left) = (record.clone(), &left);
        builder.local().run_cancellable(async move |group| {
            let hand = Hand {
                record: Some(record.clone()),
                group: Some(group.group().clone()),
                ..hand.deeper()
            };
            hand.world
                .put(Thing::Group(group.group().clone(), record.clone()));
            let code = body(
                hand.clone(),
                random,
                group.clone(),
                left,
                doomed,
                children,
                depth,
            );
            child::failing(hand, code).await
        })
    };
    let mut run = Box::pin(run);
    if let Some(turns) = drops_at {
        for _ in 0..turns {
            if let Some(outcome) = poll_once(run.as_mut()).await {
                return tell(&record, &outcome);
            }
            tokio::task::yield_now().await;
        }
        drop(run);
        drop(watch);
        return;
    }
    let outcome = run.await;
    tell(&record, &outcome);
    drop(watch);
}

fn tell(record: &Record, outcome: &Result<Option<()>, taskgroup::ErrorGroup>) {
    record.ended(&match outcome {
        Ok(Some(())) => Ended::Told,
        Ok(None) => Ended::Cancelled,
        Err(error) => Ended::Failed(error),
    });
}

async fn body<'env>(
    hand: Hand,
    mut random: Random,
    group: LocalGroup<'env>,
    left: &'env Cell<u32>,
    doomed: bool,
    children: u64,
    depth: u32,
) -> Result<(), BoxError> {
    let Some(record) = &hand.record else {
        return Ok(());
    };
    held::tie(&hand, &mut random, group.group());
    let shared = Rc::new(Cell::new(0));
    let mut handles: Vec<LocalHandle<Value>> = Vec::new();
    for _ in 0..children {
        let alive = Alive::own(record).expendable();
        let endless = doomed && random.one_in(2);
        let child = child::child(hand.deeper(), Random::new(random.draw()), alive, endless);
        let comes = random.one_in(3).then(|| Comes {
            group: group.clone(),
            random: Random::new(random.draw()),
            left,
        });
        let shared = shared.clone();
        let code = async move {
            let _comes = comes;
            shared.set(shared.get() + 1);
            child.await
        };
        let handle = if random.one_in(2) {
            group.spawn(code)
        } else {
            group.task("local").spawn(code)
        };
        match random.below(4) {
            0 => {}
            1 => handle.cancel(),
            _ => handles.push(handle),
        }
    }
    if depth < 3 && random.one_in(3) {
        let (hand, random) = (Hand::outside(&hand.world), Random::new(random.draw()));
        drop(group.spawn(async move { Box::pin(local(hand, random, depth + 1)).await }));
    }
    for _ in 0..random.below(3) {
        steps::step(hand.clone(), Random::new(random.draw())).await;
    }
    if doomed {
        tokio::task::yield_now().await;
        group.cancel();
        std::future::pending::<()>().await;
    }
    for mut handle in handles {
        match random.below(3) {
            0 => drop(handle),
            1 => drop(patient(&mut random, &mut handle).await),
            _ => drop(handle.await),
        }
    }
    Ok(())
}
