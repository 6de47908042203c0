//! What the code that is being polled on this thread belongs to, as far as the gate has to know it.
//!
//! The pointers lead to the engine's tasks and scopes. This file only stores them and puts them
//! back. `scope/current.rs` says what they lead to and for how long (CU1, CU2), and is the only one
//! that follows them.

use std::any::Any;
use std::cell::{Cell, OnceCell};

use crate::sync::thread_local;

/// The innermost task or scope whose code is being polled.
#[derive(Clone, Copy, Default)]
pub(crate) enum Ambient {
    #[default]
    Outside,
    /// The code of a task.
    Task(*const ()),
    /// The code of a scope that is open.
    Scope(*const ()),
    /// The code of a scope that is opened when something in there needs it.
    Unopened(*const ()),
    /// Foreign code that is not a poll (G4).
    Call(*const Call),
}

/// What is ambient, and the Tokio task that it belongs to (CU2).
#[derive(Clone, Copy, Default)]
pub(crate) struct Here {
    pub(crate) ambient: Ambient,
    pub(crate) task: Option<tokio::task::Id>,
}

thread_local! {
    static AMBIENT: Cell<Here> = const { Cell::new(Here { ambient: Ambient::Outside, task: None }) };
}

impl Here {
    /// `ambient`, for the Tokio task that is being polled.
    #[inline]
    pub(crate) fn inside(ambient: Ambient) -> Self {
        Self {
            ambient,
            task: tokio::task::try_id(),
        }
    }

    /// What is ambient for the code that is being polled.
    #[inline]
    pub(crate) fn now() -> Self {
        let entered = AMBIENT.try_with(Cell::get).unwrap_or_default();
        let now = Self::inside(Ambient::Outside);
        if entered.task == now.task {
            entered
        } else {
            // CU2
            now
        }
    }

    /// Makes this the ambient one, until the result is dropped. While a thread ends its locals may
    /// be gone; a future dropped there just runs without an ambient scope.
    #[inline]
    pub(crate) fn enter(self) -> Back {
        Back(AMBIENT.try_with(|cell| cell.replace(self)).ok())
    }
}

/// Restores what was ambient before when it is dropped, also when a poll unwinds.
pub(crate) struct Back(Option<Here>);

impl Drop for Back {
    #[inline]
    fn drop(&mut self) {
        if let Some(previous) = self.0 {
            let _ = AMBIENT.try_with(|cell| cell.set(previous));
        }
    }
}

/// A call of foreign code that is not a poll. It runs as the code of a scope of its own (G4), which
/// the engine opens only if that code asks for it.
pub(crate) struct Call {
    /// What was ambient before.
    pub(crate) around: Here,
    /// The scope, once it is open.
    pub(crate) opened: OnceCell<Box<dyn Opened>>,
}

/// The scope that was opened for a call.
pub(crate) trait Opened {
    fn as_any(&self) -> &dyn Any;
    /// The call has returned. What it has left behind is waited for by what was ambient before.
    fn returned(self: Box<Self>);
}

/// Calls foreign code that is not a poll, for the ambient scope: as the code of a scope of its own
/// (G4). No guard rule can drop such code, so what it opens and waits for (in a `block_on`) must be
/// able to end, cancelled or not. What it leaves behind is waited for by what is ambient. `call`
/// does not unwind.
#[inline]
pub(crate) fn apart<R>(call: impl FnOnce() -> R) -> R {
    let around = Here::now();
    if let Ambient::Outside = around.ambient {
        // Out here nothing is ever cancelled.
        return call();
    }
    let frame = Call {
        around,
        opened: OnceCell::new(),
    };
    let called = {
        // It was looked up just now, so this is less than `enter`.
        let here = Here {
            ambient: Ambient::Call(&frame),
            task: around.task,
        };
        AMBIENT.with(|cell| cell.set(here));
        let _back = Back(Some(around));
        call()
    };
    if let Some(opened) = frame.opened.into_inner() {
        opened.returned();
    }
    called
}

/// Until the result is dropped nothing is ambient: for foreign code that has nothing to do with
/// what is (G4).
#[inline]
pub(crate) fn aside() -> Option<Back> {
    match AMBIENT.try_with(Cell::get).unwrap_or_default().ambient {
        Ambient::Outside => None,
        _ => Some(Here::default().enter()),
    }
}
