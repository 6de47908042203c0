//! How children are driven: the seam between the tree and Tokio.
//!
//! The tree knows two things of a driver: [`submit`] puts a new task where it will be run (and [`resubmit`] one that was woken), and [`Runtime::current`] finds the
//! driver of the runtime that one is in. A driver
//! knows of a task that it can be [`run`](TaskRef::run).
//!
//! Two drivers stand behind it. *Pumps*: per runtime a few Tokio tasks poll children from queues of their own, so a
//! child costs no Tokio task. *Tokio tasks*: each child is driven by a Tokio task of its own.
//!
//! Invariants:
//!
//! - **D1** A task is in at most one queue: it is submitted when it is new, and by whoever set `SCHEDULED` on an idle one.
//! - **D2** No lost wake-up: a pump announces that it is idle, then looks at all queues once more, then sleeps; a submitter puts the task in, then
//!   looks for idle pumps. Both touch the queue by its lock or by a read-modify-write (R4), so whoever comes second sees what the
//!   other did before it.
//! - **D3** A runtime that shuts down drops its pumps; the first to go marks it, and from then on every task that is submitted is
//!   dropped on the submitter's stack instead of polled. So nothing stays alive in a dead runtime.
//!
//! The others stand where they are used: D4 and D5 in [`pump`], D6 in [`queues`], R1 to R5 in [`ring`],
//! Q1 to Q3 in [`rings`].

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id};

use super::bell;
use super::task::{TOKIO, TaskRef};
use super::timer::Timers;
use super::tree::{Dropping, Scope};
#[cfg(loom)]
use crate::sync::CellKey as _;
use crate::sync::{AtomicUsize, Mutex, Ordering, thread_local};

mod pump;
mod queues;
mod ring;
mod rings;

use pump::{Pumping, Turn};
pub(super) use pump::{child_ended, count_ended, expect_ended};
use queues::{Common, OTHERS, Seat};
use ring::Apart;

/// The children of one Tokio runtime and what drives them.
pub(crate) struct Runtime {
    handle: Handle,
    timers: Arc<Timers>,
    /// What was submitted by threads without a seat.
    common: Apart<Common>,
    seats: Box<[Seat]>,
    pumps: usize,
    /// How many pumps sleep; D2.
    idle: Apart<AtomicUsize>,
    /// Which ones, and how they are woken.
    sleeping: Mutex<Vec<(usize, Waker)>>,
    started: std::sync::Once,
    /// Whether the runtime shuts down; D3.
    shut_down: AtomicUsize,
    #[cfg(feature = "testing")]
    explored: std::sync::atomic::AtomicBool,
    /// Those that the model's threads are to poll.
    #[cfg(loom)]
    drives: Mutex<VecDeque<Drive>>,
}

/// All that somebody has asked for and that are alive.
static ALL: std::sync::OnceLock<Mutex<HashMap<Id, Weak<Runtime>>>> = std::sync::OnceLock::new();

thread_local! {
    /// The runtime that was asked for last on this thread.
    static LAST: Cell<Option<(Id, Weak<Runtime>)>> = const { Cell::new(None) };
    /// Tasks of dead runtimes that are being dropped on this stack, one after the other.
    static DEAD: Cell<Option<VecDeque<TaskRef>>> = const { Cell::new(None) };
}

impl Runtime {
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn current() -> Arc<Self> {
        Self::of_turn().unwrap_or_else(|| Self::of(&Handle::current()))
    }

    /// The runtime whose pump polls us, which is no other than Tokio's current one but in a `block_on` inside a child.
    fn of_turn() -> Option<Arc<Self>> {
        Turn::with(|turn| turn.map(|turn| turn.runtime.clone()))
    }

    /// Whether that is the runtime that we are in.
    pub(super) fn is_current(id: Id) -> bool {
        Turn::with(|turn| match turn {
            Some(turn) => turn.runtime.handle.id() == id,
            None => Handle::try_current().is_ok_and(|handle| handle.id() == id),
        })
    }

