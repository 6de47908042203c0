//! Who a task, a group or a scope is: names, numbers, paths.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use super::entrant::Inline;
use super::group::GroupState;
use super::task::Header;
use super::tree::{Kind, Scope, ancestors};
use crate::error::{TaskId, TaskInfo};

impl Header {
    pub(crate) fn id(&self) -> TaskId {
        task_id(self)
    }

    pub(crate) fn info(&self) -> TaskInfo {
        task_info(self)
    }
}

pub(crate) fn display_name(header: &Header) -> Cow<'static, str> {
    let number = || Cow::Owned(format!("#{}", header.index));
    header.label.name().unwrap_or_else(number)
}

pub(crate) fn group_name(group: &GroupState) -> Cow<'static, str> {
    group
        .name()
        .unwrap_or_else(|| Cow::Owned(format!("group {}", group.number())))
}

fn task_info(header: &Header) -> TaskInfo {
    task_info_below(header, &info(&header.owner))
}

pub(crate) fn task_id(header: &Header) -> TaskId {
    child_id(&header.owner, header.index)
}

/// The id of the child of `owner` with this number.
pub(crate) fn child_id(owner: &Scope, index: u32) -> TaskId {
    TaskId::new(owner.group().map_or(0, GroupState::number), index)
}

/// As [`task_info`], if it is known what is above.
pub(crate) fn task_info_below(header: &Header, parent: &TaskInfo) -> TaskInfo {
    task_info_at(header, Some(parent))
}

fn task_info_at(header: &Header, parent: Option<&TaskInfo>) -> TaskInfo {
    let name = display_name(header);
    TaskInfo::new(name, task_id(header), parent, header.label.location())
}

/// The id of the inline child that is `scope`.
pub(crate) fn inline_id(scope: &Scope, inline: &Inline) -> TaskId {
    let index = inline.who().index();
    let group = scope.parent();
    group.map_or(TaskId::new(0, index), |group| child_id(group, index))
}

/// The inline child that is `scope`.
fn inline_info(scope: &Scope, inline: &Inline, parent: Option<&TaskInfo>) -> TaskInfo {
    let who = inline.who();
    TaskInfo::new(
        who.display_name(),
        inline_id(scope, inline),
        parent,
        scope.location,
    )
}

/// The run that is `scope`.
fn main_info(scope: &Scope) -> TaskInfo {
    TaskInfo::new("main", TaskId::new(0, 0), None, scope.location)
}

/// As [`info`], if it is known what is above. `None` for a scope without a name of its own, which
/// has the name of what is above.
pub(crate) fn info_below(scope: &Scope, parent: Option<&TaskInfo>) -> Option<TaskInfo> {
    match &scope.kind {
        Kind::Group(group) => Some(match group.known_info() {
            Some(known) => known.clone(),
            None => TaskInfo::new(group_name(group), group.id(), parent, scope.location),
        }),
        Kind::Inline(inline) => Some(inline_info(scope, inline, parent)),
        Kind::Run => Some(main_info(scope)),
        _ => None,
    }
}

/// The group, task or inline child that a scope belongs to, or the root. Found by a walk, and kept
/// by groups.
pub(crate) fn info(scope: &Arc<Scope>) -> TaskInfo {
    // Top down from the nearest ancestor that knows its own: no recursion (T7).
    let mut chain = Vec::new();
    let mut known = None;
    for above in ancestors(scope) {
        if let Some(cached) = above.group().and_then(GroupState::known_info) {
            known = Some(cached.clone());
            break;
        }
        chain.push(above);
    }
    for above in chain.into_iter().rev() {
        let parent = known.as_ref();
        let own = match &above.kind {
            Kind::Group(group) => {
                let fresh = TaskInfo::new(group_name(group), group.id(), parent, above.location);
                Some(group.keep_info(fresh))
            }
            Kind::Task(task) => {
                let task = task.upgrade();
                task.map(|task| task_info_at(task.header(), parent))
            }
            Kind::Inline(inline) => Some(inline_info(above, inline, parent)),
            Kind::Run => Some(main_info(above)),
            _ => None,
        };
        known = own.or(known);
    }
    known.unwrap_or_else(TaskInfo::process)
}

/// Something below `scope` that is not a task.
pub(crate) fn info_at(
    scope: &Arc<Scope>,
    name: &'static str,
    location: &'static Location<'static>,
) -> TaskInfo {
    let above = info(scope);
    TaskInfo::new(name, above.id(), Some(&above), location)
}

/// The body of a group, as the member of its error.
pub(crate) fn body_info(scope: &Arc<Scope>) -> TaskInfo {
    let group = info(scope);
    TaskInfo::new("body", group.id(), Some(&group), scope.location)
}
