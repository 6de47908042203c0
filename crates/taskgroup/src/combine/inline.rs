//! The one mechanism under the helpers: children of a group that run inside the caller's task.
//!
//! An *inline child* is a section below the scope of the group. So it is cancelled like any child,
//! its failure is a failure of the group and meets the group's policy, and the group waits for what
//! it leaves behind. But the body polls it, it may borrow from the caller, and it costs no task.
//! The helpers differ in the policy that they give the group and in what they do with the outcomes.
//!
//! - **IN1** Each inline child holds the group's section, so a cancelled group sees the end of
//!   every child before its body is dropped, and [`Inline::run`] always returns.
//! - **IN2** A child of a group that is cancelled already is not polled even once (S16).

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::several::Several;
use crate::cancel::{CancelReason, Cancelled};
use crate::error::{BoxError, Interval, Member, TaskError, TaskId, TaskInfo};
use crate::gate;
use crate::group::TaskGroup;
use crate::handle::JoinError;
use crate::progress::{Fate, Progress};
use crate::scope::dated::Dated;
pub(crate) use crate::scope::entrant::Entrant;
use crate::scope::events;
use crate::scope::how::Ending;
use crate::scope::section::{Ended, Ends, Section};
use crate::scope::task::outcome::classify;
use crate::scope::task::{TaskOutput, converted};
use crate::scope::tree::Scope;
use crate::scope::{group, who};

pin_project! {
    /// A future with its output as a result.
    ///
    /// The conversion is a function pointer, so that the futures of the helpers do not depend on a
    /// trait of the output. The compiler cannot prove such a trait for every lifetime when it
    /// checks whether they are `Send`.
    #[derive(Debug)]
    pub struct Converting<F: Future, V> {
        #[pin]
        future: F,
        convert: fn(F::Output) -> Result<V, BoxError>,
    }
}

impl<F: Future<Output: TaskOutput>> Converting<F, <F::Output as TaskOutput>::Value> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            future,
            convert: converted,
        }
    }
}

impl<F: Future, V> Future for Converting<F, V> {
    type Output = Result<V, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.future.poll(cx).map(this.convert)
    }
}

/// Futures that are made one after the other, when there is room for another one.
///
/// How the next one is made is a function pointer as well. So the futures of the helpers depend
/// neither on an iterator nor on a closure being what it is.
pub struct Source<S, F> {
    state: S,
    next: fn(&mut S) -> Option<F>,
}

impl<I, F, V> Source<I, Converting<F, V>>
where
    I: Iterator<Item = F>,
    F: Future<Output: TaskOutput<Value = V>>,
{
    /// The futures of an iterator.
    pub(crate) fn new(futures: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            state: futures.into_iter(),
            next: |futures| futures.next().map(Converting::new),
        }
    }
}

impl<I, W, F, V> Source<(I, W), Converting<F, V>>
where
    I: Iterator,
    W: FnMut(I::Item) -> F,
    F: Future<Output: TaskOutput<Value = V>>,
{
    /// What `work` makes of each item of an iterator.
    pub(crate) fn of_work(items: impl IntoIterator<IntoIter = I>, work: W) -> Self {
        Self {
            state: (items.into_iter(), work),
            next: |(items, work)| items.next().map(|item| Converting::new(work(item))),
        }
    }
}

impl<I: Iterator> Source<I, I::Item> {
    /// Futures whose outputs are results already.
    pub(crate) fn of_results(futures: I) -> Self {
        Self {
            state: futures,
            next: I::next,
        }
    }
}

impl<S, F> Iterator for Source<S, F> {
    type Item = F;

    fn next(&mut self) -> Option<F> {
        (self.next)(&mut self.state)
    }
}

impl<S, F> fmt::Debug for Source<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

/// What an inline child is called, if not by its number.
type Name = Option<Cow<'static, str>>;

/// The inline children of one group.
#[derive(Clone, Copy)]
pub(crate) struct Inline<'a> {
    pub(crate) group: &'a TaskGroup,
    pub(crate) limit: Option<usize>,
    pub(crate) location: &'static Location<'static>,
    /// What the children of a [run](Self::run) are called, as far as they have names.
    pub(crate) names: &'a [Cow<'static, str>],
}

