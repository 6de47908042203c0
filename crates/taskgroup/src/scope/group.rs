//! What a group adds to its scope: the errors, the policy's verdicts, the grace, the queue of children over the limit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::driver::{self, light::Queue};
use super::outcome::classify;
use super::task::{BACKGROUND, Header, LIMITED, SHIELDED, TaskRef};
use super::timer::SetAlarm;
use super::tree::{self, Dropping, Kind, Refusal, Scope};
use super::waiters::{Key, Removed, Waiters};
use crate::clock::{self, Stamp};
use crate::error::{
    BoxError, ErrorGroup, Failed, Fault, Interval, Member, Overrun, TaskError, TaskId, TaskInfo,
};
use crate::gate::{self, StoredWaker};
use crate::policy::{Policy, QuorumMissed, Tally, Verdict};
use crate::progress::{Fate, Progress};
use crate::reason::{CancelReason, ReasonKind};
use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};

pub(crate) struct GroupState {
    /// Made on the first ask. In a box, as most groups have none.
    told: crate::sync::OnceLock<Box<Told>>,
    asked: Option<Box<Asked>>,
    /// 0 until somebody asks for it.
    number: AtomicU32,
    /// When it was opened.
    pub(crate) since: Stamp,
    background: AtomicU32,
    /// Where its children wait, if they are light.
    light: Option<Arc<Queue>>,
    /// Nothing was asked for that has to do with the end of a child.
    plain: bool,
    /// The body has ended, or its end was already reported.
    body_over: std::sync::atomic::AtomicBool,
    #[cfg(feature = "tracing")]
    pub(crate) span: super::spans::Span,
}

/// What there is to tell of few groups: who they are, what went wrong.
#[derive(Default)]
struct Told {
    info: OnceLock<TaskInfo>,
    outcomes: Mutex<Outcomes>,
}

#[derive(Default)]
struct Outcomes {
    failures: Vec<Member>,
    tally: Tally,
    /// The failure of the body or of a cleanup is among `failures`: no policy puts up with that.
    not_put_up_with: bool,
}

impl Outcomes {
    /// Whether the failure `member`, of one task, is among those that are known.
    fn knows(&self, member: &Member) -> bool {
        let mut failures = self.failures.iter();
        member
            .as_task()
            .is_some_and(|failed| failures.any(|known| known.is_same(failed)))
    }
}

/// What few groups ask for.
struct Asked {
    settings: Settings,
    grace_timer: Mutex<Option<SetAlarm>>,
    places: Mutex<Places>,
}

/// The children of a group with a limit.
#[derive(Default)]
struct Places {
    /// Children that hold one of the limit's places.
    placed: usize,
    /// Children that wait for a place, by their number: in spawn order.
    queued: BTreeMap<u32, TaskRef>,
    /// Those who wait for a place before they spawn. While there are any, no place is free: one that is given back is handed to the
    /// first of them, and counts as his from then on.
    waiting: Waiters,
}

/// Whose turn it is when a place is free.
enum Next {
    Child(TaskRef),
    /// A place was handed to this one.
    Waiter(StoredWaker),
}

/// What the builder of a group decides. The future that runs a group carries it about: what few ask for is in a box.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupOptions {
    pub(crate) light: bool,
    settings: Option<Box<Settings>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) grace: Option<Duration>,
    pub(crate) limit: Option<usize>,
    /// As asked for; helpers have defaults of their own.
    pub(crate) policy: Option<Policy>,
    pub(crate) progress: Option<Progress>,
}

impl GroupOptions {
    pub(crate) fn settings(&mut self) -> &mut Settings {
        self.settings.get_or_insert_default()
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.settings.as_ref()?.limit
    }
}

/// Whose failure a group takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of a child, or of an orphan that has ended.
    Child,
    /// It was in the hand of code that is dropped.
    Hand,
    /// Of cleanup, which is no child.
    Cleanup,
}

