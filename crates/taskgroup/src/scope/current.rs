//! The ambient scope: what the code that is being polled on this thread belongs to.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::task::TaskRef;
use super::tree::{self, Scope};

/// The innermost task or scope whose code is being polled. A task stands for the scope inside it, which most never need.
///
/// **C1** What is pointed at is borrowed by the [`Entered`] that put it there, for as long as it stands there; and it is only read
/// on the same thread. So a pointer found in `AMBIENT` is good to be read at once, and nothing keeps it for later.
#[derive(Clone, Copy, Default)]
enum Ambient {
    #[default]
    Outside,
    Task(*const TaskRef),
    Scope(*const Arc<Scope>),
}

/// What [`with`] shows.
enum Inside<'a> {
    Nothing,
    Task(&'a TaskRef),
    Scope(&'a Arc<Scope>),
}

thread_local! {
    static AMBIENT: Cell<Ambient> = const { Cell::new(Ambient::Outside) };
}

/// Restores the previous ambient scope when it is dropped, also when a poll unwinds. It borrows what it made ambient (C1), and is
/// never leaked.
pub(crate) struct Entered<'a> {
    previous: Option<Ambient>,
    borrowed: PhantomData<&'a Arc<Scope>>,
}

fn enter<'a>(ambient: Ambient) -> Entered<'a> {
    Entered {
        // While a thread ends its locals may be gone; a future dropped there just runs without an ambient scope.
        previous: AMBIENT.try_with(|cell| cell.replace(ambient)).ok(),
        borrowed: PhantomData,
    }
}

pub(super) fn enter_task(task: &TaskRef) -> Entered<'_> {
    enter(Ambient::Task(task))
}

pub(crate) fn enter_scope(scope: &Arc<Scope>) -> Entered<'_> {
    enter(Ambient::Scope(scope))
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            let _ = AMBIENT.try_with(|cell| cell.set(previous));
        }
    }
}

/// `look` runs no foreign code, and nothing that enters or leaves.
#[allow(unsafe_code)]
fn with<R>(look: impl FnOnce(Inside<'_>) -> R) -> R {
    match AMBIENT.try_with(Cell::get).unwrap_or_default() {
        Ambient::Outside => look(Inside::Nothing),
        // SAFETY: C1.
        Ambient::Task(task) => look(Inside::Task(unsafe { &*task })),
        // SAFETY: C1.
        Ambient::Scope(scope) => look(Inside::Scope(unsafe { &*scope })),
    }
}

/// The current scope: the process root outside everything.
pub(crate) fn scope() -> Arc<Scope> {
    with(|inside| match inside {
        Inside::Nothing => Scope::root().clone(),
        Inside::Task(task) => task.clone().inside_running(),
        Inside::Scope(scope) => scope.clone(),
    })
}

/// Whether `scope` is the innermost scope that polls right now.
pub(crate) fn is(scope: &Arc<Scope>) -> bool {
    with(|inside| match inside {
        Inside::Nothing => Arc::ptr_eq(scope, Scope::root()),
        Inside::Task(task) => task
            .header()
            .scope()
            .is_some_and(|inside| Arc::ptr_eq(inside, scope)),
        Inside::Scope(current) => Arc::ptr_eq(current, scope),
    })
}

/// Whether the current scope is cancelled.
pub(crate) fn is_cancelled() -> bool {
    with(|inside| match inside {
        Inside::Nothing => false,
        Inside::Task(task) => task.header().sees_cancel(),
        Inside::Scope(scope) => scope.is_cancelled(),
    })
}

/// The task whose code is being polled, if any.
pub(crate) fn task() -> Option<TaskRef> {
    with(|inside| match inside {
        Inside::Nothing => None,
        Inside::Task(task) => Some(task.clone()),
        Inside::Scope(scope) => tree::ancestors(scope)
            .take_while(|scope| !matches!(scope.kind, tree::Kind::Run | tree::Kind::Root))
            .find_map(|scope| tree::task_of(scope)),
    })
}
