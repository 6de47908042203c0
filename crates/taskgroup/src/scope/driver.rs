//! How children are driven: the seam between the tree and Tokio.
//!
//! The tree knows two things of a driver: [`submit`] puts a scheduled task where it will be run, and [`Runtime::current`] finds the
//! driver of the runtime that one is in. A driver
//! knows of a task that it can be [`run`](TaskRef::run).
//!
//! Two drivers stand behind it. *Pumps*: per runtime a few Tokio tasks poll children from queues of their own, so a
//! child costs no Tokio task. *Tokio tasks*: each child is driven by a Tokio task of its own.
//!
//! Invariants:
//!
//! - **D1** A task is in at most one queue: it is submitted only by whoever set `SCHEDULED` on an idle task.
//! - **D2** No lost wake-up: a pump announces that it is idle, then looks at all queues once more under their locks, then sleeps; a
//!   submitter puts the task in under the queue's lock, then looks for idle pumps. Whichever of the two has that lock second
//!   sees what the other did before it.
//! - **D4** `PUMP` is null, or points to the turn of the innermost pump that is being polled on this thread: it is set by an
//!   [`OnPump`] that borrows the turn and resets it when it is dropped, also when the poll unwinds.
//! - **D5** Tokens of ended children wait in the turn only while children of the same group run (the group is not quiet then anyway).
//! - **D3** A runtime that shuts down drops its pumps; the first to go marks it, and from then on every task that is submitted is
//!   dropped on the submitter's stack instead of polled. So nothing stays alive in a dead runtime.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::task::{TOKIO, TaskRef};
use super::timer::Timers;
use super::tree::{self, Dropping, Scope};
use crate::observe::clock::{self, Stamp};
#[cfg(loom)]
use crate::sync::CellKey as _;
use crate::sync::{AtomicUsize, Mutex, Ordering, thread_local};

/// How many children a pump polls before other Tokio tasks get their turn.
const QUOTA: usize = 16;
/// Every so many turns a pump goes behind the runtime's timers and I/O too.
const YIELD: u32 = 4;
/// How many tasks a pump takes at once from the common queue or from another pump.
const BATCH: usize = 32;

