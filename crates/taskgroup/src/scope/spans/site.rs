//! Where spans come from: which level and target they have.
//!
//! In `tracing` the level and the target of a span are those of its call site, and call sites live
//! for ever. So each pair that a program asks for has call sites of its own. They are made when
//! the pair is first asked for, and never freed.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tracing::field::{Field, Value};
use tracing::metadata::Kind;
use tracing::span::Attributes;
use tracing::subscriber::{Interest, NoSubscriber};
use tracing::{Dispatch, Id, Level, Metadata};
use tracing_core::callsite::{self, Callsite};
use tracing_core::field::FieldSet;
use tracing_core::identify_callsite;

use super::Opened;
use crate::sync::Mutex;

/// How the spans of groups and of their children are made: their level and their target.
///
/// A program sets it for all its groups with [`set_default`](Self::set_default), a library for its
/// own groups with [`GroupBuilder::spans`](crate::GroupBuilder::spans). Without either, spans have
/// the level `INFO` and the target `taskgroup`.
///
/// ```
/// use taskgroup::TaskGroup;
/// use taskgroup::observe::Spans;
/// use tracing::Level;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let quiet = Spans::new().level(Level::DEBUG).target("shop::orders");
/// TaskGroup::builder()
///     .name("orders")
///     .spans(quiet)
///     .run(async |group| {
///         group.task("order").spawn(async {});
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
///
/// The setting holds for the span of the group and for the spans of its children. A group that a
/// child opens has a setting of its own.
///
/// # What a span says
///
/// Spans are called `group` and `task`. A span of a task is below the span of its group, whichever
/// code spawned the task. These fields are there from the start:
///
/// | field | what it says |
/// |---|---|
/// | `name` | the name, if the program gave one |
/// | `id` | the id, as in errors and in the tree |
/// | `code.file.path`, `code.line.number` | where the program spawned the task or ran the group |
/// | `otel.name` | the name again: what OpenTelemetry calls the span |
///
/// and these when the task or group ends:
///
/// | field | what it says |
/// |---|---|
/// | `outcome` | `succeeded`, `failed`, `panicked`, `cancelled`, or `killed` by the end of a grace |
/// | `error` | the text of the error or of the panic |
/// | `cancel.reason` | why it was cancelled |
/// | `cancel.by` | the path of the task that caused the cancellation |
/// | `otel.status_code` | `ERROR`, if it failed, panicked or was killed |
/// | `otel.status_description` | the same text as `error` |
///
/// A task that was cancelled has not failed, so OpenTelemetry shows it as it shows a good one, with
/// the reason among its attributes. The names are those of the semantic conventions of
/// OpenTelemetry where these have one. The names with `otel.` are what the crate
/// `tracing-opentelemetry` looks for.
///
/// Children that are polled inside the task of their group (those of a
/// [`LocalGroup`](crate::LocalGroup), and the futures of `gather`, `race` and the like) have spans
/// as tasks do, from their first poll on. A child that the group refuses has none.
///
/// A span closes when its task or group has ended, also if a handle of it is kept. If a task is
/// spawned where another subscriber is the default, its span goes to the one that has the span of
/// its group.
///
/// The idea of a level that can be set comes from `TraceLayer` in `tower-http`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    level: Option<Level>,
    target: &'static str,
    console: bool,
}

