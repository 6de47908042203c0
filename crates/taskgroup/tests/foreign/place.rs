//! The places where the engine calls foreign code, and how the code gets there.

use std::borrow::Cow;
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};

use taskgroup::{
    BoxError, GroupBuilder, Local, LocalGroup, LocalHandle, Policy, Progress, Started, TaskGroup,
    TaskHandle, bracket, defer, map, until_cancelled,
};
use tokio::sync::oneshot;

use crate::common::waker::{Op, hooked};
use crate::common::{Flavour, Surroundings, forever, ms, turns};
use crate::deed::{Act, ActOnDrop, ActingError, Deed, Mishap, Part};
use crate::recorder::{self, Told};
use crate::subscriber::{self, Moment};

type Outcome<T = ()> = Result<T, BoxError>;

/// Whose the failure is when the foreign code panics or returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The task `culprit` has failed with it.
    Culprit,
    /// The task `culprit` has failed with the error that misbehaves, which has a placeholder for
    /// its text.
    CulpritAnyway,
    /// No task has it; the warning hook was told.
    Told,
    /// One of these two.
    CulpritOrTold,
    /// It came out where foreign code of the same author had called us by hand, or the hook was
    /// told.
    CallerOrTold,
    /// The hook itself failed; there is no one to tell.
    Nowhere,
}

macro_rules! places {
    ($($(#[$doc:meta])* $test:ident $place:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Place { $($(#[$doc])* $place,)* }

        impl Place {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$place,)*];
        }

        $(
            // S39
            #[test]
            fn $test() {
                crate::run::place(Place::$place, || ());
            }
        )*
    };
}

