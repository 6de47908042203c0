//! S34: `tracing` spans follow the tree.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use taskgroup::observe::Spans;
use taskgroup::{
    BoxError, LocalGroup, OpenGroup, Policy, TaskGroup, gather, race, settle_by_key, shield,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{forever, paused, settled};

/// Remembers spans, and for each event in which of them it happened.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    /// Its id is its place, from 1.
    spans: Vec<Seen>,
    entered: Vec<u64>,
    events: Vec<(String, String)>,
    /// By name.
    closed: Vec<String>,
}

struct Seen {
    /// What kind of span it is, and its name.
    name: String,
    parent: Option<u64>,
    metadata: &'static Metadata<'static>,
    fields: Fields,
}

impl Seen {
    fn get(&self, field: &str) -> String {
        self.fields.get(field)
    }

    fn has(&self, field: &str) -> bool {
        self.fields.0.iter().any(|(name, _)| *name == field)
    }

    /// The outcome, the status for OpenTelemetry and its description.
    fn end(&self) -> [String; 3] {
        ["outcome", "otel.status_code", "otel.status_description"].map(|field| self.get(field))
    }
}

impl Collected {
    fn span(&self, name: &str) -> &Seen {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| {
            let names: Vec<_> = self.spans.iter().map(|span| &span.name).collect();
            panic!("no `{name}` in {names:?}")
        });
        assert!(found.next().is_none(), "two of `{name}`");
        span
    }

    fn path(&self, mut id: Option<u64>) -> String {
        let mut names = Vec::new();
        while let Some(at) = id {
            let span = &self.spans[usize::try_from(at).unwrap() - 1];
            names.push(span.name.clone());
            id = span.parent;
        }
        names.reverse();
        names.join("/")
    }
}

#[derive(Clone, Default)]
struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }
}

impl Fields {
    fn get(&self, name: &str) -> String {
        let found = self.0.iter().find(|(field, _)| *field == name);
        found.map_or(String::new(), |(_, value)| value.clone())
    }
}

impl Subscriber for Collect {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "taskgroup" || target.starts_with("observe") || target.starts_with("shop")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut collected = self.0.lock().unwrap();
        let parent = match span.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if span.is_contextual() => collected.entered.last().copied(),
            None => None,
        };
        let name = format!("{} {}", span.metadata().name(), fields.get("name"));
        collected.spans.push(Seen {
            name,
            parent,
            metadata: span.metadata(),
            fields,
        });
        Id::from_u64(collected.spans.len() as u64)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut collected = self.0.lock().unwrap();
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        let fields = &mut collected.spans[at].fields;
        let before = fields.0.len();
        values.record(fields);
        // Nothing is said twice.
        let (old, new) = fields.0.split_at(before);
        for (name, _) in new {
            assert!(old.iter().all(|(known, _)| known != name), "{name} again");
        }
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut collected = self.0.lock().unwrap();
        let span = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None => collected.entered.last().copied(),
        };
        let path = collected.path(span);
        collected.events.push((path, fields.get("message")));
    }
    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }
    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(span.into_u64()));
    }
    fn try_close(&self, span: Id) -> bool {
        let mut collected = self.0.lock().unwrap();
        assert!(!collected.entered.contains(&span.into_u64()));
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        let name = collected.spans[at].name.clone();
        collected.closed.push(name);
        true
    }
}

#[test]
fn spans_follow_the_tree() {
    let collect = Collect::default();
    let subscriber = collect.clone();
    paused(async {
        let _default = tracing::subscriber::set_default(subscriber);
        let run = TaskGroup::builder().name("outer").run(async |outer| {
            tracing::info!("in the body");
            let siblings = outer.clone();
            outer.task("first").spawn(async move {
                tracing::info!("in the task");
                // Spawned by a task, and below its group all the same.
                siblings
                    .task("second")
                    .spawn(async { tracing::info!("in the second") });
                let inner = TaskGroup::builder().name("inner");
                inner
                    .run(async |inner| {
                        inner.task("leaf").spawn(async {
                            tokio::task::yield_now().await;
                            tracing::info!("in the leaf");
                        });
                        Ok(())
                    })
                    .await
            });
            outer.task("idle").spawn(forever());
            settled().await;
            outer
                .task("culprit")
                .spawn(async { Err::<(), _>("no luck") });
            Ok(())
        });
        run.await.unwrap_err();
    });
    let collected = collect.0.lock().unwrap();
    let path_of = |message: &str| {
        let found = collected
            .events
            .iter()
            .find(|(_, text)| text.contains(message));
        found
            .unwrap_or_else(|| panic!("no {message:?} in {:?}", collected.events))
            .0
            .as_str()
    };
    assert_eq!(path_of("in the body"), "group outer");
    assert_eq!(path_of("in the task"), "group outer/task first");
    assert_eq!(path_of("in the second"), "group outer/task second");
    assert_eq!(
        path_of("in the leaf"),
        "group outer/task first/group inner/task leaf"
    );
    assert_eq!(path_of("no luck"), "group outer/task culprit");
    assert_eq!(path_of("cancelled"), "group outer/task idle");
    assert!(collected.entered.is_empty());
}

