//! S20, S21: nested deadlines and shields, moved while they run, against arithmetic.
//!
//! A program is a chain of deadlines and shields, one inside the other. The innermost code waits,
//! moves some deadlines, and waits again; each level waits a while after what is inside it. All
//! deadlines are at odd milliseconds and all waits take even ones, so that no two things happen at
//! once unless a deadline has fired before; the rare program where they do is not compared.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use taskgroup::{Deadline, current_deadline, shield, timeout_with};
use tokio::time::Instant;

use super::cases;
use crate::support::{ms, paused, sleep};

#[derive(Clone, Debug)]
enum Level {
    /// `None`: disabled at first.
    Deadline(Option<u64>),
    Shield,
}

#[derive(Clone, Debug)]
struct Plan {
    /// From the outside in, each with the wait after what is inside it.
    levels: Vec<(Level, u64)>,
    first_wait: u64,
    /// Which deadline goes where.
    moves: Vec<(usize, Option<u64>)>,
    second_wait: u64,
}

fn odd() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        5 => (0..30_u64).prop_map(|half| Some(2 * half + 1)),
    ]
}

fn even() -> impl Strategy<Value = u64> {
    (0..10_u64).prop_map(|half| 2 * half)
}

fn plan() -> impl Strategy<Value = Plan> {
    let level = prop_oneof![
        4 => odd().prop_map(Level::Deadline),
        1 => Just(Level::Shield),
    ];
    let levels = prop::collection::vec((level, even()), 1..7);
    let moves = prop::collection::vec((0..7_usize, odd()), 0..4);
    (levels, even(), moves, even()).prop_map(|(levels, first_wait, moves, second_wait)| Plan {
        levels,
        first_wait,
        moves,
        second_wait,
    })
}

/// What is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// The level, when.
    TimedOut(usize, u64),
    /// `current_deadline` of the innermost code.
    Current(Option<u64>),
    Moved(usize, bool),
    End(u64),
}

// ---- by arithmetic ----

struct Told {
    deadlines: Vec<Option<u64>>,
    shields: Vec<bool>,
    now: u64,
    events: Vec<Event>,
    /// Two things at the same instant: either may come first.
    ambiguous: bool,
}

impl Told {
    /// The levels whose deadlines bind code inside the first `depth` of them.
    fn binding(&self, depth: usize) -> impl Iterator<Item = usize> + '_ {
        let shield = (0..depth).rev().find(|&level| self.shields[level]);
        shield.map_or(0, |shield| shield + 1)..depth
    }

    fn effective(&self, depth: usize) -> Option<u64> {
        self.binding(depth)
            .filter_map(|level| self.deadlines[level])
            .min()
    }

    /// Waits inside the first `depth` levels. `Err`: the level that speaks.
    fn wait(&mut self, depth: usize, wait: u64) -> Result<(), usize> {
        let end = self.now + wait;
        let Some(first) = self.effective(depth) else {
            self.now = end;
            return Ok(());
        };
        if wait == 0 {
            // Ready at once: no suspension point.
            return Ok(());
        }
        self.ambiguous |= first == end || (self.deadlines.contains(&Some(self.now)));
        if first > end {
            self.now = end;
            return Ok(());
        }
        self.now = self.now.max(first);
        let due = |level: &usize| self.deadlines[*level].is_some_and(|at| at <= self.now);
        let speaks = self.binding(depth).find(due);
        Err(speaks.expect("the one that is first"))
    }

    /// The innermost code.
    fn innermost(&mut self, plan: &Plan) -> Result<(), usize> {
        let depth = plan.levels.len();
        self.wait(depth, plan.first_wait)?;
        for &(level, to) in &plan.moves {
            if level >= depth || self.shields[level] {
                continue;
            }
            self.ambiguous |= self.deadlines[level] == Some(self.now) || to == Some(self.now);
            // One that has fired stays where it is, also when a shield kept it out.
            let fired = self.deadlines[level].is_some_and(|at| at <= self.now);
            self.events.push(Event::Moved(level, !fired));
            if !fired {
                self.deadlines[level] = to;
            }
        }
        if !self
            .binding(depth)
            .any(|level| self.deadlines[level].is_some_and(|at| at <= self.now))
        {
            let effective = self.effective(depth);
            self.events.push(Event::Current(effective));
        }
        self.wait(depth, plan.second_wait)
    }
}

