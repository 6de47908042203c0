//! S34: `tracing` spans follow the tree.

use std::sync::{Arc, Mutex};

use taskgroup::TaskGroup;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{forever, paused, settled};

/// Remembers spans, and for each event in which of them it happened.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    /// Name and parent of each span; its id is its place, from 1.
    spans: Vec<(String, Option<u64>)>,
    entered: Vec<u64>,
    events: Vec<(String, String)>,
}

impl Collected {
    fn path(&self, mut id: Option<u64>) -> String {
        let mut names = Vec::new();
        while let Some(at) = id {
            let (name, parent) = &self.spans[usize::try_from(at).unwrap() - 1];
            names.push(name.clone());
            id = *parent;
        }
        names.reverse();
        names.join("/")
    }
}

#[derive(Default)]
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
        metadata.target() == "taskgroup" || metadata.target().starts_with("observe")
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
        collected.spans.push((name, parent));
        Id::from_u64(collected.spans.len() as u64)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
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