places! {
    /// A poll of a child.
    poll_of_a_child PollOfAChild,
    /// The drop of the future of a child that is cancelled while it is parked.
    drop_of_a_cancelled_future DropOfACancelledFuture,
    /// The drop of the future of a child that is cancelled before its first poll.
    drop_of_a_future_never_polled DropOfAFutureNeverPolled,
    /// The drop of the future of a child that has returned.
    drop_of_an_ended_future DropOfAnEndedFuture,
    /// The drop of the future of a child that waits in the queue of a limited group, which is
    /// cancelled.
    drop_of_a_queued_future DropOfAQueuedFuture,
    /// The drop of a future that its group refuses.
    drop_of_a_refused_future DropOfARefusedFuture,
    /// The drop of an output whose handle is gone.
    drop_of_an_output DropOfAnOutput,
    /// The drop of an output with the last handle.
    drop_of_an_output_with_its_handle DropOfAnOutputWithItsHandle,
    /// A blocking closure.
    blocking_closure BlockingClosure,
    /// The drop of what a blocking closure captured, after it has run.
    drop_of_captures DropOfCaptures,
    /// The drop of what a blocking closure captured that never ran.
    drop_of_captures_never_run DropOfCapturesNeverRun,
    /// The drop of an error that the policy puts up with.
    drop_of_an_error DropOfAnError,
    /// The drop of the payload of a panic that the policy puts up with.
    drop_of_a_payload DropOfAPayload,
    /// The drop of the value of a `Local`.
    drop_of_a_local DropOfALocal,
    /// The drop of the body of a nested group that is cancelled.
    drop_of_a_body DropOfABody,
    /// The drop of the value that a child gives its starter, who has gone.
    drop_of_a_started_value DropOfAStartedValue,
    /// `Display` of an error, where the failures are printed.
    display_of_an_error DisplayOfAnError,
    /// `Display` of an error that cancels the group, where the reason is made.
    display_in_a_reason DisplayInAReason,
    /// `Debug` of an error.
    debug_of_an_error DebugOfAnError,
    /// `source` of an error, where the failures are printed.
    source_of_an_error SourceOfAnError,
    /// `source` of the error of a child that was cancelled, where the engine looks for a
    /// `Cancelled` in it.
    source_of_a_late_error SourceOfALateError,
    /// `Display` of the error of a child that was cancelled, where the reason for the others is
    /// made.
    display_of_a_late_error DisplayOfALateError,
    /// The conversion of an error of a child that was cancelled.
    conversion_of_a_late_error ConversionOfALateError,
    /// The drop of an error that only says that its child was cancelled.
    drop_of_a_late_error DropOfALateError,
    /// The drop of the future of a child that was cancelled and has returned.
    drop_of_a_late_future DropOfALateFuture,
    /// The drop of an output with its handle, by a child that was cancelled.
    drop_of_an_output_by_a_late_child DropOfAnOutputByALateChild,
    /// The drop of the value of a `Local` in a child that was cancelled.
    drop_of_a_late_local DropOfALateLocal,
    /// The conversion of an error of a child.
    conversion_of_an_error ConversionOfAnError,
    /// The conversion of what a task is named by.
    name Name,
    /// The body of a group.
    body Body,
    /// The closure that makes a child which says when it is ready.
    start_closure StartClosure,
    /// The closure of `map`.
    map_closure MapClosure,
    /// The acquisition of a bracket.
    bracket_acquire BracketAcquire,
    /// The work of a bracket.
    bracket_work BracketWork,
    /// The closure that makes the release of a bracket.
    bracket_release_closure BracketReleaseClosure,
    /// The release of a bracket.
    bracket_release BracketRelease,
    /// The release of a bracket that was dropped half-way.
    bracket_adopted BracketAdopted,
    /// A deferred cleanup.
    deferred Deferred,
    /// The drop of a deferred cleanup that has run.
    drop_of_a_deferred DropOfADeferred,
    /// The clone of a waker of a handle that is polled by hand.
    clone_of_a_waker_of_a_handle CloneOfAWakerOfAHandle,
    wake_of_a_waker_of_a_handle WakeOfAWakerOfAHandle,
    drop_of_a_waker_of_a_handle DropOfAWakerOfAHandle,
    /// The same of `ended()`.
    clone_of_a_waker_of_ended CloneOfAWakerOfEnded,
    wake_of_a_waker_of_ended WakeOfAWakerOfEnded,
    drop_of_a_waker_of_ended DropOfAWakerOfEnded,
    /// The same of `spawn_when_free`.
    clone_of_a_waker_in_the_queue CloneOfAWakerInTheQueue,
    wake_of_a_waker_in_the_queue WakeOfAWakerInTheQueue,
    drop_of_a_waker_in_the_queue DropOfAWakerInTheQueue,
    /// The same in a body that was cancelled.
    clone_of_a_late_waker CloneOfALateWaker,
    wake_of_a_late_waker WakeOfALateWaker,
    drop_of_a_late_waker DropOfALateWaker,
    /// The same of a group that is polled by hand.
    clone_of_a_waker_of_a_group CloneOfAWakerOfAGroup,
    wake_of_a_waker_of_a_group WakeOfAWakerOfAGroup,
    drop_of_a_waker_of_a_group DropOfAWakerOfAGroup,
    /// The waker of a task that watches a progress.
    wake_of_a_waker_of_a_progress WakeOfAWakerOfAProgress,
    /// The hook of a policy, called for the failure of a child.
    hook_of_a_policy HookOfAPolicy,
    /// The predicate of a policy, called for the failure of a child.
    predicate_of_a_policy PredicateOfAPolicy,
    /// The drop of the hook of a policy.
    drop_of_a_hook_of_a_policy DropOfAHookOfAPolicy,
    /// A poll of a child of a local group.
    poll_of_a_local_child PollOfALocalChild,
    /// The drop of the future of a local child that is cancelled while it is parked.
    drop_of_a_cancelled_local_future DropOfACancelledLocalFuture,
    /// The drop of the future of a local child that is cancelled alone before its first poll.
    drop_of_a_local_future_never_polled DropOfALocalFutureNeverPolled,
    /// The drop of the future of a local child that waits for a place in a group that is cancelled.
    drop_of_a_queued_local_future DropOfAQueuedLocalFuture,
    /// The drop of the future of a local child that has returned.
    drop_of_an_ended_local_future DropOfAnEndedLocalFuture,
    /// The drop of the output of a local child whose handle is gone.
    drop_of_a_local_output DropOfALocalOutput,
    /// The drop of the future of a local child with the run.
    drop_of_a_local_run DropOfALocalRun,
    /// The drop of the future of a local child that waits for a place, with the run.
    drop_of_a_queued_local_run DropOfAQueuedLocalRun,
    /// The body of a local group.
    body_of_a_local_group BodyOfALocalGroup,
    /// The warning hook, called for a task that blocks.
    hook_for_blocking HookForBlocking,
    /// The warning hook, called for a group that does not end after its grace.
    hook_for_a_grace HookForAGrace,
    /// The warning hook, called by a child that was cancelled, for a panic that belongs to no task.
    hook_for_a_panic HookForAPanic,
    /// A `tracing` subscriber, where the span of a task is made.
    subscriber_of_a_new_span SubscriberOfANewSpan,
    /// A `tracing` subscriber, where the span of a task is entered for a poll.
    subscriber_of_an_entry SubscriberOfAnEntry,
    /// A `tracing` subscriber, where the span of a task is left after a poll.
    subscriber_of_an_exit SubscriberOfAnExit,
    /// A `tracing` subscriber, where a task is cancelled.
    subscriber_of_an_event SubscriberOfAnEvent,
    /// A `tracing` subscriber, where the span of a task is told how the task has ended.
    subscriber_of_a_record SubscriberOfARecord,
    /// A `tracing` subscriber, where the span of a task is closed.
    subscriber_of_a_close SubscriberOfAClose,
    /// A recorder of `metrics`, where a task is counted.
    recorder_of_a_counter RecorderOfACounter,
    /// A recorder of `metrics`, where the duration of a task is measured.
    recorder_of_a_duration RecorderOfADuration,
}

/// What a part of the code is that cannot return an error.
const DESTRUCTOR: &str = "a destructor returns nothing";
const WAKER: &str = "an operation of a waker returns nothing";
const HOOK: &str = "the hook returns nothing";