    pub(crate) fn try_current() -> Option<Arc<Self>> {
        Self::of_turn().or_else(|| Handle::try_current().ok().map(|handle| Self::of(&handle)))
    }

    fn of(handle: &Handle) -> Arc<Self> {
        let id = handle.id();
        let last = LAST.try_with(Cell::take).ok().flatten();
        if let Some((known, runtime)) = last {
            if let (true, Some(found)) = (known == id, runtime.upgrade()) {
                let _ = LAST.try_with(|last| last.set(Some((known, runtime))));
                return found;
            }
        }
        let runtime = Self::look_up(handle, id);
        let _ = LAST.try_with(|last| last.set(Some((id, Arc::downgrade(&runtime)))));
        runtime
    }

    fn look_up(handle: &Handle, id: Id) -> Arc<Self> {
        let mut all = ALL.get_or_init(Mutex::default).lock();
        if let Some(known) = all.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, runtime| runtime.strong_count() > 0);
        let pumps = handle.metrics().num_workers();
        let runtime = Arc::new(Self::new(handle, pumps, rings::DEEPER));
        all.insert(id, Arc::downgrade(&runtime));
        runtime
    }

    /// `deeper`: how many rings each seat has for children further down.
    fn new(handle: &Handle, pumps: usize, deeper: usize) -> Self {
        Self {
            handle: handle.clone(),
            timers: Arc::default(),
            common: Apart::default(),
            seats: (0..pumps + OTHERS).map(|_| Seat::new(deeper)).collect(),
            pumps,
            idle: Apart(AtomicUsize::new(0)),
            sleeping: Mutex::default(),
            started: std::sync::Once::new(),
            shut_down: AtomicUsize::new(0),
            #[cfg(feature = "testing")]
            explored: std::sync::atomic::AtomicBool::new(false),
            #[cfg(loom)]
            drives: Mutex::default(),
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    fn start(self: &Arc<Self>) {
        self.started.call_once(|| {
            for number in 0..self.pumps {
                self.handle.spawn(Pumping::new(self.clone(), number));
            }
        });
    }

    #[cfg(not(loom))]
    fn spawn(&self, drive: Drive) {
        self.handle.spawn(drive);
    }

    /// Whether a pump of another kind polls all tasks, also those that would be Tokio tasks.
    pub(super) fn is_explored(&self) -> bool {
        #[cfg(feature = "testing")]
        return self.explored.load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(feature = "testing"))]
        false
    }

    /// Whether the task is driven by a Tokio task of its own.
    fn has_driver_for(&self, task: &TaskRef) -> bool {
        task.header().has(TOKIO) && !self.is_explored()
    }

    fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::SeqCst) != 0
    }

    /// D3: called by the pumps as they go.
    fn shut_down(self: &Arc<Self>) {
        self.shut_down.store(1, Ordering::SeqCst);
        self.drop_queues();
        abort_below(Scope::root(), self);
    }

    /// D3.
    #[cold]
    #[inline(never)]
    fn drop_queues(&self) {
        let mut all = self.common.take_all();
        for Seat { rings, .. } in &self.seats {
            while !rings.is_empty() {
                all.extend(rings.steal(None).map(|(task, _)| task));
            }
        }
        all.into_iter().for_each(run_dead);
    }
}

/// What a pump of another kind needs, on a runtime with one thread: the same that [`Pumping`] does, but for the order.
#[cfg(feature = "testing")]
impl Runtime {
    /// Has `pump` poll the tasks of this runtime. Nothing has been spawned yet.
    pub(crate) fn take_over(&self, pump: impl Future<Output = ()> + Send + 'static) {
        self.explored
            .store(true, std::sync::atomic::Ordering::Relaxed);
        self.started.call_once(|| drop(self.handle.spawn(pump)));
    }

    /// All that is ready, in the order in which it became so.
    pub(crate) fn take_ready(&self) -> VecDeque<TaskRef> {
        self.common.take_all()
    }

    /// D2: `false` when there is something to do after all.
    pub(crate) fn rest(&self, waker: &Waker) -> bool {
        self.go_idle(0, waker)
    }