fn told(plan: &Plan) -> Told {
    let mut told = Told {
        deadlines: Vec::new(),
        shields: Vec::new(),
        now: 0,
        events: Vec::new(),
        ambiguous: false,
    };
    for (level, _) in &plan.levels {
        told.deadlines.push(match level {
            Level::Deadline(at) => *at,
            Level::Shield => None,
        });
        told.shields.push(matches!(level, Level::Shield));
    }
    let mut spoken = told.innermost(plan).err();
    for (depth, (_, wait)) in plan.levels.iter().enumerate().rev() {
        // What is inside level `depth` waits a while after it has ended; then the level itself
        // ends.
        if spoken.is_none_or(|level| level > depth) {
            spoken = told.wait(depth + 1, *wait).err();
        }
        if spoken == Some(depth) {
            let event = Event::TimedOut(depth, told.now);
            told.events.push(event);
            spoken = None;
        }
    }
    let now = told.now;
    told.events.push(Event::End(now));
    told
}

// ---- by running it ----

type Events = Arc<Mutex<Vec<Event>>>;

fn at(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap()
}

/// A wait of nothing is no suspension point.
async fn wait(millis: u64) {
    if millis > 0 {
        sleep(millis).await;
    }
}

fn level(
    plan: Arc<Plan>,
    depth: usize,
    start: Instant,
    mut handles: Vec<Option<Deadline>>,
    events: Events,
) -> BoxFuture<'static, ()> {
    async move {
        let Some((kind, after)) = plan.levels.get(depth).cloned() else {
            wait(plan.first_wait).await;
            for &(level, to) in &plan.moves {
                if let Some(Some(handle)) = handles.get(level) {
                    let moved = handle.reschedule(to.map(|to| start + ms(to)));
                    events.lock().unwrap().push(Event::Moved(level, moved));
                }
            }
            let current = current_deadline();
            if current.is_none_or(|at| at > Instant::now()) {
                let millis = |at: Instant| u64::try_from((at - start).as_millis()).unwrap();
                let event = Event::Current(current.map(millis));
                events.lock().unwrap().push(event);
            }
            return wait(plan.second_wait).await;
        };
        match kind {
            Level::Shield => {
                handles.push(None);
                let inside = level(plan, depth + 1, start, handles, events);
                shield(async {
                    inside.await;
                    wait(after).await;
                })
                .await;
            }
            Level::Deadline(limit) => {
                let own = events.clone();
                let limited = timeout_with(limit.map(ms), async |deadline: Deadline| {
                    handles.push(Some(deadline));
                    level(plan, depth + 1, start, handles, own).await;
                    wait(after).await;
                });
                if limited.await.is_err() {
                    let event = Event::TimedOut(depth, at(start));
                    events.lock().unwrap().push(event);
                }
            }
        }
    }
    .boxed()
}

fn ran(plan: &Plan) -> Vec<Event> {
    let events = Events::default();
    paused(async {
        let start = Instant::now();
        level(Arc::new(plan.clone()), 0, start, Vec::new(), events.clone()).await;
        events.lock().unwrap().push(Event::End(at(start)));
    });
    std::mem::take(&mut *events.lock().unwrap())
}

proptest! {
    #![proptest_config(cases(2_000))]

    // S20, S21
    #[test]
    fn deadlines_add_up(plan in plan()) {
        let told = told(&plan);
        prop_assume!(!told.ambiguous);
        prop_assert_eq!(ran(&plan), told.events);
    }
}