impl Spans {
    /// Spans of level `INFO` with the target `taskgroup`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            level: Some(Level::INFO),
            target: "taskgroup",
            console: false,
        }
    }

    /// No spans at all: for a wide group whose children are too small to be looked at, for example.
    ///
    /// What is opened or spawned below has its spans below the next one further out.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            level: None,
            ..Self::new()
        }
    }

    /// Sets the level.
    #[must_use]
    pub const fn level(self, level: Level) -> Self {
        Self {
            level: Some(level),
            ..self
        }
    }

    /// Sets the target, by which subscribers filter.
    ///
    /// Each pair of level and target that is used takes a little memory for ever, as each `span!`
    /// in a program does. So a program should have few of them.
    #[must_use]
    pub const fn target(self, target: &'static str) -> Self {
        Self { target, ..self }
    }

    /// Makes spans of tasks that `tokio-console` lists as tasks, with their names and with the
    /// places where the program spawned them.
    ///
    /// The crate `console-subscriber` looks for spans that are called `runtime.spawn`, wherever
    /// they come from. With this setting the spans of tasks are called so, and have the fields that
    /// the console shows. This needs no unstable feature of Tokio, and it is all that the console
    /// then shows. With Tokio's own instrumentation (`--cfg tokio_unstable`) each child has two
    /// lines: that of its Tokio task, and this one.
    #[must_use]
    pub const fn for_console(self) -> Self {
        Self {
            console: true,
            ..self
        }
    }

    /// Makes this the setting of each group that has none of its own and is opened from now on.
    ///
    /// ```
    /// use taskgroup::observe::Spans;
    ///
    /// Spans::new().level(tracing::Level::DEBUG).set_default();
    /// # Spans::new().set_default();
    /// ```
    pub fn set_default(self) {
        *default().lock() = self;
        IS_SET.store(true, Ordering::Relaxed);
    }

    /// The call sites with this level and this target.
    pub(crate) fn sites(self) -> Sites {
        static KNOWN: OnceLock<Mutex<Vec<(Spans, &'static Pair)>>> = OnceLock::new();
        let Some(level) = self.level else {
            return Sites(None);
        };
        let mut known = KNOWN.get_or_init(Mutex::default).lock();
        let found = known.iter().find(|(spans, _)| *spans == self);
        let pair = match found {
            Some((_, pair)) => *pair,
            None => {
                let pair = Pair::new(level, self.target, self.console);
                known.push((self, pair));
                pair
            }
        };
        Sites(Some(pair))
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.map(|level| level.as_str());
        f.debug_struct("Spans")
            .field("level", &level.unwrap_or("OFF"))
            .field("target", &self.target)
            .field("for_console", &self.console)
            .finish()
    }
}

/// The program has set a default.
static IS_SET: AtomicBool = AtomicBool::new(false);

fn default() -> &'static Mutex<Spans> {
    static DEFAULT: OnceLock<Mutex<Spans>> = OnceLock::new();
    DEFAULT.get_or_init(Mutex::default)
}

/// The call sites of a group and of its children; none where there are to be no spans.
#[derive(Clone, Copy)]
pub(crate) struct Sites(Option<&'static Pair>);

impl Sites {
    /// Those of a group without a setting of its own.
    pub(crate) fn by_default() -> Self {
        static BUILT_IN: OnceLock<Sites> = OnceLock::new();
        if !IS_SET.load(Ordering::Relaxed) {
            return *BUILT_IN.get_or_init(|| Spans::new().sites());
        }
        let spans = *default().lock();
        spans.sites()
    }

    pub(super) fn of_groups(self) -> Option<&'static Site> {
        self.0.map(|pair| &pair.group)
    }

    pub(super) fn of_tasks(self) -> Option<&'static Site> {
        self.0.map(|pair| &pair.task)
    }
}

struct Pair {
    group: Site,
    task: Site,
}

impl Pair {
    fn new(level: Level, target: &'static str, console: bool) -> &'static Self {
        let task = if console { "runtime.spawn" } else { "task" };
        let pair: &'static Self = Box::leak(Box::new(Self {
            group: Site::new(level, false),
            task: Site::new(level, console),
        }));
        pair.group.describe("group", target);
        pair.task.describe(task, target);
        pair
    }
}

/// The fields of a span, in the order of their [`Values`].
const FIELDS: &[&str; 16] = &[
    "name",
    "id",
    "code.file.path",
    "code.line.number",
    "otel.name",
    "task.name",
    "kind",
    "loc.file",
    "loc.line",
    "loc.col",
    "outcome",
    "error",
    "cancel.reason",
    "cancel.by",
    "otel.status_code",
    "otel.status_description",
];