impl GroupState {
    pub(crate) fn new(options: GroupOptions) -> Self {
        let number = AtomicU32::new(0);
        #[cfg(feature = "tracing")]
        let span = {
            let settings = options.settings.as_ref();
            let name = settings.and_then(|settings| settings.name.as_deref());
            super::spans::of_group(number_of(&number), name)
        };
        let asked = options.settings.map(|settings| Asked::of(*settings));
        Self {
            told: crate::sync::OnceLock::new(),
            plain: asked.as_ref().is_none_or(|asked| asked.is_plain()),
            asked,
            number,
            since: clock::stamp(),
            background: AtomicU32::new(0),
            light: options.light.then(Arc::default),
            body_over: std::sync::atomic::AtomicBool::new(false),
            #[cfg(feature = "tracing")]
            span,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        number_of(&self.number)
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::new(self.number(), 0)
    }

    pub(super) fn light(&self) -> Option<&Arc<Queue>> {
        self.light.as_ref()
    }

    /// The group has ended.
    pub(super) fn closed(&self) {
        if let Some(queue) = &self.light {
            queue.close();
        }
    }

    fn asked<'a, T>(&'a self, what: impl FnOnce(&'a Settings) -> Option<T>) -> Option<T> {
        self.asked
            .as_deref()
            .and_then(|asked| what(&asked.settings))
    }

    fn policy(&self) -> Policy {
        self.asked(|asked| asked.policy).unwrap_or_default()
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.told.get_or_init(Box::default).outcomes.lock()
    }

    /// Who it is, if that was found out.
    fn known_info(&self) -> Option<&TaskInfo> {
        self.told.get()?.info.get()
    }

    // ---- spawning ----

    /// Takes everything that a child needs before it may start: a number and a token.
    #[inline(always)]
    pub(crate) fn admit(&self, scope: &Arc<Scope>, bits: usize) -> (u32, Result<(), Refusal>) {
        let (index, entered) = scope.enter_numbered();
        let plain = !scope.is_cancelled() && bits & BACKGROUND == 0;
        if entered.is_ok() && plain && scope.runtime_if_set().is_some() {
            return (index, entered);
        }
        let entered = entered.and_then(|()| self.admit_rare(scope, bits));
        (index, entered)
    }

    /// The token has been taken.
    #[cold]
    fn admit_rare(&self, scope: &Arc<Scope>, bits: usize) -> Result<(), Refusal> {
        if scope.is_cancelled() {
            let reason = scope.reason();
            scope.leave();
            return Err(reason.map_or(Refusal::Closed, Refusal::Cancelled));
        }
        if scope.runtime_if_any().is_none() {
            // Nobody would give the token back after the panic.
            scope.leave();
            scope.runtime();
        }
        if bits & BACKGROUND != 0 {
            // SeqCst: T14: before the section, which is woken, counts the tokens.
            self.background.fetch_add(1, Ordering::SeqCst);
            // The section may have looked between the two counts, and have seen an ordinary child.
            scope.wake();
        }
        Ok(())
    }

    /// Hands a child to its driver, or to the queue when the group is at its limit. `placed`: it has a place already.
    #[inline]
    pub(crate) fn start(&self, scope: &Arc<Scope>, task: TaskRef, placed: bool) {
        if self.asked.is_none() {
            return driver::submit(task);
        }
        self.start_asked(scope, task, placed);
    }

    /// In a group that counts its children or limits them.
    #[cold]
    fn start_asked(&self, scope: &Arc<Scope>, task: TaskRef, placed: bool) {
        self.count(task.header(), Progress::queued);
        let mut next = Some(task);
        if let (Some((limit, places)), Some(task), false) = (self.places(), &next, placed) {
            if task.header().has(LIMITED) {
                let mut places = places.lock();
                // A canceller sets the flag before it takes the queue, so nothing is left behind in it.
                if places.placed >= limit && !scope.is_cancelled() {
                    // Numbers wrap after 2^32 children: one that waits that long is started, not lost.
                    next = places.queued.insert(task.header().index, task.clone());
                }
                places.placed += usize::from(next.is_some());
            }
        }
        if let Some(task) = next {
            self.count(task.header(), Progress::started);
            driver::submit(task);
        }
    }

    fn submit(&self, task: TaskRef) {
        self.count(task.header(), Progress::started);
        driver::submit(task);
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.asked(|asked| asked.limit)
    }

    /// The limit, and who is within it.
    fn places(&self) -> Option<(usize, &Mutex<Places>)> {
        let asked = self.asked.as_deref()?;
        Some((asked.settings.limit?, &asked.places))
    }

    /// Whether a limited child would start at once; the place is then the caller's, to spawn with or to give back. If not, the waker is
    /// woken when a place was handed to the caller, or the group is cancelled.
    fn poll_place(&self, key: &mut Option<Key>, waker: &Waker) -> bool {
        let Some((limit, places)) = self.places() else {
            return true;
        };
        let known = {
            let mut places = places.lock();
            match *key {
                Some(own) if places.waiting.is_called(own) => {
                    let _called = places.waiting.remove(own);
                    *key = None;
                    return true;
                }
                own => own.is_some_and(|own| places.waiting.has(own, waker)),
            }
        };
        if known {
            return false;
        }
        let waker = gate::clone_waker(waker);
        // Wakers are dropped after the lock.
        let (placed, _not_needed) = {
            let mut places = places.lock();
            if key.is_some_and(|own| places.waiting.is_called(own)) {
                let _called = key.take().map(|own| places.waiting.remove(own));
                (true, Some(waker))
            } else if key.is_none() && places.is_free(limit) {
                places.placed += 1;
                (true, Some(waker))
            } else {
                (false, places.waiting.put(key, waker))
            }
        };
        placed
    }

    /// A wait for a place was given up. If the place had been handed over, it goes on to the next one.
    fn stop_waiting_for_place(&self, key: Key) {
        let Some((_, places)) = self.places() else {
            return;
        };
        let removed = places.lock().waiting.remove(key);
        if let Removed::Called = removed {
            self.place_free();
        }
    }

    /// The group is cancelled: who waits for a place gets it, which for a cancelled child means that it ends. The caller submits them.
    pub(super) fn take_queued(&self) -> Vec<TaskRef> {
        let Some((_, places)) = self.places() else {
            return Vec::new();
        };
        let (queued, waiting) = {
            let mut places = places.lock();
            let queued = std::mem::take(&mut places.queued);
            // They run their (empty) course on places of their own.
            places.placed += queued.len();
            (queued, places.waiting.take_all())
        };
        waiting.into_iter().for_each(StoredWaker::wake);
        for task in queued.values() {
            self.count(task.header(), Progress::started);
        }
        queued.into_values().collect()
    }

    /// A child was cancelled alone: it does not have to wait for a place to end.
    pub(crate) fn unqueue(&self, index: u32) {
        let Some((_, places)) = self.places() else {
            return;
        };
        let task = {
            let mut places = places.lock();
            let task = places.queued.remove(&index);
            places.placed += usize::from(task.is_some());
            task
        };
        if let Some(task) = task {
            self.submit(task);
        }
    }

    /// A place was given back: the next child starts, unless there are more running than the limit says, on their way out.
    pub(crate) fn place_free(&self) {
        let Some((limit, places)) = self.places() else {
            return;
        };
        let next = {
            let mut places = places.lock();
            places.placed -= 1;
            places.next(limit)
        };
        match next {
            Some(Next::Child(task)) => self.submit(task),
            Some(Next::Waiter(waker)) => waker.wake(),
            None => {}
        }
    }

    // ---- progress ----

    /// Background children and cleanup are not part of the work that is counted.
    fn count(&self, header: &Header, change: impl FnOnce(&Progress)) {
        if let Some(progress) = self.progress() {
            if !header.has(BACKGROUND | SHIELDED) {
                change(progress);
            }
        }
    }

    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.asked(|asked| asked.progress.as_ref())
    }

