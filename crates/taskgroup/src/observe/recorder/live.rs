//! What is recorded while it happens.
//!
//! Invariants:
//!
//! - **RL1** The lock of the recorders is the innermost: nothing foreign runs and nothing of the
//!   engine is locked while it is held.
//! - **RL2** A record is found by the address of its task or scope from the spawn to the end,
//!   during which that address is taken; with the end it is forgotten. So an address that is used
//!   again means the new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

use super::model::{Outcome, Recording, TaskRecord};
use crate::error::TaskId;
use crate::reason::{CancelReason, ReasonKind};
use crate::scope::events::{self, Listener};
use crate::scope::how::Ending;
use crate::scope::task::Header;
use crate::scope::tree::{self, Kind, Scope};
use crate::scope::who;
use crate::sync::Mutex;

fn recorders() -> &'static Mutex<Vec<Live>> {
    static LIVE: OnceLock<Mutex<Vec<Live>>> = OnceLock::new();
    LIVE.get_or_init(Mutex::default)
}

/// Stands for a live task or scope (RL2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LiveKey(usize);

impl LiveKey {
    pub(crate) fn of_task(header: &Header) -> Self {
        Self(std::ptr::from_ref(header).addr())
    }

    pub(crate) fn of_scope(scope: &Arc<Scope>) -> Self {
        Self(Arc::as_ptr(scope).addr())
    }
}

/// One recording in the making.
struct Live {
    number: usize,
    begin: Instant,
    limit: usize,
    recording: Recording,
    keys: HashMap<LiveKey, usize>,
    ids: HashMap<TaskId, usize>,
}

/// Returns the number under which it is taken out again.
pub(super) fn start(limit: usize) -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    recorders().lock().push(Live {
        number,
        begin: Instant::now(),
        limit,
        recording: Recording::default(),
        keys: HashMap::new(),
        ids: HashMap::new(),
    });
    events::start(&Recorders);
    number
}

pub(super) fn finish(number: usize) -> Option<Recording> {
    let now = Instant::now();
    let mut live = {
        let mut recorders = recorders().lock();
        let at = recorders.iter().position(|live| live.number == number)?;
        events::stop();
        recorders.swap_remove(at)
    };
    live.recording.duration_ns = live.since(now);
    Some(live.recording)
}

impl Live {
    fn since(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn add(
        &mut self,
        key: LiveKey,
        id: TaskId,
        parents: &[LiveKey],
        mut record: TaskRecord,
        now: Instant,
    ) {
        if self.recording.tasks.len() >= self.limit {
            self.recording.omitted += 1;
            return;
        }
        record.parent = parents
            .iter()
            .find_map(|parent| self.keys.get(parent).copied());
        record.id = id.to_string();
        record.spawned_ns = self.since(now);
        let index = self.recording.tasks.len();
        self.recording.tasks.push(record);
        self.keys.insert(key, index);
        self.ids.insert(id, index);
    }
}

/// Changes the record of `key` in each recording that has one.
fn change(key: LiveKey, mut how: impl FnMut(&mut TaskRecord, u64, &HashMap<TaskId, usize>)) {
    let now = Instant::now();
    for live in recorders().lock().iter_mut() {
        let since = live.since(now);
        if let Some(&index) = live.keys.get(&key) {
            how(&mut live.recording.tasks[index], since, &live.ids);
        }
    }
}

fn add(key: LiveKey, id: TaskId, around: &Arc<Scope>, record: &TaskRecord) {
    let now = Instant::now();
    // What stands between that is not recorded itself is passed over.
    let parents: Vec<LiveKey> = tree::ancestors(around)
        .filter_map(|scope| match &scope.kind {
            Kind::Group(_) | Kind::Run | Kind::Inline(_) => Some(LiveKey::of_scope(scope)),
            Kind::Task(_) => tree::task_of(scope).map(|task| LiveKey::of_task(task.header())),
            _ => None,
        })
        .take(1)
        .collect();
    for live in recorders().lock().iter_mut() {
        live.add(key, id, &parents, record.clone(), now);
    }
}

/// All recorders, as the listener of the engine.
struct Recorders;

impl Listener for Recorders {
    fn spawned(&self, header: &Header) {
        let record = TaskRecord {
            kind: "task".to_owned(),
            name: who::display_name(header).into_owned(),
            location: header.label.location().to_string(),
            ..TaskRecord::default()
        };
        add(
            LiveKey::of_task(header),
            who::task_id(header),
            &header.owner,
            &record,
        );
    }

