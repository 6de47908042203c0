//! The functions, how a program calls each of them, and what the language forbids.

use crate::words::{Data, Form, Place, Work};

/// A function, and the code that calls it with some work.
pub(crate) struct Row {
    /// As the sources have it: `gather`, `GroupBuilder::gather`.
    pub(crate) name: &'static str,
    takes: Takes,
    /// `$` stands for the work. Where it has a `group`, the call is in one.
    call: &'static str,
}

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Several futures.
    Futures,
    /// Several futures with keys.
    Keyed,
    /// A tuple of futures.
    Tuple,
    /// Items, and a function of an item.
    Items,
    /// A future.
    Future,
    /// A function of something.
    Closure,
    /// The body of a group.
    Body,
    /// The body of a group whose children need not be `Send`, and so its future is not either.
    LocalBody,
    /// What is done with a resource.
    Bracket,
    /// A future that may outlive the caller.
    Child,
    /// A function of a `Started`, whose future may outlive the caller.
    Starting,
    /// A closure for a blocking thread.
    Blocking,
    /// No work.
    Nothing,
}

const fn row(name: &'static str, takes: Takes, call: &'static str) -> Row {
    Row { name, takes, call }
}

/// Each public function that takes or returns a future. Another test compares it with the sources.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row("gather", Takes::Futures, "taskgroup::gather($).await"),
    row("gather", Takes::Tuple, "taskgroup::gather($).await"),
    row("GroupBuilder::gather", Takes::Futures, "TaskGroup::builder().limit(2).gather($).await"),
    row("GroupBuilder::gather", Takes::Tuple, "TaskGroup::builder().gather($).await"),
    row("settle", Takes::Futures, "taskgroup::settle($).await"),
    row("GroupBuilder::settle", Takes::Futures, "TaskGroup::builder().settle($).await"),
    row("settle_by_key", Takes::Keyed, "taskgroup::settle_by_key($).await"),
    row("GroupBuilder::settle_by_key", Takes::Keyed,
        "TaskGroup::builder().settle_by_key($).await"),
    row("race", Takes::Futures, "taskgroup::race($).await"),
    row("GroupBuilder::race", Takes::Futures, "TaskGroup::builder().race($).await"),
    row("race_by_key", Takes::Keyed, "taskgroup::race_by_key($).await"),
    row("GroupBuilder::race_by_key", Takes::Keyed,
        "TaskGroup::builder().race_by_key($).await"),
    row("GroupBuilder::race_staggered_by_key", Takes::Keyed,
        "TaskGroup::builder().race_staggered_by_key(Duration::ZERO, $).await"),
    row("race_staggered", Takes::Futures, "taskgroup::race_staggered(Duration::ZERO, $).await"),
    row("GroupBuilder::race_staggered", Takes::Futures,
        "TaskGroup::builder().limit(2).race_staggered(Duration::ZERO, $).await"),
    row("map", Takes::Items, "taskgroup::map(2, $).await"),
    row("GroupBuilder::map", Takes::Items, "TaskGroup::builder().limit(2).map($).await"),
    row("join", Takes::Futures, "taskgroup::join($).await"),
    row("join", Takes::Tuple, "taskgroup::join($).await"),
    row("as_completed", Takes::Futures,
        "{ let mut all = taskgroup::as_completed($); while let Some(_) = all.next().await {} }"),
    row("AsCompleted::next", Takes::Nothing,
        "{ let mut two = two(&group).await; taskgroup::as_completed(&mut two).next().await; }"),
    row("wait", Takes::Nothing,
        "{ let two = two(&group).await; let _ = taskgroup::wait(&two, Until::All).await; }"),
    row("wait_timeout", Takes::Nothing,
        "{ let two = two(&group).await; \
         let _ = taskgroup::wait_timeout(Duration::ZERO, two.iter(), Until::All).await; }"),
    row("Retry::run", Takes::Closure,
        "{ let waits = backon::ConstantBuilder::new(); Retry::new(waits).run($).await }"),
    row("timeout", Takes::Future, "taskgroup::timeout(Duration::ZERO, $).await"),
    row("timeout_at", Takes::Future, "taskgroup::timeout_at(Instant::now(), $).await"),
    row("timeout_with", Takes::Closure, "taskgroup::timeout_with(Duration::ZERO, $).await"),
    row("move_on_after", Takes::Future, "taskgroup::move_on_after(Duration::ZERO, $).await"),
    row("shield", Takes::Future, "taskgroup::shield($).await"),
    row("until_cancelled", Takes::Future, "taskgroup::until_cancelled($).await"),
    row("bracket", Takes::Bracket, "taskgroup::bracket($).await"),
    row("defer", Takes::Child, "taskgroup::defer($)"),
    row("CancelScope::run", Takes::Future,
        "{ let mut scope = taskgroup::CancelScope::new(); scope.run($).await }"),
    row("until_stopped", Takes::Future, "taskgroup::until_stopped($).await"),
    row("when_stopped", Takes::Nothing, "taskgroup::when_stopped().await"),
    row("when_cancelled", Takes::Nothing, "taskgroup::when_cancelled().await"),
    row("when_ended", Takes::Nothing, "taskgroup::when_ended().await"),
    row("Local::scope", Takes::Future, "USER.scope(Session(\"a\"), $).await"),
    row("drain", Takes::Nothing, "taskgroup::drain().await"),
    row("checkpoint", Takes::Nothing, "taskgroup::checkpoint().await"),
    row("TaskGroup::run", Takes::Body, "TaskGroup::run($).await"),
    row("GroupBuilder::run", Takes::Body, "TaskGroup::builder().run($).await"),
    row("GroupBuilder::run_cancellable", Takes::Body,
        "TaskGroup::builder().run_cancellable($).await"),
    row("GroupBuilder::run_to_end", Takes::Body, "TaskGroup::builder().run_to_end($).await"),
    row("TaskGroup::spawn", Takes::Child, "group.spawn($).await"),
    row("TaskGroup::try_spawn", Takes::Child, "group.try_spawn($).unwrap().await"),
    row("TaskGroup::spawn_when_free", Takes::Child, "group.spawn_when_free($).await.await"),
    row("TaskGroup::spawn_if_free", Takes::Child, "group.spawn_if_free($).unwrap().await"),
    row("TaskGroup::spawn_value", Takes::Child, "group.spawn_value($).await"),
    row("TaskGroup::start", Takes::Starting, "group.start($).await"),
    row("TaskGroup::spawn_blocking", Takes::Blocking, "group.spawn_blocking($).await"),
    row("TaskBuilder::spawn", Takes::Child, "group.task(\"t\").background().spawn($).await"),
    row("TaskBuilder::try_spawn", Takes::Child, "group.task(\"t\").try_spawn($).unwrap().await"),
    row("TaskBuilder::spawn_when_free", Takes::Child,
        "group.task(\"t\").spawn_when_free($).await.await"),
    row("TaskBuilder::spawn_if_free", Takes::Child,
        "group.task(\"t\").spawn_if_free($).unwrap().await"),
    row("TaskBuilder::spawn_value", Takes::Child, "group.task(\"t\").spawn_value($).await"),
    row("TaskBuilder::start", Takes::Starting, "group.task(\"t\").start($).await"),
    row("TaskBuilder::spawn_blocking", Takes::Blocking,
        "group.task(\"t\").spawn_blocking($).await"),
    row("OpenGroup::spawn", Takes::Child, "OpenGroup::new().spawn($).unwrap().await"),
    row("OpenGroup::failed", Takes::Nothing,
        "{ let open = OpenGroup::new(); let _ = open.failed().await; }"),
    row("OpenGroup::close", Takes::Nothing,
        "{ let open = OpenGroup::new(); let _ = open.close().await; }"),
    row("Outcomes::spawn", Takes::Child,
        "{ let mut next = group.outcomes(); next.spawn($); let _ = next.next().await; }"),
    row("Outcomes::next", Takes::Nothing,
        "{ let mut next = group.outcomes::<u32>(); let _ = next.next().await; }"),
    row("LocalGroup::run", Takes::LocalBody, "LocalGroup::run($).await"),
    row("LocalGroup::spawn", Takes::LocalBody, "LocalGroup::run($).await"),
    row("LocalTask::spawn", Takes::LocalBody,
        "LocalGroup::run(async |group| Ok(group.task(\"t\").spawn(LocalGroup::run($)).await?)).await"),
    row("LocalGroupBuilder::run", Takes::LocalBody, "LocalGroup::builder().run($).await"),
    row("LocalGroupBuilder::run_cancellable", Takes::LocalBody,
        "LocalGroup::builder().run_cancellable($).await"),
    row("LocalGroupBuilder::run_to_end", Takes::LocalBody,
        "LocalGroup::builder().run_to_end($).await"),
    row("TaskHandle::ended", Takes::Nothing,
        "{ let [one, _] = two(&group).await; one.ended().await; let _ = (&one).await; }"),
    row("ProgressEvents::next", Takes::Nothing,
        "{ let progress = Progress::new(); let _ = progress.watch().next().await; }"),
    row("Progress::show", Takes::Nothing,
        "{ let progress = Progress::new(); \
         progress.show(&indicatif::ProgressBar::hidden()).await; }"),
];

