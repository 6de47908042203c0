//! How long a task waits for its turn, compared with `JoinSet`, in programs whose other tasks tend
//! to delay it.
//!
//! Each program runs for each contender in turn, several times. The longest wait of each counts. It
//! may be twice as long as the wait with `JoinSet`, or ten milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use taskgroup::{BoxError, GroupBuilder, TaskGroup};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

/// A wait that is always allowed.
const FREE: Duration = Duration::from_millis(10);
/// A longer wait may be this many times as long as the wait with `JoinSet`.
const FACTOR: u32 = 2;
/// A wait is given up after this time, and counts as this long.
const LIMIT: Duration = Duration::from_secs(4);

/// What spawns the tasks.
#[derive(Clone)]
enum Peer {
    JoinSet,
    Group(&'static str, GroupBuilder),
}

impl Peer {
    /// The yardstick, then each driver of children.
    fn all() -> [Self; 3] {
        [
            Self::JoinSet,
            Self::Group("default", TaskGroup::builder()),
            Self::Group("light tasks", TaskGroup::builder().light_tasks()),
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::JoinSet => "joinset",
            Self::Group(name, _) => name,
        }
    }
}

/// Spawns a task into whatever the program runs in.
trait Spawn {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static);
}

impl Spawn for JoinSet<()> {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        JoinSet::spawn(self, task);
    }
}

struct Children(TaskGroup);

impl Spawn for Children {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

/// Runs `body` with the spawner of `peer`, and waits for all tasks.
async fn run<T>(peer: &Peer, body: impl AsyncFnOnce(&mut dyn DynSpawn) -> T) -> T {
    match peer {
        Peer::JoinSet => {
            let mut set = JoinSet::new();
            let value = body(&mut set).await;
            set.join_all().await;
            value
        }
        Peer::Group(_, builder) => {
            let run = builder
                .clone()
                .run(async |group| Ok::<_, BoxError>(body(&mut Children(group)).await));
            run.await
                .unwrap_or_else(|error| panic!("a task failed: {error:#}"))
        }
    }
}

/// [`Spawn`] as a trait object, for a body that works with any.
trait DynSpawn {
    fn boxed(&mut self, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>);
}

impl<S: Spawn> DynSpawn for S {
    fn boxed(&mut self, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.spawn(task);
    }
}

/// A program, which returns the longest wait of a task.
struct Program {
    name: &'static str,
    longest: fn(&Peer) -> Duration,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "spawned from block_on beside 8 that yield",
        longest: |peer| beside_busy(peer, Busy::Yields, Turn::Spawned),
    },
    Program {
        name: "woken from block_on beside 8 that yield",
        longest: |peer| beside_busy(peer, Busy::Yields, Turn::Woken),
    },
    Program {
        name: "woken from a thread beside 8 that yield",
        longest: |peer| beside_busy(peer, Busy::Yields, Turn::WokenFromAThread),
    },
    Program {
        name: "spawned from block_on beside 8 checkpoints",
        longest: |peer| beside_busy(peer, Busy::Checkpoints, Turn::Spawned),
    },
    Program {
        name: "woken from block_on beside 8 checkpoints",
        longest: |peer| beside_busy(peer, Busy::Checkpoints, Turn::Woken),
    },
    Program {
        name: "1 ms tick beside one that blocks in place",
        longest: tick_beside_block_in_place,
    },
    Program {
        name: "woken by one that then blocks 300 ms",
        longest: woken_by_one_that_blocks,
    },
    Program {
        name: "yields beside groups with lots of children",
        longest: beside_lots_of_children,
    },
    Program {
        name: "yields beside a chain that grows deeper",
        longest: beside_a_deep_chain,
    },
];

/// Prints the longest waits. Returns whether all are allowed.
pub(crate) fn run_all(repetitions: usize) -> bool {
    let peers = Peer::all();
    let mut all_met = true;
    println!("the longest wait for a turn, in ms; allowed: {FACTOR} x joinset, or {FREE:?}\n");
    println!("{:<44}{:<14}{:>10}{:>12}", "", "", "longest", "/ joinset");
    for program in PROGRAMS {
        let mut longest = peers.each_ref().map(|_| Duration::ZERO);
        for _ in 0..repetitions {
            for (peer, longest) in peers.iter().zip(&mut longest) {
                *longest = (program.longest)(peer).max(*longest);
            }
        }
        let yardstick = longest[0];
        for (peer, longest) in peers.iter().zip(longest) {
            let met = longest <= FREE.max(yardstick * FACTOR);
            all_met &= met;
            let ratio = longest.as_secs_f64() / yardstick.as_secs_f64().max(1e-9);
            let verdict = match met {
                true => "",
                false if longest >= LIMIT => "  TOO LONG, given up",
                false => "  TOO LONG",
            };
            println!(
                "{:<44}{:<14}{:>10.3}{ratio:>12.2}{verdict}",
                program.name,
                peer.name(),
                longest.as_secs_f64() * 1e3,
            );
        }
    }
    all_met
}