/// Runs `test` in virtual time under a subscriber, and returns what that was told.
fn collected<F: Future>(test: F) -> Arc<Mutex<Collected>> {
    let collect = Collect::default();
    let subscriber = collect.clone();
    paused(async {
        let _default = tracing::subscriber::set_default(subscriber);
        test.await;
    });
    let collected = collect.0.clone();
    assert!(collected.lock().unwrap().entered.is_empty());
    collected
}

/// The text of a field after the place in it, which ends it in parentheses.
fn without_place(text: &str) -> &str {
    text.rsplit_once(" (").map_or(text, |(text, _)| text)
}

// S34: how a task ended, what it failed with and who cancelled it; and what OpenTelemetry makes a
// red span of.
#[test]
fn fault_f3_a_span_says_how_its_task_ended() {
    let first = line!();
    let collected = collected(async {
        let run = TaskGroup::builder()
            .name("shop")
            .policy(Policy::collect())
            .grace(Duration::from_millis(50))
            .run(async |group| {
                group.task("good").spawn(async {});
                group.task("bad").spawn(async { Err::<(), _>("sold out") });
                group.task("mad").spawn(async { panic!("oh") });
                group.task("stubborn").spawn(shield(forever()));
                group.spawn(async {});
                let alone = group.task("alone").spawn(forever());
                group.task("canceller").spawn(async move {
                    settled().await;
                    alone.cancel();
                });
                tokio::time::sleep(Duration::from_millis(10)).await;
                group.cancel();
                let late = group.task("late").spawn(async {});
                assert!(late.await.is_err());
                Ok(())
            });
        run.await.unwrap_err();
    });
    let last = line!();
    let collected = collected.lock().unwrap();
    let end = |name: &str| collected.span(name).end();
    let none = String::new;
    assert_eq!(end("task good"), ["succeeded".into(), none(), none()]);
    assert_eq!(
        end("task bad"),
        ["failed", "ERROR", "sold out"].map(String::from)
    );
    assert_eq!(
        end("task mad"),
        ["panicked", "ERROR", "oh"].map(String::from)
    );
    assert_eq!(end("task alone"), ["cancelled".into(), none(), none()]);
    let overran = "it overran the grace for its cleanup";
    assert_eq!(
        end("task stubborn"),
        ["killed", "ERROR", overran].map(String::from)
    );

    let bad = collected.span("task bad");
    assert_eq!(bad.get("error"), "sold out");
    assert_eq!(bad.get("otel.name"), "bad");
    assert!(!bad.has("cancel.reason"));
    let line: u32 = bad.get("code.line.number").parse().unwrap();
    assert!((first..last).contains(&line), "{line}");
    assert_eq!(bad.get("code.file.path"), file!());
    assert_eq!(bad.metadata.file(), None, "the place is not ours");
    assert_eq!(bad.metadata.target(), "taskgroup");
    assert_eq!(*bad.metadata.level(), Level::INFO);

    let alone = collected.span("task alone");
    assert_eq!(alone.get("cancel.by"), "shop/canceller");
    let reason = alone.get("cancel.reason");
    assert_eq!(
        without_place(&reason),
        "cancel was called by task `shop/canceller`"
    );
    // Without a name it is called what the span is called.
    assert!(!collected.span("task ").has("otel.name"));
    assert_eq!(collected.span("group shop").get("outcome"), "failed");
    // What was refused never was a task.
    assert!(collected.spans.iter().all(|span| span.name != "task late"));
}