    /// How many places of the limit are taken, and how many children wait for one.
    #[cfg(feature = "testing")]
    pub(crate) fn placed_and_queued(&self) -> (usize, usize) {
        self.places().map_or((0, 0), |(_, places)| {
            let places = places.lock();
            (places.placed, places.queued.len())
        })
    }

    /// Whether the end of a child means nothing but its token.
    #[inline]
    fn is_plain(&self) -> bool {
        self.plain && self.background() == 0
    }

    #[cold]
    fn child_ended(&self, header: &Header, fate: Fate) {
        let owner = &header.owner;
        self.count(header, |progress| progress.ended(fate));
        if fate == Fate::Done && !header.has(BACKGROUND | SHIELDED) {
            self.succeeded(owner, || header.info());
        }
        if header.has(LIMITED) {
            self.place_free();
        }
        if header.has(BACKGROUND) {
            // SeqCst: T14, as each write of `background`.
            self.background.fetch_sub(1, Ordering::SeqCst);
        }
        owner.leave();
    }

    // ---- background children ----

    pub(super) fn background(&self) -> usize {
        // SeqCst: T14: asked after a token was given back.
        self.background.load(Ordering::SeqCst) as usize
    }

    // ---- outcomes ----

    /// A child, or what the group has adopted, failed.
    pub(super) fn failed(&self, scope: &Arc<Scope>, member: Member, whose: Whose) {
        self.record(scope, member, whose, false);
    }