fn workers(count: usize) -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(count).enable_all().build();
    runtime.expect("a runtime")
}

fn one_thread() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime")
}

/// Is pending once, and wakes in the same poll. Tokio's `yield_now` wakes later.
async fn again() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

fn compute(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// How the measured task gets its turn.
#[derive(Clone, Copy)]
enum Turn {
    Spawned,
    Woken,
    WokenFromAThread,
}

/// How a busy task yields.
#[derive(Clone, Copy)]
enum Busy {
    Yields,
    Checkpoints,
}

/// On two workers with eight tasks that are always ready: the time from the call to the poll.
fn beside_busy(peer: &Peer, busy: Busy, turn: Turn) -> Duration {
    workers(2).block_on(run(peer, async |tasks| {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..8 {
            let stop = stop.clone();
            tasks.boxed(Box::pin(async move {
                while !stop.load(Ordering::Relaxed) {
                    compute(Duration::from_micros(200));
                    match busy {
                        Busy::Yields => yield_now().await,
                        Busy::Checkpoints => taskgroup::checkpoint().await,
                    }
                }
            }));
        }
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            longest = longest.max(one_turn(tasks, turn).await);
            if longest >= LIMIT {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        longest
    }))
}

async fn one_turn(tasks: &mut dyn DynSpawn, turn: Turn) -> Duration {
    let (done, waited) = oneshot::channel();
    let (wake, woken) = oneshot::channel::<Instant>();
    let task = async move {
        if let Ok(called) = woken.await {
            let _ = done.send(called.elapsed());
        }
    };
    match turn {
        Turn::Spawned => {
            let _ = wake.send(Instant::now());
            tasks.boxed(Box::pin(task));
        }
        Turn::Woken | Turn::WokenFromAThread => {
            let (parked, parks) = oneshot::channel();
            tasks.boxed(Box::pin(async move {
                let mut task = std::pin::pin!(task);
                let mut parked = Some(parked);
                std::future::poll_fn(|cx| {
                    let polled = task.as_mut().poll(cx);
                    if let Some(parked) = parked.take() {
                        let _ = parked.send(());
                    }
                    polled
                })
                .await;
            }));
            if tokio::time::timeout(LIMIT, parks).await.is_err() {
                return LIMIT;
            }
            match turn {
                Turn::WokenFromAThread => {
                    std::thread::spawn(move || {
                        let _ = wake.send(Instant::now());
                    });
                }
                _ => {
                    let _ = wake.send(Instant::now());
                }
            }
        }
    }
    match tokio::time::timeout(LIMIT, waited).await {
        Ok(waited) => waited.unwrap_or(LIMIT),
        Err(_) => LIMIT,
    }
}

/// On two workers, one of which blocks in place for half a second: the delay of a tick of a
/// millisecond.
fn tick_beside_block_in_place(peer: &Peer) -> Duration {
    workers(2).block_on(run(peer, async |tasks| {
        let (stop, stopped) = mpsc::channel::<()>();
        let (report, longest) = oneshot::channel();
        tasks.boxed(Box::pin(async move {
            let _stop = stop;
            let mut longest = Duration::ZERO;
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(500) {
                let begin = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
                longest = longest.max(begin.elapsed());
            }
            let _ = report.send(longest);
        }));
        for _ in 0..2 {
            tasks.boxed(Box::pin(async {
                yield_now().await;
                tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(400)));
            }));
        }
        let longest = longest.await.unwrap_or(LIMIT);
        drop(stopped);
        longest
    }))
}

