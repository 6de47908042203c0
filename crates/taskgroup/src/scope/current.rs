//! The ambient scope: what the code that is being polled on this thread belongs to.

use std::cell::{Cell, OnceCell};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::polling::{self, Before, Begun};
use super::task::TaskRef;
use super::tree::{self, Kind, Scope};
use crate::sync::thread_local;

/// The innermost task or scope whose code is being polled. A task stands for the scope inside it, which most never need.
///
/// **CU1** What is pointed at is borrowed by the [`Entered`] that put it there, for as long as it
/// stands there. An `Entered` is a local variable of the engine, which no user gets hold of. So
/// those of a thread end in the reverse order of their beginning, and what an outer one borrows is
/// alive while an inner one stands. A pointer is read on its own thread only: at once, or by an
/// [`Unopened`] on the same stack. Nothing keeps it for later. (Code that suspends a stack in the
/// middle of a poll and drops a stack around it breaks this order, here as for each scoped
/// thread-local.)
#[derive(Clone, Copy, Default)]
enum Ambient {
    #[default]
    Outside,
    Task(*const TaskRef),
    Scope(*const Arc<Scope>),
    Unopened(*const Unopened),
}

/// A scope that is opened when somebody asks for it. Most sections are over after their first poll and nobody has asked.
pub(crate) struct Unopened {
    /// What was ambient before: the parent, once it is needed. Its frame is further up the same
    /// stack (CU1).
    around: Here,
    kind: Lazy,
    location: &'static Location<'static>,
    scope: OnceCell<Arc<Scope>>,
}

/// The kinds of scopes that are opened when they are needed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lazy {
    Shield,
    Section,
    /// Foreign code that is not a poll (G4).
    Call,
    /// At an instant, or else so long after the opening.
    Deadline(Option<Instant>, Option<Duration>),
}

impl Lazy {
    fn kind(self) -> Kind {
        match self {
            Self::Shield => Kind::Shield,
            Self::Section => Kind::Section,
            Self::Call => Kind::Call,
            Self::Deadline(at, after) => Kind::deadline(at, after),
        }
    }
}

impl Lazy {
    fn keeps_cancel_out(self) -> bool {
        matches!(self, Self::Shield | Self::Call)
    }
}

impl Unopened {
    pub(crate) fn new(kind: Lazy, location: &'static Location<'static>) -> Self {
        Self {
            around: Here::now(),
            kind,
            location,
            scope: OnceCell::new(),
        }
    }

    /// The scope, opened below what was ambient when `self` was made. Only called while that still is on the stack.
    pub(crate) fn open(&self) -> &Arc<Scope> {
        let open_below = |parent| Scope::open(self.kind.kind(), parent, self.location);
        self.scope.get_or_init(|| {
            let around = self.around.ambient.scope();
            if !matches!(self.kind, Lazy::Call) {
                return open_below(around);
            }
            // The end of a task calls foreign code as well, when the scope inside the task has
            // closed. Then the next one further out waits for what the code leaves behind.
            let Some(home) = tree::outward(&around).find(|home| home.enter_child().is_ok()) else {
                unreachable!("the process root never closes")
            };
            let scope = open_below(home.clone());
            home.leave();
            scope
        })
    }

    /// The scope if anybody asked.
    pub(crate) fn into_scope(self) -> Option<Arc<Scope>> {
        self.scope.into_inner()
    }
}