/// Why a combination makes no sense, if it makes none.
pub(crate) fn excluded(place: Place, deed: Deed, at: &Surroundings) -> Option<&'static str> {
    let fails = deed == Deed::Fails;
    match place {
        Place::DropOfACancelledFuture
        | Place::DropOfAFutureNeverPolled
        | Place::DropOfAnEndedFuture
        | Place::DropOfAQueuedFuture
        | Place::DropOfARefusedFuture
        | Place::DropOfAnOutput
        | Place::DropOfAnOutputWithItsHandle
        | Place::DropOfCaptures
        | Place::DropOfCapturesNeverRun
        | Place::DropOfAnError
        | Place::DropOfAPayload
        | Place::DropOfALocal
        | Place::DropOfABody
        | Place::DropOfAStartedValue
        | Place::DropOfALateError
        | Place::DropOfALateFuture
        | Place::DropOfAnOutputByALateChild
        | Place::DropOfALateLocal
        | Place::DropOfAHookOfAPolicy
        | Place::DropOfACancelledLocalFuture
        | Place::DropOfALocalFutureNeverPolled
        | Place::DropOfAQueuedLocalFuture
        | Place::DropOfAnEndedLocalFuture
        | Place::DropOfALocalOutput
        | Place::DropOfALocalRun
        | Place::DropOfAQueuedLocalRun
        | Place::DropOfADeferred => fails.then_some(DESTRUCTOR),
        Place::CloneOfAWakerOfAHandle
        | Place::WakeOfAWakerOfAHandle
        | Place::DropOfAWakerOfAHandle
        | Place::CloneOfAWakerOfEnded
        | Place::WakeOfAWakerOfEnded
        | Place::DropOfAWakerOfEnded
        | Place::CloneOfAWakerInTheQueue
        | Place::WakeOfAWakerInTheQueue
        | Place::DropOfAWakerInTheQueue
        | Place::CloneOfALateWaker
        | Place::WakeOfALateWaker
        | Place::DropOfALateWaker
        | Place::CloneOfAWakerOfAGroup
        | Place::WakeOfAWakerOfAGroup
        | Place::DropOfAWakerOfAGroup
        | Place::WakeOfAWakerOfAProgress => fails.then_some(WAKER),
        Place::SourceOfAnError | Place::SourceOfALateError => {
            fails.then_some("`source` gives an error that is there, or none")
        }
        Place::Name => fails.then_some("a name is converted without a way to fail"),
        Place::StartClosure | Place::BracketReleaseClosure | Place::MapClosure => fails
            .then_some("the closure makes a future; that one can fail, and is a place of its own"),
        Place::HookForBlocking | Place::HookForAPanic | Place::HookOfAPolicy => {
            fails.then_some(HOOK)
        }
        Place::PredicateOfAPolicy => fails.then_some("a predicate says yes or no"),
        Place::HookForAGrace if fails => Some(HOOK),
        Place::SubscriberOfANewSpan
        | Place::SubscriberOfAnEntry
        | Place::SubscriberOfAnExit
        | Place::SubscriberOfAnEvent
        | Place::SubscriberOfARecord
        | Place::SubscriberOfAClose => fails.then_some("a subscriber has no way to fail"),
        Place::RecorderOfACounter | Place::RecorderOfADuration => {
            fails.then_some("a recorder has no way to fail")
        }
        Place::HookForAGrace => {
            let kept = matches!(deed, Deed::Panics | Deed::Spawns);
            let kept = kept && at.flavour == Flavour::CurrentThread;
            (!kept).then_some(
                "this warning takes five seconds; the other place of the hook has all deeds",
            )
        }
        Place::PollOfAChild
        | Place::PollOfALocalChild
        | Place::BodyOfALocalGroup
        | Place::BlockingClosure
        | Place::DisplayOfAnError
        | Place::DisplayInAReason
        | Place::DebugOfAnError
        | Place::DisplayOfALateError
        | Place::ConversionOfALateError
        | Place::ConversionOfAnError
        | Place::Body
        | Place::BracketAcquire
        | Place::BracketWork
        | Place::BracketRelease
        | Place::BracketAdopted
        | Place::Deferred => None,
    }
}

const HAS_SUBSCRIBERS: bool = cfg!(feature = "tracing");
const HAS_RECORDERS: bool = cfg!(feature = "metrics");

