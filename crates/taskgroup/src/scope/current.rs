//! The ambient scope: what the code that is being polled on this thread belongs to. A task stands
//! for the scope inside it, which most tasks never need.
//!
//! - **CU1** What an ambient pointer leads to is borrowed by the [`Entered`] that put it there, for
//!   as long as it stands there. An `Entered` is a local variable of the engine, which no user gets
//!   hold of. So those of a thread end in the reverse order of their beginning, and what an outer
//!   one borrows is alive while an inner one stands. A pointer is read on its own thread only: at
//!   once, or by an [`Unopened`] or a [`Call`] on the same stack. Nothing keeps it for later. The
//!   call of `ambient::apart` keeps the same rule for its own frame. (Code that suspends a stack in
//!   the middle of a poll and drops a stack around it breaks this order, here as for each scoped
//!   thread-local.)
//! - **CU2** What is ambient belongs to the Tokio task that was polled when it was entered. A task
//!   of another runtime that is polled on the same stack, inside `block_in_place` for example, is
//!   another Tokio task, and so stands outside (S45). What a `block_on` polls there by itself is
//!   the code of the task around it, and cannot be told from code that has only entered a runtime.
//!   See decision 0017.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::OnceCell;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::polling::{self, Before, Begun};
use super::task::TaskRef;
use super::tree::{self, Kind, Scope};
use crate::ambient::{Ambient, Back, Call, Here, Opened};
use crate::error::TaskInfo;

/// A scope that is opened when code inside asks for it. Most sections end in their first poll, and
/// no code has asked.
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
    /// At an instant, or else this long after the opening.
    Deadline(Option<Instant>, Option<Duration>),
}

impl Lazy {
    fn kind(self) -> Kind {
        match self {
            Self::Shield => Kind::Shield,
            Self::Section => Kind::Section,
            Self::Deadline(at, after) => Kind::deadline(at, after),
        }
    }
}

impl Lazy {
    fn keeps_cancel_out(self) -> bool {
        matches!(self, Self::Shield)
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

    /// The scope, opened below what was ambient when `self` was made. Only called while that still
    /// is on the stack.
    pub(crate) fn open(&self) -> &Arc<Scope> {
        let open = || {
            let parent = scope_of(self.around.ambient);
            Scope::open(self.kind.kind(), parent, self.location)
        };
        self.scope.get_or_init(open)
    }

    /// The scope, if any code asked for it.
    pub(crate) fn into_scope(self) -> Option<Arc<Scope>> {
        self.scope.into_inner()
    }
}

impl Opened for Arc<Scope> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn returned(self: Box<Self>) {
        self.orphan();
    }
}

/// The scope of a call, if it was opened.
fn opened_for(call: &Call) -> Option<&Arc<Scope>> {
    call.opened.get()?.as_any().downcast_ref()
}

/// The scope of a call, opened below what was ambient before.
#[cold]
fn open_for(call: &Call) -> Arc<Scope> {
    let open = || -> Box<dyn Opened> {
        let location = location_around(call);
        let around = scope_of(call.around.ambient);
        // The end of a task calls foreign code as well, when the scope inside the task has closed.
        // Then the next one further out waits for what the code leaves behind.
        let Some(home) = tree::outward(&around).find(|home| home.enter_child().is_ok()) else {
            unreachable!("the process root never closes")
        };
        let scope = Scope::open(Kind::Call, home.clone(), location);
        home.leave();
        Box::new(scope)
    };
    call.opened.get_or_init(open);
    opened_for(call).expect("only scopes are opened").clone()
}

/// Where the code stands that a call is made for.
fn location_around(call: &Call) -> &'static Location<'static> {
    let mut around = call.around.ambient;
    loop {
        return match look(&around) {
            Shown::Nothing => Location::caller(),
            Shown::Task(task) => task.header().label.location(),
            Shown::Scope(scope) => scope.location,
            Shown::Unopened(unopened) => unopened.location,
            Shown::Call(call) => {
                around = call.around.ambient;
                continue;
            }
        };
    }
}

