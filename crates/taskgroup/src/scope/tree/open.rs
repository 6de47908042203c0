//! How a scope is opened, and found by those above it.

use std::panic::Location;
use std::sync::{Arc, OnceLock};

use super::flags::{CANCELLED, FORCED, Flags, NAMED, REPORTED};
use super::links::{Links, NO_SLOT, place, sort_by_index, take_at};
use super::tokens::{NUMBER, TOKEN};
#[cfg(feature = "tracing")]
use super::walk::spans_below;
use super::{Kind, Scope, ScopeData};
use crate::scope::entrant::{Entrant, Inline};
use crate::scope::events;
#[cfg(feature = "tracing")]
use crate::scope::spans::{Span, Told};
use crate::scope::task::{Header, TaskLink, TaskRef};
#[cfg(feature = "tracing")]
use crate::scope::who::child_id;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering};

impl Scope {
    pub(super) fn bare(
        kind: Kind,
        parent: Option<Arc<Scope>>,
        location: &'static Location<'static>,
    ) -> Self {
        let named = match (&kind, &parent) {
            (Kind::Group(group), _) if group.has_grace() => NAMED,
            (_, Some(parent)) => parent.flags() & NAMED,
            _ => 0,
        };
        let runtime = match &parent {
            // Acquire: T8, as in `runtime_if_set`: for each thread that sees this scope.
            Some(parent) => parent.runtime.load(Ordering::Acquire),
            None => std::ptr::null_mut(),
        };
        Self {
            kind,
            parent,
            location,
            flags: Flags::new(named),
            holds: AtomicU32::new(0),
            tokens: AtomicU64::new(NUMBER | TOKEN),
            polls: AtomicU32::new(0),
            home: AtomicPtr::new(std::ptr::null_mut()),
            slot: AtomicU32::new(NO_SLOT),
            runtime: AtomicPtr::new(runtime),
            own_runtime: OnceLock::new(),
            inner: Mutex::new(ScopeData {
                tasks: Links::new(),
                scopes: Links::new(),
                reason: None,
                waker: None,
                masks: 0,
                rare: None,
            }),
        }
    }

    /// Opens a scope below `parent`. It inherits a cancellation of its parent unless it is a shield
    /// or a live [`Cancelled`](crate::Cancelled) masks it.
    pub(crate) fn open(
        kind: Kind,
        parent: Arc<Scope>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        if let Kind::Deadline(state) = &kind {
            state.lock().start();
        }
        let scope = Arc::new(Self::bare(kind, Some(parent), location));
        let Some(parent) = &scope.parent else {
            unreachable!("it was given one")
        };
        // An open scope below keeps the parent's section from closing; the section is what opened
        // it, so it is not closed yet.
        parent.add(TOKEN);
        let inherited = {
            let mut inner = parent.inner.lock();
            scope.slot.store(place(&inner.scopes), Ordering::Relaxed);
            inner.scopes.push(scope.clone());
            let flags = parent.flags();
            let barrier = scope.kind.keeps_cancel_out();
            let keeps_out = scope.keeps_force_out();
            let mut inherited = if keeps_out { 0 } else { flags & FORCED };
            if flags & CANCELLED != 0 && inner.masks == 0 && !barrier {
                inherited |= CANCELLED | flags & REPORTED;
            }
            (inherited != 0).then(|| (inherited | CANCELLED, inner.reason.clone()))
        };
        events::opened(&scope);
        if let Some((bits, reason)) = inherited {
            scope.mark(bits, reason.as_ref());
            if let Some(reason) = &reason {
                events::scope_cancelled(&scope, reason);
            }
        }
        scope
    }

    /// Opens the scope of an inline child of `group`.
    pub(crate) fn open_inline(
        who: Entrant,
        group: &Arc<Scope>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        #[cfg(feature = "tracing")]
        let span = {
            let told = || Told {
                name: who.name().map(|name| &**name),
                id: child_id(group, who.index()),
                location,
            };
            Span::of_task(|| spans_below(group), || group.span_around(), told)
        };
        let inline = Inline::new(
            who,
            #[cfg(feature = "tracing")]
            span,
        );
        Self::open(Kind::Inline(inline), group.clone(), location)
    }

    /// The scope inside a task. It is not linked below the group's scope: the task is.
    pub(in crate::scope) fn for_task(
        task: &TaskRef,
        owner: Arc<Scope>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        Arc::new(Self::bare(
            Kind::Task(TaskLink::new(task)),
            Some(owner),
            location,
        ))
    }

    /// Links a task so that a canceller and the tree find it. Returns the flags that it has to take
    /// over (T4).
    pub(in crate::scope) fn link_task(&self, task: TaskRef) -> u32 {
        let mut inner = self.inner.lock();
        task.header().set_slot(place(&inner.tasks));
        inner.tasks.push(task);
        self.flags()
    }

    pub(in crate::scope) fn unlink_task(&self, header: &Header) -> Option<TaskRef> {
        let mut inner = self.inner.lock();
        let slot = header.slot();
        take_at(&mut inner.tasks, slot, |task| task.header().slot_cell())
    }

    /// Snapshot of what is linked directly below: tasks in spawn order, then scopes.
    pub(crate) fn children(&self) -> (Vec<TaskRef>, Vec<Arc<Scope>>) {
        let (mut tasks, scopes) = {
            let inner = self.inner.lock();
            (inner.tasks.to_vec(), inner.scopes.to_vec())
        };
        sort_by_index(&mut tasks, |task| task.header().index);
        (tasks, scopes)
    }

    /// Tasks directly below that have not ended.
    pub(crate) fn live_tasks(&self) -> usize {
        let scopes = self.inner.lock().scopes.len();
        self.below().saturating_sub(scopes)
    }
}
