//! Warnings about groups that do not end.

use std::sync::Arc;
use std::time::Duration;

use super::tree::Scope;
use super::who;
use crate::error::TaskInfo;
use crate::warning::{Warning, WarningKind, warn};

/// Reports what still runs in a group `since` after its grace has passed.
pub(crate) fn still_waiting(scope: &Arc<Scope>, since: Duration) {
    let mut names = Vec::new();
    let mut queue = std::collections::VecDeque::from([scope.clone()]);
    while let Some(scope) = queue.pop_front() {
        let (tasks, scopes) = scope.children();
        for scope in scopes {
            if scope.inline().is_some() && !has_children(&scope) {
                names.push(named(&who::info(&scope)));
            } else {
                queue.push_back(scope);
            }
        }
        for task in tasks {
            let inside = task.header().scope().map(|inside| inside.clone());
            match inside {
                Some(inside) if has_children(&inside) => queue.push_back(inside),
                _ => names.push(named(&task.header().info())),
            }
        }
    }
    let group = who::info(scope);
    // Below a grace each task is in the tree before its first poll.
    let what = if names.is_empty() {
        "its body, or a task that has not been polled yet".to_owned()
    } else {
        names.join(", ")
    };
    let message = format!(
        "group `{}` ({}): {since:.0?} after its grace it still waits for {what}. What never suspends \
         cannot be dropped: add `checkpoint().await` to its loops",
        group.path(),
        group.location()
    );
    warn(&Warning::new(WarningKind::StillWaiting, group, message));
}

fn named(info: &TaskInfo) -> String {
    format!("`{}` ({})", info.path(), info.location())
}

/// Whether any task or inline child is below `scope`. A blocking closure also keeps a task open,
/// but has no name except the task's.
fn has_children(scope: &Arc<Scope>) -> bool {
    let mut stack = vec![scope.clone()];
    while let Some(scope) = stack.pop() {
        let (tasks, scopes) = scope.children();
        if !tasks.is_empty() || scopes.iter().any(|scope| scope.inline().is_some()) {
            return true;
        }
        stack.extend(scopes);
    }
    false
}
