//! How the header of a new task begins.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use super::extra::Extra;
use super::header::{Header, Vtable};
use super::label::Label;
use super::state::StateWord;
#[cfg(feature = "tracing")]
use crate::scope::group::GroupState;
#[cfg(feature = "tracing")]
use crate::scope::spans::Span;
#[cfg(feature = "tracing")]
use crate::scope::tree::{Kind, ancestors, task_of};
use crate::scope::tree::{NO_SLOT, Scope};
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
    #[inline]
    pub(super) fn new(spec: Spec, birth: Birth, vtable: &'static Vtable) -> Self {
        let state = match birth {
            Birth::Spawned => StateWord::spawned(spec.bits),
            Birth::Refused => StateWord::refused(spec.bits),
        };
        Self {
            #[cfg(feature = "tracing")]
            span: span_of(&spec),
            state,
            vtable,
            owner: spec.owner,
            label: Label::new(spec.name, spec.location),
            index: spec.index,
            slot: AtomicU32::new(NO_SLOT),
            extra: Extra::default(),
        }
    }
}

/// The span of a task. It is below the span of its group, whichever code spawned it.
#[cfg(feature = "tracing")]
fn span_of(spec: &Spec) -> Span {
    let group = spec.owner.group().map_or(0, GroupState::number);
    Span::new(|| {
        tracing::info_span!(
            target: "taskgroup",
            parent: around(&spec.owner),
            "task",
            name = spec.name.as_deref(),
            id = %format_args!("{group}.{}", spec.index),
            location = %spec.location,
        )
    })
}

/// The span of whatever is nearest.
#[cfg(feature = "tracing")]
fn around(owner: &Arc<Scope>) -> Option<tracing::Id> {
    ancestors(owner)
        .find_map(|scope| match &scope.kind {
            Kind::Group(group) => Some(group.span.id()),
            Kind::Task(_) => task_of(scope).map(|task| task.header().span.id()),
            _ => None,
        })
        .flatten()
}
