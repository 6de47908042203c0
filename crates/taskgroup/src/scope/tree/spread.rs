//! A cancellation on its way down: what it reaches, in which order, and what becomes of idle tasks.
//!
//! One loop over the tree marks everything (T4, T7). Only then wakers are called and idle tasks
//! dropped, with no lock held (T5): breadth first, tasks in spawn order (S16, S25).

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::flags::{CANCELLED, FORCED, NAMED, OWN};
use super::links::{place, sort_by_index};
use super::walk::{Key, inline_key, key_around};
use super::{Scope, ScopeData};
use crate::error::TaskInfo;
use crate::gate::StoredWaker;
use crate::reason::CancelReason;
use crate::scope::task::{Header, TaskRef};
use crate::scope::{events, who};

/// Where the futures of cancelled idle tasks are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropping {
    /// On the canceller's stack: only where no user code is below on it.
    InPlace,
    /// By the driver of the task. A user who cancels may hold a lock that a destructor wants.
    Scheduled,
}

impl Scope {
    /// Cancels this scope and everything below that no shield protects. A second cancellation
    /// changes nothing, and the first reason stays.
    pub(crate) fn cancel(self: &Arc<Self>, reason: &CancelReason, dropping: Dropping) {
        spread(self, CANCELLED | OWN, reason, dropping);
    }

    /// The grace has ended: what is below is dropped at its next suspension point, shielded or not.
    /// Returns the tasks that had not ended by then.
    pub(crate) fn force(self: &Arc<Self>, reason: &CancelReason) -> Vec<TaskRef> {
        spread(self, CANCELLED | OWN | FORCED, reason, Dropping::Scheduled)
    }

    /// The grace of this scope ends: what still runs is dropped at its next suspension point.
    /// Returns the innermost of these tasks and inline children, not those that only wait for them.
    pub(in crate::scope) fn force_and_find(
        self: &Arc<Self>,
        reason: &CancelReason,
    ) -> Vec<TaskInfo> {
        // Before they are told: one that ends because of that has overrun the grace.
        let inline = self.inline_below();
        let running = self.force(reason);
        let around_tasks = running.iter().map(|task| &task.header().owner);
        let around_inline = inline.iter().filter_map(|child| child.parent());
        let waiting: HashSet<Key> = around_tasks
            .chain(around_inline)
            .filter_map(key_around)
            .collect();
        let tasks = running
            .iter()
            .map(TaskRef::header)
            .filter(|header| !waiting.contains(&std::ptr::from_ref(*header).cast()))
            .map(Header::info);
        let inline = inline
            .iter()
            .filter(|child| !waiting.contains(&inline_key(child)))
            .map(who::info);
        tasks.chain(inline).collect()
    }

    /// The inline children below that have not ended and that no grace has ended yet.
    fn inline_below(self: &Arc<Self>) -> Vec<Arc<Scope>> {
        let mut found = Vec::new();
        let mut queue = VecDeque::from([self.clone()]);
        while let Some(scope) = queue.pop_front() {
            let (tasks, scopes) = scope.children();
            let lives = |scope: &&Arc<Scope>| {
                scope.inline().is_some() && !scope.is_closed() && !scope.is_forced()
            };
            found.extend(scopes.iter().filter(lives).cloned());
            queue.extend(scopes);
            let inside = |task: &TaskRef| task.header().scope().map(|inside| inside.clone());
            queue.extend(tasks.iter().filter_map(inside));
        }
        found
    }

    /// Takes over a cancellation that reached the task around this scope.
    pub(in crate::scope) fn cancel_from_above(self: &Arc<Self>, bits: u32, reason: &CancelReason) {
        spread(self, bits, reason, Dropping::Scheduled);
    }

    /// Sets flags without waking anything, for a scope that no other thread can reach yet.
    pub(in crate::scope) fn mark(&self, bits: u32, reason: Option<&CancelReason>) {
        let mut inner = self.inner.lock();
        if inner.reason.is_none() {
            inner.reason = reason.cloned();
        }
        self.flags.set(bits);
    }
}

