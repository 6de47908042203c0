//! The ambient scope: what the code that is being polled on this thread belongs to.

use std::cell::Cell;
use std::sync::Arc;

use super::task::TaskRef;
use super::tree::{self, Scope};

/// The innermost task or scope whose code is being polled. A task stands for the scope inside it, which most never need.
#[derive(Clone, Default)]
pub(crate) enum Ambient {
    #[default]
    Outside,
    Task(TaskRef),
    Scope(Arc<Scope>),
}

thread_local! {
    static AMBIENT: Cell<Ambient> = const { Cell::new(Ambient::Outside) };
}

/// Restores the previous ambient scope, also when a poll unwinds.
pub(crate) struct Entered(Option<Ambient>);

pub(crate) fn enter(ambient: Ambient) -> Entered {
    // While a thread ends its locals may be gone; a future dropped there just runs without an ambient scope.
    Entered(AMBIENT.try_with(|cell| cell.replace(ambient)).ok())
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(previous) = self.0.take() {
            let _ = AMBIENT.try_with(|cell| drop(cell.replace(previous)));
        }
    }
}

fn with<R>(look: impl FnOnce(&Ambient) -> R) -> R {
    let ambient = AMBIENT.try_with(Cell::take).unwrap_or_default();
    let result = look(&ambient);
    let _ = AMBIENT.try_with(|cell| cell.set(ambient));
    result
}

/// The current scope: the process root outside everything.
pub(crate) fn scope() -> Arc<Scope> {
    match with(Ambient::clone) {
        Ambient::Outside => Scope::root().clone(),
        Ambient::Task(task) => task.inside_running(),
        Ambient::Scope(scope) => scope,
    }
}

/// Whether `scope` is the innermost scope that polls right now.
pub(crate) fn is(scope: &Arc<Scope>) -> bool {
    with(|ambient| match ambient {
        Ambient::Outside => Arc::ptr_eq(scope, Scope::root()),
        Ambient::Task(task) => task
            .header()
            .scope()
            .is_some_and(|inside| Arc::ptr_eq(inside, scope)),
        Ambient::Scope(current) => Arc::ptr_eq(current, scope),
    })
}

/// Whether the current scope is cancelled.
pub(crate) fn is_cancelled() -> bool {
    with(|ambient| match ambient {
        Ambient::Outside => false,
        Ambient::Task(task) => task.header().is_cancelled(),
        Ambient::Scope(scope) => scope.is_cancelled(),
    })
}

/// The task whose code is being polled, if any.
pub(crate) fn task() -> Option<TaskRef> {
    match with(Ambient::clone) {
        Ambient::Outside => None,
        Ambient::Task(task) => Some(task),
        Ambient::Scope(scope) => tree::ancestors(&scope)
            .take_while(|scope| !matches!(scope.kind, tree::Kind::Run | tree::Kind::Root))
            .find_map(|scope| tree::task_of(scope)),
    }
}
