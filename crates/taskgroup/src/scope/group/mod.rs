//! What a group adds to its scope: the errors, the policy's verdicts, the grace, the queue of
//! children over the limit.
//!
//! | file | what it answers |
//! |---|---|
//! | `view` | a group with its scope |
//! | `children` | how children come in, and what the end of one means |
//! | `limit`, `places` | children and spawns that wait for a place |
//! | `stuck` | a group with a limit that waits for itself |
//! | `outcomes` | failures, successes, the policy |
//! | `opened`, `hand` | a group without a body, which its owner closes by hand |
//! | `grace` | how long cleanup may take |

use std::borrow::Cow;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::hand::Hand;
use self::places::Limiter;
use super::driver::LightQueue;
use super::rarely::{Rarely, rare};
#[cfg(feature = "tracing")]
use super::spans::{Sites, Span, Spans, Told};
use super::task::TaskRef;
use super::timer::SetAlarm;
use super::tree::Scope;
use crate::clock::{self, Stamp};
use crate::error::{Member, Seen, TaskError, TaskId, TaskInfo};
use crate::policy::{Policy, Tally};
use crate::progress::Progress;
use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering};

mod children;
mod grace;
mod hand;
mod limit;
mod opened;
mod outcomes;
mod places;
mod stuck;
mod view;

pub(crate) use limit::FreePlace;
pub(super) use outcomes::Whose;
pub(crate) use outcomes::{adopt_failed, pass_on};
pub(crate) use view::Group;

pub(crate) struct GroupState {
    /// Made on the first ask. In a box, as most groups have none.
    findings: crate::sync::OnceLock<Rarely<Findings>>,
    asked: Option<Rarely<Asked>>,
    /// 0 until it is asked for.
    number: AtomicU32,
    /// When it was opened.
    pub(crate) since: Stamp,
    background: AtomicU32,
    /// Where its children wait, if they are light.
    light: Option<Arc<AnyQueue>>,
    /// Nothing was asked for that has to do with the end of a child.
    plain: bool,
    /// The body has ended, or its end was already reported.
    body_over: std::sync::atomic::AtomicBool,
    #[cfg(feature = "tracing")]
    pub(crate) span: Span,
    /// Where the spans of its children come from.
    #[cfg(feature = "tracing")]
    pub(super) spans: Sites,
}

/// What is known of few groups: name and path, and what went wrong.
#[derive(Default)]
struct Findings {
    identity: OnceLock<TaskInfo>,
    outcomes: Mutex<Outcomes>,
}

rare!(Findings);

#[derive(Default)]
struct Outcomes {
    failures: Vec<Member>,
    /// Those that the policy has handed to its hook.
    reported: Seen,
    tally: Tally,
    /// The failure of the body or of a cleanup is among `failures`: no policy puts up with that.
    not_put_up_with: bool,
}

impl Outcomes {
    /// Whether this failure is among those that were taken in.
    fn knows(&self, failed: &TaskError) -> bool {
        let mut failures = self.failures.iter();
        failures.any(|known| known.is_same(failed)) || self.reported.contains(failed)
    }
}

/// What few groups ask for.
struct Asked {
    settings: Settings,
    grace_timer: Mutex<Option<SetAlarm>>,
    limiter: Option<Box<AnyLimiter>>,
    /// Of a group without a body.
    hand: Mutex<Hand>,
}

rare!(Asked);

/// What the builder of a group decides. The future that runs a group carries it about: what few ask
/// for is in a box.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupOptions {
    /// Makes the queue of light children.
    pub(crate) light: Option<fn() -> Arc<AnyQueue>>,
    settings: Option<Rarely<Settings>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) grace: Option<Grace>,
    pub(crate) limit: Option<Limit>,
    /// As asked for; helpers have defaults of their own.
    pub(crate) policy: Option<Policy>,
    pub(crate) progress: Option<Progress>,
    /// It has no body: its owner closes it by hand.
    pub(crate) by_hand: bool,
    #[cfg(feature = "tracing")]
    pub(crate) spans: Option<Spans>,
}