/// Cases that do not compile, because the language forbids them.
pub(crate) struct Forbidden {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) data: Data,
    /// Not even where nothing asks for `Send`.
    pub(crate) in_main: bool,
    /// The compiler says this.
    pub(crate) message: &'static str,
    pub(crate) reason: &'static str,
}

/// What the language forbids. The guide has it under Pitfalls, with the way out.
pub(crate) const FORBIDDEN: &[Forbidden] = &[
    lends_a_lifetime(Form::AsyncClosure),
    lends_a_lifetime(Form::ClosureMove),
    lends_a_lifetime(Form::AsyncFn),
];

const fn lends_a_lifetime(form: Form) -> Forbidden {
    Forbidden {
        name: "bracket",
        form,
        data: Data::Resource,
        in_main: false,
        message: "implementation of `AsyncFnOnce` is not general enough",
        reason: "the work is a closure over `&mut Session<'static>`. Where the future has to be \
                 `Send`, the compiler forgets that this `'static` is the one of the resource",
    }
}

impl Forbidden {
    /// The entry for a case, if it has one.
    pub(crate) fn find(row: &Row, work: Work, place: Place) -> Option<&'static Self> {
        FORBIDDEN.iter().find(|entry| {
            (entry.name, entry.form, entry.data) == (row.name, work.form, work.data)
                && (entry.in_main || place != Place::Main)
        })
    }
}

