//! The helpers that run futures inside the caller's task.

use std::sync::Arc;
use std::time::Duration;

use super::foreign::StressError;
use super::group::Hand;
use super::record::{Ended, Record, Tells, Watch};
use super::steps;
use super::world::Boxed;
use crate::random::Random;

type Branch = Boxed<Result<u64, StressError>>;

fn branch(hand: Hand, mut random: Random, fails: u64) -> Branch {
    Box::pin(async move {
        steps::step(hand.clone(), Random::new(random.draw())).await;
        if random.one_in(fails) {
            return Err(hand.fail(&mut random));
        }
        Ok(random.draw())
    })
}

/// Several branches in one of the helpers. Each branch is a group of its own.
pub(crate) async fn combine(hand: Hand, mut random: Random) {
    let kind = random.below(6);
    let tells = match kind {
        0 | 1 | 5 => Tells::Always,
        _ => Tells::UnlessSatisfied,
    };
    let record = Record::new(hand.record.as_ref(), tells, false);
    let watch = Watch(record.clone());
    let hand = Hand {
        record: Some(record.clone()),
        group: None,
        ..hand
    };
    let fails = match kind {
        0 | 1 => 6,
        // An error in an output of `join` is no task's failure.
        5 => u64::MAX,
        _ => 3,
    };
    let count = 1 + random.below(4);
    let mut branches = Vec::new();
    for _ in 0..count {
        branches.push(branch(hand.clone(), Random::new(random.draw()), fails));
    }
    match kind {
        0 => tell(&record, &taskgroup::gather(branches).await),
        1 => {
            let seeds: Vec<_> = (0..count).map(|_| random.draw()).collect();
            drop(branches);
            let work = move |seed| branch(hand.clone(), Random::new(seed), fails);
            tell(&record, &taskgroup::map(2, seeds, work).await);
        }
        2 => tell(&record, &taskgroup::race(branches).await),
        3 => {
            let delay = Duration::from_micros(random.below(500));
            tell(&record, &taskgroup::race_staggered(delay, branches).await);
        }
        4 => {
            drop(taskgroup::settle(branches).await);
            record.ended(&Ended::Value);
        }
        _ => {
            let joined: Vec<Boxed<()>> = branches
                .into_iter()
                .map(|branch| -> Boxed<()> { Box::pin(async move { drop(branch.await) }) })
                .collect();
            drop(taskgroup::join(joined).await);
        }
    }
    drop(watch);
}

fn tell<T>(record: &Arc<Record>, outcome: &Result<T, taskgroup::ErrorGroup>) {
    let ended = match outcome {
        Ok(_) => Ended::Value,
        Err(error) => Ended::Failed(error),
    };
    record.ended(&ended);
}
