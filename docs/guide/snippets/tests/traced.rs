//! What others make of the spans and the metrics of this crate: `tracing-subscriber`, and
//! `tracing-opentelemetry` with the exporter that the guide shows. (S34)

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry::{KeyValue, SpanId, Value};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use taskgroup::{BoxError, Policy, TaskGroup, race_by_key};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

/// Runs `test` on one thread.
fn run<F: Future>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

fn exported(test: impl Future<Output = ()>) -> Vec<SpanData> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _default = tracing::subscriber::set_default(subscriber);
    run(test);
    exporter.get_finished_spans().unwrap()
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next();
    assert!(found.next().is_none(), "two of `{name}`");
    span.unwrap_or_else(|| {
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        panic!("no `{name}` in {names:?}")
    })
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let mut found = span
        .attributes
        .iter()
        .filter(|pair| pair.key.as_str() == key);
    let value = found.next().map(|KeyValue { value, .. }| value.clone());
    assert!(found.next().is_none(), "`{key}` twice");
    value
}

// S34: a failed task is red, with the reason; a good one and a cancelled one are not.
#[test]
fn fault_f3_opentelemetry_shows_what_failed() {
    let before = line!();
    let spans = exported(async {
        let run = TaskGroup::builder().name("shop").run(async |group| {
            group.task("good").spawn(async {}).await?;
            group.task("cut off").spawn(std::future::pending::<()>());
            group.task("bad").spawn(async {
                tokio::task::yield_now().await;
                Err::<(), _>("sold out")
            });
            Ok(())
        });
        run.await.unwrap_err();
        let run = TaskGroup::builder()
            .name("mirrors")
            .policy(Policy::collect())
            .run(async |group| {
                group.task("mad").spawn(async { panic!("oh") });
                Ok(())
            });
        run.await.unwrap_err();
        let runners = [("a", Err::<u8, BoxError>("down".into())), ("b", Ok(1))];
        race_by_key(runners.map(|(key, result)| (key, async { result })))
            .await
            .unwrap();
    });
    let after = line!();
    let error = |text: &'static str| Status::error(text);
    for (name, status, outcome) in [
        ("good", Status::Unset, "succeeded"),
        ("cut off", Status::Unset, "cancelled"),
        ("bad", error("sold out"), "failed"),
        ("mad", error("oh"), "panicked"),
        ("a", error("down"), "failed"),
        ("b", Status::Unset, "succeeded"),
    ] {
        let span = named(&spans, name);
        assert_eq!(span.status, status, "{name}");
        assert_eq!(attribute(span, "outcome"), Some(outcome.into()), "{name}");
        // The place of the program, and no other.
        assert_eq!(attribute(span, "code.file.path"), Some(file!().into()));
        let Some(Value::I64(line)) = attribute(span, "code.line.number") else {
            panic!("a line is a number");
        };
        assert!((i64::from(before)..i64::from(after)).contains(&line));
    }
    let shop = named(&spans, "shop");
    assert!(matches!(&shop.status, Status::Error { description } if description.contains("`bad`")));
    assert_eq!(shop.parent_span_id, SpanId::INVALID);
    for child in ["good", "cut off", "bad"] {
        let parent = named(&spans, child).parent_span_id;
        assert_eq!(parent, shop.span_context.span_id());
    }
    let by = attribute(named(&spans, "cut off"), "cancel.by");
    assert_eq!(by, Some("shop/bad".into()));
    // Without a name it is called what the span is called: the group of the race.
    assert_eq!(named(&spans, "group").status, Status::Unset);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// S34: the lines of a log carry the names of everything around, and a line can tell how each ended.
#[test]
fn the_log_has_the_names_and_the_outcomes() {
    let lines = Lines::default();
    let own = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || own.clone())
        .with_ansi(false)
        .without_time()
        .with_max_level(LevelFilter::INFO)
        .with_span_events(FmtSpan::CLOSE)
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    run(async {
        let run = TaskGroup::builder().name("shop").run(async |group| {
            group.task("payment").spawn(async {
                tracing::info!("asking the bank");
                Err::<(), _>("the bank said no")
            });
            Ok(())
        });
        run.await.unwrap_err();
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = |what: &str| {
        let found = text.lines().find(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what:?} in\n{text}"))
    };
    let said = line("asking the bank");
    assert!(said.contains("group{name=\"shop\""), "{said}");
    assert!(said.contains("task{name=\"payment\""), "{said}");
    let closed = text
        .lines()
        .find(|line| line.contains("close") && line.contains(":task{"));
    let closed = closed.unwrap_or_else(|| panic!("{text}"));
    assert!(
        closed.contains("outcome=\"failed\" error=\"the bank said no\""),
        "{closed}"
    );
}

/// Without what differs from run to run, and with spaces for tabs.
fn normalized(text: &str) -> String {
    let line = |line: &str| {
        let differs = [
            "TraceId",
            "SpanId",
            "ParentSpanId",
            "Start time",
            "End time",
        ];
        let line = line.replace('\t', "  ");
        match line.split_once(": ") {
            Some((name, _)) if differs.contains(&name.trim()) => format!("{name}: …"),
            _ => line.trim_end().to_owned(),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

// The page shows what the exporter prints.
#[test]
fn the_guide_shows_what_the_exporter_prints() {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/otel");
    let output = Command::new(&program)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let printed = normalized(&String::from_utf8(output.stdout).unwrap());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/seeing.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page
        .split_once("<!-- what the exporter prints -->\n```text\n")
        .unwrap();
    let (shown, _) = rest.split_once("\n```\n").unwrap();
    assert!(
        printed.contains(shown),
        "the page has\n{shown}\nand not\n{printed}"
    );
}