/// On two workers: a task wakes others and then blocks its thread. Tokio keeps the task that was
/// woken last for the worker that woke it, so that task does not count.
fn woken_by_one_that_blocks(peer: &Peer) -> Duration {
    const WOKEN: usize = 4;
    workers(2).block_on(run(peer, async |tasks| {
        let (go, gone) = tokio::sync::watch::channel(None);
        let (ready, mut all_ready) = tokio::sync::mpsc::unbounded_channel();
        let (report, mut waits) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..WOKEN {
            let (mut gone, ready, report) = (gone.clone(), ready.clone(), report.clone());
            tasks.boxed(Box::pin(async move {
                let _ = ready.send(());
                if let Ok(woken) = gone.wait_for(Option::is_some).await {
                    let woken: Option<Instant> = *woken;
                    let _ = report.send(woken.map_or(LIMIT, |at| at.elapsed()));
                }
            }));
        }
        for _ in 0..WOKEN {
            all_ready.recv().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        tasks.boxed(Box::pin(async move {
            go.send_replace(Some(Instant::now()));
            std::thread::sleep(Duration::from_millis(300));
        }));
        let mut all = Vec::new();
        for _ in 0..WOKEN {
            all.push(waits.recv().await.unwrap_or(LIMIT));
        }
        all.sort();
        all[WOKEN - 2]
    }))
}

/// On one thread, next to groups of different depth that spawn many short children: the longest
/// time between two turns of a task.
fn beside_lots_of_children(peer: &Peer) -> Duration {
    const TIME: Duration = Duration::from_millis(300);
    let stop = Arc::new(AtomicBool::new(false));
    let begin = Instant::now();
    one_thread().block_on(run(peer, async |tasks| {
        for depth in [0, 1, 5, 30] {
            tasks.boxed(lots(peer.clone(), depth, begin, stop.clone()));
        }
        let (report, longest) = oneshot::channel();
        tasks.boxed(Box::pin(async move {
            let mut longest = Duration::ZERO;
            let mut last = begin;
            while begin.elapsed() < TIME {
                again().await;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            stop.store(true, Ordering::Relaxed);
            let _ = report.send(longest);
        }));
        longest.await.unwrap_or(LIMIT)
    }))
}

/// Nested tasks and groups, `depth` levels deep. The innermost one spawns many children.
fn lots(
    peer: Peer,
    depth: usize,
    begin: Instant,
    stop: Arc<AtomicBool>,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let next = (depth > 0).then(|| lots(peer.clone(), depth - 1, begin, stop.clone()));
        let goes_on = move || !stop.load(Ordering::Relaxed) && begin.elapsed() < LIMIT;
        match peer {
            Peer::JoinSet => {
                let mut set = JoinSet::new();
                if let Some(next) = next {
                    set.spawn(next);
                } else {
                    while goes_on() {
                        (0..10).for_each(|_| drop(set.spawn(async {})));
                        again().await;
                        while set.try_join_next().is_some() {}
                    }
                }
                set.join_all().await;
            }
            Peer::Group(_, builder) => {
                let run = builder.run(async move |group| {
                    if let Some(next) = next {
                        group.spawn(next);
                    } else {
                        while goes_on() {
                            (0..10).for_each(|_| drop(group.spawn(async {})));
                            again().await;
                        }
                    }
                    Ok::<_, BoxError>(())
                });
                run.await
                    .unwrap_or_else(|error| panic!("a task failed: {error:#}"));
            }
        }
    })
}

/// On one thread, next to a growing chain of nested tasks and groups: the longest time between two
/// turns of a task that yields.
fn beside_a_deep_chain(peer: &Peer) -> Duration {
    const LEVELS: usize = 20_000;
    let level = Arc::new(AtomicUsize::new(0));
    let chain = deeper(peer.clone(), level.clone());
    one_thread().block_on(run(peer, async |tasks| {
        let (report, longest) = oneshot::channel();
        tasks.boxed(Box::pin(async move {
            let mut longest = Duration::ZERO;
            let mut last = Instant::now();
            while level.load(Ordering::Relaxed) < LEVELS {
                again().await;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            level.store(usize::MAX / 2, Ordering::Relaxed);
            let _ = report.send(longest);
        }));
        tasks.boxed(chain);
        longest.await.unwrap_or(LIMIT)
    }))
}

/// Adds one level after the other, until the count is set to a very large number.
fn deeper(
    peer: Peer,
    level: Arc<AtomicUsize>,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    const MOST: usize = 200_000;
    Box::pin(async move {
        if level.fetch_add(1, Ordering::Relaxed) > MOST {
            return;
        }
        let next = deeper(peer.clone(), level);
        match peer {
            Peer::JoinSet => {
                let mut set = JoinSet::new();
                set.spawn(next);
                set.join_all().await;
            }
            Peer::Group(_, builder) => {
                let run = builder.run(async move |group| {
                    group.spawn(next);
                    Ok::<_, BoxError>(())
                });
                run.await
                    .unwrap_or_else(|error| panic!("a task failed: {error:#}"));
            }
        }
    })
}