    pub(crate) fn rouse(&self) {
        self.not_idle(0);
    }

    /// Wakes the pump if it rests: there is something for it to do that is not in a queue of ours.
    pub(crate) fn nudge(&self) {
        self.wake_one();
    }

    /// D3: the pump goes, and this is what it had taken.
    pub(crate) fn go_down(self: &Arc<Self>, taken: Vec<TaskRef>) {
        taken.into_iter().for_each(|task| self.common.push(task));
        self.shut_down();
    }

    /// The Tokio tasks that are not the engine's.
    pub(crate) fn foreign_tasks(&self) -> usize {
        let own = 1 + usize::from(self.timers.has_sleeper());
        self.handle.metrics().num_alive_tasks().saturating_sub(own)
    }
}

/// For the models: a runtime whose pumps are polled by the model's own threads.
#[cfg(loom)]
impl Runtime {
    pub(super) fn of_model(pumps: usize, deeper: usize) -> Arc<Self> {
        static TOKIO: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
        let tokio = TOKIO.get_or_init(|| {
            let built = tokio::runtime::Builder::new_current_thread().build();
            built.expect("a runtime without I/O and clock")
        });
        let runtime = Self::new(tokio.handle(), pumps, deeper);
        runtime.started.call_once(|| ());
        Arc::new(runtime)
    }

    pub(super) fn pump(
        self: &Arc<Self>,
        number: usize,
    ) -> impl Future<Output = ()> + Unpin + use<> {
        Pumping::new(self.clone(), number)
    }

    fn spawn(&self, drive: Drive) {
        self.drives.lock().push_back(drive);
    }

    /// What is a Tokio task elsewhere: that of the child that was spawned first and has none yet.
    pub(super) fn drive(&self) -> impl Future<Output = ()> + Unpin + use<> {
        let drive = self.drives.lock().pop_front();
        drive.expect("a child on a Tokio task")
    }
}

/// Puts a new task where it will be run.
pub(crate) fn submit(task: TaskRef) {
    with_runtime_of(task, submit_to);
}

/// As [`submit`], for whoever knows the runtime of the task's owner.
pub(crate) fn submit_to(runtime: &Arc<Runtime>, task: TaskRef) {
    if !runtime.has_driver_for(&task) {
        runtime.push_new(task);
    } else {
        submit_to_tokio(runtime, task);
    }
}

#[cold]
#[inline(never)]
fn submit_to_tokio(runtime: &Arc<Runtime>, task: TaskRef) {
    if runtime.is_shut_down() {
        task.header().requeue();
        run_dead(task);
    } else {
        runtime.spawn(Drive::new(task));
    }
}

/// Puts a task that was scheduled while it was idle where it will be run.
pub(super) fn resubmit(task: TaskRef) {
    if task.header().has(TOKIO) {
        resubmit_to_tokio(task);
    } else {
        with_runtime_of(task, Runtime::push);
    }
}

/// As [`resubmit`]: to wake a Tokio task no reference is counted.
pub(super) fn resubmit_by_ref(task: &TaskRef) {
    if !(task.header().has(TOKIO) && wake_drive(task)) {
        resubmit(task.clone());
    }
}

fn resubmit_to_tokio(task: TaskRef) {
    if !wake_drive(&task) {
        with_runtime_of(task, |runtime, task| {
            if runtime.is_explored() {
                runtime.push(task);
            } else if runtime.is_shut_down() {
                run_dead(task);
            } else {
                task.header().wake_drive();
            }
        });
    }
}

/// Wakes the Tokio task that drives this one; `false` when there is none, or maybe none any more: that of a dead runtime has forced the task
/// before it left it.
fn wake_drive(task: &TaskRef) -> bool {
    let header = task.header();
    !header.is_forced() && header.wake_drive()
}