/// What an ambient pointer shows.
enum Inside<'a> {
    Nothing,
    Task(&'a TaskRef),
    Scope(&'a Arc<Scope>),
    Unopened(&'a Unopened),
}

impl Ambient {
    #[allow(unsafe_code)]
    fn look(&self) -> Inside<'_> {
        match *self {
            Self::Outside => Inside::Nothing,
            // SAFETY: CU1: what stood in `AMBIENT` is alive further up on this stack.
            Self::Task(task) => Inside::Task(unsafe { &*task }),
            // SAFETY: CU1: as above.
            Self::Scope(scope) => Inside::Scope(unsafe { &*scope }),
            // SAFETY: CU1: as above.
            Self::Unopened(unopened) => Inside::Unopened(unsafe { &*unopened }),
        }
    }

    fn scope(&self) -> Arc<Scope> {
        match self.look() {
            Inside::Nothing => Scope::root().clone(),
            Inside::Task(task) => task.inside_running(),
            Inside::Scope(scope) => scope.clone(),
            Inside::Unopened(unopened) => unopened.open().clone(),
        }
    }

    fn is(&self, scope: &Arc<Scope>) -> bool {
        match self.look() {
            Inside::Nothing => Arc::ptr_eq(scope, Scope::root()),
            Inside::Task(task) => task
                .header()
                .scope()
                .is_some_and(|inside| Arc::ptr_eq(&inside, scope)),
            Inside::Scope(current) => Arc::ptr_eq(current, scope),
            Inside::Unopened(unopened) => unopened
                .scope
                .get()
                .is_some_and(|opened| Arc::ptr_eq(opened, scope)),
        }
    }

    fn is_cancelled(&self) -> bool {
        match self.look() {
            Inside::Nothing => false,
            Inside::Task(task) => task.header().sees_cancel(),
            Inside::Scope(scope) => scope.is_cancelled(),
            // A call cannot be cut off, but it sees why it is made.
            Inside::Unopened(unopened) if matches!(unopened.kind, Lazy::Call) => {
                unopened.around.ambient.is_cancelled()
            }
            Inside::Unopened(unopened) => match unopened.scope.get() {
                Some(scope) => scope.is_cancelled(),
                None => !unopened.kind.keeps_cancel_out() && unopened.around.ambient.is_cancelled(),
            },
        }
    }

    fn task(&self) -> Option<TaskRef> {
        match self.look() {
            Inside::Nothing => None,
            Inside::Task(task) => Some(task.clone()),
            Inside::Scope(scope) => tree::task_around(scope),
            Inside::Unopened(unopened) => unopened.around.ambient.task(),
        }
    }
}

thread_local! {
    static AMBIENT: Cell<Here> = const { Cell::new(Here { ambient: Ambient::Outside, task: None }) };
}

/// **CU2** What is ambient belongs to the Tokio task that was polled when it was entered. A task of
/// another runtime that is polled on the same stack, inside `block_in_place` for example, is
/// another Tokio task, and so stands outside (S45). What a `block_on` polls there by itself is the
/// code of the task around it, and cannot be told from code that has only entered a runtime. See
/// decision 0017.
#[derive(Clone, Copy, Default)]
struct Here {
    ambient: Ambient,
    task: Option<tokio::task::Id>,
}

/// Restores the previous ambient scope when it is dropped, also when a poll unwinds. It borrows
/// what it made ambient (CU1), and is never leaked.
pub(crate) struct Entered<'a> {
    previous: Option<Here>,
    /// It was published (P1), and what stood there before.
    published: Option<Before>,
    borrowed: PhantomData<&'a Arc<Scope>>,
}

fn enter<'a>(here: Here) -> Entered<'a> {
    Entered {
        // While a thread ends its locals may be gone; a future dropped there just runs without an ambient scope.
        previous: AMBIENT.try_with(|cell| cell.replace(here)).ok(),
        published: if polling::is_on() {
            publish(here.ambient)
        } else {
            None
        },
        borrowed: PhantomData,
    }
}

#[cold]
#[allow(unsafe_code)]
fn publish(ambient: Ambient) -> Option<Before> {
    let begun = match ambient {
        // What is not open stands for what is around it.
        Ambient::Outside | Ambient::Unopened(_) => return None,
        Ambient::Task(task) => Begun::Task(task),
        Ambient::Scope(scope) => Begun::Scope(scope),
    };
    // SAFETY: CU1, P1: it is borrowed until the drop of `Entered`, which calls `leave`.
    unsafe { polling::enter(begun) }
}

pub(super) fn enter_task(task: &TaskRef) -> Entered<'_> {
    enter(Here::inside(Ambient::Task(task)))
}

pub(crate) fn enter_unopened(unopened: &Unopened) -> Entered<'_> {
    // It was made in the same poll, so by the same Tokio task.
    enter(Here {
        ambient: Ambient::Unopened(unopened),
        task: unopened.around.task,
    })
}

pub(crate) fn enter_scope(scope: &Arc<Scope>) -> Entered<'_> {
    enter(Here::inside(Ambient::Scope(scope)))
}

/// On the thread of a blocking closure. No watcher is told: to block is what that thread is for.
pub(crate) fn enter_blocking(scope: &Arc<Scope>) -> Entered<'_> {
    let here = Here::inside(Ambient::Scope(scope));
    Entered {
        previous: AMBIENT.try_with(|cell| cell.replace(here)).ok(),
        published: None,
        borrowed: PhantomData,
    }
}

