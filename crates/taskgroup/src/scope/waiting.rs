//! Warnings about groups that do not end.

use std::sync::Arc;
use std::time::Duration;

use super::tree::Scope;
use super::who;
use crate::warning::{Warning, WarningKind, warn};

/// Reports what still runs in a group `since` after its grace has passed.
pub(crate) fn still_waiting(scope: &Arc<Scope>, since: Duration) {
    let mut names = Vec::new();
    let mut queue = std::collections::VecDeque::from([scope.clone()]);
    while let Some(scope) = queue.pop_front() {
        let (tasks, scopes) = scope.children();
        queue.extend(scopes);
        for task in tasks {
            let inside = task.header().scope().map(|inside| inside.clone());
            match inside {
                Some(inside) if has_tasks(&inside) => queue.push_back(inside),
                _ => {
                    let info = task.header().info();
                    names.push(format!("`{}` ({})", info.path(), info.location()));
                }
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

/// Whether any task is below `scope`. A blocking closure also keeps a task open, but has no name
/// except the task's.
fn has_tasks(scope: &Arc<Scope>) -> bool {
    let mut stack = vec![scope.clone()];
    while let Some(scope) = stack.pop() {
        let (tasks, scopes) = scope.children();
        if !tasks.is_empty() {
            return true;
        }
        stack.extend(scopes);
    }
    false
}