impl Row {
    /// Where it can be called.
    pub(crate) fn places(&self) -> &'static [Place] {
        match self.takes {
            Takes::LocalBody => &[Place::Main],
            _ => Place::ALL,
        }
    }

    /// Where it is called with each kind of error.
    pub(crate) fn main_place(&self) -> Place {
        match self.takes {
            Takes::LocalBody => Place::Main,
            _ => Place::Child,
        }
    }

    /// The code of a call in an async block. `None` where the function takes no work of this kind.
    pub(crate) fn code(&self, work: Work) -> Option<String> {
        // A child lives as long as its group, so it owns what it uses.
        let owned = work.data == Data::Owned;
        let argument = match self.takes {
            Takes::Futures => work.futures(),
            Takes::Keyed => match work.of_item() {
                Some(function) => format!("{}.map({function}).enumerate()", work.data.items()),
                None => format!("[(\"key\", {})]", work.future()),
            },
            Takes::Tuple => format!("({}, {})", work.future(), work.future()),
            Takes::Items => format!("{}, {}", work.data.items(), work.of_item()?),
            Takes::Future => work.future(),
            Takes::Closure => work.closure()?,
            Takes::Body | Takes::LocalBody => work.group_body()?,
            Takes::Bracket => work.bracketed()?,
            Takes::Child => owned.then(|| work.future())?,
            Takes::Starting => owned.then(|| work.starting())??,
            Takes::Blocking => (owned && work.form == Form::ClosureMove).then(|| {
                let error = work.failure.name();
                format!("move |_: BlockingToken| Ok::<usize, {error}>(items.len())")
            })?,
            Takes::Nothing => (owned && work.form == Form::Block).then(String::new)?,
        };
        let call = self.call.replace('$', &argument);
        let code = format!("{} let _ = {call};", work.locals());
        if self.takes != Takes::LocalBody
            && (self.call.contains("group.") || self.call.contains("&group"))
        {
            Some(format!(
                "let _ = TaskGroup::run(async |group| {{ {code} Ok(()) }}).await;"
            ))
        } else {
            Some(code)
        }
    }
}