/// The fields that are there from the start.
pub(super) const AT_FIRST: usize = 10;
/// Those that come with the end.
pub(super) const AT_LAST: usize = FIELDS.len() - AT_FIRST;

pub(super) type Values<'a, const N: usize> = [Option<&'a dyn Value>; N];

/// A place where spans come from, as a `span!` would be.
pub(super) struct Site {
    pub(super) level: Level,
    pub(super) console: bool,
    /// There from the start; it refers to the site itself.
    metadata: OnceLock<Metadata<'static>>,
    /// What the subscribers make of it.
    state: AtomicU8,
}

const UNKNOWN: u8 = 0;
/// `tracing` is being told of the site, and has not answered.
const ASKED: u8 = 1;
const NEVER: u8 = 2;
const SOMETIMES: u8 = 3;
const ALWAYS: u8 = 4;

impl Site {
    const fn new(level: Level, console: bool) -> Self {
        Self {
            level,
            console,
            metadata: OnceLock::new(),
            state: AtomicU8::new(UNKNOWN),
        }
    }

    /// The file and the line are left out: what a subscriber would show as the place is that of
    /// the program, which is among the fields.
    fn describe(&'static self, name: &'static str, target: &'static str) {
        let fields = FieldSet::new(FIELDS, identify_callsite!(self));
        self.metadata.get_or_init(|| {
            Metadata::new(
                name,
                target,
                self.level,
                None,
                None,
                None,
                fields,
                Kind::SPAN,
            )
        });
    }

    /// Tells `tracing` of the site, once. Calls subscribers.
    pub(super) fn register(&'static self) {
        if self.state.load(Ordering::Relaxed) == UNKNOWN && self.begin_to_ask() {
            callsite::register(self);
        }
    }

    /// Whether the subscriber wants these spans. Calls it.
    pub(super) fn is_enabled(&'static self, to: &Dispatch) -> bool {
        match self.state.load(Ordering::Relaxed) {
            NEVER => false,
            ALWAYS => !to.is::<NoSubscriber>(),
            _ => to.enabled(Callsite::metadata(self)),
        }
    }

    /// Whether this thread is the one that tells `tracing` of the site. It may come back here
    /// meanwhile.
    fn begin_to_ask(&self) -> bool {
        let state = &self.state;
        let asks = state.compare_exchange(UNKNOWN, ASKED, Ordering::Relaxed, Ordering::Relaxed);
        asks.is_ok()
    }

    /// A span, which is below the current one if it has no other `parent`. Calls the subscriber.
    pub(super) fn span(
        &'static self,
        to: &Dispatch,
        parent: Option<Id>,
        values: Values<'_, AT_FIRST>,
    ) -> Opened {
        let metadata = Callsite::metadata(self);
        let values = named(metadata, 0, values);
        let values = values.each_ref().map(|(field, value)| (field, *value));
        let values = metadata.fields().value_set(&values);
        let span = match parent {
            Some(parent) => Attributes::child_of(parent, metadata, &values),
            None => Attributes::new(metadata, &values),
        };
        Opened {
            id: to.new_span(&span),
            to: to.clone(),
            metadata,
        }
    }
}

pub(super) fn named<'a, const N: usize>(
    metadata: &Metadata<'_>,
    first: usize,
    values: Values<'a, N>,
) -> [(Field, Option<&'a dyn Value>); N] {
    let mut fields = metadata.fields().iter().skip(first);
    values.map(|value| match fields.next() {
        Some(field) => (field, value),
        None => unreachable!("each value has its field"),
    })
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let state = if interest.is_never() {
            NEVER
        } else if interest.is_always() {
            ALWAYS
        } else {
            SOMETIMES
        };
        self.state.store(state, Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        match self.metadata.get() {
            Some(metadata) => metadata,
            None => unreachable!("it is there from the start"),
        }
    }
}