/// What an ambient pointer shows.
enum Shown<'a> {
    Nothing,
    Task(&'a TaskRef),
    Scope(&'a Arc<Scope>),
    Unopened(&'a Unopened),
    Call(&'a Call),
}

fn look(ambient: &Ambient) -> Shown<'_> {
    match *ambient {
        Ambient::Outside => Shown::Nothing,
        // SAFETY: CU1: what is ambient is alive further up on this stack. `enter_task` put it
        // there.
        Ambient::Task(task) => Shown::Task(unsafe { &*task.cast() }),
        // SAFETY: CU1: as above. `enter_scope` or `enter_blocking` put it there.
        Ambient::Scope(scope) => Shown::Scope(unsafe { &*scope.cast() }),
        // SAFETY: CU1: as above. `enter_unopened` put it there.
        Ambient::Unopened(unopened) => Shown::Unopened(unsafe { &*unopened.cast() }),
        // SAFETY: CU1: as above. `ambient::apart` put it there.
        Ambient::Call(call) => Shown::Call(unsafe { &*call }),
    }
}

fn scope_of(ambient: Ambient) -> Arc<Scope> {
    match look(&ambient) {
        Shown::Nothing => Scope::root().clone(),
        Shown::Task(task) => task.inside_running(),
        Shown::Scope(scope) => scope.clone(),
        Shown::Unopened(unopened) => unopened.open().clone(),
        Shown::Call(call) => open_for(call),
    }
}

fn is_ambient(ambient: Ambient, scope: &Arc<Scope>) -> bool {
    match look(&ambient) {
        Shown::Nothing => Arc::ptr_eq(scope, Scope::root()),
        Shown::Task(task) => task
            .header()
            .scope()
            .is_some_and(|inside| Arc::ptr_eq(&inside, scope)),
        Shown::Scope(current) => Arc::ptr_eq(current, scope),
        Shown::Unopened(unopened) => unopened
            .scope
            .get()
            .is_some_and(|opened| Arc::ptr_eq(opened, scope)),
        Shown::Call(call) => opened_for(call).is_some_and(|opened| Arc::ptr_eq(opened, scope)),
    }
}

fn sees_cancel(ambient: Ambient) -> bool {
    match look(&ambient) {
        Shown::Nothing => false,
        Shown::Task(task) => task.header().sees_cancel(),
        Shown::Scope(scope) => scope.is_cancelled(),
        Shown::Unopened(unopened) => match unopened.scope.get() {
            Some(scope) => scope.is_cancelled(),
            None => !unopened.kind.keeps_cancel_out() && sees_cancel(unopened.around.ambient),
        },
        // A call cannot be cut off, but it sees why it is made.
        Shown::Call(call) => sees_cancel(call.around.ambient),
    }
}

fn task_of(ambient: Ambient) -> Option<TaskRef> {
    match look(&ambient) {
        Shown::Nothing => None,
        Shown::Task(task) => Some(task.clone()),
        Shown::Scope(scope) => tree::task_around(scope),
        Shown::Unopened(unopened) => task_of(unopened.around.ambient),
        Shown::Call(call) => task_of(call.around.ambient),
    }
}

/// Restores the previous ambient scope when it is dropped, also when a poll unwinds. It borrows
/// what it made ambient (CU1), and is never leaked.
pub(crate) struct Entered<'a> {
    /// It was published (P1), and what stood there before.
    published: Option<Before>,
    /// Goes after that.
    _back: Back,
    borrowed: PhantomData<&'a Arc<Scope>>,
}

fn enter<'a>(here: Here) -> Entered<'a> {
    Entered {
        _back: here.enter(),
        published: if polling::is_on() {
            publish(here.ambient)
        } else {
            None
        },
        borrowed: PhantomData,
    }
}

#[cold]
fn publish(ambient: Ambient) -> Option<Before> {
    let begun = match ambient {
        // What is not open stands for what is around it.
        Ambient::Outside | Ambient::Unopened(_) | Ambient::Call(_) => return None,
        Ambient::Task(task) => Begun::Task(task.cast()),
        Ambient::Scope(scope) => Begun::Scope(scope.cast()),
    };
    // SAFETY: CU1, P1: it is borrowed until the drop of `Entered`, which calls `leave`.
    unsafe { polling::enter(begun) }
}

pub(super) fn enter_task(task: &TaskRef) -> Entered<'_> {
    enter(Here::inside(Ambient::Task(std::ptr::from_ref(task).cast())))
}