impl Place {
    pub(crate) fn blame(self) -> Blame {
        match self {
            Self::PollOfAChild
            | Self::DropOfACancelledFuture
            | Self::DropOfAFutureNeverPolled
            | Self::DropOfAnEndedFuture
            | Self::DropOfAnOutput
            | Self::BlockingClosure
            | Self::DropOfCaptures
            | Self::DropOfABody
            | Self::DropOfARefusedFuture
            | Self::DropOfALateFuture
            | Self::ConversionOfALateError
            | Self::ConversionOfAnError
            | Self::Name
            | Self::Body
            | Self::StartClosure
            | Self::MapClosure
            | Self::BracketAcquire
            | Self::BracketWork
            | Self::BracketReleaseClosure
            | Self::BracketRelease
            | Self::BracketAdopted
            | Self::Deferred
            | Self::PollOfALocalChild
            | Self::DropOfACancelledLocalFuture
            | Self::DropOfALocalFutureNeverPolled
            | Self::DropOfAQueuedLocalFuture
            | Self::DropOfAnEndedLocalFuture
            | Self::DropOfALocalOutput
            | Self::BodyOfALocalGroup
            | Self::DropOfADeferred => Blame::Culprit,
            Self::DisplayOfAnError
            | Self::DisplayInAReason
            | Self::DebugOfAnError
            | Self::DisplayOfALateError
            | Self::SourceOfAnError
            | Self::SourceOfALateError => Blame::CulpritAnyway,
            Self::DropOfAnError
            | Self::DropOfAPayload
            | Self::WakeOfAWakerOfAHandle
            | Self::WakeOfAWakerOfEnded
            | Self::WakeOfAWakerInTheQueue
            | Self::WakeOfALateWaker
            | Self::WakeOfAWakerOfAGroup
            | Self::WakeOfAWakerOfAProgress
            | Self::HookOfAPolicy
            | Self::PredicateOfAPolicy
            | Self::DropOfAHookOfAPolicy
            | Self::DropOfALocalRun
            | Self::DropOfAQueuedLocalRun
            | Self::DropOfALateError => Blame::Told,
            Self::SubscriberOfANewSpan
            | Self::SubscriberOfAnEntry
            | Self::SubscriberOfAnExit
            | Self::SubscriberOfAnEvent
            | Self::SubscriberOfARecord
            | Self::SubscriberOfAClose if HAS_SUBSCRIBERS => Blame::Told,
            Self::RecorderOfACounter | Self::RecorderOfADuration if HAS_RECORDERS => Blame::Told,
            Self::SubscriberOfANewSpan
            | Self::SubscriberOfAnEntry
            | Self::SubscriberOfAnExit
            | Self::SubscriberOfAnEvent
            | Self::SubscriberOfARecord
            | Self::SubscriberOfAClose
            | Self::RecorderOfACounter
            | Self::RecorderOfADuration => Blame::Nowhere,
            Self::DropOfALocal
            | Self::DropOfALateLocal
            | Self::DropOfAnOutputByALateChild
            | Self::DropOfCapturesNeverRun
            | Self::DropOfAQueuedFuture
            | Self::DropOfAStartedValue
            // The group is open or has ended: that decides.
            | Self::DropOfAnOutputWithItsHandle => Blame::CulpritOrTold,
            Self::CloneOfAWakerOfAHandle
            | Self::DropOfAWakerOfAHandle
            | Self::CloneOfAWakerOfEnded
            | Self::DropOfAWakerOfEnded
            | Self::CloneOfAWakerInTheQueue
            | Self::DropOfAWakerInTheQueue
            | Self::CloneOfALateWaker
            | Self::DropOfALateWaker
            | Self::CloneOfAWakerOfAGroup
            | Self::DropOfAWakerOfAGroup => Blame::CallerOrTold,
            Self::HookForBlocking | Self::HookForAGrace | Self::HookForAPanic => Blame::Nowhere,
        }
    }

    /// Whether the code is called at all: we print no `Debug` of others, and if that changes, it
    /// has to be right.
    pub(crate) fn is_reached(self) -> bool {
        match self {
            Self::DebugOfAnError => false,
            Self::SubscriberOfANewSpan
            | Self::SubscriberOfAnEntry
            | Self::SubscriberOfAnExit
            | Self::SubscriberOfAnEvent
            | Self::SubscriberOfARecord
            | Self::SubscriberOfAClose => HAS_SUBSCRIBERS,
            Self::RecorderOfACounter | Self::RecorderOfADuration => HAS_RECORDERS,
            _ => true,
        }
    }

    /// Whether siblings live through it: not where the point is that the group is cancelled.
    pub(crate) fn siblings_live(self) -> bool {
        !matches!(self, Self::DisplayInAReason | Self::DisplayOfALateError)
    }

    /// The settings of the group that it happens in.
    pub(crate) fn settings(self, builder: GroupBuilder) -> GroupBuilder {
        match self {
            Self::DropOfAnError | Self::DropOfAPayload => builder.policy(Policy::quorum(3)),
            Self::DisplayInAReason | Self::DisplayOfALateError => {
                builder.policy(Policy::fail_fast())
            }
            Self::HookForAGrace => builder.policy(Policy::collect()).grace(ms(1)),
            _ => builder.policy(Policy::collect()),
        }
    }
}

/// Ends at its first poll; what it holds is dropped with it.
struct Ends(#[allow(dead_code)] ActOnDrop);

impl Future for Ends {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// The code of a child up to the moment when it has been cancelled and guards nothing any more, and
/// what tells that it has begun.
fn late() -> (
    impl Future<Output = ()> + Send + 'static,
    oneshot::Receiver<()>,
) {
    let (started, start) = oneshot::channel();
    let code = async move {
        let begun = async move {
            let _ = started.send(());
            forever().await;
        };
        let guard = until_cancelled(begun).await;
        drop(guard);
    };
    (code, start)
}

/// Cancels such a child and waits for its end.
async fn cut_off<T: Send + 'static>(child: TaskHandle<T>, start: oneshot::Receiver<()>) -> Outcome {
    start.await?;
    child.cancel();
    child.ended().await;
    Ok(())
}

/// Ends late; what it holds is dropped with it.
struct EndsLate<F> {
    code: Pin<Box<F>>,
    #[allow(dead_code)]
    held: ActOnDrop,
}

impl<F: Future<Output = ()>> Future for EndsLate<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.code.as_mut().poll(cx)
    }
}

/// An error that says that a task was cancelled, and keeps no guard.
async fn cancelled_elsewhere(group: &TaskGroup) -> BoxError {
    let child = group.spawn(forever());
    child.cancel();
    match child.await {
        Ok(()) => unreachable!("it never ends by itself"),
        Err(error) => error.into(),
    }
}

/// A local child that does it when it is dropped, and never ends by itself.
fn holds(local: &LocalGroup<'static>, act: &Act) -> LocalHandle<()> {
    let held = act.on_drop();
    local.task("culprit").spawn(async move {
        let _held = held;
        forever().await;
    })
}