// S34: the same of groups, by each way to run one.
#[test]
fn fault_f3_a_span_says_how_its_group_ended() {
    let collected = collected(async {
        let named = |name: &'static str| TaskGroup::builder().name(name);
        named("good").run(async |_| Ok(())).await.unwrap();
        let run = named("bad").run(async |group| {
            group.task("culprit").spawn(async { Err::<(), _>("no") });
            group.task("victim").spawn(forever());
            forever().await;
            Ok(())
        });
        run.await.unwrap_err();
        let run = named("cancelled").run_cancellable(async |group| {
            group.cancel_with("enough");
            forever().await;
            Ok(())
        });
        assert!(run.await.unwrap().is_none());
        let run = named("mad").run(async |_| -> Result<(), BoxError> { panic!("oh") });
        let task = async { tokio::spawn(run).await };
        assert!(task.await.unwrap_err().is_panic());
        let run = named("race").race([
            Box::pin(forever()) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
            Box::pin(async {}),
        ]);
        run.await.unwrap();
        let collect = named("tolerant").policy(Policy::quorum(1));
        let run = collect.run_to_end(async |group| {
            group.spawn(async { Err::<(), _>("no") });
            settled().await;
            group.spawn(async {});
            Ok(())
        });
        assert!(run.await.1.is_some());
        let by_hand: OpenGroup = named("by hand").open();
        by_hand.spawn(async { Err::<(), _>("no") }).unwrap();
        by_hand.close().await.unwrap_err();
        let run = named("background").run(async |group| {
            group.task("beat").background().spawn(forever());
            Ok(())
        });
        run.await.unwrap();
        drop(named("dropped").open());
        taskgroup::drain().await.unwrap();
    });
    let collected = collected.lock().unwrap();
    let outcome = |name: &str| {
        let [outcome, code, _] = collected.span(name).end();
        (outcome, code)
    };
    let ok = |outcome: &str| (outcome.to_owned(), String::new());
    let error = |outcome: &str| (outcome.to_owned(), "ERROR".to_owned());
    assert_eq!(outcome("group good"), ok("succeeded"));
    assert_eq!(outcome("group bad"), error("failed"));
    assert_eq!(outcome("group cancelled"), ok("cancelled"));
    assert_eq!(outcome("group mad"), error("panicked"));
    assert_eq!(outcome("group race"), ok("succeeded"));
    assert_eq!(outcome("group tolerant"), ok("succeeded"));
    assert_eq!(outcome("group by hand"), error("failed"));
    assert_eq!(outcome("group background"), ok("succeeded"));
    assert_eq!(outcome("task beat"), ok("cancelled"));
    assert_eq!(outcome("group dropped"), ok("cancelled"));
    let bad = collected.span("group bad");
    let text = bad.get("otel.status_description");
    assert!(text.contains("culprit") && text.contains("no"), "{text}");
    let victim = collected.span("task victim");
    assert_eq!(victim.get("cancel.by"), "bad/culprit");
    let reason = victim.get("cancel.reason");
    assert_eq!(without_place(&reason), "task `bad/culprit` failed: no");
    let reason = collected.span("group cancelled").get("cancel.reason");
    assert!(reason.contains("enough"), "{reason}");
}

// S34, S31, S48: what is polled inside the task of its group has a span as a task has.
#[test]
fn inline_children_have_spans() {
    let collected = collected(async {
        let settings = TaskGroup::builder().name("local");
        let run = LocalGroup::builder().settings(settings).run(async |group| {
            group.task("borrows").spawn(async {
                tracing::info!("in the child");
                gather([async { Ok::<_, BoxError>(()) }]).await
            });
            Ok(())
        });
        run.await.unwrap();
        let fails: std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>>>> =
            Box::pin(async { Err("down".into()) });
        let mirrors = TaskGroup::builder().name("mirrors");
        mirrors
            .settle_by_key([("a", fails), ("b", Box::pin(async { panic!("oh") }))])
            .await;
        // Dropped half-way.
        tokio::select! {
            biased;
            _ = settle_by_key([("dropped", forever())]) => unreachable!(),
            () = settled() => {}
        }
        let _ = race([async { Ok::<_, BoxError>(()) }]).await;
    });
    let collected = collected.lock().unwrap();
    assert_eq!(collected.events[0].0, "group local/task borrows");
    let end = |name: &str| collected.span(name).end();
    assert_eq!(end("task borrows")[0], "succeeded");
    assert_eq!(end("task a"), ["failed", "ERROR", "down"].map(String::from));
    assert_eq!(end("task b"), ["panicked", "ERROR", "oh"].map(String::from));
    assert_eq!(end("task dropped")[0], "cancelled");
    let path = collected.path(collected.span("task a").parent);
    assert_eq!(path, "group mirrors");
    // The group of `gather` is below the child that called it.
    let gather = collected.spans.iter().position(|span| {
        span.name == "group " && collected.path(span.parent) == "group local/task borrows"
    });
    assert!(gather.is_some());
    let ends = collected.spans.iter().filter(|span| span.has("outcome"));
    assert_eq!(ends.count(), collected.spans.len(), "each has ended");
}