pub(crate) fn enter_unopened(unopened: &Unopened) -> Entered<'_> {
    // It was made in the same poll, so by the same Tokio task.
    enter(Here {
        ambient: Ambient::Unopened(std::ptr::from_ref(unopened).cast()),
        task: unopened.around.task,
    })
}

pub(crate) fn enter_scope(scope: &Arc<Scope>) -> Entered<'_> {
    enter(Here::inside(Ambient::Scope(
        std::ptr::from_ref(scope).cast(),
    )))
}

/// On the thread of a blocking closure. This is not published: to block is what that thread is for.
pub(crate) fn enter_blocking(scope: &Arc<Scope>) -> Entered<'_> {
    let here = Here::inside(Ambient::Scope(std::ptr::from_ref(scope).cast()));
    Entered {
        published: None,
        _back: here.enter(),
        borrowed: PhantomData,
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.published {
            polling::leave(before);
        }
    }
}

fn ambient() -> Ambient {
    Here::now().ambient
}

/// The current scope: the process root outside everything.
pub(crate) fn scope() -> Arc<Scope> {
    scope_of(ambient())
}

/// Whether `scope` is the innermost scope that polls right now.
pub(crate) fn is(scope: &Arc<Scope>) -> bool {
    is_ambient(ambient(), scope)
}

/// Whether what polls right now is `scope` or, in the same task, something inside it.
pub(crate) fn is_within(scope: &Arc<Scope>) -> bool {
    let mut ambient = ambient();
    loop {
        if is_ambient(ambient, scope) {
            return true;
        }
        let opened = match look(&ambient) {
            Shown::Nothing | Shown::Task(_) => return false,
            Shown::Scope(current) => current,
            Shown::Unopened(unopened) => match unopened.scope.get() {
                Some(opened) => opened,
                None => {
                    ambient = unopened.around.ambient;
                    continue;
                }
            },
            Shown::Call(call) => match opened_for(call) {
                Some(opened) => opened,
                None => {
                    ambient = call.around.ambient;
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
    sees_cancel(ambient())
}

/// The current scope for code that only looks: the nearest one that is open.
pub(crate) fn nearest() -> Arc<Scope> {
    let mut ambient = ambient();
    loop {
        return match look(&ambient) {
            Shown::Nothing => Scope::root().clone(),
            Shown::Task(task) => match task.header().scope() {
                Some(inside) => inside.clone(),
                None => Arc::clone(&task.header().owner),
            },
            Shown::Scope(scope) => scope.clone(),
            Shown::Unopened(unopened) => match unopened.scope.get() {
                Some(scope) => scope.clone(),
                None => {
                    ambient = unopened.around.ambient;
                    continue;
                }
            },
            Shown::Call(call) => match opened_for(call) {
                Some(scope) => scope.clone(),
                None => {
                    ambient = call.around.ambient;
                    continue;
                }
            },
        };
    }
}

/// Which task's code is being polled, if any.
pub(crate) fn info() -> Option<TaskInfo> {
    task().map(|task| task.header().info())
}

/// The task whose code is being polled, if any.
pub(crate) fn task() -> Option<TaskRef> {
    task_of(ambient())
}