    /// As [`failed`](Self::failed). What is `passed_on` may be there already: it is looked for and added under one lock, as several children
    /// may pass on the same failure at once.
    fn record(&self, scope: &Arc<Scope>, member: Member, whose: Whose, passed_on: bool) {
        let policy = self.policy();
        let told = {
            let mut outcomes = self.outcomes();
            if passed_on && outcomes.knows(&member) {
                drop(outcomes);
                return drop(member);
            }
            let verdict = if whose == Whose::Cleanup {
                outcomes.not_put_up_with = true;
                // It is counted by no policy, but where one failure is too many this is one.
                policy.judge(Tally {
                    failed: 1,
                    ..outcomes.tally
                })
            } else {
                outcomes.tally.failed += 1;
                policy.judge(outcomes.tally)
            };
            let stop = verdict == Verdict::Failed && !scope.is_cancelled();
            let told = stop.then(|| member.clone());
            outcomes.failures.push(member);
            told
        };
        if let Some(member) = told {
            let dropping = match whose {
                Whose::Child => Dropping::InPlace,
                Whose::Hand | Whose::Cleanup => Dropping::Scheduled,
            };
            scope.cancel(&member.as_reason(), dropping);
        }
    }

    /// A child has a value.
    pub(crate) fn succeeded(&self, scope: &Arc<Scope>, who: impl FnOnce() -> TaskInfo) {
        let policy = self.policy();
        if policy.wanted().is_none() {
            return;
        }
        let verdict = {
            let mut outcomes = self.outcomes();
            outcomes.tally.succeeded += 1;
            policy.judge(outcomes.tally)
        };
        if verdict == Verdict::Satisfied && !scope.is_cancelled() {
            let reason = CancelReason::of(ReasonKind::Satisfied, scope.location, Some(who()));
            scope.cancel(&reason, Dropping::InPlace);
        }
    }

    /// The body returned an error, in a poll of that interval.
    pub(crate) fn body_failed(&self, scope: &Arc<Scope>, error: BoxError, interval: Interval) {
        let gathered = error.downcast_ref::<ErrorGroup>();
        let member = if let Some(failed) = TaskError::passed_on_by(&*error) {
            // The failure of a child, passed on: counted once.
            pass_on(scope, &failed);
            let outcomes = self.outcomes();
            let mut failures = outcomes.failures.iter();
            let known = failures.find(|known| known.is_same(&failed));
            known.cloned().unwrap_or(Member::Task(failed))
        } else if let Some(group) = gathered.filter(|group| self.knows_all(group)) {
            // Those of several children, gathered by a helper over their handles: likewise.
            Member::Task(group.cause().clone())
        } else {
            let member = Member::from_failure(body_info(scope), error, interval);
            self.outcomes().failures.push(member.clone());
            member
        };
        self.outcomes().not_put_up_with = true;
        // Mostly the child's failure has done that already, and a reason costs something.
        if !scope.is_cancelled() {
            scope.cancel(&member.as_reason(), Dropping::Scheduled);
        }
    }

    /// Whether every member of `group` is the failure of a child of this group. Looks no deeper: what a helper gathers is flat, and to
    /// walk the whole error at every level of a deep tree would be quadratic.
    fn knows_all(&self, group: &ErrorGroup) -> bool {
        let outcomes = self.outcomes();
        let mut members = group.members().iter();
        members.all(|member| match member {
            Member::Task(leaf) => outcomes.failures.iter().any(|known| known.is_same(leaf)),
            Member::Group(_) => false,
        })
    }