fn with_runtime_of(task: TaskRef, put: impl FnOnce(&Arc<Runtime>, TaskRef)) {
    let home = Arc::as_ptr(task.header().owner.runtime());
    Turn::with(|turn| match turn {
        // Most wake-ups come from children on the same runtime: they need not count a reference to it.
        Some(turn) if std::ptr::eq(Arc::as_ptr(&turn.runtime), home) => {
            put(&turn.runtime, task);
        }
        _ => {
            let runtime = task.header().owner.runtime().clone();
            put(&runtime, task);
        }
    });
}

/// Runs a task of a dead runtime, which drops it, without recursion.
fn run_dead(task: TaskRef) {
    fn drop_now(task: TaskRef) {
        task.header().force();
        // Two may want the same task: its driver that is dropped, and whoever wakes it.
        if !task.header().owner.runtime().has_driver_for(&task) {
            task.run_dead();
        } else if task.header().begin_scheduled() {
            task.drive(false);
        }
    }
    let mut mine = match DEAD.try_with(Cell::take) {
        Ok(Some(mut queue)) => {
            queue.push_back(task);
            DEAD.set(Some(queue));
            return;
        }
        Ok(None) => VecDeque::from([task]),
        Err(_) => return drop_now(task),
    };
    while let Some(task) = mine.pop_front() {
        DEAD.set(Some(VecDeque::new()));
        drop_now(task);
        mine.extend(DEAD.take().into_iter().flatten());
    }
}

/// Drops the idle tasks of a dead runtime wherever they stand in the tree. Those that run are dropped by their own thread.
fn abort_below(root: &Arc<Scope>, runtime: &Arc<Runtime>) {
    let mut queue = VecDeque::from([root.clone()]);
    let mut dead = Vec::new();
    while let Some(scope) = queue.pop_front() {
        let (tasks, scopes) = scope.children();
        queue.extend(scopes);
        for task in tasks {
            queue.extend(task.header().scope().map(|inside| inside.clone()));
            let owner = &task.header().owner;
            if owner
                .runtime_if_set()
                .is_some_and(|own| Arc::ptr_eq(own, runtime))
            {
                dead.push(task);
            }
        }
    }
    for task in dead {
        task.header().force();
        task.cancelled(Dropping::InPlace);
    }
}

/// Drives one child as a Tokio task.
struct Drive {
    /// Until it has ended.
    task: Option<TaskRef>,
    /// We have it `RUNNING`, between two polls as well: it is new, or was woken while it was polled.
    is_running: bool,
}

impl Drive {
    /// A new task is `RUNNING`.
    fn new(task: TaskRef) -> Self {
        Self {
            task: Some(task),
            is_running: true,
        }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = self.task.take() else {
            return Poll::Ready(());
        };
        if self.is_running {
            task.header().turn();
        } else if !task.header().begin_scheduled() {
            if task.header().is_done() {
                return Poll::Ready(());
            }
            self.task = Some(task);
            return Poll::Pending;
        }
        let left = task.drive_as(cx.waker());
        bell::end_turn();
        let Some((task, at_once)) = left else {
            return Poll::Ready(());
        };
        self.task = Some(task);
        self.is_running = at_once;
        if at_once {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else {
            return;
        };
        let header = task.header();
        if header.is_done() {
            return;
        }
        // The runtime goes down with the child alive.
        header.owner.runtime().shut_down.store(1, Ordering::SeqCst);
        header.force();
        // Whoever has it otherwise finds the runtime shut down when they give it up.
        if self.is_running || header.seize() {
            task.drive(false);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // A runtime of Tokio's has one of ours, whoever asks and whatever others there are, and is forgotten when it is gone.
    #[test]
    fn a_runtime_is_known_once() {
        let tokio = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().unwrap()
        };
        let is_known = |id| ALL.get().unwrap().lock().contains_key(&id);
        let (one, two) = (tokio(), tokio());
        let (id, gone) = (one.handle().id(), two.handle().id());
        let first = Runtime::of(one.handle());
        let second = Runtime::of(two.handle());
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        assert_eq!(first.pumps, 1);
        drop((second, two));
        let third = tokio();
        drop(Runtime::of(third.handle()));
        assert!(is_known(id) && !is_known(gone));
    }
}
