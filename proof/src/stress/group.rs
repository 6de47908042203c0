//! A random group: its settings, its body, and the check of its outcome.

use std::any::Any;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use taskgroup::{
    BoxError, ErrorGroup, GroupBuilder, Policy, Progress, TaskError, TaskGroup, TaskHandle,
};

use super::bag;
use super::child;
use super::foreign::{self, StressError, Value};
use super::held;
use super::mode::Mode;
use super::record::{Alive, Ended, Record, Tells, Watch, panic_id, task_ids};
use super::steps;
use super::tally::{TALLY, count, lock, text_of};
use super::world::{Boxed, Thing, World};
use crate::random::Random;

/// What the code of a child or a body can use.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) world: Arc<World>,
    /// The group around.
    pub(crate) record: Option<Arc<Record>>,
    /// The same, if the code is the group's own.
    pub(crate) group: Option<TaskGroup>,
    pub(crate) depth: u32,
    /// Whether the code is polled until it ends. Code in the bag, or on a runtime without a thread
    /// of its own, may stand still while it has a place that others wait for.
    pub(crate) steady: bool,
}

impl Hand {
    /// For a thread.
    pub(crate) fn outside(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            record: None,
            group: None,
            depth: 0,
            steady: true,
        }
    }

    /// For a child that is spawned by code outside its group.
    pub(crate) fn foreign(world: &Arc<World>, record: &Arc<Record>) -> Self {
        Self {
            world: world.clone(),
            record: Some(record.clone()),
            group: None,
            depth: 3,
            steady: false,
        }
    }

    pub(crate) fn deeper(&self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self.clone()
        }
    }

    /// The group around, unless others must not reach it.
    pub(crate) fn open_group(&self) -> Option<TaskGroup> {
        let private = self
            .record
            .as_ref()
            .is_some_and(|record| record.is_private());
        self.group.clone().filter(|_| !private)
    }

    /// Records a failure, which the group around has to report from now on.
    pub(crate) fn fail(&self, random: &mut Random) -> StressError {
        let id = TALLY.fresh_id();
        if let Some(record) = &self.record {
            record.failed(id);
        }
        let misbehaves = self.world.mode.has_bad_errors(&self.world.without);
        StressError::new(id, misbehaves, random)
    }
}

/// The settings of a random group.
pub(crate) struct Plan {
    builder: GroupBuilder,
    pub(crate) tells: Tells,
    progress: Option<Progress>,
    private: bool,
    /// It has endless children, and cancels itself.
    pub(crate) doomed: bool,
    pub(crate) children: u64,
    policy: Policy,
}

impl Plan {
    pub(crate) fn draw(hand: &Hand, random: &mut Random) -> Self {
        let mode = hand.world.mode;
        let (policy, tells) = match random.below(10) {
            0 => (Policy::first_success(), Tells::UnlessSatisfied),
            1 => (Policy::quorum(2), Tells::UnlessSatisfied),
            2 => (Policy::quorum(2).or_stop_after(2), Tells::UnlessSatisfied),
            3 => (Policy::stop_after(2), Tells::Always),
            4..6 => (Policy::collect(), Tells::Always),
            6 => {
                let seed = random.draw();
                let fatal = move |failure: &TaskError| {
                    bag::look(|text| write!(text, "{failure}"));
                    seed % 2 == 0 && failure.is_panic()
                };
                (Policy::stop_if(fatal), Tells::Always)
            }
            _ => (Policy::fail_fast(), Tells::Always),
        };
        let mut builder = mode.driver(random).set(TaskGroup::builder());
        if random.one_in(4) {
            builder = builder.limit(1 + usize::from(random.one_in(2)));
        } else if mode == Mode::B7 {
            builder = builder.limit(1);
        }
        if hand.world.with_grace && random.one_in(3) {
            builder = builder.grace(Duration::from_micros(random.below(3_000)));
        }
        let mut progress = None;
        if random.one_in(5) {
            let counts = if random.one_in(2) {
                Progress::new()
            } else {
                Progress::expecting(2)
            };
            builder = builder.progress(&counts);
            progress = Some(counts);
        }
        Self {
            builder,
            tells,
            progress,
            private: random.one_in(3),
            doomed: random.one_in(4) || mode == Mode::B7,
            children: 1 + random.below(5),
            policy,
        }
    }

    /// The settings of a group with this record, with a hook that takes failures in some.
    pub(crate) fn reporting_to(
        self,
        record: &Arc<Record>,
        world: &Arc<World>,
        random: &mut Random,
    ) -> GroupBuilder {
        // A child that panics counts as cut off, and this group would return `Ok` for it.
        if self.private || !random.one_in(6) {
            return self.builder.policy(self.policy);
        }
        let (record, world) = (record.clone(), world.clone());
        let random = Mutex::new(Random::new(random.draw()));
        let hook = move |failure: &TaskError| {
            for id in task_ids(failure) {
                record.handed_on(id);
            }
            let mut random = Random::new(lock(&random).draw());
            bag::exchange(&world, &mut random);
        };
        self.builder.policy(self.policy.reporting(hook))
    }
}