    /// The body is over: a failed one takes its children with it.
    pub(super) fn body_ended(&self, scope: &Arc<Scope>, with_value: bool) {
        self.body_over.store(true, Ordering::Relaxed);
        if !with_value && !scope.is_cancelled() {
            let reason =
                CancelReason::of(ReasonKind::BodyPanicked, scope.location, Some(info(scope)));
            scope.cancel(&reason, Dropping::Scheduled);
        }
    }

    /// Whether anything below it has failed, whatever the policy says to that.
    #[cfg_attr(not(feature = "recorder"), allow(dead_code))]
    pub(crate) fn has_failed(&self) -> bool {
        let told = self.told.get();
        told.is_some_and(|told| !told.outcomes.lock().failures.is_empty())
    }

    /// What the group fails with by its policy; the group has ended.
    pub(crate) fn take_failure(&self, scope: &Arc<Scope>) -> Option<ErrorGroup> {
        let failure = self.take_failures(scope)?;
        let outcomes = self.outcomes();
        let verdict = self.policy().judge(outcomes.tally);
        let satisfied = verdict == Verdict::Satisfied && !outcomes.not_put_up_with;
        drop(outcomes);
        (!satisfied).then_some(failure)
    }

    /// All failures as one error, also those that the policy puts up with; the group has ended.
    pub(crate) fn take_failures(&self, scope: &Arc<Scope>) -> Option<ErrorGroup> {
        if self.asked.is_none() && self.told.get().is_none() {
            return None;
        }
        self.take_told(scope)
    }

    #[cold]
    fn take_told(&self, scope: &Arc<Scope>) -> Option<ErrorGroup> {
        let (mut failures, tally) = {
            let mut outcomes = self.outcomes();
            (std::mem::take(&mut outcomes.failures), outcomes.tally)
        };
        if let Some(asked) = &self.asked {
            asked.group_ended();
        }
        if let (Some(wanted), true) = (self.policy().wanted(), failures.is_empty()) {
            let ended_by = scope.reason().map(|reason| reason.kind());
            if matches!(ended_by, None | Some(ReasonKind::GroupEnded)) {
                // Nobody cancelled it, so it was never satisfied.
                let missed = Box::new(QuorumMissed::new(wanted, tally.succeeded));
                let now = Interval::now();
                failures.push(Member::from_failure(body_info(scope), missed, now));
            }
        }
        if failures.is_empty() {
            return None;
        }
        let error = ErrorGroup::new(info(scope), failures)?;
        // Cancelled by its own failing child is no news; cancelled from outside is the context of the errors.
        Some(match scope.reason() {
            Some(reason) if reason.kind() != ReasonKind::TaskFailed => error.with_context(reason),
            _ => error,
        })
    }

    // ---- grace ----

    pub(super) fn has_grace(&self) -> bool {
        self.asked(|asked| asked.grace).is_some()
    }

    pub(super) fn arm_grace(&self, scope: &Arc<Scope>) {
        let asked = self.asked.as_ref();
        if let Some((asked, grace)) = asked.and_then(|asked| Some((asked, asked.settings.grace?))) {
            let alarm = super::timer::set_grace(scope, grace);
            let before = std::mem::replace(&mut *asked.grace_timer.lock(), alarm);
            drop(before);
        }
    }

    /// The grace is over and the body has not ended: who is to be named, unless a child is.
    pub(super) fn late_body(&self, scope: &Arc<Scope>) -> Option<TaskInfo> {
        // Relaxed: nothing else is read by what it says, and a swap reads the newest value.
        let reported = self.body_over.swap(true, Ordering::Relaxed);
        (!reported).then(|| body_info(scope))
    }
}

impl Places {
    fn is_free(&self, limit: usize) -> bool {
        self.placed < limit && self.queued.is_empty() && self.waiting.is_empty()
    }