/// Runs a local group. What it fails with is the failure of a child of `group`.
async fn in_a_local_group<F>(
    group: &TaskGroup,
    builder: GroupBuilder,
    body: impl FnOnce(LocalGroup<'static>) -> F,
) where
    F: Future<Output = Outcome>,
{
    let ran = builder.local().run_cancellable(body).await;
    drop(group.spawn(async move { ran.map(drop) }));
}

/// What is named by something that does it.
struct ActingName(Act);

impl From<ActingName> for Cow<'static, str> {
    fn from(name: ActingName) -> Self {
        let _ = name.0.act();
        Self::Borrowed("named")
    }
}

/// What becomes an error by doing it.
struct Converts(Act);

impl From<Converts> for BoxError {
    fn from(converts: Converts) -> Self {
        match converts.0.act() {
            Err(mishap) => mishap.into(),
            Ok(()) => "converted".into(),
        }
    }
}

/// Does what the place is about in `group`; the task whose code it is has the name `culprit`.
pub(crate) async fn happen(place: Place, act: Act, group: &TaskGroup) -> Outcome {
    static LOCAL: Local<Arc<ActOnDrop>> = Local::new();
    let culprit = group.task("culprit");
    let builder = act.builder();
    match place {
        Place::PollOfAChild => drop(culprit.spawn(async move {
            turns(1).await;
            act.act()
        })),
        Place::DropOfACancelledFuture => {
            let (started, start) = oneshot::channel();
            let held = act.on_drop();
            let child = culprit.spawn(async move {
                let _held = held;
                let _ = started.send(());
                forever().await;
            });
            drop(act);
            start.await?;
            turns(1).await;
            child.cancel();
            child.ended().await;
        }
        Place::DropOfAFutureNeverPolled => {
            let held = act.on_drop();
            let child = culprit.spawn(async move {
                let _held = held;
                forever().await;
            });
            child.cancel();
            child.ended().await;
        }
        Place::DropOfAnEndedFuture => drop(culprit.spawn(Ends(act.on_drop()))),
        Place::DropOfAQueuedFuture => drop(group.spawn(async move {
            let run = builder.limit(1).run_cancellable(async |inner| {
                inner.spawn(forever());
                let held = act.on_drop();
                inner.task("culprit").spawn(async move {
                    let _held = held;
                });
                turns(2).await;
                inner.cancel();
                Ok(())
            });
            run.await.map(drop)
        })),
        Place::DropOfARefusedFuture => drop(culprit.spawn(async move {
            let ended = builder.run(async |inner| Ok(inner)).await?;
            let held = act.on_drop();
            drop(ended.spawn(async move {
                let _held = held;
            }));
            Outcome::Ok(())
        })),
        Place::DropOfAnOutput => {
            let (open, gate) = oneshot::channel::<()>();
            drop(culprit.spawn(async move {
                gate.await?;
                Outcome::Ok(act.on_drop())
            }));
            let _ = open.send(());
        }
        Place::DropOfAnOutputWithItsHandle => {
            let child = culprit.spawn(async move { Outcome::Ok(act.on_drop()) });
            child.ended().await;
            drop(child);
        }
        Place::BlockingClosure => drop(culprit.spawn_blocking(move |_| act.act())),
        Place::DropOfCaptures => {
            let held = act.on_drop();
            drop(culprit.spawn_blocking(move |_| drop(held)));
        }
        Place::DropOfCapturesNeverRun => {
            let held = act.on_drop();
            let child = culprit.spawn_blocking(move |_| drop(held));
            child.cancel();
            child.ended().await;
        }
        Place::DropOfAnError => {
            let child =
                culprit.spawn(async move { Err::<(), _>(ActingError::new(&act, Part::Drop)) });
            child.ended().await;
        }
        Place::DropOfAPayload => {
            let payload = act.on_drop();
            let child = culprit.spawn(async move {
                turns(1).await;
                std::panic::resume_unwind(Box::new(payload));
            });
            child.ended().await;
        }
        Place::DropOfALocal => {
            let value = Arc::new(act.on_drop());
            drop(act);
            drop(culprit.spawn(async move { LOCAL.scope(value, turns(1)).await }));
        }
        Place::DropOfABody => drop(culprit.spawn(async move {
            let run = builder.run_cancellable(async |inner| {
                let _held = act.on_drop();
                inner.cancel();
                forever().await;
                Ok(())
            });
            run.await.map(drop)
        })),
        Place::DropOfAStartedValue => {
            let (ready, wait) = oneshot::channel::<()>();
            let (dropped, was_dropped) = oneshot::channel::<()>();
            {
                let starting = culprit.start(move |started: Started<ActOnDrop>| async move {
                    let _guard = until_cancelled(async {
                        let _ = ready.send(());
                        forever().await;
                    })
                    .await;
                    let _ = was_dropped.await;
                    started.ready(act.on_drop());
                });
                let mut starting = pin!(starting);
                tokio::select! {
                    biased;
                    _ = &mut starting => unreachable!("it is never ready"),
                    ready = wait => ready?,
                }
            }
            let _ = dropped.send(());
        }
        Place::DisplayOfAnError | Place::DisplayInAReason => {
            culprit.spawn(async move { Err::<(), _>(ActingError::new(&act, Part::Display)) });
        }
        Place::DebugOfAnError => {
            culprit.spawn(async move { Err::<(), _>(ActingError::new(&act, Part::Debug)) });
        }
        Place::SourceOfAnError => {
            culprit.spawn(async move { Err::<(), _>(ActingError::new(&act, Part::Source)) });
        }
        Place::SourceOfALateError => {
            let (late, start) = late();
            let child = culprit.spawn(async move {
                late.await;
                Err::<(), _>(ActingError::new(&act, Part::Source))
            });
            cut_off(child, start).await?;
        }
        Place::DisplayOfALateError => {
            let (late, start) = late();
            let child = culprit.spawn(async move {
                late.await;
                Err::<(), _>(ActingError::new(&act, Part::Display))
            });
            cut_off(child, start).await?;
        }
        Place::ConversionOfALateError => {
            let (late, start) = late();
            let child = culprit.spawn(async move {
                late.await;
                Err::<(), _>(Converts(act))
            });
            cut_off(child, start).await?;
        }
        Place::DropOfALateError => {
            let (late, start) = late();
            let source = cancelled_elsewhere(group).await;
            let child = culprit.spawn(async move {
                late.await;
                Err::<(), _>(ActingError::with_source(&act, Part::Drop, source))
            });
            cut_off(child, start).await?;
        }
        Place::DropOfALateFuture => {
            let (late, start) = late();
            let child = culprit.spawn(EndsLate {
                code: Box::pin(late),
                held: act.on_drop(),
            });
            cut_off(child, start).await?;
        }
        Place::DropOfAnOutputByALateChild => {
            let (late, start) = late();
            let output = culprit.spawn(async move { Outcome::Ok(act.on_drop()) });
            output.ended().await;
            let child = group.spawn(async move {
                late.await;
                drop(output);
            });
            cut_off(child, start).await?;
        }
        Place::DropOfALateLocal => {
            let (late, start) = late();
            let value = Arc::new(act.on_drop());
            let child = culprit.spawn(async move {
                late.await;
                LOCAL.scope(value, std::future::ready(())).await;
            });
            drop(act);
            cut_off(child, start).await?;
        }
        Place::ConversionOfAnError => {
            culprit.spawn(async move { Err::<(), _>(Converts(act)) });
        }
        Place::Name => {
            let group = group.clone();
            culprit.spawn(async move { drop(group.task(ActingName(act)).spawn(async {})) });
        }
        Place::Body => {
            culprit.spawn(async move {
                let run = builder.run_cancellable(async |_| {
                    turns(1).await;
                    Ok(act.act()?)
                });
                run.await.map(drop)
            });
        }
        Place::StartClosure => {
            let group = group.clone();
            culprit.spawn(async move {
                let starting = group.start(|started: Started<()>| {
                    let _ = act.act();
                    async move { started.ready(()) }
                });
                starting.await.map(drop)
            });
        }
        Place::MapClosure => {
            culprit.spawn(async move {
                let acts = move |_: u32| {
                    let _ = act.act();
                    std::future::ready(Ok::<_, Mishap>(()))
                };
                map(2, [1, 2], acts).await.map(drop)
            });
        }
        Place::BracketAcquire => {
            culprit.spawn(bracket(
                async move { act.act() },
                async |()| Ok(()),
                |()| async {},
            ));
        }
        Place::BracketWork => {
            culprit.spawn(bracket(
                async { Ok(()) },
                async move |()| act.act(),
                |()| async {},
            ));
        }
        Place::BracketReleaseClosure => {
            culprit.spawn(bracket(
                async { Outcome::Ok(()) },
                async |()| Ok(()),
                move |()| {
                    let _ = act.act();
                    async {}
                },
            ));
        }
        Place::BracketRelease => {
            culprit.spawn(bracket(
                async { Outcome::Ok(()) },
                async |()| Ok(()),
                move |()| async move {
                    turns(1).await;
                    act.act()
                },
            ));
        }
        Place::BracketAdopted => {
            culprit.spawn(async move {
                let mut half = pin!(bracket(
                    async { Outcome::Ok(()) },
                    async |()| {
                        forever().await;
                        Ok(())
                    },
                    move |()| async move {
                        turns(1).await;
                        act.act()
                    },
                ));
                tokio::select! { biased; _ = &mut half => {}, () = turns(2) => {} }
            });
        }
        Place::Deferred => {
            culprit.spawn(async move {
                defer(async move {
                    turns(1).await;
                    act.act()
                });
            });
        }
        Place::DropOfADeferred => {
            culprit.spawn(async move { defer(Ends(act.on_drop())) });
        }
        Place::CloneOfAWakerOfAHandle => by_hand(&act, Op::Clone, Wait::Handle, group).await,
        Place::WakeOfAWakerOfAHandle => by_hand(&act, Op::Wake, Wait::Handle, group).await,
        Place::DropOfAWakerOfAHandle => by_hand(&act, Op::Drop, Wait::Handle, group).await,
        Place::CloneOfAWakerOfEnded => by_hand(&act, Op::Clone, Wait::Ended, group).await,
        Place::WakeOfAWakerOfEnded => by_hand(&act, Op::Wake, Wait::Ended, group).await,
        Place::DropOfAWakerOfEnded => by_hand(&act, Op::Drop, Wait::Ended, group).await,
        Place::CloneOfAWakerInTheQueue => in_the_queue(&act, Op::Clone).await,
        Place::WakeOfAWakerInTheQueue => in_the_queue(&act, Op::Wake).await,
        Place::DropOfAWakerInTheQueue => in_the_queue(&act, Op::Drop).await,
        Place::CloneOfALateWaker => in_a_late_body(&act, Op::Clone).await,
        Place::WakeOfALateWaker => in_a_late_body(&act, Op::Wake).await,
        Place::DropOfALateWaker => in_a_late_body(&act, Op::Drop).await,
        Place::CloneOfAWakerOfAGroup => of_a_group(&act, Op::Clone).await,
        Place::WakeOfAWakerOfAGroup => of_a_group(&act, Op::Wake).await,
        Place::DropOfAWakerOfAGroup => of_a_group(&act, Op::Drop).await,
        Place::WakeOfAWakerOfAProgress => of_a_progress(&act).await,
        Place::HookOfAPolicy => {
            let policy = Policy::report(move |_| {
                let _ = act.act();
            });
            with_a_failure(builder, policy).await;
        }
        Place::PredicateOfAPolicy => {
            let policy = Policy::stop_if(move |_| {
                let _ = act.act();
                true
            });
            with_a_failure(builder, policy).await;
        }
        Place::DropOfAHookOfAPolicy => {
            let held = act.on_drop();
            drop(act);
            let policy = Policy::report(move |_| {
                let _ = &held;
            });
            with_a_failure(builder, policy).await;
        }
        Place::PollOfALocalChild => {
            let body = async |local: LocalGroup<'static>| {
                local.task("culprit").spawn(async move {
                    turns(1).await;
                    act.act()
                });
                Ok(())
            };
            in_a_local_group(group, builder, body).await;
        }
        Place::DropOfACancelledLocalFuture | Place::DropOfALocalFutureNeverPolled => {
            let body = async |local: LocalGroup<'static>| {
                let child = holds(&local, &act);
                if place == Place::DropOfACancelledLocalFuture {
                    turns(2).await;
                }
                child.cancel();
                let _ = child.await;
                Ok(())
            };
            in_a_local_group(group, builder, body).await;
        }
        Place::DropOfAQueuedLocalFuture => {
            let body = async |local: LocalGroup<'static>| {
                local.spawn(forever());
                drop(holds(&local, &act));
                turns(2).await;
                local.cancel();
                Ok(())
            };
            in_a_local_group(group, builder.limit(1), body).await;
        }
        Place::DropOfAnEndedLocalFuture => {
            let body = async |local: LocalGroup<'static>| {
                local.task("culprit").spawn(Ends(act.on_drop()));
                Ok(())
            };
            in_a_local_group(group, builder, body).await;
        }
        Place::DropOfALocalOutput => {
            let body = async |local: LocalGroup<'static>| {
                let culprit = local.task("culprit");
                drop(culprit.spawn(async move { Outcome::Ok(act.on_drop()) }));
                Ok(())
            };
            in_a_local_group(group, builder, body).await;
        }
        Place::DropOfALocalRun | Place::DropOfAQueuedLocalRun => {
            let body = async |local: LocalGroup<'static>| {
                if place == Place::DropOfAQueuedLocalRun {
                    local.spawn(forever());
                }
                drop(holds(&local, &act));
                forever().await;
                Ok(())
            };
            let mut run = Box::pin(builder.limit(1).local().run_cancellable(body));
            for _ in 0..3 {
                assert!(crate::common::poll_once(run.as_mut()).is_pending());
            }
        }
        Place::BodyOfALocalGroup => drop(culprit.spawn_blocking(move |_| {
            let run = builder.local().run_cancellable(async |_| {
                turns(1).await;
                Ok(act.act()?)
            });
            tokio::runtime::Handle::current().block_on(run).map(drop)
        })),
        Place::HookForBlocking => {
            let calls = hook(act);
            taskgroup::observe::report_blocking(ms(4));
            // It blocks until it has been reported twice: the first report did not end the watch.
            let watched = culprit.spawn(async move {
                calls.recv()?;
                calls.recv()?;
                Outcome::Ok(())
            });
            let _ = watched.await;
            taskgroup::observe::report_blocking(None);
        }
        Place::HookForAGrace => {
            let calls = hook(act);
            let run = builder.grace(ms(1)).run_cancellable(async |inner| {
                let (started, start) = oneshot::channel();
                inner.task("culprit").spawn_blocking(move |_| {
                    let _ = started.send(());
                    calls.recv()
                });
                start.await?;
                inner.cancel();
                Ok(())
            });
            let _ = run.await;
        }
        Place::HookForAPanic => {
            let _calls = hook(act.clone());
            let (late, start) = late();
            let source = cancelled_elsewhere(group).await;
            let child = culprit.spawn(async move {
                late.await;
                Err::<(), _>(PanicsOnDrop(source))
            });
            cut_off(child, start).await?;
        }
        Place::SubscriberOfANewSpan => told_of_a_child(Moment::New, act, group).await,
        Place::SubscriberOfAnEntry => told_of_a_child(Moment::Enter, act, group).await,
        Place::SubscriberOfAnExit => told_of_a_child(Moment::Exit, act, group).await,
        Place::SubscriberOfAnEvent => told_of_a_child(Moment::Event, act, group).await,
        Place::SubscriberOfARecord => told_of_a_child(Moment::Record, act, group).await,
        Place::SubscriberOfAClose => told_of_a_child(Moment::Close, act, group).await,
        Place::RecorderOfACounter => counted(Told::Counter, act, group).await,
        Place::RecorderOfADuration => counted(Told::Duration, act, group).await,
    }
    Ok(())
}

