//! Folders in which tasks would run, and which do not exist.
//!
//! This is no error of the file: a task may make a folder for those that come after it.

use std::collections::HashMap;
use std::path::{self, PathBuf};

use crate::output::{and_more, one_line};
use crate::plan::{Node, Plan};

/// The most names in one warning.
const SHOWN: usize = 3;

/// A warning for each folder that is missing, unless something that its tasks wait for could make
/// it.
pub(crate) fn missing(plan: &Plan) -> Vec<String> {
    // In the order of the tasks.
    let mut folders: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    let mut seen: HashMap<PathBuf, Option<usize>> = HashMap::new();
    for (id, task) in plan.tasks.iter().enumerate() {
        // The folder of the file exists.
        if task.work.cwd.is_none() || is_preceded(plan, id) {
            continue;
        }
        let Some(folder) = task.work.folder() else {
            continue;
        };
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
    let names = names.collect::<Vec<_>>().join(", ") + &and_more(tasks.len(), SHOWN);
    let what = if folder.exists() {
        "is no folder"
    } else {
        "does not exist"
    };
    // An absolute path is right wherever the reader is.
    let shown = path::absolute(folder).unwrap_or_else(|_| folder.clone());
    format!(
        "warning: the `cwd` of {names} {what}: {}; nothing that comes before could make it",
        one_line(&shown.to_string_lossy())
    )
}

/// Whether the task, or a group around it, waits for something.
fn is_preceded(plan: &Plan, task: usize) -> bool {
    let mut around = plan.around(Node::Task(task));
    !plan.tasks[task].after.is_empty() || around.any(|group| !plan.groups[group].after.is_empty())
}