    /// Hands a place that is free to whose turn it is: children that were spawned already come first.
    fn next(&mut self, limit: usize) -> Option<Next> {
        if self.placed >= limit {
            return None;
        }
        let queued = self.queued.pop_first();
        let next = queued.map(|(_, task)| Next::Child(task));
        let next = next.or_else(|| self.waiting.call_first().map(Next::Waiter));
        self.placed += usize::from(next.is_some());
        next
    }
}

/// Ready with `true` when a child of the group would start at once, which then has to be spawned; with `false` when the group is
/// cancelled. Dropped, it is forgotten (S44), and a place that was handed to it goes to the next one.
pub(crate) struct FreePlace<'a> {
    scope: &'a Scope,
    group: &'a GroupState,
    key: Option<Key>,
}

impl<'a> FreePlace<'a> {
    pub(crate) fn new(scope: &'a Scope, group: &'a GroupState) -> Self {
        Self {
            scope,
            group,
            key: None,
        }
    }
}

impl Future for FreePlace<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = &mut *self;
        if this.group.poll_place(&mut this.key, cx.waker()) {
            Poll::Ready(true)
        } else if this.scope.is_cancelled() {
            // The flag comes before the canceller's look at those who wait.
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    }
}

impl Drop for FreePlace<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.group.stop_waiting_for_place(key);
        }
    }
}

impl Asked {
    fn of(settings: Settings) -> Box<Self> {
        Box::new(Self {
            settings,
            grace_timer: Mutex::new(None),
            places: Mutex::default(),
        })
    }

    fn is_plain(&self) -> bool {
        let Settings {
            name: _,
            grace: _,
            limit,
            policy,
            progress,
        } = &self.settings;
        let wanted = policy.and_then(Policy::wanted);
        limit.is_none() && wanted.is_none() && progress.is_none()
    }

    fn group_ended(&self) {
        if let Some(progress) = &self.settings.progress {
            progress.closed();
        }
        let alarm = self.grace_timer.lock().take();
        drop(alarm);
    }
}

/// The number of a group. Groups are numbered as they are asked for it: most never are, and one counter for all of them is a place where
/// all threads meet.
fn number_of(number: &AtomicU32) -> u32 {
    static LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let known = number.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let new = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    match number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => new,
        Err(known) => known,
    }
}

/// The grace is over: what still runs is dropped at its next suspension point and reported by name (S18).
pub(super) fn grace_over(scope: &Arc<Scope>, grace: Duration) {
    // With a token: what is told to end may have ended before its overrun is there, and then the
    // group would be gone.
    if scope.enter_child().is_err() {
        return;
    }
    let reason = CancelReason::of(ReasonKind::GraceOver, scope.location, Some(info(scope)));
    // First, for the same reason.
    let body = scope.group().and_then(|group| group.late_body(scope));
    let mut late = scope.force_and_find(&reason);
    if late.is_empty() {
        late.extend(body);
    }
    for task in late {
        let overrun = Box::new(Overrun::new(grace));
        let member = Member::from_failure(task, overrun, Interval::now());
        scope.adopt_failure(member);
    }
    scope.leave();
    super::timer::watch(scope);
}

/// Nothing but background children is left: they have served.
pub(super) fn end_background(scope: &Arc<Scope>) {
    let reason = CancelReason::of(ReasonKind::GroupEnded, scope.location, None);
    // Closing first is not possible while they live; a spawn by one of them finds the group cancelled. On the stack of whoever polls the
    // group destructors of children have no business.
    scope.cancel(&reason, Dropping::Scheduled);
}

/// The next number of a child below `scope`; 0 where children have none.
pub(crate) fn next_index(scope: &Arc<Scope>) -> u32 {
    scope.group().map_or(0, |_| scope.next_number())
}

/// Whether the owner is a group to which the end of the task means nothing but its token.
#[inline]
fn is_plain_end(header: &Header) -> bool {
    let group = header.owner.group();
    group.is_some_and(GroupState::is_plain) && !header.has(BACKGROUND | LIMITED)
}

/// A task has ended, in every sense: its group hears of it last.
pub(super) fn child_ended(header: &Header, fate: Fate) {
    let owner = &header.owner;
    match owner.group() {
        Some(_) if is_plain_end(header) => owner.leave(),
        Some(group) => group.child_ended(header, fate),
        None => owner.leave(),
    }
}