/// Marks `start` and what is below it, then wakes or drops it: breadth first, tasks in spawn order
/// (S16, S25).
fn spread(
    start: &Arc<Scope>,
    bits: u32,
    reason: &CancelReason,
    dropping: Dropping,
) -> Vec<TaskRef> {
    let inherited = bits & !OWN;
    let force = bits & FORCED != 0;
    let mut queue = VecDeque::new();
    queue.push_back((start.clone(), bits));
    let mut tasks: Vec<Marked> = Vec::new();
    let mut unqueued: Vec<TaskRef> = Vec::new();
    // Each is woken just before the task with this number in `tasks`. That keeps the order by
    // depth: the siblings of a task learn of the cancellation before a section inside that task.
    let mut sections: Vec<(usize, Call)> = Vec::new();
    let mut cancelled_groups: Vec<Arc<Scope>> = Vec::new();
    while let Some((scope, bits)) = queue.pop_front() {
        let first_task = tasks.len();
        let before;
        {
            let mut inner = scope.inner.lock();
            // T14: before the tasks that are marked count the holds.
            before = scope.flags.set(bits);
            if before & bits == bits {
                continue;
            }
            if inner.reason.is_none() {
                inner.reason = Some(reason.clone());
            }
            // Taken, as by a wake: the task that is woken polls the section, which stores a waker
            // again before it looks at the flags.
            let own = scope.take_waker(&mut inner);
            let own = own.map(|waker| (Some(scope.clone()), waker));
            let watchers = inner.take_watchers().into_iter().map(|waker| (None, waker));
            let calls = own.into_iter().chain(watchers);
            sections.extend(calls.map(|call| (first_task, call)));
            if before & inherited == inherited {
                // It was spread from above already. Only this scope itself learns something new.
                continue;
            }
            if dropping == Dropping::InPlace && before & NAMED == 0 {
                inner.claim_idle(inherited, &mut tasks);
            }
            tasks.extend(inner.tasks.iter().map(Marked::in_place));
            for below in inner.scopes.iter() {
                let passes = if force {
                    !below.keeps_force_out()
                } else {
                    !below.kind.keeps_cancel_out()
                };
                if passes {
                    queue.push_back((below.clone(), inherited));
                }
            }
        }
        events::scope_cancelled(&scope, reason);
        if let Some(group) = scope.group() {
            if before & CANCELLED == 0 {
                // The grace counts from the first cancellation. The end of a grace starts no other
                // one.
                cancelled_groups.push(scope.clone());
            }
            let queued = group.take_queued();
            tasks.extend(queued.iter().map(Marked::in_place));
            unqueued.extend(queued);
        }
        sort_by_index(&mut tasks[first_task..], |marked| marked.index);
        let mut kept = first_task;
        for at in first_task..tasks.len() {
            let marked = &tasks[at];
            let header = marked.task.header();
            let has_ended = header.is_done();
            // A claimed task is marked already, and had no scope. A shielded task (an adopted
            // cleanup) is only marked by force.
            if marked.claimed || header.mark(inherited) {
                if let (false, Some(inside)) = (marked.claimed, header.scope()) {
                    queue.push_back((inside.clone(), inherited));
                }
                tasks[at].has_ended = has_ended;
                tasks.swap(kept, at);
                kept += 1;
            }
        }
        tasks.truncate(kept);
    }
    for group in &cancelled_groups {
        if let Some(group) = group.as_group() {
            group.arm_grace();
        }
    }
    for Marked { task, .. } in &tasks {
        events::cancelled(task.header(), reason);
        if force {
            events::forced(task.header());
        }
    }
    let mut forced = Vec::new();
    let mut sections = sections.into_iter().peekable();
    for (number, marked) in tasks.into_iter().enumerate() {
        let Marked {
            task,
            claimed,
            has_ended,
            ..
        } = marked;
        while let Some((_, call)) = sections.next_if(|(before, _)| *before <= number) {
            wake(call);
        }
        if force && !has_ended {
            forced.push(task.clone());
        }
        if claimed {
            task.drop_claimed();
        } else {
            task.cancelled(dropping);
        }
    }
    sections.for_each(|(_, call)| wake(call));
    // They come last, because they were spawned last. Until now they were in no driver's queue.
    unqueued.into_iter().for_each(TaskRef::submit);
    forced
}

/// A waker that was taken, to be called when everything is marked: that of a section, or that of a
/// watcher.
type Call = (Option<Arc<Scope>>, StoredWaker);

fn wake((section, waker): Call) {
    match section {
        Some(section) => section.call_taken(waker),
        None => waker.wake(),
    }
}

/// A task that was marked.
struct Marked {
    task: TaskRef,
    /// A copy, so that a sort of many does not fetch each of them from memory.
    index: u32,
    /// It was taken out of its owner's list as well. Then this canceller drops it.
    claimed: bool,
    /// It had ended when it was marked. Once it is woken it may end at any moment, because of the
    /// cancellation.
    has_ended: bool,
}

impl Marked {
    fn in_place(task: &TaskRef) -> Self {
        Self {
            index: task.header().index,
            task: task.clone(),
            claimed: false,
            has_ended: false,
        }
    }

    fn claimed(task: TaskRef) -> Self {
        Self {
            index: task.header().index,
            task,
            claimed: true,
            has_ended: false,
        }
    }
}

impl ScopeData {
    /// Marks the idle tasks and takes them out of the list. In a group with a grace they stay in
    /// it, so that they can be named until they are dropped.
    fn claim_idle(&mut self, bits: u32, marked: &mut Vec<Marked>) {
        for task in std::mem::take(&mut self.tasks) {
            match task.claim_idle(bits) {
                Ok(task) => marked.push(Marked::claimed(task)),
                Err(task) => {
                    task.header().set_slot(place(&self.tasks));
                    self.tasks.push(task);
                }
            }
        }
    }
}

impl Header {
    /// Takes over what its owner knows.
    pub(in crate::scope) fn inherit(&self, owner_flags: u32) {
        if self.mark(owner_flags & (CANCELLED | FORCED)) {
            events::found_cancelled(self);
        }
    }
}