/// The children of one Tokio runtime and what drives them.
pub(crate) struct Runtime {
    handle: Handle,
    timers: Timers,
    common: Mutex<VecDeque<TaskRef>>,
    pumps: Box<[Pump]>,
    /// Pumps that sleep; D2.
    idle: AtomicUsize,
    sleeping: Mutex<Vec<usize>>,
    started: std::sync::Once,
    /// Whether the runtime shuts down; D3.
    shut_down: AtomicUsize,
    #[cfg(feature = "testing")]
    explored: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct Pump {
    queue: Mutex<VecDeque<TaskRef>>,
    waker: Mutex<Option<Waker>>,
}

thread_local! {
    /// The pump that this thread polls right now (D4).
    static PUMP: Cell<*const Turn> = const { Cell::new(std::ptr::null()) };
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
        static ALL: OnceLock<Mutex<HashMap<Id, Weak<Runtime>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock();
        if let Some(known) = all.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, runtime| runtime.strong_count() > 0);
        let pumps = match handle.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 1,
            _ => handle.metrics().num_workers(),
        };
        let runtime = Arc::new(Self {
            handle: handle.clone(),
            timers: Timers::default(),
            common: Mutex::default(),
            pumps: (0..pumps).map(|_| Pump::default()).collect(),
            idle: AtomicUsize::new(0),
            sleeping: Mutex::default(),
            started: std::sync::Once::new(),
            shut_down: AtomicUsize::new(0),
            #[cfg(feature = "testing")]
            explored: std::sync::atomic::AtomicBool::new(false),
        });
        all.insert(id, Arc::downgrade(&runtime));
        runtime
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    fn start(self: &Arc<Self>) {
        self.started.call_once(|| {
            for number in 0..self.pumps.len() {
                self.handle.spawn(Pumping {
                    runtime: self.clone(),
                    number,
                    turns: 0,
                    stamp: 0,
                });
            }
        });
    }

    fn push(self: &Arc<Self>, task: TaskRef) {
        let here = Turn::with(|turn| {
            turn.filter(|turn| Arc::ptr_eq(&turn.runtime, self))
                .map(|turn| turn.number)
        });
        match here {
            Some(number) => self.pumps[number].queue.lock().push_back(task),
            None => {
                self.start();
                self.common.lock().push_back(task);
            }
        }
        // D2: the task is in; now look for somebody to run it.
        if self.idle.load(Ordering::Relaxed) > 0 {
            self.wake_one();
        }
        if self.is_shut_down() {
            self.drop_queues();
        }
    }

    fn wake_one(&self) {
        let Some(number) = self.sleeping.lock().pop() else {
            return;
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        let waker = self.pumps[number].waker.lock().take();
        if let Some(waker) = waker {
            tree::wake(waker);
        }
    }

    /// The next task for a pump: its own, the common ones, those of another pump.
    fn next(&self, number: usize, look_at_common: bool) -> Option<TaskRef> {
        let mut own = self.pumps[number].queue.lock();
        if look_at_common || own.is_empty() {
            // Behind what is there: what was submitted in order runs in order, and nothing starves.
            self.take_common(&mut own);
        }
        let next = own.pop_front();
        drop(own);
        next.or_else(|| self.steal(number))
    }

    /// Moves a fair share of the common tasks behind a pump's own, and leaves the others something too. The locks are taken in
    /// this order everywhere: a pump's own queue, then the common one.
    fn take_common(&self, own: &mut VecDeque<TaskRef>) {
        let mut common = self.common.lock();
        let share = common.len().div_ceil(self.pumps.len()).min(BATCH);
        own.extend(common.drain(..share));
    }

    fn steal(&self, number: usize) -> Option<TaskRef> {
        let others = self.pumps.len();
        for victim in (1..others).map(|step| (number + step) % others) {
            let mut stolen: VecDeque<TaskRef> = {
                let mut queue = self.pumps[victim].queue.lock();
                let half = queue.len().div_ceil(2).min(BATCH);
                queue.drain(..half).collect()
            };
            if let Some(first) = stolen.pop_front() {
                if !stolen.is_empty() {
                    self.pumps[number].queue.lock().extend(stolen);
                }
                return Some(first);
            }
        }
        None
    }

    fn has_work(&self) -> bool {
        !self.common.lock().is_empty()
            || self.pumps.iter().any(|pump| !pump.queue.lock().is_empty())
    }

    /// D2: `false` when there is something to do after all.
    fn go_idle(&self, number: usize, waker: &Waker) -> bool {
        *self.pumps[number].waker.lock() = Some(waker.clone());
        {
            let mut sleeping = self.sleeping.lock();
            if !sleeping.contains(&number) {
                sleeping.push(number);
                self.idle.fetch_add(1, Ordering::SeqCst);
            }
        }
        if !self.has_work() {
            return true;
        }
        self.not_idle(number);
        false
    }

    fn not_idle(&self, number: usize) {
        let mut sleeping = self.sleeping.lock();
        if let Some(at) = sleeping.iter().position(|&other| other == number) {
            sleeping.swap_remove(at);
            self.idle.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether a pump of another kind polls all tasks, also those that would be Tokio tasks.
    fn is_explored(&self) -> bool {
        #[cfg(feature = "testing")]
        return self.explored.load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(feature = "testing"))]
        false
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
    fn drop_queues(&self) {
        let mut all = std::mem::take(&mut *self.common.lock());
        for pump in &self.pumps {
            all.append(&mut pump.queue.lock());
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
        std::mem::take(&mut *self.common.lock())
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
        self.common.lock().extend(taken);
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
    pub(super) fn of_model(pumps: usize) -> Arc<Self> {
        static TOKIO: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
        let tokio = TOKIO.get_or_init(|| {
            let built = tokio::runtime::Builder::new_current_thread().build();
            built.expect("a runtime without I/O and clock")
        });
        let started = std::sync::Once::new();
        started.call_once(|| ());
        Arc::new(Self {
            handle: tokio.handle().clone(),
            timers: Timers::default(),
            common: Mutex::default(),
            pumps: (0..pumps).map(|_| Pump::default()).collect(),
            idle: AtomicUsize::new(0),
            sleeping: Mutex::default(),
            started,
            shut_down: AtomicUsize::new(0),
        })
    }

    pub(super) fn pump(
        self: &Arc<Self>,
        number: usize,
    ) -> impl Future<Output = ()> + Unpin + use<> {
        Pumping {
            runtime: self.clone(),
            number,
            turns: 0,
            stamp: 0,
        }
    }
}

/// Puts a scheduled task where it will be run.
pub(crate) fn submit(task: TaskRef) {
    let home = Arc::as_ptr(task.header().owner.runtime());
    Turn::with(|turn| match turn {
        // Most wake-ups come from children on the same runtime: they need not count a reference to it.
        Some(turn) if std::ptr::eq(Arc::as_ptr(&turn.runtime), home) => {
            submit_to(&turn.runtime, task);
        }
        _ => {
            let runtime = task.header().owner.runtime().clone();
            submit_to(&runtime, task);
        }
    });
}

/// As [`submit`], for whoever knows the runtime of the task's owner.
pub(crate) fn submit_to(runtime: &Arc<Runtime>, task: TaskRef) {
    if !task.header().has(TOKIO) || runtime.is_explored() {
        runtime.push(task);
    } else if runtime.is_shut_down() {
        run_dead(task);
    } else if task.header().first_drive() {
        runtime.handle().spawn(Drive(task));
    } else {
        task.header().wake_drive();
    }
}

/// Runs a task of a dead runtime, which drops it, without recursion.
fn run_dead(task: TaskRef) {
    fn drop_now(task: TaskRef) {
        // Two may get here with the same task: its driver that is dropped, and whoever wakes it.
        if task.header().begin() {
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

/// One pump: a Tokio task that polls children.
struct Pumping {
    runtime: Arc<Runtime>,
    number: usize,
    turns: u32,
    /// The time, taken now and then; 0 after a sleep.
    stamp: Stamp,
}

/// One poll of a pump.
struct Turn {
    runtime: Arc<Runtime>,
    number: usize,
    /// Children of this group have ended in this turn, so many; their tokens go back together.
    group: Cell<Option<Arc<Scope>>>,
    /// The same group, or null.
    of: Cell<*const Scope>,
    ended: Cell<usize>,
}

impl Turn {
    /// Shows the turn that this thread is in.
    #[allow(unsafe_code)]
    fn with<R>(look: impl FnOnce(Option<&Turn>) -> R) -> R {
        let turn = PUMP.try_with(Cell::get).unwrap_or(std::ptr::null());
        // SAFETY: D4: a pointer in PUMP is to a turn further up this thread's stack.
        look(unsafe { turn.as_ref() })
    }

    /// Gives back the tokens of ended children. Before anything of another group runs: whatever that takes, this group must
    /// not wait for it.
    fn settle(&self) {
        self.of.set(std::ptr::null());
        if let Some(group) = self.group.take() {
            group.leave_many(self.ended.take());
        }
    }

    fn settle_others(&self, owner: &Arc<Scope>) {
        if !std::ptr::eq(self.of.get(), Arc::as_ptr(owner)) {
            self.settle();
        }
    }

    fn child_ended(&self, group: &Arc<Scope>) {
        if !std::ptr::eq(self.of.get(), Arc::as_ptr(group)) {
            self.settle();
            self.of.set(Arc::as_ptr(group));
            self.group.set(Some(group.clone()));
        }
        self.ended.set(self.ended.get() + 1);
    }
}

/// A child of `group` has ended. Its token may go back a little later, together with those of its siblings.
#[inline]
pub(super) fn child_ended(group: &Arc<Scope>) {
    Turn::with(|turn| match turn {
        Some(turn) => turn.child_ended(group),
        None => group.leave(),
    });
}

/// Makes a turn known to this thread until it is dropped (D4).
struct OnPump<'a> {
    turn: &'a Turn,
    before: *const Turn,
}

impl<'a> OnPump<'a> {
    fn enter(turn: &'a Turn, stamp: Stamp) -> Self {
        clock::set_turn(stamp);
        Self {
            turn,
            before: PUMP.replace(turn),
        }
    }
}

impl Drop for OnPump<'_> {
    fn drop(&mut self) {
        self.turn.settle();
        PUMP.set(self.before);
        clock::set_turn(0);
    }
}

impl Future for Pumping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = Turn {
            runtime: self.runtime.clone(),
            number: self.number,
            group: Cell::new(None),
            of: Cell::new(std::ptr::null()),
            ended: Cell::new(0),
        };
        let (runtime, number) = (&turn.runtime, turn.number);
        self.turns = self.turns.wrapping_add(1);
        if self.stamp == 0 || self.turns % YIELD == 0 {
            self.stamp = clock::take();
        }
        let on_pump = OnPump::enter(&turn, self.stamp);
        runtime.not_idle(number);
        let mut look_at_common = self.turns % YIELD == 0;
        for _ in 0..QUOTA {
            let task = loop {
                if let Some(task) = runtime.next(number, look_at_common) {
                    break task;
                }
                turn.settle();
                if runtime.go_idle(number, cx.waker()) {
                    self.stamp = 0;
                    return Poll::Pending;
                }
            };
            look_at_common = false;
            turn.settle_others(&task.header().owner);
            task.run();
            if !tokio::task::coop::has_budget_remaining() {
                break;
            }
        }
        drop(on_pump);
        if self.turns % YIELD == 0 {
            // To the very back: timers and I/O are looked at before this pump runs again.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        } else {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Pumping {
    /// A pump never ends by itself: the runtime goes down.
    fn drop(&mut self) {
        self.runtime.shut_down();
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
            queue.extend(task.header().scope().cloned());
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
struct Drive(TaskRef);

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let header = self.0.header();
        if header.begin() {
            self.0.clone().drive(true);
        }
        if header.is_done() {
            return Poll::Ready(());
        }
        // Most children end at once or wake themselves: the waker is kept for the others only.
        if header.is_claimable() || header.set_drive_waker(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if !self.0.header().is_done() {
            // The runtime goes down with the child alive.
            let header = self.0.header();
            header.owner.runtime().shut_down.store(1, Ordering::SeqCst);
            header.force();
            if header.begin() {
                self.0.clone().drive(false);
            } else {
                self.0.clone().cancelled(Dropping::InPlace);
            }
        }
    }
}