// S34: level and target are those of the group, or of the process.
#[test]
fn level_and_target_can_be_chosen() {
    let collected = collected(async {
        let quiet = Spans::new().level(Level::TRACE).target("shop::quiet");
        let run = TaskGroup::builder()
            .name("own")
            .spans(quiet)
            .run(async |group| {
                group.task("child").spawn(async {});
                let inner = TaskGroup::builder().name("inner");
                inner.run(async |_| Ok(())).await?;
                Ok(())
            });
        run.await.unwrap();
        let off = TaskGroup::builder().name("off").spans(Spans::off());
        let around = TaskGroup::builder().name("around").run(async |_| {
            off.run(async |group| {
                group.task("unseen").spawn(async {
                    let below = TaskGroup::builder().name("below");
                    below.run(async |_| Ok(())).await
                });
                Ok(())
            })
            .await?;
            Ok(())
        });
        around.await.unwrap();
        let hidden = Spans::new().target("elsewhere");
        let run = TaskGroup::builder().name("hidden").spans(hidden);
        run.run(async |_| Ok(())).await.unwrap();

        let console = TaskGroup::builder()
            .name("console")
            .spans(Spans::new().for_console());
        let run = console.run(async |group| {
            group.task("listed").spawn(async {});
            Ok(())
        });
        run.await.unwrap();

        quiet.set_default();
        let run = TaskGroup::builder()
            .name("by default")
            .run(async |_| Ok(()));
        run.await.unwrap();
        Spans::new().set_default();
        let run = TaskGroup::builder().name("as before").run(async |_| Ok(()));
        run.await.unwrap();
    });
    let collected = collected.lock().unwrap();
    let is = |name: &str| {
        let metadata = collected.span(name).metadata;
        (*metadata.level(), metadata.target())
    };
    for quiet in ["group own", "task child", "group by default"] {
        assert_eq!(is(quiet), (Level::TRACE, "shop::quiet"));
    }
    for usual in ["group inner", "group below", "group as before"] {
        assert_eq!(is(usual), (Level::INFO, "taskgroup"));
    }
    let names = collected.spans.iter().map(|span| span.name.as_str());
    let unseen = ["group off", "task unseen", "group hidden"];
    assert!(names.clone().all(|name| !unseen.contains(&name)));
    // What has no span is passed over.
    assert_eq!(
        collected.path(collected.span("group below").parent),
        "group around"
    );
    // The same call sites again, not new ones.
    let (first, second) = (
        collected.span("group own"),
        collected.span("group by default"),
    );
    assert!(std::ptr::eq(first.metadata, second.metadata));

    let listed = collected.span("runtime.spawn ");
    assert_eq!(listed.get("task.name"), "listed");
    assert_eq!(listed.get("loc.file"), file!());
    assert_eq!(listed.get("kind"), "taskgroup");
    assert_eq!(listed.get("outcome"), "succeeded");
}

