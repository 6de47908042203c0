//! Warnings: what goes wrong without being the result of any task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::TaskInfo;
use crate::gate::{self, Payload};
use crate::sync::Mutex;

/// What a [`Warning`] is about.
///
/// ```
/// use taskgroup::observe::{WarningKind, set_warning_hook};
///
/// set_warning_hook(|warning| match warning.kind() {
///     WarningKind::Blocking => eprintln!("slow: {warning}"),
///     _ => eprintln!("{warning}"),
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// The grace of a group has passed, and something in it still runs.
    StillWaiting,
    /// A task blocks its worker: see [`report_blocking`](crate::observe::report_blocking).
    Blocking,
    /// Code that belongs to no task panicked: a waker, a hook, or the destructor of a value that no
    /// task owns.
    ForeignPanic,
    /// A runtime was shut down while tasks were cleaning up in it.
    CleanupCut,
    /// Futures that were dropped half-way left more failures behind than are kept: see
    /// [`NotKept`](crate::error::NotKept).
    FailuresNotKept,
    /// A runtime was shut down while failures or deferred work were left outside any scope, and
    /// [`drain`](crate::drain) had not taken them.
    NotDrained,
    /// A group with a grace was cancelled in a runtime without a clock, or in one that was shut
    /// down, so its cleanup is not bounded.
    NoClock,
    /// Each place of a group with a limit has been held for a while by a child that waits for a
    /// place of that group, or for a child in its queue.
    WaitsForItself,
}

/// Something that goes wrong without being the result of any task.
///
/// Its `Display` is the whole message in one line. It names the task or group, the place in the
/// source, and a way out.
///
/// ```
/// use taskgroup::observe::set_warning_hook;
///
/// set_warning_hook(|warning| {
///     eprintln!("{:?} in {}: {warning}", warning.kind(), warning.task().path());
/// });
/// ```
#[derive(Clone)]
pub struct Warning {
    kind: WarningKind,
    task: TaskInfo,
    message: String,
}

impl Warning {
    pub(crate) fn new(kind: WarningKind, task: TaskInfo, message: String) -> Self {
        Self {
            kind,
            task,
            message,
        }
    }

    /// What the warning is about.
    pub fn kind(&self) -> WarningKind {
        self.kind
    }

    /// The task or group that the warning is about.
    ///
    /// This is the task that blocks, the group that does not end, waits for itself or has no clock
    /// for its grace, or the task, run or process in which failures were left behind. For code that
    /// belongs to no task it is the process.
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Warning({:?}: {})", self.kind, self.message)
    }
}

type Hook = Arc<dyn Fn(&Warning) + Send + Sync>;

fn hook() -> &'static Mutex<Option<Hook>> {
    static HOOK: std::sync::OnceLock<Mutex<Option<Hook>>> = std::sync::OnceLock::new();
    HOOK.get_or_init(Mutex::default)
}

/// Sends all warnings of this process to `hook`.
///
/// Without a hook they go to standard error, or become `WARN` events when the feature `tracing` is
/// on and a subscriber is set.
///
/// The thread that notices the problem calls the hook. It may be a thread that drives tasks, so the
/// hook must not block. A hook that panics is reported as a warning of its own. The hook stays
/// until the next call of this function or of [`reset_warning_hook`].
///
/// [`std::panic::set_hook`] is the same for panics.
///
/// ```
/// taskgroup::observe::set_warning_hook(|warning| {
///     println!("{:?}: {warning}", warning.kind());
/// });
/// # taskgroup::observe::reset_warning_hook();
/// ```
pub fn set_warning_hook(hook: impl Fn(&Warning) + Send + Sync + 'static) {
    let old = self::hook().lock().replace(Arc::new(hook));
    gate::drop_or_report("a warning hook", old);
}

/// Sends warnings to standard error or `tracing` again, as before the first [`set_warning_hook`].
///
/// ```
/// taskgroup::observe::reset_warning_hook();
/// ```
pub fn reset_warning_hook() {
    let old = hook().lock().take();
    gate::drop_or_report("a warning hook", old);
}

pub(crate) fn warn(warning: &Warning) {
    let hook = hook().lock().clone();
    let Some(hook) = hook else {
        return by_default(warning);
    };
    if let Err(payload) = gate::call_aside(|| hook(warning)) {
        let message = message_of(payload);
        by_default(warning);
        let task = warning.task.clone();
        let message = format!("the warning hook panicked: {message}");
        by_default(&Warning::new(WarningKind::ForeignPanic, task, message));
    }
    // It may be the last reference to a hook that was replaced meanwhile.
    gate::drop_or_report("a warning hook", hook);
}

