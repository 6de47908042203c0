//! How the header of a new task begins, and how a node ends.

#![allow(unsafe_code)]

use std::borrow::Cow;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

use super::extra::Extra;
use super::header::{Header, Vtable};
use super::label::Label;
use super::pool;
use super::state::StateWord;
#[cfg(feature = "metrics")]
use crate::scope::meters::Meter;
#[cfg(feature = "tracing")]
use crate::scope::spans::{Span, Told};
#[cfg(feature = "tracing")]
use crate::scope::tree::spans_below;
use crate::scope::tree::{NO_SLOT, Scope};
#[cfg(feature = "tracing")]
use crate::scope::who::child_id;
use crate::sync::AtomicU32;

/// What a new task is given beside its future.
pub(crate) struct Spec {
    pub(crate) owner: Arc<Scope>,
    pub(crate) index: u32,
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) location: &'static Location<'static>,
    /// Some of `SHIELDED`, `BACKGROUND`, `TOKIO`, `LIMITED`.
    pub(crate) bits: usize,
}

/// What a new task is.
#[derive(Clone, Copy)]
pub(super) enum Birth {
    Spawned,
    /// It was refused, and has ended.
    Refused,
}

impl Header {
    /// A node for the type of this table, with a header and no stage.
    #[inline(always)]
    pub(super) fn born(spec: Spec, birth: Birth, vtable: &'static Vtable) -> NonNull<Self> {
        let node = pool::place(&vtable.memory).cast();
        // SAFETY: M2: the place is as large as a node, which begins with a header, and ours alone.
        unsafe { node.write(Self::new(spec, birth, vtable)) };
        node
    }

    /// # Safety
    /// K4: the last reference to the node is gone.
    pub(super) unsafe fn free(node: NonNull<Self>) {
        // SAFETY: K4, K6: no reference to the node is left.
        let vtable = unsafe { node.as_ref() }.vtable;
        // The stage has nothing left to drop: the outcome was taken or dropped before (K2, K3).
        // SAFETY: K4: as above.
        unsafe { node.drop_in_place() };
        // SAFETY: M1, M2: it is from `born`, and no code uses it any more.
        unsafe { pool::free(node.cast(), &vtable.memory) };
    }

    #[inline(always)]
    fn new(spec: Spec, birth: Birth, vtable: &'static Vtable) -> Self {
        let state = match birth {
            Birth::Spawned => StateWord::spawned(spec.bits),
            Birth::Refused => StateWord::refused(spec.bits),
        };
        Self {
            #[cfg(feature = "tracing")]
            span: span_of(&spec, birth),
            state,
            vtable,
            owner: spec.owner,
            label: Label::new(spec.name, spec.location),
            index: spec.index,
            slot: AtomicU32::new(NO_SLOT),
            extra: Extra::default(),
            #[cfg(feature = "metrics")]
            meter: Meter::default(),
        }
    }
}

/// The span of a task. It is below the span of its group, whichever code spawned it. What was
/// refused never was a task.
#[cfg(feature = "tracing")]
fn span_of(spec: &Spec, birth: Birth) -> Span {
    if matches!(birth, Birth::Refused) {
        return Span::none();
    }
    let told = || Told {
        name: spec.name.as_deref(),
        id: child_id(&spec.owner, spec.index),
        location: spec.location,
    };
    let around = || spec.owner.span_around();
    Span::of_task(|| spans_below(&spec.owner), around, told)
}
