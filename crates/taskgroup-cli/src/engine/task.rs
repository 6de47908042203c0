//! One task: its turn, its attempts, its cleanup, its entry.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use taskgroup::{BoxError, bracket, checkpoint, is_cancelled};
use tokio::time::sleep;

use super::group::Failed;
use super::numbers::Number;
use super::{Engine, Slot, service};
use crate::duration::Human;
use crate::flag::Flag;
use crate::job::{Job, With};
use crate::output::{Heading, Label, Outlet, Show, Stream, Trouble, one_line};
use crate::plan::{self, Node, OnFailure, Task, TaskSpec, Timeout, Work, cleanup_name};
use crate::process::{For, Lease};
use crate::record::{Cause, Ending, Entry, Record};
use crate::report;
use crate::verdict::Verdict;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A task. It gets its entry when the last clone of this is dropped.
#[derive(Clone)]
pub(super) struct Turn(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    task: Task,
    /// See [`Entry::known`].
    known: Duration,
    latest: Mutex<Latest>,
}

/// How many earlier attempts are kept.
const KEPT: usize = 50;

#[derive(Default)]
pub(super) struct Latest {
    pub(super) record: Option<Record>,
    /// It has failed, and there is no other attempt.
    pub(super) gave_up: bool,
    attempts: u32,
    earlier: Vec<(u32, Record)>,
    /// The output has had a heading.
    headed: bool,
    /// The run had ended before its turn came.
    left_over: bool,
    /// What the command sees as its slot.
    number: Option<Number>,
    /// Whether an earlier run did it, once that is known.
    was_done: Option<bool>,
    /// The place of the first attempt.
    lease: Option<Lease>,
    began: Option<Duration>,
    /// When that was.
    date: Option<SystemTime>,
    because: Option<Cause>,
}