/// Runs a random group and checks its outcome. Returns the failures that it ended with.
///
/// `below` says that the code around opens the group and keeps it, so that the group around is
/// responsible for it.
pub(crate) fn group(hand: Hand, mut random: Random, below: bool) -> Boxed<Option<ErrorGroup>> {
    Box::pin(async move {
        count(&TALLY.groups);
        let plan = Plan::draw(&hand, &mut random);
        let (tells, private, doomed, children) =
            (plan.tells, plan.private, plan.doomed, plan.children);
        let progress = plan.progress.clone();
        let around = hand.record.as_ref().filter(|_| below);
        let record = Record::new(around, tells, private);
        let watch = Watch(record.clone());
        let builder = plan.reporting_to(&record, &hand.world, &mut random);
        let kind = random.below(3);
        // This shows afterwards whether the group was cancelled. A group that others cannot reach
        // may be kept a little longer.
        let seen = Arc::new(OnceLock::new());
        let cut_off = private && hand.world.mode.checks_cut_off(&hand.world.without);
        let body = {
            let (hand, record, seen) = (hand.deeper(), record.clone(), seen.clone());
            async move |group: TaskGroup| {
                if cut_off {
                    let _ = seen.set(group.clone());
                }
                let hand = Hand {
                    record: Some(record),
                    group: Some(group),
                    ..hand
                };
                child::failing(hand.clone(), body(hand, random, doomed, children)).await
            }
        };
        let run = async move {
            match kind {
                0 => builder.run(body).await.map(Some),
                1 => builder.run_cancellable(body).await,
                _ => match builder.run_to_end(body).await {
                    (_, Some(failures)) => Err(failures),
                    (value, None) => Ok(value),
                },
            }
        };
        let outcome = caught(run).await;
        let ended = match &outcome {
            // `run_to_end` returns the value whatever happened to the children. A body that ended
            // before an outer cancellation reached it has a value as well.
            Ok(Ok(Some(()))) if kind == 2 || seen.get().is_none_or(TaskGroup::is_cancelled) => {
                Ended::Told
            }
            Ok(Ok(Some(()))) => Ended::Value,
            Ok(Ok(None)) => Ended::Cancelled,
            Ok(Err(error)) => Ended::Failed(error),
            Err(payload) => {
                if let Some(id) = panic_id(text_of(&**payload)) {
                    record.delivered(id);
                }
                Ended::Panicked
            }
        };
        record.ended(&ended);
        let Hand { world, .. } = &hand;
        match (progress, &outcome) {
            (Some(progress), Ok(_)) if world.mode.checks_progress(&world.without) => {
                check(&progress);
            }
            _ => {}
        }
        drop(watch);
        match outcome {
            Ok(outcome) => outcome.err(),
            Err(payload) => {
                foreign::guarded(|| drop(payload));
                None
            }
        }
    })
}

/// The panic of a future as a value.
async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = Box::pin(future);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        },
    )
    .await
}

fn check(progress: &Progress) {
    let counts = progress.counts();
    let all = [
        counts.queued,
        counts.running,
        counts.done,
        counts.failed,
        counts.cancelled,
    ];
    // Checked before anything is added up: an underflow is close to the largest number.
    let sound = all.iter().all(|&count| count < 1 << 40);
    let over = counts.finished && counts.queued == 0 && counts.running == 0;
    if !sound || !over || counts.total() != counts.ended() {
        TALLY.violation(&format!(
            "the counts of a progress do not add up: {counts:?}"
        ));
    }
}

async fn body(hand: Hand, mut random: Random, doomed: bool, children: u64) -> Result<(), BoxError> {
    let Hand {
        world,
        record: Some(record),
        group: Some(group),
        ..
    } = &hand
    else {
        return Ok(());
    };
    if !record.is_private() {
        world.put(Thing::Group(group.clone(), record.clone()));
        held::tie(&hand, &mut random, group);
    }
    let mut handles = Vec::new();
    for _ in 0..children {
        spawn(&hand, &mut random, doomed, &mut handles);
    }
    for _ in 0..random.below(3) {
        steps::step(hand.clone(), Random::new(random.draw())).await;
    }
    if doomed {
        for _ in 0..random.below(4) {
            tokio::task::yield_now().await;
        }
        if world.mode != Mode::B7 {
            group.cancel();
        }
        // The body is dropped here.
        std::future::pending::<()>().await;
    }
    if random.one_in(8) {
        bag::look(|text| write!(text, "{}", group.tree()));
    }
    while let Some(handle) = handles.pop() {
        if random.one_in(2) {
            continue;
        }
        match handle.await {
            Ok(value) => drop(value),
            // The group has the failure already, and must not count it twice.
            Err(error) if error.failure().is_some() && random.one_in(4) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    match random.below(24) {
        0 => Err(child::Failing.into()),
        1 if world.mode.misbehaves() => {
            let id = TALLY.fresh_id();
            record.failed(id);
            foreign::panic(&id.to_string())
        }
        _ => Ok(()),
    }
}

/// Spawns a child into the code's own group.
pub(crate) fn spawn(
    hand: &Hand,
    random: &mut Random,
    doomed: bool,
    handles: &mut Vec<TaskHandle<Value>>,
) {
    let (Some(record), Some(group)) = (&hand.record, &hand.group) else {
        return;
    };
    let endless = doomed && random.one_in(2);
    let cancelled = random.one_in(8);
    let background = random.one_in(8);
    let mut alive = Alive::own(record);
    if cancelled || background {
        alive = alive.expendable();
    }
    let child = child::child(hand.deeper(), Random::new(random.draw()), alive, endless);
    let handle = if background {
        group.task("background").background().spawn(child)
    } else {
        group.spawn(child)
    };
    if cancelled {
        handle.cancel();
    }
    match random.below(3) {
        0 => {}
        1 if !record.is_private() => hand.world.put(Thing::Handle(handle)),
        _ => handles.push(handle),
    }
}