/// Has a subscriber told of a child at each moment of its life.
async fn told_of_a_child(moment: Moment, act: Act, group: &TaskGroup) {
    subscriber::plan(moment, act);
    a_child_comes_and_goes(group).await;
}

/// Has a recorder count a child.
async fn counted(told: Told, act: Act, group: &TaskGroup) {
    recorder::plan(told, act);
    a_child_comes_and_goes(group).await;
}

async fn a_child_comes_and_goes(group: &TaskGroup) {
    let (started, start) = oneshot::channel();
    let child = group.task("culprit").spawn(async move {
        let _ = started.send(());
        turns(1).await;
        forever().await;
    });
    // Where the group is cancelled the child may never begin.
    let _ = start.await;
    turns(2).await;
    child.cancel();
    child.ended().await;
    drop(child);
}

/// An error that only says that a task was cancelled, and whose drop panics.
#[derive(Debug)]
struct PanicsOnDrop(BoxError);

impl std::fmt::Display for PanicsOnDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an error that panics when it is dropped")
    }
}

impl std::error::Error for PanicsOnDrop {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("the drop of an error");
    }
}

/// A warning hook that does it, and says when it has.
fn hook(act: Act) -> mpsc::Receiver<()> {
    let (called, calls) = mpsc::channel();
    taskgroup::observe::set_warning_hook(move |_| {
        let done = catch_unwind(AssertUnwindSafe(|| act.act()));
        let _ = called.send(());
        if let Err(payload) = done {
            std::panic::resume_unwind(payload);
        }
    });
    calls
}