/// Reports that a runtime was shut down while `count` tasks were cleaning up.
pub(crate) fn cleanup_cut(count: usize) {
    let tasks = if count == 1 { "task was" } else { "tasks were" };
    let message = format!(
        "a Tokio runtime was shut down while {count} {tasks} cleaning up, and cut that cleanup off. \
         Await the groups, or `taskgroup::drain()`, before the runtime is dropped"
    );
    let process = TaskInfo::process();
    warn(&Warning::new(WarningKind::CleanupCut, process, message));
}

/// Reports that a runtime was shut down, and what was left at the process that only `drain` takes.
/// `first` is the text of the first failure.
#[cfg_attr(loom, allow(dead_code))]
pub(crate) fn not_drained(deferred: usize, failures: usize, first: Option<&str>) {
    let mut left = Vec::new();
    match deferred {
        0 => {}
        1 => left.push("1 deferred future has not run".to_owned()),
        _ => left.push(format!("{deferred} deferred futures have not run")),
    }
    match (failures, first) {
        (0, _) => {}
        (1, Some(first)) => left.push(format!("1 failure was not taken ({first})")),
        (_, Some(first)) => left.push(format!(
            "{failures} failures were not taken (the first one: {first})"
        )),
        (_, None) => left.push(format!("{failures} failures were not taken")),
    }
    let left = left.join(", and ");
    let message = format!(
        "a Tokio runtime was shut down and left behind what belongs to no scope: {left}. Await \
         `taskgroup::drain()` before the runtime is dropped"
    );
    let process = TaskInfo::process();
    warn(&Warning::new(WarningKind::NotDrained, process, message));
}

/// Reports that a cancelled group has a grace and its runtime no clock to measure it.
pub(crate) fn no_clock(task: TaskInfo, grace: Duration) {
    let message = format!(
        "group `{}` ({}): its runtime has no clock or was shut down, so its cleanup may take longer \
         than its grace of {grace:?}. Call `enable_time()` on the builder of the Tokio runtime, or \
         drop that runtime later",
        task.path(),
        task.location()
    );
    warn(&Warning::new(WarningKind::NoClock, task, message));
}

/// Reports a panic of code that belongs to no task.
pub(crate) fn foreign_panicked(what: &str, message: Option<&str>) {
    let message = message.unwrap_or("no message");
    let message = format!("{what} panicked: {message}");
    let process = TaskInfo::process();
    warn(&Warning::new(WarningKind::ForeignPanic, process, message));
}

/// Reports that failures which are left behind in `task` are only counted from now on. Reported
/// once, until the failures that were kept are taken. `is_root`: nothing but `drain` takes them.
pub(crate) fn failures_not_kept(task: TaskInfo, is_root: bool, kept: usize) {
    let way_out = if is_root {
        "Take them with `taskgroup::drain().await`"
    } else {
        "Await such futures to their end, or run them in a group that ends sooner"
    };
    let message = format!(
        "`{}` ({}): futures that were dropped half-way left {kept} failures behind here. More of them \
         will be counted, not kept. {way_out}",
        task.path(),
        task.location()
    );
    warn(&Warning::new(WarningKind::FailuresNotKept, task, message));
}

#[cfg(feature = "tracing")]
fn by_default(warning: &Warning) {
    // Without a subscriber the event would go nowhere.
    if !tracing::dispatcher::has_been_set() {
        return to_stderr(warning);
    }
    let sent = gate::call_aside(|| {
        tracing::warn!(target: "taskgroup", task = %warning.task.path(), id = %warning.task.id(), "{warning}");
    });
    if let Err(payload) = sent {
        // It is not called a second time for the report of its own panic.
        let message = message_of(payload);
        to_stderr(warning);
        eprintln!("taskgroup: a `tracing` subscriber panicked: {message}");
    }
}

#[cfg(not(feature = "tracing"))]
fn by_default(warning: &Warning) {
    to_stderr(warning);
}

fn message_of(payload: Payload) -> String {
    gate::into_text(payload).unwrap_or_else(|| "no message".to_owned())
}

fn to_stderr(warning: &Warning) {
    eprintln!("taskgroup: {warning}");
}
