//! What the threads of a round share: runtimes, and a bag of things that move between them.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskgroup::{Canceller, TaskGroup, TaskHandle};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::foreign::Value;
use super::held::Opened;
use super::mode::{Mode, Without};
use super::record::Record;
use super::tally::{TALLY, count, lock};
use crate::oracle::Error;
use crate::random::Random;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that one task, thread or runtime can give to another.
pub(crate) enum Thing {
    Group(TaskGroup, Arc<Record>),
    Handle(TaskHandle<Value>),
    /// A group that has been polled once. The lock makes a value that contains it `Sync`.
    Parked(Mutex<Boxed<()>>),
    Value(Value),
    Open(Arc<Opened>),
    Canceller(Canceller),
    Token(CancellationToken),
}

impl Thing {
    pub(crate) fn parked(future: Boxed<()>) -> Self {
        Self::Parked(Mutex::new(future))
    }
}

/// The most things in the bag. Further ones are dropped.
const BAG: usize = 48;

pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) without: Without,
    pub(crate) slots: Vec<Slot>,
    /// Current-thread runtimes with their own groups. They run only while a task lends them its
    /// thread.
    inner: Vec<Mutex<Option<Runtime>>>,
    bag: Mutex<Vec<Thing>>,
    /// Operations that are left.
    budget: AtomicI64,
    /// Whether cleanups may be dropped, because a runtime is shut down or groups have a grace.
    pub(crate) excused: Arc<AtomicBool>,
    pub(crate) with_grace: bool,
}

impl World {
    pub(super) fn new(options: &Options, random: &mut Random) -> Result<Self, Error> {
        let mode = options.mode;
        let with_grace = !matches!(mode, Mode::B1 | Mode::A1 | Mode::A2) && random.one_in(5);
        let slots = match mode {
            Mode::A2 => vec![Slot::multi(4)?, Slot::multi(2)?],
            _ => vec![Slot::multi(2)?, Slot::current()?, slot(random)?],
        };
        let inner = (0..3)
            .map(|_| {
                Ok(Mutex::new(Some(
                    Builder::new_current_thread().enable_all().build()?,
                )))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            mode,
            without: options.without.clone(),
            slots,
            inner,
            bag: Mutex::default(),
            budget: AtomicI64::new(options.operations),
            excused: Arc::new(AtomicBool::new(with_grace)),
            with_grace,
        })
    }

    /// Takes one operation from the budget. Returns false if it is used up.
    pub(crate) fn operation(&self) -> bool {
        count(&TALLY.operations);
        self.budget.fetch_sub(1, Ordering::Relaxed) > 0
    }

    pub(crate) fn put(&self, thing: Thing) {
        let rest = {
            let mut bag = lock(&self.bag);
            if bag.len() < BAG {
                bag.push(thing);
                return;
            }
            thing
        };
        // The lock is not held here.
        drop(rest);
    }

    pub(crate) fn take(&self, random: &mut Random) -> Option<Thing> {
        let mut bag = lock(&self.bag);
        if bag.is_empty() {
            return None;
        }
        let index = random.below(bag.len() as u64);
        Some(bag.swap_remove(usize::try_from(index).unwrap_or(0)))
    }

    /// Asks a thing in the bag something that calls no foreign code, and leaves it there.
    pub(crate) fn look(&self, random: &mut Random) {
        let bag = lock(&self.bag);
        let index = random.below(bag.len().max(1) as u64);
        match usize::try_from(index).ok().and_then(|index| bag.get(index)) {
            Some(Thing::Group(group, _)) => {
                let _ = (group.live(), group.is_cancelled(), group.info());
            }
            Some(Thing::Handle(handle)) => {
                let _ = (handle.is_finished(), handle.info());
            }
            Some(Thing::Canceller(canceller)) => {
                let _ = (canceller.is_cancelled(), canceller.clone());
            }
            Some(Thing::Parked(_) | Thing::Value(_) | Thing::Open(_) | Thing::Token(_)) | None => {}
        }
    }

    /// Everything in the bag.
    pub(crate) fn empty(&self) -> Vec<Thing> {
        std::mem::take(&mut *lock(&self.bag))
    }

    /// Lends the thread to one of the inner runtimes.
    pub(crate) fn with_inner(&self, random: &mut Random, work: impl FnOnce(&Runtime)) {
        let index = random.below(self.inner.len() as u64);
        let inner = usize::try_from(index)
            .ok()
            .and_then(|index| self.inner.get(index));
        if let Some(Ok(runtime)) = inner.map(Mutex::try_lock) {
            if let Some(runtime) = &*runtime {
                work(runtime);
            }
        }
    }

    /// Takes the inner runtimes out, with everything that runs there.
    pub(crate) fn inner_runtimes(&self) -> Vec<Runtime> {
        self.inner
            .iter()
            .filter_map(|inner| lock(inner).take())
            .collect()
    }

    pub(crate) fn slot(&self, random: &mut Random) -> &Slot {
        let index = random.below(self.slots.len() as u64);
        &self.slots[usize::try_from(index).unwrap_or(0)]
    }
}

fn slot(random: &mut Random) -> Result<Slot, Error> {
    if random.one_in(2) {
        Slot::multi(1 + usize::try_from(random.below(2))?)
    } else {
        Slot::current()
    }
}

/// A runtime that may be shut down in the middle of a round.
pub(crate) struct Slot {
    pub(crate) handle: Handle,
    owner: Mutex<Option<Owner>>,
}

enum Owner {
    Multi(Runtime),
    /// A thread that drives a current-thread runtime until it is stopped.
    Current(oneshot::Sender<()>, std::thread::JoinHandle<()>),
}

/// How a runtime is shut down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Down {
    Drop,
    Background,
    Timeout,
}

impl Slot {
    fn multi(workers: usize) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            owner: Mutex::new(Some(Owner::Multi(runtime))),
        })
    }

    fn current() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let driving = std::thread::Builder::new().name("driver".to_owned());
        let thread = driving.spawn(move || {
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self {
            handle,
            owner: Mutex::new(Some(Owner::Current(stop, thread))),
        })
    }

    /// Shuts the runtime down, if it runs. Before the end of a round, this excuses cleanups that do
    /// not run.
    pub(crate) fn shut_down(&self, how: Down, excused: Option<&AtomicBool>) {
        let owner = lock(&self.owner).take();
        let Some(owner) = owner else { return };
        if let Some(excused) = excused {
            excused.store(true, Ordering::SeqCst);
            count(&TALLY.runtimes_down);
        }
        match owner {
            Owner::Multi(runtime) => match how {
                Down::Drop => drop(runtime),
                Down::Background => runtime.shutdown_background(),
                Down::Timeout => runtime.shutdown_timeout(Duration::from_millis(200)),
            },
            Owner::Current(stop, thread) => {
                let _ = stop.send(());
                if !matches!(how, Down::Background) && thread.join().is_err() {
                    TALLY.violation("the shutdown of a runtime panicked");
                }
            }
        }
    }
}