/// Runs a group of this policy, in which a child fails.
async fn with_a_failure(builder: GroupBuilder, policy: Policy) {
    let run = builder.policy(policy).run_to_end(async |inner: TaskGroup| {
        let child = inner.spawn(async { Err::<(), _>("broken") });
        child.ended().await;
        Ok(())
    });
    let _ = run.await;
}

/// A wait that is polled by hand.
enum Wait {
    Handle,
    Ended,
}

/// A waker that does it at one of its operations.
fn waker(act: &Act, op: Op) -> Waker {
    let act = act.clone();
    hooked(move |called| {
        if called == op {
            let _ = act.act();
        }
    })
}

/// Polls with such a waker, twice, as the caller's own code: a panic of the waker that comes out of
/// the poll is the caller's.
fn poll_with<F: Future>(act: &Act, op: Op, future: &mut Pin<&mut F>) {
    for _ in 0..2 {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let waker = waker(act, op);
            let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
        }));
    }
}

async fn by_hand(act: &Act, op: Op, wait: Wait, group: &TaskGroup) {
    let (open, gate) = oneshot::channel::<()>();
    let child = group.spawn(async move {
        let _ = gate.await;
    });
    {
        let (mut by_reference, mut ended) = (pin!((&child).into_future()), pin!(child.ended()));
        match wait {
            Wait::Handle => poll_with(act, op, &mut by_reference),
            Wait::Ended => poll_with(act, op, &mut ended),
        }
        drop(open);
        if op == Op::Wake {
            act.called().await;
        }
        child.ended().await;
    }
}

