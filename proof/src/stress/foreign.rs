//! Foreign code: errors, values, destructors and wakers, well-behaved or not.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use taskgroup::TaskGroup;

use super::bag;
use super::tally::{DELIBERATE, lock};
use super::world::{Thing, World};
use crate::random::Random;

/// A failure with a number.
#[derive(Debug)]
pub(crate) struct StressError {
    id: u64,
    fault: Fault,
}

/// What is wrong with an error.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    /// `Display` panics.
    Panics,
    /// `Display` returns `Err`.
    Fails,
    /// `source` panics.
    Source,
}

impl StressError {
    pub(crate) fn new(id: u64, misbehaves: bool, random: &mut Random) -> Self {
        let fault = match random.below(12) {
            0 if misbehaves => Fault::Panics,
            1 if misbehaves => Fault::Fails,
            2 if misbehaves => Fault::Source,
            _ => Fault::Nothing,
        };
        Self { id, fault }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl fmt::Display for StressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Nothing | Fault::Source => write!(f, "failure {}", self.id),
            Fault::Fails => Err(fmt::Error),
            Fault::Panics => panic("in Display"),
        }
    }
}

impl Error for StressError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.fault {
            Fault::Source => panic("in source"),
            _ => None,
        }
    }
}

/// Panics with a message that marks the panic as deliberate.
pub(crate) fn panic(what: &str) -> ! {
    std::panic::panic_any(format!("{DELIBERATE}{what}"))
}

/// Runs code whose panics are known to be deliberate.
pub(crate) fn guarded(work: impl FnOnce()) {
    // Its payload may panic as well when it is dropped.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
}

/// The value of a child: things of other groups, and perhaps a destructor.
#[derive(Default)]
pub(crate) struct Value {
    _cargo: Option<Box<Thing>>,
    _mischief: Option<Mischief>,
}

impl Value {
    pub(crate) fn new(cargo: Option<Thing>, mischief: Option<Mischief>) -> Self {
        Self {
            _cargo: cargo.map(Box::new),
            _mischief: mischief,
        }
    }
}

thread_local! {
    /// How many misbehaving destructors and wakers are on the stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work`, unless misbehaviour is nested so deeply that it would overflow the program's own
/// stack.
fn nested(work: impl FnOnce()) {
    struct Up;
    impl Drop for Up {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
    }
    let deep = DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        depth.get()
    });
    let up = Up;
    if deep <= 4 {
        work();
    }
    drop(up);
}

/// A value whose destructor calls the library.
pub(crate) struct Mischief {
    world: Arc<World>,
    random: Random,
    group: Option<TaskGroup>,
    waker: Option<Waker>,
}

impl Mischief {
    pub(crate) fn new(world: &Arc<World>, random: &mut Random, group: Option<TaskGroup>) -> Self {
        Self {
            world: world.clone(),
            random: Random::new(random.draw()),
            group,
            waker: None,
        }
    }

    /// Wakes this one when it is dropped.
    pub(crate) fn waking(mut self, waker: &Waker) -> Self {
        self.waker = Some(waker.clone());
        self
    }
}

impl Drop for Mischief {
    fn drop(&mut self) {
        let Self {
            world,
            random,
            group,
            waker,
        } = self;
        nested(|| match random.below(6) {
            0 => {
                // A second panic would end the process.
                if world.mode.misbehaves() && !std::thread::panicking() {
                    panic("in a destructor");
                }
            }
            1 => {
                if let Some(group) = group {
                    group.cancel();
                }
            }
            2 => {
                if let Some(waker) = waker {
                    waker.wake_by_ref();
                }
            }
            3 => drop(world.take(random)),
            _ => bag::exchange(world, random),
        });
    }
}

/// A waker that does something else before it wakes and when it is dropped.
pub(crate) struct Noisy {
    world: Arc<World>,
    random: Mutex<Random>,
    inner: Waker,
}

impl Noisy {
    pub(crate) fn waker(world: &Arc<World>, random: &mut Random, inner: &Waker) -> Waker {
        Waker::from(Arc::new(Self {
            world: world.clone(),
            random: Mutex::new(Random::new(random.draw())),
            inner: inner.clone(),
        }))
    }

    fn make_noise(&self) {
        let mut random = {
            let mut random = lock(&self.random);
            Random::new(random.draw())
        };
        // Tokio's own locks may not survive a panic of a waker, so no panic leaves this one.
        guarded(|| nested(|| bag::exchange(&self.world, &mut random)));
    }
}

impl Wake for Noisy {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.make_noise();
        self.inner.wake_by_ref();
    }
}

impl Drop for Noisy {
    fn drop(&mut self) {
        // Only looks at things. Tokio drops the waker of a timer under the lock of its timers, and
        // dropping a future here may need that lock.
        self.world.look(&mut lock(&self.random));
    }
}
