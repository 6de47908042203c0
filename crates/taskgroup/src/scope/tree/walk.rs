//! Walks over the tree.

use std::sync::Arc;

use super::{Kind, Scope};
#[cfg(feature = "tracing")]
use crate::scope::spans::{Opened, Sites};
use crate::scope::task::TaskRef;

/// The task whose inside `scope` is, if it is the inside of a task.
pub(crate) fn task_of(scope: &Scope) -> Option<TaskRef> {
    match &scope.kind {
        Kind::Task(task) => task.upgrade(),
        _ => None,
    }
}

/// The task whose code opened `scope`, if a task of a group did.
pub(crate) fn task_around(scope: &Arc<Scope>) -> Option<TaskRef> {
    outward(scope)
        .take_while(|scope| !matches!(scope.kind, Kind::Run | Kind::Root))
        .find_map(|scope| task_of(scope))
}

/// The nearest inline child around `scope` in the same task.
pub(crate) fn inline_around(scope: &Arc<Scope>) -> Option<&Arc<Scope>> {
    outward(scope)
        .take_while(|scope| !scope.is_task_root())
        .find(|scope| scope.inline().is_some())
}

/// Walks from `scope` to the root, from parent to parent.
pub(crate) fn ancestors(scope: &Arc<Scope>) -> impl Iterator<Item = &Arc<Scope>> {
    std::iter::successors(Some(scope), |scope| scope.parent())
}

/// Walks from `scope` to the root, from home to home.
pub(crate) fn outward(scope: &Arc<Scope>) -> impl Iterator<Item = &Arc<Scope>> {
    std::iter::successors(Some(scope), |scope| scope.home())
}

/// A task or an inline child, for the one question whether two are the same.
pub(super) type Key = *const ();

/// The key of the inline child that is `scope`.
pub(super) fn inline_key(scope: &Arc<Scope>) -> Key {
    Arc::as_ptr(scope).cast()
}

/// The nearest task or inline child around what is opened or spawned in `scope`.
pub(super) fn key_around(scope: &Arc<Scope>) -> Option<Key> {
    ancestors(scope).find_map(|above| match &above.kind {
        Kind::Inline(_) => Some(inline_key(above)),
        _ => task_of(above).map(|task| std::ptr::from_ref(task.header()).cast()),
    })
}

#[cfg(feature = "tracing")]
impl Scope {
    /// The span of whatever is nearest. What has none is passed over.
    pub(in crate::scope) fn span_around(self: &Arc<Self>) -> Option<Opened> {
        ancestors(self).find_map(|scope| match &scope.kind {
            Kind::Group(group) => group.span.opened(),
            Kind::Inline(inline) => inline.span.opened(),
            _ => task_of(scope).and_then(|task| task.header().span.opened()),
        })
    }
}

/// Where the spans of the children of `scope` come from.
#[cfg(feature = "tracing")]
pub(in crate::scope) fn spans_below(scope: &Arc<Scope>) -> Sites {
    let group = ancestors(scope).find_map(|scope| scope.group());
    group.map_or_else(Sites::by_default, |group| group.spans)
}
