//! Folders in which tasks would run, and which do not exist.
//!
//! This is no error of the file: a task may make a folder for those that come after it.

use std::collections::HashMap;
use std::path::{self, PathBuf};

use crate::output::one_line;
use crate::plan::{Plan, TaskSpec};

/// The most names in one warning.
const SHOWN: usize = 3;

/// A warning for each folder that is missing, unless something that its tasks wait for could make
/// it.
pub(crate) fn missing(plan: &Plan) -> Vec<String> {
    // In the order of the tasks.
    let mut folders: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    let mut seen: HashMap<PathBuf, Option<usize>> = HashMap::new();
    for task in &plan.tasks {
        let Some(folder) = task.work.folder() else {
            continue;
        };
        if task.work.cwd.is_none() || plan.is_preceded(task) {
            continue;
        }
        let place = *seen.entry(folder).or_insert_with_key(|folder| {
            if folder.is_dir() {
                return None;
            }
            folders.push((folder.clone(), Vec::new()));
            Some(folders.len() - 1)
        });
        if let Some(place) = place {
            folders[place].1.push(&task.name);
        }
    }
    folders
        .iter()
        .map(|(folder, tasks)| warning(folder, tasks))
        .collect()
}

fn warning(folder: &PathBuf, tasks: &[&str]) -> String {
    let names = tasks.iter().take(SHOWN).map(|name| format!("`{name}`"));
    let mut names = names.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = tasks.len().checked_sub(SHOWN) {
        names += &format!(" and {more} more");
    }
    let what = if folder.exists() {
        "is no folder"
    } else {
        "does not exist"
    };
    // From where it was looked for does not matter then.
    let shown = path::absolute(folder).unwrap_or_else(|_| folder.clone());
    format!(
        "warning: the `cwd` of {names} {what}: {}; nothing that comes before could make it",
        one_line(&shown.to_string_lossy())
    )
}

impl Plan {
    /// Whether the task, or a group around it, waits for something.
    fn is_preceded(&self, task: &TaskSpec) -> bool {
        let around = std::iter::successors(Some(task.group), |&id| self.groups[id].parent);
        let mut groups = around.map(|id| &self.groups[id]);
        !task.after.is_empty() || groups.any(|group| !group.after.is_empty())
    }
}