async fn in_the_queue(act: &Act, op: Op) {
    let run = act.builder().limit(1).run(async |inner| {
        let (open, gate) = oneshot::channel::<()>();
        let child = inner.spawn(async move {
            let _ = gate.await;
        });
        turns(2).await;
        let mut wait = pin!(inner.spawn_when_free(async {}));
        poll_with(act, op, &mut wait);
        drop(open);
        child.ended().await;
        if op == Op::Wake {
            // The place is given back after the end of the child: here the wait is still there.
            act.called().await;
        }
        Ok(())
    });
    run.await.unwrap();
}

/// A wait for a place that is polled, woken and dropped by hand in a body that is cancelled and
/// guards nothing.
async fn in_a_late_body(act: &Act, op: Op) {
    let builder = act.builder().limit(1);
    let mut own = None;
    let run = builder.run_cancellable(async |inner| {
        inner.spawn(forever());
        turns(2).await;
        {
            let mut wait = pin!(inner.spawn_when_free(async {}));
            if op == Op::Clone {
                inner.cancel();
            }
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let waker = own.insert(waker(act, op));
                let _ = wait.as_mut().poll(&mut Context::from_waker(waker));
            }));
            inner.cancel();
        }
        forever().await;
        Ok(())
    });
    let _ = run.await;
    // What we do with our own waker is not what this is about.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(own)));
}

async fn of_a_group(act: &Act, op: Op) {
    let (open, gate) = oneshot::channel::<()>();
    let mut run = Box::pin(act.builder().run(async |inner| {
        inner.spawn(async move {
            let _ = gate.await;
        });
        Ok(())
    }));
    poll_with(act, op, &mut run.as_mut());
    drop(open);
    if op == Op::Wake {
        act.called().await;
    }
    turns(5).await;
    // Dropped half-way or after its end, it is no task of the group any more.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(run)));
}

async fn of_a_progress(act: &Act) {
    let progress = Progress::new();
    let run = act.builder().progress(&progress).run(async |inner| {
        let mut events = progress.watch();
        let _ = events.next().await;
        let mut next = pin!(events.next());
        let waker = waker(act, Op::Wake);
        let _ = next.as_mut().poll(&mut Context::from_waker(&waker));
        inner.spawn(turns(1));
        Ok(())
    });
    // A watcher's waker is called by the channel of the progress, at a spawn in the body.
    let mut run = pin!(run);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(_)) | Err(_) => Poll::Ready(()),
        },
    )
    .await;
}

/// Kept for the texts of the mishap.
pub(crate) fn is_mishap(text: &str) -> bool {
    text.contains(&Mishap.to_string())
}