impl Turn {
    pub(super) fn new(engine: &Arc<Engine>, task: Task) -> Turn {
        let planned = task.id < engine.plan.tasks.len();
        Turn(Arc::new(Inner {
            engine: Arc::clone(engine),
            known: if planned {
                Duration::ZERO
            } else {
                engine.elapsed()
            },
            task,
            latest: Mutex::default(),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.task.spec.name
    }

    pub(super) fn task(&self) -> &Task {
        &self.0.task
    }

    pub(super) fn id(&self) -> usize {
        self.0.task.id
    }

    /// The run has ended before the turn came.
    pub(super) fn was_left_over(self) {
        self.latest(|latest| latest.left_over = true);
    }

    fn spec(&self) -> &TaskSpec {
        &self.0.task.spec
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Runs a task that waits for others, and is therefore spawned before there is a slot for it.
    pub(super) async fn run_when_ready(self) -> Result<(), BoxError> {
        let (engine, spec) = (self.engine(), self.spec());
        match engine.unless_halted(engine.nodes.wait(&spec.after)).await {
            None => return engine.leave_out(spec.group),
            Some(Err(before)) => {
                if engine.why(spec.group).is_none() {
                    let name = engine.plan.name(before).to_owned();
                    self.latest(|latest| latest.because = Some(Cause::Before { name }));
                }
                return engine.incomplete(spec.group, engine.on_failure(spec));
            }
            Some(Ok(())) => {}
        }
        if spec.service.is_some() {
            // It takes no slot: what needs it must have one.
            return self.clone().run_in(Vec::new()).await;
        }
        match engine.slot(spec.group).await {
            Some(slot) => self.clone().run(slot).await,
            None => engine.leave_out(spec.group),
        }
    }

    /// Runs the task from the slot in its own group to its end, which frees the slot. A task that
    /// is cancelled before its turn is not started.
    ///
    /// A future is as large as the largest one that it awaits, or twice that. So what few tasks
    /// need is boxed here and below, and so is each attempt.
    pub(super) async fn run(self, slot: Slot) -> Result<(), BoxError> {
        let engine = Arc::clone(self.engine());
        let mut slots = vec![slot];
        for group in engine.plan.around(Node::Group(self.spec().group)) {
            match engine.slot(group).await {
                Some(slot) => slots.push(slot),
                None => return engine.leave_out(self.spec().group),
            }
        }
        self.run_in(slots).await
    }

    async fn run_in(self, _slots: Vec<Slot>) -> Result<(), BoxError> {
        let engine = Arc::clone(self.engine());
        let serves = self.spec().service.is_some();
        // As far as there are descriptors for more. A service takes none of the places: what needs
        // it must have one.
        let place = async {
            match serves {
                true => None,
                false => Some(engine.around.guards.place().await),
            }
        };
        let Some(_place) = engine.unless_halted(place).await else {
            return engine.leave_out(self.spec().group);
        };
        // A cancelled task passes its turn on while it is still being stopped; no task takes it.
        // Other tasks must not yield here. Of several that yield, the last one would go on first,
        // and commands are started in the order given.
        if is_cancelled() {
            checkpoint().await;
        }
        let spec = self.spec();
        if !serves && self.was_done() {
            let record = Record::without_process(Ending::DoneBefore);
            self.latest(|latest| latest.record = Some(record));
            engine.succeeded_in(spec.group, &spec.name);
            return Ok(());
        }
        let passes = engine.unless_halted(engine.gate.pass(&engine.room, serves));
        let Some(_passed) = passes.await else {
            return engine.leave_out(spec.group);
        };
        self.latest(|latest| latest.number = Some(engine.numbers.take()));
        let turn = self.clone();
        let nothing = async { Ok::<_, BoxError>(()) };
        let attempts = async |(): &mut ()| match serves {
            true => Box::pin(self.serve()).await,
            false => self.attempts().await,
        };
        let clean_up = move |()| async move {
            let (engine, spec) = (turn.engine(), turn.spec());
            let steps = &spec.work.cleanup;
            if steps.is_empty() {
                return;
            }
            let counts_in = Some((spec.group, engine.on_failure(spec)));
            let record = |latest: &mut Latest| latest.record.as_ref()?.node.clone();
            let node = turn.latest(record);
            let of = (&*spec.name, spec.group, node.as_deref());
            let cleaned_up = engine.clean_up(of, counts_in, steps);
            let verdict = Box::pin(cleaned_up).await;
            if verdict.is_failure() {
                engine.cleanup_failed(spec.group, engine.on_failure(spec));
                let name = format!("the cleanup of {}", spec.name);
                engine.task_failed(spec, Cause::Failed { name });
            }
        };
        let ended = bracket(nothing, attempts, clean_up).await;
        // The group has recorded the failure. If this failure stops no other task, the policy must
        // not see it: the `on-failure` of the whole group may be another one.
        match engine.on_failure(spec) {
            OnFailure::Wait | OnFailure::Ignore if !engine.is_race(spec.group) => Ok(()),
            _ => ended,
        }
    }

    pub(super) async fn attempts(&self) -> Result<(), BoxError> {
        let spec = self.spec();
        match spec.restart {
            Some(restart) => Box::pin(self.restarts(restart)).await?,
            None => self.retries().await?,
        }
        self.engine().succeeded_in(spec.group, &spec.name);
        Ok(())
    }

    /// Attempts up to a success, or as many as the plan allows. An attempt is a start, and a run
    /// that has halted starts nothing more.
    async fn retries(&self) -> Result<(), BoxError> {
        let mut pauses = pauses(self.spec().retry).build();
        for number in 1.. {
            let ended = Box::pin(self.attempt(number)).await;
            let is_last = ended.is_ok() || self.latest(|latest| latest.gave_up);
            let Some(pause) = pauses.next().filter(|_| !is_last) else {
                return ended;
            };
            if !self.pauses(pause).await {
                return ended;
            }
        }
        Err(Failed.into())
    }

    /// Waits before another attempt. False if there is none after all, because the run has halted.
    async fn pauses(&self, pause: Duration) -> bool {
        if self.engine().unless_halted(sleep(pause)).await.is_some() {
            return true;
        }
        let (failed, timed_out) = self.latest(|latest| {
            let record = latest.record.as_ref();
            let failed = record.is_some_and(Record::is_failure);
            (failed, record.is_some_and(Record::timed_out))
        });
        if failed {
            self.give_up(timed_out);
        }
        false
    }

    /// Attempts that begin again, as long as the plan says so.
    async fn restarts(&self, restart: plan::Restart) -> Result<(), BoxError> {
        let (engine, spec) = (self.engine(), self.spec());
        let endless = || {
            let retry = plan::Retry {
                times: u32::MAX,
                backoff: restart.backoff,
            };
            pauses(retry).build()
        };
        let mut pause = endless();
        for number in 1.. {
            let began = engine.elapsed();
            let ended = self.attempt(number).await;
            if !self.goes_on(number, Verdict::of_success(ended.is_ok())) {
                return ended;
            }
            // What ran well for a time begins anew.
            if engine.elapsed().saturating_sub(began) > LONGEST_PAUSE {
                pause = endless();
            }
            let pause = pause.next().unwrap_or(LONGEST_PAUSE);
            self.tell_of_restart(pause).await;
            if spec.service.is_some() {
                // What needs it may still run.
                sleep(pause).await;
            } else if !self.pauses(pause).await {
                return ended;
            }
        }
        Err(Failed.into())
    }

    /// Says that the attempt has ended and that another one follows. Elsewhere a heading says so.
    async fn tell_of_restart(&self, pause: Duration) {
        let around = &self.engine().around;
        if around.show != Show::Stream || around.hide.contains(self.name()) {
            return;
        }
        let how = self.latest(|latest| latest.record.as_ref().map(report::ended));
        let how = how.unwrap_or_default();
        let name = self.name();
        let line = format!(
            "taskgroup: {name}: {how}; starts again in {}\n",
            Human(pause)
        );
        let _turn = around.sink.turn().await;
        around.sink.send(Stream::Err, line.into_bytes()).await;
    }

    /// Whether there is another attempt after this one, which has ended so.
    pub(super) fn goes_on(&self, number: u32, ended: Verdict) -> bool {
        if self.latest(|latest| latest.gave_up) {
            return false;
        }
        let spec = self.spec();
        match &spec.restart {
            // Otherwise a run that has halted might never end.
            Some(_) if spec.service.is_none() && self.engine().halted.is_set() => false,
            Some(restart) => restart.again(number, ended),
            None if self.engine().halted.is_set() => false,
            None => ended.is_failure() && number <= spec.retry.times,
        }
    }

    /// The last attempt has failed.
    fn give_up(&self, timed_out: bool) {
        self.latest(|latest| latest.gave_up = true);
        let name = self.name().to_owned();
        let cause = match timed_out {
            true => Cause::TimedOut { name },
            false => Cause::Failed { name },
        };
        self.engine().task_failed(self.spec(), cause);
    }

    async fn attempt(&self, number: u32) -> Result<(), BoxError> {
        let (engine, spec) = (self.engine(), self.spec());
        let reserved = self.latest(|latest| latest.lease.take());
        let lease = match reserved {
            Some(lease) => Ok(Some(lease)),
            None => match engine.unless_halted(self.lease()).await {
                Some(lease) => lease,
                None => return engine.leave_out(spec.group),
            },
        };
        let sought = service::sought(spec.service.as_ref());
        let line_seen = sought
            .as_ref()
            .map_or_else(Flag::new, |sought| sought.found.clone());
        let began = engine.elapsed();
        engine.ledger.started(&self.0.task, number, began);
        self.latest(|latest| {
            latest.began.get_or_insert(began);
            latest.date.get_or_insert_with(SystemTime::now);
            let before = latest.record.take();
            latest
                .earlier
                .extend(before.map(|before| (latest.attempts, before)));
            if latest.earlier.len() > KEPT {
                latest.earlier.remove(0);
            }
            latest.attempts = number;
        });
        let start = async {
            let results = engine.results.as_ref();
            let copies = results.map(|results| results.open(&spec.name, number));
            let (copies, lost) = match copies.transpose() {
                Ok(copies) => (copies.unwrap_or_default(), None),
                Err(error) => (Default::default(), Some(Trouble::Lost(error))),
            };
            let with = With {
                name: Some(spec.name.clone()),
                timeout: spec.timeout.and_then(Timeout::fixed),
                variables: self.variables(number),
                copies,
                hidden: engine.around.hide.contains(&spec.name),
                sought,
                place: Some(self.0.task.id),
                lasts: spec.service.is_some(),
                ..With::label(self.label())
            };
            let given_up = || engine.why(spec.group).is_some();
            let free = match &spec.service {
                Some(service) if !engine.nodes.is_settled(Node::Task(self.id())) => {
                    service::is_free(service).await
                }
                _ => Ok(()),
            };
            let job = match free.and(lease) {
                Ok(lease) => {
                    let with = With { lease, ..with };
                    Job::start(&spec.work, with, engine.around.clone(), given_up).await
                }
                Err(error) => Err(error),
            };
            Ok::<_, BoxError>((job, lost))
        };
        let turn = self.clone();
        bracket(
            start,
            async |(job, _)| {
                let verdict = match (&mut *job, &spec.service) {
                    (Ok(job), None) => match spec.timeout {
                        Some(Timeout::Share(share)) => {
                            Box::pin(self.watch_against_others(job, share)).await
                        }
                        Some(Timeout::After(_)) | None => job.watch().await,
                    },
                    (Ok(job), Some(service)) => {
                        let served = self.serve_once(service, number, job, &line_seen);
                        Box::pin(served).await
                    }
                    (Err(_), _) => Verdict::Failed,
                };
                if verdict == Verdict::Succeeded {
                    return Ok(());
                }
                if !self.goes_on(number, verdict) {
                    self.give_up(job.as_ref().is_ok_and(Job::timed_out));
                }
                Err(Failed.into())
            },
            // Runs on every exit. No process of the command is left after it.
            move |(job, lost)| async move {
                let (mut record, outlet) = match job {
                    Ok(job) => {
                        let (record, outlet) = job.finish().await;
                        (record, Some(outlet))
                    }
                    Err(error) => {
                        let ending = match error.kind() {
                            // It waited for the machine when it was cancelled.
                            ErrorKind::Interrupted => Ending::NotStarted,
                            _ => Ending::CouldNotStart(error),
                        };
                        (Record::without_process(ending), None)
                    }
                };
                record.began.get_or_insert(began);
                record.trouble = lost.or(record.trouble);
                if let Some(service) = &turn.spec().service {
                    service::with_last_line(&mut record, service);
                }
                if let Ending::Cancelled(status) = record.ending {
                    // If nothing has cancelled it, nothing needs it any longer.
                    let (engine, spec) = (turn.engine(), turn.spec());
                    if spec.service.is_some() && engine.why(spec.group).is_none() {
                        record.ending = Ending::Served(status);
                    }
                }
                if let Some(outlet) = outlet {
                    let was_served = matches!(record.ending, Ending::Served(_));
                    let by_itself = record.is_failure() || record.ending.is_success();
                    let by_itself = by_itself && !was_served;
                    let verdict = Verdict::of_success(record.ending.is_success());
                    let ends = !by_itself || !turn.goes_on(number, verdict);
                    turn.show(&mut record, outlet, number, ends).await;
                }
                turn.latest(|latest| latest.record = Some(record));
            },
        )
        .await
    }

    /// Takes a place for the first attempt, if it runs on a node. So of an input without end, no
    /// more is read than there is room for. False if nothing more is started. Cancel safe.
    pub(super) async fn reserve(&self) -> bool {
        if self.spec().work.needs.is_none() || self.was_done() {
            return true;
        }
        match self.engine().unless_halted(self.lease()).await {
            Some(Ok(lease)) => self.latest(|latest| latest.lease = lease),
            // The attempt has the same error.
            Some(Err(_)) => {}
            None => return false,
        }
        true
    }

    /// Whether an earlier run did it. Each success there counts once, and so does this.
    fn was_done(&self) -> bool {
        if let Some(was_done) = self.latest(|latest| latest.was_done) {
            return was_done;
        }
        let engine = self.engine();
        let is_planned = self.id() < engine.plan.tasks.len();
        let name = is_planned.then_some(self.name());
        let was_done = engine.ledger.was_done(name, &self.spec().work);
        self.latest(|latest| latest.was_done = Some(was_done));
        was_done
    }

    /// A place on a node, if it runs on one. Waits for room. Cancel safe.
    async fn lease(&self) -> io::Result<Option<Lease>> {
        let (spec, guards) = (self.spec(), &self.engine().around.guards);
        let what = match spec.service {
            Some(_) => For::Service,
            None => For::Task,
        };
        match &spec.work.needs {
            Some(needs) => guards.lease(needs, what).await.map(Some),
            None => Ok(None),
        }
    }

    fn label(&self) -> Label {
        let (engine, spec) = (self.engine(), self.spec());
        let argument = spec.work.command.argument();
        let argument = argument.map(|argument| one_line(&argument.to_string_lossy()));
        engine
            .labels
            .of_task(self.0.task.id, &spec.name, argument.as_deref())
    }

    /// What a command can know of itself.
    fn variables(&self, attempt: u32) -> Vec<(&'static str, String)> {
        let slot = self.latest(|latest| latest.number.as_ref().map(Number::value));
        vec![
            ("TASKGROUP_NAME", self.name().to_owned()),
            ("TASKGROUP_INDEX", (self.0.task.id + 1).to_string()),
            ("TASKGROUP_ATTEMPT", attempt.to_string()),
            ("TASKGROUP_SLOT", slot.unwrap_or(1).to_string()),
        ]
    }

    /// Shows the output that was held back, under its heading. `ends` says that no other attempt
    /// follows.
    async fn show(&self, record: &mut Record, outlet: Outlet, attempt: u32, ends: bool) {
        let engine = self.engine();
        if matches!(engine.around.show, Show::Stream | Show::Quiet) {
            return;
        }
        let because = engine.why(self.spec().group);
        let what = match ends {
            true => report::how_it_ended(record, attempt, because),
            false => format!("attempt {attempt}: {}", report::ended(record)),
        };
        let named = (self.0.task.id, self.name());
        let progress = engine.ledger.progress();
        let is_shown = record.is_failure() || engine.around.show == Show::Group;
        let heading = progress.heading(named, record, &what, (ends, is_shown));
        self.latest(|latest| latest.headed = ends);
        engine
            .show(record, outlet, Some(self.0.task.id), heading)
            .await;
    }

    /// Watches a command that must not take much longer than others.
    async fn watch_against_others(&self, job: &mut Job, percent: u32) -> Verdict {
        let (typical, watch) = (&self.engine().typical, self.engine().around.clock.start());
        let verdict = tokio::select! {
            biased;
            verdict = job.watch() => Some(verdict),
            () = typical.overdue(&watch, percent) => None,
        };
        match verdict {
            Some(Verdict::Succeeded) => typical.add(watch.elapsed()),
            Some(Verdict::Failed) => {}
            None => job.end_with(Ending::TimedOut),
        }
        verdict.unwrap_or(Verdict::Failed)
    }

    pub(super) fn latest<T>(&self, with: impl FnOnce(&mut Latest) -> T) -> T {
        with(&mut self.0.latest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (engine, spec) = (&self.engine, &self.task.spec);
        let latest = self
            .latest
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let latest = std::mem::take(latest);
        let record = latest
            .record
            .unwrap_or_else(|| Record::without_process(Ending::NotStarted));
        let by_others = matches!(record.ending, Ending::NotStarted | Ending::Cancelled(_));
        let because = match latest.because {
            None if by_others => engine.because(spec.group),
            because => because,
        };
        let (failed, on_failure) = (record.is_failure(), engine.on_failure(spec));
        let forgiven = failed && engine.forgives(spec.group, on_failure, 1);
        if failed && !forgiven {
            // It may have failed by itself at the moment at which the group was cancelled.
            engine.mark_failed(spec.group);
        }
        let as_good_as_done = failed && on_failure == OnFailure::Ignore;
        let verdict = Verdict::of_success(record.ending.is_success() || as_good_as_done);
        let argument = spec.work.command.argument();
        let first = match latest.earlier.first() {
            Some((1, first)) => first.began,
            Some(_) => None,
            None => record.began,
        };
        let entry = Entry {
            id: self.task.id,
            cleans_up: None,
            name: spec.name.clone(),
            group: engine.plan.groups[spec.group].name.clone(),
            argument: argument.map(|argument| one_line(&argument.to_string_lossy())),
            command: spec.work.command.shown(),
            record,
            attempts: latest.attempts,
            earlier: latest.earlier,
            known: self.known,
            began: first.or(latest.began),
            date: latest.date,
            ended: engine.elapsed(),
            because,
            ignored: failed && engine.is_ignored(spec.group, on_failure),
            outrun: None,
        };
        if latest.left_over {
            return engine.ledger.left_over(entry, &spec.work);
        }
        let headed = latest.headed;
        engine.ledger.ended(entry, &spec.work, headed, forgiven);
        engine.around.order.ended(self.task.id);
        engine.consider_halt();
        engine.nodes.end(Node::Task(self.task.id), verdict);
    }
}

impl Engine {
    /// A place for a command that runs beside others, on this node if it can, if it runs on one.
    /// Cancel safe.
    pub(super) async fn beside(
        &self,
        work: &Work,
        node: Option<&str>,
    ) -> io::Result<Option<Lease>> {
        match &work.needs {
            Some(needs) => self.around.guards.beside(needs, node).await.map(Some),
            None => Ok(None),
        }
    }

    /// Runs the cleanup of the task or group with that name; of the run if the name is empty.
    ///
    /// The steps run one after the other, each within its time, even after a failure. The cleanup
    /// fails if one of them does. `counts_in` is the group in which a failure counts, and the rule
    /// by which it does; it is `None` for the cleanup of the run. Must not be cancelled: call it
    /// where no cancellation can arrive.
    pub(super) async fn clean_up(
        &self,
        (of, group, node): (&str, usize, Option<&str>),
        counts_in: Option<(usize, OnFailure)>,
        steps: &[Work],
    ) -> Verdict {
        let mut verdict = Verdict::Succeeded;
        for (index, work) in steps.iter().enumerate() {
            let (began, date) = (self.elapsed(), SystemTime::now());
            let name = cleanup_name(of, index);
            let job = match self.beside(work, node).await {
                Ok(lease) => {
                    let with = With {
                        timeout: Some(work.cleanup_timeout),
                        variables: vec![("TASKGROUP_NAME", name.clone())],
                        lease,
                        ..With::label(self.labels.of_task(group, &name, None))
                    };
                    Job::start(work, with, self.around.clone(), || false).await
                }
                Err(error) => Err(error),
            };
            let mut record = match job {
                Ok(mut job) => {
                    tokio::select! {
                        _ = job.watch() => {}
                        () = self.around.hurry.wait() => {}
                    }
                    let (mut record, outlet) = job.finish().await;
                    self.show(&mut record, outlet, None, Heading::default())
                        .await;
                    record
                }
                Err(error) => Record::without_process(Ending::CouldNotStart(error)),
            };
            record.began.get_or_insert(began);
            let counts_in = counts_in.filter(|_| record.is_failure());
            let ignored = counts_in.is_some_and(|(group, rule)| self.is_ignored(group, rule));
            let forgiven = counts_in.is_some_and(|(group, rule)| self.forgives(group, rule, 1));
            if !record.ending.is_success() {
                verdict = Verdict::Failed;
            }
            let entry = Entry {
                id: usize::MAX,
                cleans_up: Some(of.to_owned()),
                name,
                group: self.plan.groups[group].name.clone(),
                argument: None,
                command: work.command.shown(),
                record,
                attempts: 1,
                earlier: Vec::new(),
                known: began,
                began: Some(began),
                date: Some(date),
                ended: self.elapsed(),
                // Nothing but a signal stops it.
                because: self
                    .cause()
                    .filter(|cause| matches!(cause, Cause::Signal(_))),
                ignored,
                outrun: None,
            };
            self.ledger.cleaned_up(entry, work, forgiven);
        }
        verdict
    }
}

impl Engine {
    /// Releases what was held back of the output, if it is to be shown.
    async fn show(
        &self,
        record: &mut Record,
        outlet: Outlet,
        place: Option<usize>,
        heading: Heading,
    ) {
        let around = &self.around;
        match (around.show, place) {
            (Show::Failures, _) if !record.is_failure() => {
                let _turn = around.sink.turn().await;
                let heading = [heading.before, heading.after].concat();
                around.sink.send(Stream::Err, heading).await;
            }
            (_, Some(place)) => around.order.show(place, outlet.clone(), heading).await,
            (_, None) => outlet.release(heading).await,
        }
        if record.trouble.is_none() {
            record.trouble = outlet.take_trouble();
        }
    }
}

fn pauses(retry: plan::Retry) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(retry.backoff)
        .with_max_delay(LONGEST_PAUSE.max(retry.backoff))
        .with_max_times(retry.times as usize)
        .with_jitter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_there_is_none_after_the_last_attempt() {
        let retry = plan::Retry {
            times: 9,
            backoff: Duration::from_secs(1),
        };
        let all: Vec<Duration> = pauses(retry).build().collect();
        assert_eq!(all.len(), 9);
        assert!(
            all[0] >= Duration::from_secs(1) && all[0] <= Duration::from_secs(2),
            "{all:?}"
        );
        assert!(all[3] >= Duration::from_secs(8), "{all:?}");
        assert!(all[8] <= 2 * LONGEST_PAUSE, "{all:?}");
        assert_eq!(pauses(plan::Retry::NEVER).build().count(), 0);
    }
}