rare!(Settings);

/// How long the cleanup in a group may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    lasts: Duration,
    /// Sets the alarm. A program without a grace does not contain that code, nor what the alarm
    /// does.
    arm: fn(&Arc<Scope>, Duration) -> Option<SetAlarm>,
}

/// The most children of a group that run at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    places: usize,
    make: fn(usize) -> Box<AnyLimiter>,
}

type AnyQueue = dyn LightQueue<Scope, TaskRef>;
type AnyLimiter = dyn Limiter<Scope, GroupState, TaskRef>;

impl GroupOptions {
    pub(crate) fn settings(&mut self) -> &mut Settings {
        self.settings.get_or_insert_default()
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        let limit = self.settings.as_ref()?.limit?;
        Some(limit.places)
    }
}

impl GroupState {
    /// A group that is opened in `around`.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
    pub(crate) fn new(
        options: GroupOptions,
        location: &'static Location<'static>,
        around: &Arc<Scope>,
    ) -> Self {
        let number = AtomicU32::new(0);
        #[cfg(feature = "tracing")]
        let (spans, span) = {
            let settings = options.settings.as_deref();
            let spans = settings.and_then(|settings| settings.spans);
            let spans = spans.map_or_else(Sites::by_default, Spans::sites);
            let told = || Told {
                name: settings.and_then(|settings| settings.name.as_deref()),
                id: TaskId::new(number_of(&number), 0),
                location,
            };
            let span = Span::of_group(spans, || around.span_around(), told);
            (spans, span)
        };
        let asked = options
            .settings
            .map(|settings| Asked::of(settings.into_inner()));
        let by_hand = asked.as_ref().is_some_and(|asked| asked.settings.by_hand);
        Self {
            findings: crate::sync::OnceLock::new(),
            plain: asked.as_ref().is_none_or(|asked| asked.is_plain()),
            asked,
            number,
            since: clock::stamp(),
            background: AtomicU32::new(0),
            light: options.light.map(|light| light()),
            body_over: std::sync::atomic::AtomicBool::new(by_hand),
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "tracing")]
            spans,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        number_of(&self.number)
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::new(self.number(), 0)
    }

    pub(super) fn light(&self) -> Option<&Arc<AnyQueue>> {
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

    fn policy(&self) -> &Policy {
        static FAIL_FAST: Policy = Policy::fail_fast();
        self.asked(|asked| asked.policy.as_ref())
            .unwrap_or(&FAIL_FAST)
    }

    fn outcomes(&self) -> MutexGuard<'_, Outcomes> {
        self.findings.get_or_init(Rarely::default).outcomes.lock()
    }

    /// Its name and path, if they were found out.
    pub(super) fn known_info(&self) -> Option<&TaskInfo> {
        self.findings.get()?.identity.get()
    }

    /// The name that was asked for.
    pub(super) fn name(&self) -> Option<Cow<'static, str>> {
        self.asked(|asked| asked.name.clone())
    }

    /// Its name and path: those that were found out before, or else `fresh`.
    pub(super) fn keep_info(&self, fresh: TaskInfo) -> TaskInfo {
        let findings = self.findings.get_or_init(Rarely::default);
        findings.identity.get_or_init(|| fresh).clone()
    }
}

impl Asked {
    fn of(settings: Settings) -> Rarely<Self> {
        Rarely::new(Self {
            limiter: settings.limit.map(Limit::limiter),
            settings,
            grace_timer: Mutex::new(None),
            hand: Mutex::default(),
        })
    }

    fn is_plain(&self) -> bool {
        let Settings {
            name: _,
            grace: _,
            limit,
            policy,
            progress,
            by_hand: _,
            #[cfg(feature = "tracing")]
                spans: _,
        } = &self.settings;
        let wanted = policy.as_ref().and_then(Policy::wanted);
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

/// The number of a group. Groups are numbered as they are asked for it: most never are, and one
/// counter for all of them is a place where all threads meet.
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