/// Has the engine call foreign code that is not a poll, for the ambient scope: as the code of a
/// scope of its own (G4). No guard rule can drop such code, so what it opens and waits for (in a
/// `block_on`) must be able to end, cancelled or not. What it leaves behind is waited for by what
/// is ambient. The scope is opened only if the code asks for it. `call` does not unwind.
#[inline]
pub(super) fn apart<R>(call: impl FnOnce() -> R) -> R {
    let around = Here::now();
    let location = match around.ambient.look() {
        // Out here nothing is ever cancelled.
        Inside::Nothing => return call(),
        Inside::Task(task) => task.header().mark.location(),
        Inside::Scope(scope) => scope.location,
        Inside::Unopened(unopened) => unopened.location,
    };
    let unopened = Unopened {
        around,
        kind: Lazy::Call,
        location,
        scope: OnceCell::new(),
    };
    let called = {
        // What is not open is not published (P1), and it was looked up just now: so this is less
        // than `enter_unopened`.
        let here = Here {
            ambient: Ambient::Unopened(&unopened),
            task: around.task,
        };
        AMBIENT.with(|cell| cell.set(here));
        let _ambient = Entered {
            previous: Some(around),
            published: None,
            borrowed: PhantomData,
        };
        call()
    };
    if let Some(scope) = unopened.into_scope() {
        scope.orphan();
    }
    called
}

/// Until the result is dropped nothing is ambient: for foreign code that has nothing to do with
/// what is (G4).
#[inline]
pub(super) fn aside() -> Option<Entered<'static>> {
    match AMBIENT.try_with(Cell::get).unwrap_or_default().ambient {
        Ambient::Outside => None,
        _ => Some(enter(Here::default())),
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.published {
            polling::leave(before);
        }
        if let Some(previous) = self.previous {
            let _ = AMBIENT.try_with(|cell| cell.set(previous));
        }
    }
}

impl Here {
    /// `ambient`, for the Tokio task that is being polled.
    #[inline]
    fn inside(ambient: Ambient) -> Self {
        Self {
            ambient,
            task: tokio::task::try_id(),
        }
    }

    /// What is ambient for the code that is being polled.
    fn now() -> Self {
        let entered = AMBIENT.try_with(Cell::get).unwrap_or_default();
        let now = Self::inside(Ambient::Outside);
        if entered.task == now.task {
            entered
        } else {
            // CU2
            now
        }
    }
}

fn ambient() -> Ambient {
    Here::now().ambient
}

/// The current scope: the process root outside everything.
pub(crate) fn scope() -> Arc<Scope> {
    ambient().scope()
}

/// Whether `scope` is the innermost scope that polls right now.
pub(crate) fn is(scope: &Arc<Scope>) -> bool {
    ambient().is(scope)
}

/// Whether what polls right now is `scope` or, in the same task, something inside it.
pub(crate) fn is_within(scope: &Arc<Scope>) -> bool {
    let mut ambient = ambient();
    loop {
        if ambient.is(scope) {
            return true;
        }
        let opened = match ambient.look() {
            Inside::Nothing | Inside::Task(_) => return false,
            Inside::Scope(current) => current,
            Inside::Unopened(unopened) => match unopened.scope.get() {
                Some(opened) => opened,
                None => {
                    ambient = unopened.around.ambient;
                    continue;
                }
            },
        };
        let mut homes = tree::outward(opened);
        let root = homes.find(|inner| inner.is_task_root() || Arc::ptr_eq(inner, scope));
        return root.is_some_and(|found| Arc::ptr_eq(found, scope));
    }
}

/// Whether the current scope is cancelled.
pub(crate) fn is_cancelled() -> bool {
    ambient().is_cancelled()
}

/// The current scope for those who only look: the nearest one that is open.
pub(crate) fn nearest() -> Arc<Scope> {
    let mut ambient = ambient();
    loop {
        return match ambient.look() {
            Inside::Nothing => Scope::root().clone(),
            Inside::Task(task) => match task.header().scope() {
                Some(inside) => inside.clone(),
                None => Arc::clone(&task.header().owner),
            },
            Inside::Scope(scope) => scope.clone(),
            Inside::Unopened(unopened) => match unopened.scope.get() {
                Some(scope) => scope.clone(),
                None => {
                    ambient = unopened.around.ambient;
                    continue;
                }
            },
        };
    }
}

/// The task whose code is being polled, if any.
pub(crate) fn task() -> Option<TaskRef> {
    ambient().task()
}