impl Inline<'_> {
    /// Runs one future as an inline child.
    pub(crate) async fn child<F, V>(self, name: Name, future: F) -> Result<V, JoinError>
    where
        F: Future<Output = Result<V, BoxError>>,
    {
        let entry = Entry::new(self.group, name);
        self.entered(entry, future, |_| {}).await
    }

    /// As [`child`](Self::child), for a child that was counted before. Calls `opened` with the
    /// scope of the child before the first poll.
    pub(crate) async fn entered<F, V>(
        self,
        mut entry: Entry,
        future: F,
        opened: impl FnOnce(&Arc<Scope>),
    ) -> Result<V, JoinError>
    where
        F: Future<Output = Result<V, BoxError>>,
    {
        let result = self.unfold(&mut entry, future, opened).await;
        entry.progress.end(Fate::of(&result));
        if result.is_ok() {
            self.group.in_tree().succeeded(|| self.info(&entry.who));
        }
        result
    }

    async fn unfold<F, V>(
        self,
        entry: &mut Entry,
        future: F,
        opened: impl FnOnce(&Arc<Scope>),
    ) -> Result<V, JoinError>
    where
        F: Future<Output = Result<V, BoxError>>,
    {
        let group = self.group.scope();
        if group.is_cancelled() {
            // IN2
            return Err(self.never_runs(&entry.who, future, group.reason_or_dropped()));
        }
        entry.progress.start();
        entry.waits = false;
        let scope = Scope::open_inline(entry.who.clone(), group, self.location);
        opened(&scope);
        let here = scope.clone();
        let who = &entry.who;
        let judged = async move {
            let result = Dated::new(future).await;
            // Reported at once: this may be dropped before what it left behind has ended (S41).
            result.map_err(|(error, interval)| {
                let failed = self.failed(who, &here, error, interval);
                if let (Some(failed), Some(child)) = (&failed, here.inline()) {
                    child.has_failed(failed);
                }
                failed
            })
        };
        let mut section = pin!(Section::new(scope.clone(), Ends::Any, judged));
        let ended = section.as_mut().ended().await;
        let outcome = match ended {
            Ended::Value(Ok(value)) => Ok(value),
            Ended::Value(Err(Some(failed))) => Err(JoinError::Failed(failed)),
            Ended::Value(Err(None)) | Ended::Dropped => {
                group.child_cancelled();
                Err(JoinError::Cancelled(Cancelled::plain(
                    scope.reason_or_dropped(),
                )))
            }
            Ended::Panicked(caught) => {
                let member = Member::failed(self.info(who), (*caught).into());
                let failed = member.to_task_error();
                group.adopt_failure(member);
                Err(JoinError::Failed(failed))
            }
        };
        events::inline_ended(&scope, || match &outcome {
            Ok(_) => Ending::Value,
            Err(JoinError::Cancelled(_)) => Ending::Cancelled,
            Err(JoinError::Failed(failed)) => Ending::Failed(failed.clone()),
        });
        outcome
    }

    /// The outcome of a child that is cancelled before its first poll. A panic of its destructor is
    /// its failure.
    pub(crate) fn never_runs<F>(self, who: &Entrant, future: F, reason: CancelReason) -> JoinError {
        match gate::drop_value(future) {
            Ok(()) => JoinError::Cancelled(Cancelled::plain(reason)),
            Err(payload) => {
                let member = Member::from_panic(self.info(who), payload, Interval::now());
                let failed = member.to_task_error();
                self.group.scope().adopt_failure(member);
                JoinError::Failed(failed)
            }
        }
    }

    /// Gives the group the error that an inline child returned, unless it only says that the child
    /// was cancelled.
    fn failed(
        self,
        who: &Entrant,
        scope: &Arc<Scope>,
        error: BoxError,
        interval: Interval,
    ) -> Option<TaskError> {
        let group = self.group.scope();
        let error = classify(error, scope.is_cancelled(), Some(scope)).err()?;
        if let Some(failed) = TaskError::passed_on_by(&*error) {
            group::pass_on(group, &failed);
            return Some(failed);
        }
        let member = Member::from_failure(self.info(who), error, interval);
        let failed = member.to_task_error();
        group.adopt_failure(member);
        Some(failed)
    }

    /// Runs all futures, at most [`limit`](Self::limit) at once. Calls `each` with the outcome of
    /// each future that was started, in order of completion. A cancelled group starts no further
    /// future. Returns whether all were started.
    pub(crate) async fn run<F, V>(
        self,
        futures: impl IntoIterator<Item = F>,
        mut each: impl FnMut(usize, Result<V, JoinError>),
    ) -> bool
    where
        F: Future<Output = Result<V, BoxError>>,
    {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut waiting = futures.into_iter().enumerate();
        let mut running = Several::new();
        let mut all = false;
        loop {
            while !all && running.len() < limit && !self.group.is_cancelled() {
                let Some((index, future)) = waiting.next() else {
                    all = true;
                    break;
                };
                let name = self.names.get(index).cloned();
                running.push(async move { (index, self.child(name, future).await) });
            }
            match running.next().await {
                Some((index, result)) => each(index, result),
                None => return all,
            }
        }
    }

    pub(crate) fn info(self, entrant: &Entrant) -> TaskInfo {
        let above = who::info(self.group.scope());
        let id = TaskId::new(above.id().group(), entrant.index());
        TaskInfo::new(entrant.display_name(), id, Some(&above), self.location)
    }
}

/// An inline child that is counted and does not run yet.
pub(crate) struct Entry {
    who: Entrant,
    progress: Tracked,
    /// It is a child, and has not begun.
    waits: bool,
}

impl Entry {
    /// The next child of `group`.
    pub(crate) fn new(group: &TaskGroup, name: Name) -> Self {
        Self {
            who: Entrant::new(group.scope().next_index(), name),
            progress: Tracked::new(group),
            waits: true,
        }
    }

    /// The group does not take it, so it never was a child.
    pub(crate) fn refuse(mut self) {
        self.waits = false;
    }

    pub(crate) fn who(&self) -> &Entrant {
        &self.who
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.waits {
            events::inline_never_began(&self.who);
        }
    }
}

/// Counts an inline child in its group's progress, also when the child is dropped half-way.
struct Tracked {
    progress: Option<Progress>,
    started: bool,
    ended: bool,
}

impl Tracked {
    fn new(group: &TaskGroup) -> Self {
        let progress = group.state().progress().cloned();
        if let Some(progress) = &progress {
            progress.queued();
        }
        Self {
            progress,
            started: false,
            ended: false,
        }
    }

    fn start(&mut self) {
        self.started = true;
        if let Some(progress) = &self.progress {
            progress.started();
        }
    }

    fn end(&mut self, fate: Fate) {
        if !self.started {
            self.start();
        }
        self.ended = true;
        if let Some(progress) = &self.progress {
            progress.ended(fate);
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Fate::Cancelled);
        }
    }
}
