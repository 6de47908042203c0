//! Models: small programs of two or three threads that loom runs in all interleavings.
//!
//! They run the engine itself. What is not in them is Tokio: its workers are threads of the model
//! that poll the pumps, and its timers stand still (no model has a deadline or a grace). The counts
//! of `Arc` are std's: an order that only they would give is not looked for.
//!
//! Each model names the outcomes that its race can have, and fails when one of them was never seen.
//! A lost wake-up is a deadlock, which loom reports; an access to a task's stage that is not
//! ordered with another one is a race, which loom reports too.

mod destructors;
mod driver;
mod group;
mod parked;
mod task;
mod tokio_task;
mod waiting;

use std::collections::BTreeMap;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use loom::sync::Notify;

use super::current;
use super::driver::Runtime;
use super::tree::{Kind, Scope};

/// One program with its race.
pub struct Model {
    pub name: &'static str,
    /// How many times a thread may be interrupted where it could go on; `None`: as often as there
    /// is a place for it.
    pub preemptions: Option<usize>,
    /// All of them have to be seen.
    pub outcomes: &'static [&'static str],
    run: fn(&Seen),
}

/// What came out of the runs.
#[derive(Default)]
pub struct Seen {
    runs: AtomicU64,
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
}

impl Seen {
    /// This run had that outcome.
    fn saw(&self, outcome: &'static str) {
        *self.outcomes.lock().unwrap().entry(outcome).or_default() += 1;
    }

    /// What became of a child that was spawned while its group was cancelled: it was `taken` or
    /// not, and `ran` or not.
    fn saw_spawn(&self, taken: bool, ran: &Count) {
        self.saw(match (taken, ran.get()) {
            (false, 0) => "refused",
            (true, 0) => "never ran",
            (true, 1) => "ran",
            other => unreachable!("{other:?}"),
        });
    }
}

/// The figures of a model that held.
pub struct Figures {
    pub interleavings: u64,
    pub outcomes: Vec<(&'static str, u64)>,
    pub took: Duration,
}

/// All models.
pub fn all() -> impl Iterator<Item = &'static Model> {
    [
        group::MODELS,
        parked::MODELS,
        task::MODELS,
        tokio_task::MODELS,
        driver::MODELS,
        destructors::MODELS,
        waiting::MODELS,
    ]
    .into_iter()
    .flatten()
}

impl Model {
    /// Runs all interleavings within the bounds.
    ///
    /// # Panics
    /// When one of them breaks a rule, and when an outcome was never seen.
    pub fn check(&'static self) -> Figures {
        let begin = Instant::now();
        let seen = Arc::new(Seen::default());
        let mut builder = loom::model::Builder::new();
        builder.max_branches = 100_000;
        builder.preemption_bound = builder.preemption_bound.or(self.preemptions);
        let counted = seen.clone();
        builder.check(move || {
            counted.runs.fetch_add(1, Ordering::Relaxed);
            (self.run)(&counted);
        });
        let outcomes = std::mem::take(&mut *seen.outcomes.lock().unwrap());
        for outcome in outcomes.keys() {
            assert!(self.outcomes.contains(outcome), "unexpected: {outcome}");
        }
        for outcome in self.outcomes {
            assert!(outcomes.contains_key(outcome), "never seen: {outcome}");
        }
        Figures {
            interleavings: seen.runs.load(Ordering::Relaxed),
            outcomes: outcomes.into_iter().collect(),
            took: begin.elapsed(),
        }
    }
}

/// A thread that sleeps until it is woken.
struct Bell {
    notify: Notify,
    rung: AtomicU64,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notify: Notify::new(),
            rung: AtomicU64::new(0),
        })
    }

    fn rung(&self) -> u64 {
        self.rung.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::Relaxed);
        self.notify.notify();
    }
}

/// A run of a program, with a runtime whose first pump is polled by the thread that the program is
/// on.
struct Stage {
    runtime: Arc<Runtime>,
    run: Arc<Scope>,
    workers: Vec<Worker>,
}