/// A task ended with the failure of a sibling in hand: counted once.
pub(crate) fn pass_on(owner: &Arc<Scope>, failed: &TaskError) {
    let member = Member::Task(failed.clone());
    match owner.group() {
        Some(group) => group.record(owner, member, Whose::Child, true),
        None if is_known_around(owner, failed) => {}
        None => owner.adopt_failure(member),
    }
}

/// Whether the nearest group has that very failure.
fn is_known_around(scope: &Arc<Scope>, failed: &TaskError) -> bool {
    tree::ancestors(scope)
        .find_map(|scope| scope.group())
        .is_some_and(|group| {
            let outcomes = group.outcomes();
            let mut failures = outcomes.failures.iter();
            failures.any(|member| member.is_same(failed))
        })
}

/// What was in the hand of code of `scope` that is dropped: its failure, unless it is an error that
/// only says that the scope was cancelled, or the failure of a child that its group has (S41). A
/// guard of the scope that it was `made_in` may be hidden in it.
pub(crate) fn adopt_failed(
    scope: &Arc<Scope>,
    who: TaskInfo,
    failed: Failed,
    made_in: Option<&Arc<Scope>>,
) {
    let interval = failed.interval;
    let error = match failed.fault {
        Fault::Error(error) => error,
        Fault::Panic(_) => return scope.adopt_from_hand(Member::failed(who, failed)),
    };
    let Err(error) = classify(error, scope.is_cancelled(), made_in) else {
        return;
    };
    match TaskError::passed_on_by(&*error) {
        Some(failed) if is_known_around(scope, &failed) => {}
        Some(failed) => scope.adopt_from_hand(Member::Task(failed)),
        None => scope.adopt_from_hand(Member::from_failure(who, error, interval)),
    }
}

// ---- who is who ----

pub(crate) fn display_name(header: &Header) -> Cow<'static, str> {
    let number = || Cow::Owned(format!("#{}", header.index));
    header.mark.name().unwrap_or_else(number)
}

pub(crate) fn group_name(group: &GroupState) -> Cow<'static, str> {
    group
        .asked(|asked| asked.name.clone())
        .unwrap_or_else(|| Cow::Owned(format!("group {}", group.number())))
}

pub(super) fn task_info(header: &Header) -> TaskInfo {
    task_info_below(header, &info(&header.owner))
}

pub(crate) fn task_id(header: &Header) -> TaskId {
    let number = header.owner.group().map_or(0, GroupState::number);
    TaskId::new(number, header.index)
}

/// As [`task_info`] for whoever knows what is above.
pub(crate) fn task_info_below(header: &Header, parent: &TaskInfo) -> TaskInfo {
    let name = display_name(header);
    TaskInfo::new(name, task_id(header), Some(parent), header.mark.location())
}

/// As [`info`] for whoever knows what is above; scopes without a name of their own are who is above.
pub(crate) fn info_below(scope: &Scope, parent: Option<&TaskInfo>) -> Option<TaskInfo> {
    match &scope.kind {
        Kind::Group(group) => Some(match group.known_info() {
            Some(known) => known.clone(),
            None => TaskInfo::new(group_name(group), group.id(), parent, scope.location),
        }),
        Kind::Run => Some(TaskInfo::new(
            "main",
            TaskId::new(0, 0),
            None,
            scope.location,
        )),
        _ => None,
    }
}

/// Who a scope is: the group, the task around it, or the root. Found by a walk, kept by groups.
pub(crate) fn info(scope: &Arc<Scope>) -> TaskInfo {
    // Top down from the nearest ancestor that knows its own: no recursion (T7).
    let mut chain = Vec::new();
    let mut known = None;
    for above in tree::ancestors(scope) {
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
                let told = group.told.get_or_init(Box::default);
                Some(told.info.get_or_init(|| fresh).clone())
            }
            Kind::Task(task) => task.upgrade().map(|task| {
                let header = task.header();
                TaskInfo::new(
                    display_name(header),
                    task_id(header),
                    parent,
                    header.mark.location(),
                )
            }),
            Kind::Run => Some(TaskInfo::new(
                "main",
                TaskId::new(0, 0),
                None,
                above.location,
            )),
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