    fn started(&self, header: &Header) {
        change(LiveKey::of_task(header), |record, now, _| {
            record.started_ns = Some(now);
        });
    }

    fn opened(&self, scope: &Arc<Scope>) {
        let (kind, name, id) = match &scope.kind {
            Kind::Group(group) => ("group", who::group_name(group), group.id()),
            Kind::Run => ("run", "main".into(), TaskId::new(0, 0)),
            Kind::Inline(child) => (
                "task",
                child.who().display_name(),
                who::inline_id(scope, child),
            ),
            _ => return,
        };
        let record = TaskRecord {
            kind: kind.to_owned(),
            name: name.into_owned(),
            location: scope.location.to_string(),
            ..TaskRecord::default()
        };
        let around = scope.parent().unwrap_or_else(|| Scope::root());
        add(LiveKey::of_scope(scope), id, around, &record);
        change(LiveKey::of_scope(scope), |record, now, _| {
            record.started_ns = Some(now);
        });
    }

    fn cancelled(&self, header: &Header, reason: &CancelReason) {
        cancelled(LiveKey::of_task(header), reason);
    }

    fn cleaning(&self, header: &Header) {
        cleaning(LiveKey::of_task(header));
    }

    fn forced(&self, header: &Header) {
        change(LiveKey::of_task(header), |record, now, _| {
            record.killed_ns.get_or_insert(now);
        });
    }

    fn scope_cancelled(&self, scope: &Arc<Scope>, reason: &CancelReason) {
        // Each run is cancelled once its main has ended, so this says nothing about the program.
        if !matches!(scope.kind, Kind::Run) || reason.kind() != ReasonKind::GroupEnded {
            cancelled(LiveKey::of_scope(scope), reason);
        }
    }

    fn scope_cleaning(&self, scope: &Arc<Scope>) {
        match tree::task_of(scope) {
            Some(task) => cleaning(LiveKey::of_task(task.header())),
            None => cleaning(LiveKey::of_scope(scope)),
        }
    }

    fn ended(&self, header: &Header, how: &Ending) {
        end_as(LiveKey::of_task(header), how);
    }

    fn inline_ended(&self, scope: &Arc<Scope>, how: &Ending) {
        let key = LiveKey::of_scope(scope);
        if scope.is_forced() {
            change(key, |record, now, _| {
                record.killed_ns.get_or_insert(now);
            });
        }
        end_as(key, how);
    }

    fn closed(&self, scope: &Arc<Scope>) {
        let failed = match &scope.kind {
            Kind::Group(group) => group.has_failed(),
            Kind::Run => false,
            _ => return,
        };
        let cut_short = |reason: CancelReason| {
            !matches!(
                reason.kind(),
                ReasonKind::GroupEnded | ReasonKind::Satisfied
            )
        };
        let outcome = if failed {
            Outcome::Failed
        } else if scope.is_cancelled() && scope.reason().is_some_and(cut_short) {
            Outcome::Cancelled
        } else {
            Outcome::Succeeded
        };
        end(LiveKey::of_scope(scope), outcome, None);
    }
}

fn end_as(key: LiveKey, how: &Ending) {
    let outcome = match how {
        Ending::Value => Outcome::Succeeded,
        Ending::Cancelled => Outcome::Cancelled,
        Ending::Failed(failure) if failure.is_panic() => Outcome::Panicked,
        Ending::Failed(_) => Outcome::Failed,
    };
    end(key, outcome, how.error().as_deref());
}

fn cancelled(key: LiveKey, reason: &CancelReason) {
    let text = reason.to_string();
    let who = reason.task().map(crate::error::TaskInfo::id);
    change(key, |record, now, ids| {
        if record.cancelled_ns.is_none() {
            record.cancelled_ns = Some(now);
            record.reason = Some(text.clone());
            record.caused_by = who.and_then(|who| ids.get(&who).copied());
        }
    });
}

fn cleaning(key: LiveKey) {
    change(key, |record, now, _| {
        if record.cancelled_ns.is_some() && record.cleanup_ns.is_none() {
            record.cleanup_ns = Some(now);
        }
    });
}

fn end(key: LiveKey, outcome: Outcome, message: Option<&str>) {
    change(key, |record, now, _| {
        record.ended_ns = Some(now);
        record.error = message.map(str::to_owned);
        record.outcome = Some(match outcome {
            Outcome::Cancelled if record.killed_ns.is_some() => Outcome::Killed,
            outcome => outcome,
        });
    });
    for live in recorders().lock().iter_mut() {
        live.keys.remove(&key);
    }
}