struct Worker {
    thread: loom::thread::JoinHandle<()>,
    bell: Arc<Bell>,
    stop: Arc<AtomicBool>,
}

impl Stage {
    /// `workers`: pumps with a thread of their own.
    fn new(workers: usize) -> Self {
        Self::on(Runtime::of_model(true, false), workers)
    }

    /// Where children are driven as by Tokio.
    fn of_tokio(workers: usize, has_workers: bool) -> Self {
        Self::on(Runtime::of_model(false, has_workers), workers)
    }

    fn on(runtime: Arc<Runtime>, workers: usize) -> Self {
        let run = Scope::open(Kind::Run, Scope::root().clone(), Location::caller());
        run.set_runtime(&runtime);
        let workers = (1..=workers).map(|_| Worker::start(&runtime)).collect();
        Self {
            runtime,
            run,
            workers,
        }
    }

    /// As the main thread of a runtime: polls `future` and a pump in turn, and sleeps.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut pump = Poller::new(&self.runtime);
        let output = self.block_on_beside(future, |cx| {
            let _ = Pin::new(&mut pump).poll(cx);
        });
        // A pump that is dropped is a runtime that goes down.
        std::mem::forget(pump);
        output
    }

    /// Only `future`: the pumps are all on other threads.
    fn block_on_only<F: Future>(&self, future: F) -> F::Output {
        self.block_on_beside(future, |_| ())
    }

    fn block_on_beside<F: Future>(
        &self,
        future: F,
        mut beside: impl FnMut(&mut Context<'_>),
    ) -> F::Output {
        let mut future = Box::pin(future);
        let bell = Bell::new();
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = self.poll(future.as_mut(), &mut cx) {
                return output;
            }
            beside(&mut cx);
            bell.notify.wait();
        }
    }

    /// Polls `future` as code of the run.
    fn poll<F: Future>(&self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _ambient = current::enter_scope(&self.run);
        future.poll(cx)
    }

    /// Has the others end, and looks whether anything was left.
    fn end(self) {
        for worker in self.workers {
            worker.stop();
        }
        assert_eq!(self.run.below(), 0, "something outlives the run");
        assert!(self.run.try_close());
        self.run.finish_section();
        assert_eq!(Scope::root().below(), 0);
    }
}

impl Worker {
    fn start(runtime: &Arc<Runtime>) -> Self {
        let bell = Bell::new();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (runtime, bell, stop) = (runtime.clone(), bell.clone(), stop.clone());
            loom::thread::spawn(move || {
                let mut pump = Poller::new(&runtime);
                let waker = Waker::from(bell.clone());
                let mut cx = Context::from_waker(&waker);
                while !stop.load(Ordering::Relaxed) {
                    let _ = Pin::new(&mut pump).poll(&mut cx);
                    if !stop.load(Ordering::Relaxed) {
                        bell.notify.wait();
                    }
                }
                std::mem::forget(pump);
            })
        };
        Self { thread, bell, stop }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        Waker::from(self.bell).wake();
        self.thread.join().unwrap();
    }
}

/// Polls what a runtime has to poll: the tasks in its queue, or what was spawned on it.
struct Poller {
    runtime: Arc<Runtime>,
    spawned: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Poller {
    fn new(runtime: &Arc<Runtime>) -> Self {
        Self {
            runtime: runtime.clone(),
            spawned: Vec::new(),
        }
    }
}

impl Future for Poller {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let runtime = self.runtime.clone();
        if runtime.explored().is_some() {
            loop {
                while let Some(task) = runtime.take_one() {
                    task.run();
                }
                if runtime.rest(cx.waker()) {
                    return Poll::Pending;
                }
            }
        }
        loop {
            self.spawned
                .retain_mut(|one| one.as_mut().poll(cx).is_pending());
            match runtime.take_spawned(cx.waker()) {
                Some(next) => self.spawned.push(next),
                None => return Poll::Pending,
            }
        }
    }
}

/// Counts what happens to a value or a future of a child.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts its drop.
struct Dropped(Count);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.up();
    }
}

/// Pending once, and woken by itself.
async fn yield_once() {
    let mut done = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut done, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
