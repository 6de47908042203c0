//! Where reports go that are nobody's result.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::TaskInfo;
use crate::gate::{self, Payload};
use crate::sync::Mutex;

/// What a [`Warning`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// The grace of a group is over, and something in it still runs.
    StillWaiting,
    /// A task has kept its worker for longer than is good for the others: see
    /// [`report_blocking`](crate::observe::report_blocking).
    Blocking,
    /// Code that belongs to no task panicked: a waker, a hook, the destructor of a value that no
    /// task owns.
    ForeignPanic,
    /// A runtime was shut down while tasks were cleaning up in it.
    CleanupCut,
    /// Futures that were dropped half-way have left more failures behind than are kept: see
    /// [`NotKept`](crate::error::NotKept).
    FailuresNotKept,
    /// A group with a grace was cancelled in a runtime without a clock: its cleanup is not bounded.
    NoClock,
}

/// Something that somebody ought to know and that is no task's result. Its `Display` is the whole
/// message, one line.
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

    /// What it is about.
    pub fn kind(&self) -> WarningKind {
        self.kind
    }

    /// The task that blocks, the group that does not end or has no clock for its grace, the task,
    /// run or process in which failures were left behind, or the process where the code belongs to
    /// no task.
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

/// Has all warnings of this process go to `hook`, in place of standard error (with the feature
/// `tracing`: of a `WARN` event).
///
/// The hook is called on whichever thread notices, one that drives tasks included, so it must not
/// block. It stays until the next call, or [`reset_warning_hook`]. As [`std::panic::set_hook`] for
/// panics.
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

/// Has warnings go where they go by default.
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
    // The last reference to a hook that was replaced meanwhile.
    gate::drop_or_report("a warning hook", hook);
}

/// A runtime was shut down and so many tasks were cleaning up.
pub(crate) fn cleanup_cut(count: usize) {
    let tasks = if count == 1 { "task was" } else { "tasks were" };
    let message = format!(
        "a Tokio runtime was shut down while {count} {tasks} cleaning up; that cleanup was cut off. \
         Await the groups, or `taskgroup::drain()`, before the runtime goes"
    );
    let process = TaskInfo::process();
    warn(&Warning::new(WarningKind::CleanupCut, process, message));
}

/// A group was cancelled, and nothing tells when its grace is over.
pub(crate) fn no_clock(task: TaskInfo, grace: Duration) {
    let message = format!(
        "group `{}`: no grace without a clock: its cleanup may take longer than {grace:?}. \
         Call `enable_time` on the builder of the Tokio runtime",
        task.path()
    );
    warn(&Warning::new(WarningKind::NoClock, task, message));
}

/// Foreign code panicked that belongs to no task.
pub(crate) fn foreign_panicked(what: &str, message: Option<&str>) {
    let message = message.unwrap_or("no message");
    let message = format!("{what} panicked: {message}");
    let process = TaskInfo::process();
    warn(&Warning::new(WarningKind::ForeignPanic, process, message));
}

/// From now on, failures that are left behind in `task` are counted and not kept. This is reported
/// once, until the program takes those that were kept. `is_root`: nothing but `drain` takes them.
pub(crate) fn failures_not_kept(task: TaskInfo, is_root: bool, kept: usize) {
    let ask = if is_root {
        ", and nobody has called `drain`"
    } else {
        ""
    };
    let message = format!(
        "`{}`: {kept} failures were left behind by futures that were dropped half-way{ask}; more are counted, not kept",
        task.path()
    );
    warn(&Warning::new(WarningKind::FailuresNotKept, task, message));
}

#[cfg(feature = "tracing")]
fn by_default(warning: &Warning) {
    let told = gate::call_aside(|| {
        tracing::warn!(target: "taskgroup", task = %warning.task.path(), id = %warning.task.id(), "{warning}");
    });
    if let Err(payload) = told {
        // One that panics is not asked again.
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
