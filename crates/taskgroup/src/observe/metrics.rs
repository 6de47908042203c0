//! Counts and durations of tasks by name, through the facade of the crate `metrics`.

use crate::scope::meters;

/// Tells the recorder of the crate [`metrics`] what the metrics of this crate mean: a text for
/// each, and that durations are in seconds. Call it once the recorder is installed.
///
/// With the feature `metrics`, each child of a group is counted under these names:
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `taskgroup_tasks_started_total` | counter | `name` |
/// | `taskgroup_tasks_running` | gauge | `name` |
/// | `taskgroup_tasks_finished_total` | counter | `name`, `outcome` |
/// | `taskgroup_task_duration_seconds` | histogram | `name`, `outcome` |
/// | `taskgroup_tasks_not_started_total` | counter | `name` |
///
/// `outcome` is `succeeded`, `failed`, `panicked`, `cancelled` or `killed` (dropped because a grace
/// had ended). A duration counts from the first poll to the end, with the cleanup. The children
/// that started are those that run and those that finished; a child that was cancelled before its
/// first poll is counted by itself. The futures of helpers and the children of a
/// [`LocalGroup`](crate::LocalGroup) count like tasks. Cleanup does not count, as it is no child,
/// and neither does a child that the group refuses.
///
/// # Which names become labels
///
/// Each value of a label makes a time series, which most systems keep for ever. So a name is a
/// label only if it is a `&'static str`: there are no more of them than the program has in its
/// text. All names that are made at run time, as `String`s, share the label `(made at run time)`,
/// and all children without a name share `(unnamed)`. Name tasks of one kind by one text, then, and
/// put what differs into a span or an error:
///
/// ```
/// use taskgroup::TaskGroup;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # async fn fetch(page: u32) {}
/// TaskGroup::run(async |group| {
///     for page in 1..=3 {
///         group.task("fetch").spawn(fetch(page)); // a label
///         // Its label is "(made at run time)".
///         group.task(format!("fetch {page}")).spawn(fetch(page));
///     }
///     Ok(())
/// })
/// .await
/// .unwrap();
/// # }
/// ```
///
/// If the names come from a configuration that is read once, [`String::leak`] makes texts of them
/// that are as good as the program's own.
///
/// # What it costs
///
/// About five calls of the recorder for each child, and the time is read twice. Each call allocates
/// its key, also without a recorder, where the facade throws it away: so leave the feature off in a
/// program that has none. A recorder that panics is reported to the
/// [warning hook](crate::observe::set_warning_hook).
///
/// [`metrics`]: https://docs.rs/metrics
pub fn describe_metrics() {
    meters::describe();
}
