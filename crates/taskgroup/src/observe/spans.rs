//! `tracing` spans that follow the tree.
//!
//! The span of a group is opened where the group is: below the span of the task that runs it, or one that the task has entered
//! itself. The span of a task is always below that of its group, whoever spawned it.

use tracing::{Span, info_span};

use crate::scope::task::Spec;
use crate::scope::tree::{Kind, Scope, ancestors, task_of};

pub(crate) fn of_group(number: u32, name: Option<&str>) -> Span {
    info_span!(target: "taskgroup", "group", name, id = %format_args!("{number}.0"))
}

pub(crate) fn of_task(spec: &Spec) -> Span {
    let group = spec
        .owner
        .group()
        .map_or(0, crate::scope::group::GroupState::number);
    let parent = around(&spec.owner);
    info_span!(
        target: "taskgroup",
        parent: parent,
        "task",
        name = spec.name.as_deref(),
        id = %format_args!("{group}.{}", spec.index),
        location = %spec.location,
    )
}

/// The span of whatever is nearest.
fn around(owner: &std::sync::Arc<Scope>) -> Option<tracing::Id> {
    ancestors(owner)
        .find_map(|scope| match &scope.kind {
            Kind::Group(group) => Some(group.span.id()),
            Kind::Task(_) => task_of(scope).map(|task| task.header().span.id()),
            _ => None,
        })
        .flatten()
}