// S34: a subscriber takes the close of a span for the end of its task or group, so it comes then,
// although a handle, the group or a canceller of it is kept.
#[test]
fn a_span_closes_when_what_it_is_about_ends() {
    let collect = Collect::default();
    let seen = collect.clone();
    let closed = move || std::mem::take(&mut seen.0.lock().unwrap().closed);
    paused(async {
        let _default = tracing::subscriber::set_default(collect);
        let run = TaskGroup::builder().name("kept").run(async |group| {
            let handle = group.task("task").spawn(async {});
            let failed = group.task("failed").spawn(forever());
            failed.cancel();
            settled().await;
            assert_eq!(closed(), ["task task", "task failed"]);
            handle.await?;
            let local = TaskGroup::builder().name("local").local();
            let run = local.run(async |group| {
                let handle = group.task("child").spawn(async {});
                settled().await;
                assert_eq!(closed(), ["task child"]);
                Ok(handle.await?)
            });
            run.await?;
            assert_eq!(closed(), ["group local"]);
            Ok((group.canceller(), group))
        });
        let kept = run.await.unwrap();
        assert_eq!(closed(), ["group kept"]);
        drop(kept);

        let open = TaskGroup::builder().name("open").open();
        open.close().await.unwrap();
        assert_eq!(closed(), ["group open"]);
        drop(open);

        let mut half = Box::pin(race([forever()]));
        std::future::poll_fn(|cx| {
            assert!(half.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(half);
        assert_eq!(closed(), ["task ", "group "]);
    });
    assert!(closed().is_empty());
}

// S34: a subscriber knows nothing of the spans of another one. What is spawned where another one is
// the default has its span where the span of its group is.
#[test]
fn a_span_is_where_the_span_around_it_is() {
    let other = Collect::default();
    let default = other.clone();
    let collected = collected(async {
        let run = TaskGroup::builder().name("outer").run(async |group| {
            let elsewhere = group.clone();
            let thread = std::thread::spawn(move || {
                let _default = tracing::subscriber::set_default(default);
                elsewhere.task("elsewhere").spawn(async {});
                let own = TaskGroup::builder().name("own").open();
                drop(own);
            });
            thread.join().unwrap();
            Ok(())
        });
        run.await.unwrap();
    });
    let collected = collected.lock().unwrap();
    let task = collected.span("task elsewhere");
    assert_eq!(collected.path(task.parent), "group outer");
    assert_eq!(task.get("outcome"), "succeeded");
    let other = other.0.lock().unwrap();
    let names: Vec<_> = other.spans.iter().map(|span| &span.name).collect();
    assert_eq!(names, ["group own"]);
}

// S34: the events of a task go to the subscriber that has its span, whichever thread they come
// from. Another one would take the id for a span of its own.
#[test]
fn an_event_is_where_its_span_is() {
    let other = Collect::default();
    let default = other.clone();
    let collected = collected(async {
        let run = TaskGroup::builder().name("outer").run(async |group| {
            let child = group.task("child").spawn(forever());
            settled().await;
            let thread = std::thread::spawn(move || {
                let _default = tracing::subscriber::set_default(default);
                child.cancel_with("from afar");
                drop(child);
            });
            thread.join().unwrap();
            Ok(())
        });
        run.await.unwrap();
    });
    let collected = collected.lock().unwrap();
    let paths: Vec<_> = collected.events.iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["group outer/task child"]);
    assert!(other.0.lock().unwrap().events.is_empty());
}

/// As [`Collect`]; its first event takes until it is let on.
struct SlowEvent(
    Collect,
    Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
);

impl Subscriber for SlowEvent {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let first = self.1.lock().unwrap().take();
        if let Some((begun, go_on)) = first {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.0.event(event);
    }
    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }
    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }
    fn try_close(&self, span: Id) -> bool {
        self.0.try_close(span)
    }
}

// S34: a thread tells of a cancellation while the task ends on another one. The span stays open
// until the event has been told.
#[test]
fn a_span_is_open_while_an_event_is_told() {
    let collect = Collect::default();
    let seen = collect.clone();
    let closed = move || std::mem::take(&mut seen.0.lock().unwrap().closed);
    let (begun, has_begun) = mpsc::channel();
    let (let_on, go_on) = mpsc::channel();
    let slow = SlowEvent(collect, Mutex::new(Some((begun, go_on))));
    paused(async {
        let _default = tracing::subscriber::set_default(slow);
        let run = TaskGroup::builder().name("outer").run(async |group| {
            let (end, is_to_end) = tokio::sync::oneshot::channel::<()>();
            let child = group.task("child").spawn(async move {
                let _ = is_to_end.await;
            });
            settled().await;
            let canceller = child.canceller();
            let thread = std::thread::spawn(move || canceller.cancel());
            has_begun.recv()?;
            let _ = end.send(());
            child.ended().await;
            assert!(closed().is_empty());
            let_on.send(())?;
            thread.join().unwrap();
            assert_eq!(closed(), ["task child"]);
            Ok(())
        });
        run.await.unwrap();
    });
}
