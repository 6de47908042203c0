//! S34: a run recorded, and the two ways to look at it.

use std::time::Duration;

use serde_json::Value;
use taskgroup::observe::recorder::{Outcome, Phase, Recorder, Recording, TaskRecord};
use taskgroup::{BoxError, TaskGroup, timeout, until_cancelled};
use tokio::time::sleep;

use super::{alone, browser, chrome_trace, forever, paused};

const MS: u64 = 1_000_000;

fn record<'a>(recording: &'a Recording, name: &str) -> &'a TaskRecord {
    let mut found = recording.tasks.iter().filter(|task| task.name == name);
    let task = found
        .next()
        .unwrap_or_else(|| panic!("no `{name}` in {recording:#?}"));
    assert!(found.next().is_none(), "two of `{name}`");
    task
}

fn phases(recording: &Recording, name: &str) -> Vec<(Phase, u64)> {
    let phases = record(recording, name).phases(recording.duration_ns);
    phases
        .into_iter()
        .map(|(phase, from, to)| (phase, (to - from) / MS))
        .collect()
}

/// Runs `body` as a group under a recorder, in virtual time.
fn recorded<F>(grace: u64, body: impl FnOnce(TaskGroup) -> F) -> Recording
where
    F: Future<Output = Result<(), BoxError>>,
{
    paused(async {
        let recorder = Recorder::start();
        let group = TaskGroup::builder()
            .name("group")
            .grace(Duration::from_millis(grace));
        let _ = group.run(body).await;
        recorder.finish()
    })
}

async fn ms(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

/// Cleans up for so long.
async fn careful(millis: u64) -> Result<(), taskgroup::Cancelled> {
    let cancelled = until_cancelled(forever()).await.unwrap_err();
    ms(millis).await;
    Err(cancelled)
}

type Job = std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;

// S34, S31: what is polled inside the task of its group is recorded as a task is.
#[test]
fn inline_children_are_recorded() {
    let recording = recorded(100, async |group| {
        let inner = TaskGroup::builder().name("mirrors");
        let jobs: [(_, Job); 3] = [
            (
                "good",
                Box::pin(async {
                    ms(10).await;
                    Ok(())
                }),
            ),
            ("bad", Box::pin(async { Err("down".into()) })),
            (
                "stubborn",
                Box::pin(async {
                    taskgroup::shield(forever()).await;
                    Ok(())
                }),
            ),
        ];
        let settle = inner.settle_by_key(jobs);
        group.task("canceller").spawn(async {
            ms(50).await;
            Err::<(), _>("enough")
        });
        settle.await;
        Ok(())
    });
    let mirrors = recording
        .tasks
        .iter()
        .position(|task| task.name == "mirrors");
    for (name, outcome, end) in [
        ("good", Outcome::Succeeded, 10),
        ("bad", Outcome::Failed, 0),
        ("stubborn", Outcome::Killed, 150),
    ] {
        let child = record(&recording, name);
        assert_eq!(
            (child.parent, child.kind.as_str()),
            (mirrors, "task"),
            "{name}"
        );
        assert_eq!(child.outcome, Some(outcome), "{name}");
        assert_eq!(child.ended_ns.map(|ns| ns / MS), Some(end), "{name}");
    }
    assert_eq!(record(&recording, "bad").error.as_deref(), Some("down"));
    let reason = record(&recording, "stubborn").reason.as_deref();
    assert!(reason.unwrap().contains("enough"), "{reason:?}");
}

#[test]
fn every_turn_in_the_life_of_a_task_is_recorded() {
    let recording = recorded(100, async |group| {
        group.task("ready").spawn(ms(10));
        group.task("careful").spawn(careful(30));
        group.task("stubborn").spawn(careful(1000));
        group.task("idle").spawn(forever());
        group.task("shielded").spawn(taskgroup::shield(ms(60)));
        group.task("culprit").spawn(async {
            ms(50).await;
            Err::<(), _>("no luck")
        });
        Ok(())
    });
    use Phase::{Cancelling, Cleanup, Running};
    assert_eq!(phases(&recording, "ready"), [(Running, 10)]);
    assert_eq!(
        phases(&recording, "careful"),
        [(Running, 50), (Cleanup, 30)]
    );
    assert_eq!(
        phases(&recording, "stubborn"),
        [(Running, 50), (Cleanup, 100)]
    );
    assert_eq!(phases(&recording, "idle"), [(Running, 50)]);
    assert_eq!(
        phases(&recording, "shielded"),
        [(Running, 50), (Cancelling, 10)]
    );
    assert_eq!(phases(&recording, "culprit"), [(Running, 50)]);
    assert_eq!(
        phases(&recording, "group"),
        [(Running, 50), (Cancelling, 100)]
    );
    let outcome = |name| record(&recording, name).outcome.unwrap();
    assert_eq!(outcome("ready"), Outcome::Succeeded);
    assert_eq!(outcome("careful"), Outcome::Cancelled);
    assert_eq!(outcome("stubborn"), Outcome::Killed);
    assert_eq!(outcome("idle"), Outcome::Cancelled);
    assert_eq!(outcome("shielded"), Outcome::Succeeded);
    assert_eq!(outcome("culprit"), Outcome::Failed);
    assert_eq!(outcome("group"), Outcome::Failed);
    // Who was cancelled because of whom.
    let culprit = recording
        .tasks
        .iter()
        .position(|task| task.name == "culprit");
    for name in ["careful", "stubborn", "idle", "shielded", "group"] {
        assert_eq!(record(&recording, name).caused_by, culprit, "{name}");
        let reason = record(&recording, name).reason.as_deref().unwrap();
        assert!(
            reason.starts_with("task `group/culprit` failed: no luck"),
            "{reason}"
        );
    }
    assert_eq!(
        record(&recording, "culprit").error.as_deref(),
        Some("no luck")
    );
    assert!(
        record(&recording, "culprit")
            .location
            .contains("recorder.rs:")
    );
    assert_eq!(
        record(&recording, "careful").cleanup(0),
        Some(Duration::from_millis(30))
    );
    for name in ["ready", "careful", "culprit"] {
        assert_eq!(
            record(&recording, name).parent,
            Some(0),
            "{name} is in the group"
        );
    }
}

#[test]
fn what_never_starts_was_queued_only() {
    let recording = recorded(0, async |group| {
        group.task("late").spawn(ms(10));
        group.cancel();
        Ok(())
    });
    assert_eq!(record(&recording, "late").started_ns, None);
    assert_eq!(record(&recording, "late").outcome, Some(Outcome::Cancelled));
}

fn group_is_fine() -> bool {
    false
}

#[test]
fn a_panic_and_a_cancel_by_handle_are_told_apart_from_failures() {
    let recording = recorded(0, async |group| {
        let one = group.task("one").spawn(forever());
        ms(5).await;
        one.cancel();
        ms(5).await;
        group.task("two").spawn(async {
            assert!(group_is_fine(), "oh");
        });
        ms(5).await;
        Ok(())
    });
    assert_eq!(record(&recording, "one").outcome, Some(Outcome::Cancelled));
    assert_eq!(phases(&recording, "one"), [(Phase::Running, 5)]);
    assert!(
        record(&recording, "one")
            .reason
            .as_deref()
            .unwrap()
            .starts_with("cancel was called")
    );
    assert_eq!(record(&recording, "two").outcome, Some(Outcome::Panicked));
    assert_eq!(record(&recording, "two").error.as_deref(), Some("oh"));
}

#[test]
fn nested_groups_and_deadlines_keep_their_place() {
    let recording = recorded(0, async |group| {
        group.task("outer").spawn(async {
            let inner = TaskGroup::builder().name("inner");
            let inner = inner.run(async |inner| {
                inner.task("leaf").spawn(forever());
                Ok(())
            });
            let _ = timeout(Duration::from_millis(20), inner).await;
        });
        Ok(())
    });
    let names: Vec<_> = recording
        .rows()
        .into_iter()
        .map(|(index, depth)| (depth, recording.tasks[index].name.as_str()))
        .collect();
    assert_eq!(
        names,
        [(0, "group"), (1, "outer"), (2, "inner"), (3, "leaf")]
    );
    assert_eq!(
        record(&recording, "inner").outcome,
        Some(Outcome::Cancelled)
    );
    assert_eq!(
        record(&recording, "outer").outcome,
        Some(Outcome::Succeeded)
    );
    assert_eq!(
        record(&recording, "group").outcome,
        Some(Outcome::Succeeded)
    );
}

#[test]
fn what_is_going_on_has_no_end_and_nothing_is_seen_after_the_end() {
    let recording = paused(async {
        let recorder = Recorder::start();
        let other = Recorder::start();
        let mut first = None;
        let run = TaskGroup::builder().name("group").run(async |group| {
            group.task("long").spawn(forever());
            ms(30).await;
            first = Some(recorder.finish());
            group.task("later").spawn(async {});
            ms(30).await;
            group.cancel();
            Ok(())
        });
        run.await.unwrap();
        let second = other.finish();
        assert_eq!((second.tasks.len(), second.duration_ns / MS), (3, 60));
        assert!(second.tasks.iter().all(|task| task.outcome.is_some()));
        first.unwrap()
    });
    assert_eq!((recording.tasks.len(), recording.duration_ns / MS), (2, 30));
    assert_eq!(record(&recording, "long").outcome, None);
    assert_eq!(phases(&recording, "long"), [(Phase::Running, 30)]);
}

#[test]
fn tasks_on_many_threads_are_recorded_once_each() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for light_tasks in [false, true] {
            let recorder = Recorder::start();
            let mut group = TaskGroup::builder();
            if light_tasks {
                group = group.light_tasks();
            }
            let run = group.run(async |group| {
                for _ in 0..2000 {
                    group.spawn(tokio::task::yield_now());
                }
                Ok(())
            });
            run.await.unwrap();
            let recording = recorder.finish();
            assert_eq!(recording.tasks.len(), 2001);
            for task in &recording.tasks {
                assert_eq!(task.outcome, Some(Outcome::Succeeded));
                assert!(task.spawned_ns <= task.started_ns.unwrap());
                assert!(task.started_ns <= task.ended_ns);
            }
        }
    });
}

// ---- recordings made by others ----

fn bar(parent: Option<usize>, spawned_ns: u64, ended_ns: u64) -> TaskRecord {
    TaskRecord {
        parent,
        kind: "process".into(),
        name: format!("{spawned_ns}-{ended_ns}"),
        spawned_ns,
        started_ns: Some(spawned_ns),
        ended_ns: Some(ended_ns),
        outcome: Some(Outcome::Succeeded),
        ..TaskRecord::default()
    }
}

#[test]
fn phases_have_no_gaps_whatever_the_times_are() {
    let task = TaskRecord {
        spawned_ns: 100,
        started_ns: Some(50),
        cancelled_ns: Some(700),
        cleanup_ns: Some(600),
        killed_ns: Some(9999),
        ended_ns: Some(800),
        ..TaskRecord::default()
    };
    assert_eq!(
        task.phases(0),
        [(Phase::Running, 100, 700), (Phase::Cleanup, 700, 800)]
    );
    assert_eq!(TaskRecord::default().phases(0), []);
    assert_eq!(TaskRecord::default().phases(7), [(Phase::Queued, 0, 7)]);
}

#[test]
fn parents_that_make_no_sense_count_as_none() {
    let tasks = vec![
        bar(Some(0), 0, 1),
        bar(Some(2), 1, 2),
        bar(Some(1), 2, 3),
        bar(Some(99), 3, 4),
        bar(Some(2), 4, 5),
    ];
    let recording = Recording {
        tasks,
        duration_ns: 5,
        ..Recording::default()
    };
    assert_eq!(recording.rows(), [(0, 0), (3, 0), (1, 0), (2, 1), (4, 2)]);
    check_trace(&recording);
    page(&recording);
}

#[test]
fn a_recording_survives_json() {
    let recording = recorded(0, async |group| {
        group
            .task("\"quoted\"\n</script>")
            .spawn(async { Err::<(), _>("<b>") });
        Ok(())
    });
    let json = serde_json::to_string(&recording).unwrap();
    assert_eq!(serde_json::from_str::<Recording>(&json).unwrap(), recording);
    // What others write may leave out what they do not know.
    let little: Recording = serde_json::from_str(r#"{"tasks":[{"name":"make"}]}"#).unwrap();
    assert_eq!(little.tasks[0].name, "make");
}

/// The events of the trace, which is one that viewers open.
fn check_trace(recording: &Recording) -> Vec<Value> {
    let mut trace = Vec::new();
    recording.write_trace(&mut trace).unwrap();
    let trace: Value = serde_json::from_slice(&trace).unwrap();
    if let Err(fault) = chrome_trace::validate(&trace) {
        panic!("{fault}");
    }
    trace["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn the_trace_is_one_that_viewers_open() {
    let recording = recorded(40, async |group| {
        for index in 0..20 {
            group.spawn(ms(index * 7 % 50));
        }
        group.task("careful").spawn(careful(20));
        group.task("stubborn").spawn(careful(500));
        ms(60).await;
        group
            .task("culprit")
            .spawn(async { Err::<(), _>("no luck") });
        Ok(())
    });
    let events = check_trace(&recording);
    let slices = events
        .iter()
        .filter(|event| event["ph"] == "X" && event["cat"] != "phase");
    assert_eq!(slices.count(), recording.tasks.len());
    let culprit = events
        .iter()
        .find(|event| event["name"] == "culprit")
        .unwrap();
    assert_eq!(culprit["args"]["error"], "no luck");
    assert!(
        events.iter().any(|event| event["ph"] == "s"),
        "the cause is marked"
    );
    check_trace(&Recording::default());
}

/// Two tasks at once on one place, one on each of two others, and a wait before them.
fn on_places() -> Recording {
    let on = |place: &str, from, to| TaskRecord {
        place: Some(place.into()),
        ..bar(Some(0), from, to)
    };
    let wait = TaskRecord {
        kind: "wait".into(),
        ..bar(Some(0), 0, 100)
    };
    let tasks = vec![
        bar(None, 0, 1000),
        wait,
        on("node n10", 100, 300),
        on("node n2", 100, 400),
        on("node n10", 200, 500),
        on("node n10", 300, 600),
        on("worker", 100, 1000),
    ];
    Recording {
        tasks,
        duration_ns: 1000,
        ..Recording::default()
    }
}

#[test]
fn a_place_is_a_process_of_the_trace() {
    let recording = on_places();
    let events = check_trace(&recording);
    let processes = events
        .iter()
        .filter(|event| event["name"] == "process_name");
    let processes: Vec<(u64, &str)> = processes
        .map(|event| {
            let name = event["args"]["name"].as_str().unwrap();
            (event["pid"].as_u64().unwrap(), name)
        })
        .collect();
    let names: Vec<&str> = processes.iter().map(|(_, name)| *name).collect();
    assert_eq!(
        names,
        ["process", "process 0-1000", "worker", "node n2", "node n10"]
    );
    let lane = |name: &str| {
        let slice = |event: &&Value| event["name"] == name && event["cat"] != "phase";
        let slice = events.iter().find(slice).unwrap();
        let pid = slice["pid"].as_u64().unwrap();
        let process = processes.iter().find(|(id, _)| *id == pid).unwrap();
        (process.1, slice["tid"].as_u64().unwrap())
    };
    assert_eq!(lane("100-300"), ("node n10", 1));
    assert_eq!(lane("200-500"), ("node n10", 2));
    assert_eq!(lane("300-600"), ("node n10", 1));
    assert_eq!(lane("100-400"), ("node n2", 1));
    // A wait lasts, but nothing runs in it.
    assert_eq!(lane("0-100"), ("process 0-1000", 1));
    let inside = events.iter().filter(|event| event["cat"] == "phase");
    assert_eq!(inside.count(), recording.tasks.len() - 1);
}

#[test]
fn what_only_waits_is_queued() {
    let recording = on_places();
    let wait = record(&recording, "0-100");
    assert_eq!(wait.phases(1000), [(Phase::Queued, 0, 100)]);
    let (_, data) = page(&recording);
    assert_eq!(data["rows"][1]["phases"][0][0], "queued");
    assert_eq!(data["rows"][1].get("place"), None);
    assert_eq!(data["rows"][2]["place"], "node n10");
}

/// The page and the data in it.
fn page(recording: &Recording) -> (String, Value) {
    let mut page = Vec::new();
    recording.write_html(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let (_, data) = page
        .split_once(r#"<script id="data" type="application/json">"#)
        .unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    let data = serde_json::from_str(data).unwrap();
    (page, data)
}

#[test]
fn the_page_holds_all_it_needs_and_no_markup_from_names() {
    let mut recording = recorded(0, async |group| {
        group
            .task("</script><script>alert(1)</script>")
            .spawn(forever());
        group
            .task("culprit")
            .spawn(async { Err::<(), _>("<img src=x onerror=alert(2)>") });
        Ok(())
    });
    recording.title = "<i>{{data}}</i>".into();
    let (page, data) = page(&recording);
    assert!(!page.contains("alert(1)</script>") && !page.contains("<img") && !page.contains("<i>"));
    assert!(!page.contains("{{title}}"));
    let (bare, _) = self::page(&Recording::default());
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(
            !bare.contains(outside),
            "the page is self-contained, but has {outside}"
        );
    }
    let rows = data["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1]["name"], "</script><script>alert(1)</script>");
    assert_eq!(rows[1]["by"], 2);
    assert_eq!(rows[2]["cause"], true);
    assert_eq!(data["title"], "<i>{{data}}</i>");
}

/// The page in a real browser.
#[test]
#[ignore = "needs Chromium; `.ci/run page` runs it where there is one"]
fn chromium_draws_the_page() {
    let mut tasks = vec![bar(None, 0, 10_000)];
    tasks.extend((0..10_000).map(|index| bar(Some(0), index, index + 900)));
    tasks[7777].outcome = Some(Outcome::Failed);
    tasks[7777].error = Some("this one".into());
    let recording = Recording {
        tasks,
        duration_ns: 10_000,
        ..Recording::default()
    }
    .titled("many");
    let folder = browser::Folder::new("timeline");
    let file = folder.path("page.html");
    recording
        .write_html(std::fs::File::create(&file).unwrap())
        .unwrap();
    for chosen in ["", "#7777"] {
        let dom = browser::dom(&folder, &file, chosen);
        let shown = dom.split("<script").next().unwrap();
        assert!(
            dom.contains(r#"data-rows="10001""#),
            "the script did not run to its end:\n{shown}"
        );
        assert!(
            shown.contains("10001 tasks in 10.9 µs: 10000 succeeded, 1 failed"),
            "{shown}"
        );
        // Who failed is what the page opens at.
        assert!(
            shown.contains(r#"<dd class="bad">this one</dd>"#),
            "{shown}"
        );
    }
}

/// A run in which a task was tried on two nodes, and another failed.
fn on_nodes() -> Recording {
    let on = |node: u32, parent, name: &str, (from, to)| TaskRecord {
        kind: "task".into(),
        name: name.into(),
        place: Some(format!("node n{node}")),
        ..bar(Some(parent), from, to)
    };
    let run = TaskRecord {
        kind: "run".into(),
        name: "run".into(),
        ..bar(None, 0, 1000)
    };
    let wait = TaskRecord {
        kind: "wait".into(),
        name: "waiting for nodes".into(),
        ..bar(Some(0), 0, 200)
    };
    let tried = TaskRecord {
        place: None,
        outcome: Some(Outcome::Failed),
        ..on(0, 0, "tried", (200, 500))
    };
    let attempt = |node, number: u32, times| TaskRecord {
        kind: "attempt".into(),
        outcome: Some(Outcome::Failed),
        ..on(node, 2, &format!("tried (attempt {number})"), times)
    };
    let never = TaskRecord {
        place: None,
        started_ns: None,
        outcome: Some(Outcome::Cancelled),
        ..on(0, 0, "never", (0, 600))
    };
    let mut tasks = vec![run, wait, tried];
    tasks.extend([attempt(2, 1, (200, 300)), attempt(10, 2, (350, 500))]);
    tasks.push(TaskRecord {
        spawned_ns: 0,
        ..on(2, 0, "fine", (300, 900))
    });
    tasks.push(never);
    Recording {
        tasks,
        duration_ns: 1000,
        ..Recording::default()
    }
}

/// Turns to the places and back, and shows what came of it.
const TURN: &str = r#"<script>
const mark = document.documentElement.dataset;
const press = key => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
const drawnRows = () => shown.map(at => "-".repeat(view.depth[at]) + view.label[at]).join();
const opened = () => get("details").querySelector("h2")?.textContent + (window.inSight ? ", in sight" : ", hidden");
mark.size = innerWidth + "x" + innerHeight;
mark.sideways = document.documentElement.scrollWidth > innerWidth;
const button = get("places").getBoundingClientRect();
mark.button = button.width > 0 && button.right <= innerWidth;
const dot = ns => {
  paint();
  const [px, py] = [x(ns), y(place.get(5)) + ROW / 2].map(at => Math.round(at * devicePixelRatio));
  return pen.getImageData(px, py, 1, 1).data.join();
};
const isQueued = () => dot(137) !== dot(963);
mark.queued = isQueued();
mark.groups = drawnRows(); mark.opened = opened();
get("places").click(); mark.places = drawnRows(); mark.latest = opened();
mark.queued += ", " + isQueued();
press("f"); mark.only = opened();
press("ArrowUp"); mark.head = opened(); press("ArrowLeft"); mark.folded = drawnRows(); press("ArrowRight");
get("filter").value = "N2"; get("filter").dispatchEvent(new Event("input")); mark.found = drawnRows();
get("filter").value = ""; get("filter").dispatchEvent(new Event("input"));
press("p"); mark.back = drawnRows();
choose(2); press("p"); choose(2); mark.frame = opened() + ", " + get("places").getAttribute("aria-pressed");
</script></body>"#;

#[test]
#[ignore = "needs Chromium; `.ci/run page` runs it where there is one"]
fn chromium_groups_by_place() {
    let folder = browser::Folder::new("places");
    let (text, _) = page(&on_nodes());
    let file = folder.path("page.html");
    std::fs::write(&file, text.replace("</body>", TURN)).unwrap();
    let groups = "run,-waiting for nodes,-tried,--(attempt 1),--(attempt 2),-fine,-never";
    let places = "run,waiting for nodes,node n2,-tried (attempt 1),-fine,node n10,-tried (attempt \
                  2),never started,-never";
    let folded = places.replace(",-tried (attempt 2)", "");
    for (wide, high) in [(1200, 900), (360, 640)] {
        // A window has no size of one's choice, a frame has. It hands out what its page shows.
        let frame = folder.path("frame.html");
        let text = format!(
            "<!doctype html><iframe src=page.html width={wide} height={high} style='border:0' \
             onload='document.title = this.contentDocument.documentElement.outerHTML'>"
        );
        std::fs::write(&frame, text).unwrap();
        let dom = browser::dom(&folder, &frame, "");
        let root = dom.split_once("<title>").unwrap().1;
        let root = root.split_once("&gt;").unwrap().0;
        for part in [
            ("size", &*format!("{wide}x{high}")),
            ("sideways", "false"),
            ("button", "true"),
            ("groups", groups),
            ("opened", "task tried, in sight"),
            ("places", places),
            ("queued", "true, false"),
            ("latest", "attempt tried (attempt 2), in sight"),
            ("only", "attempt tried (attempt 2), in sight"),
            ("head", "node n10, in sight"),
            ("folded", &*folded),
            ("found", "node n2,-tried (attempt 1),-fine"),
            ("back", groups),
            ("frame", "task tried, in sight, false"),
        ] {
            let part = format!("data-{}=\"{}\"", part.0, part.1);
            assert!(root.contains(&part), "no {part} in {root}");
        }
        assert!(dom.contains("3 tasks in 1 µs: 1 succeeded, 1 failed, 1 not started"));
    }
}

/// Without places there is nothing to turn to.
#[test]
#[ignore = "needs Chromium; `.ci/run page` runs it where there is one"]
fn chromium_offers_no_places_where_there_are_none() {
    let folder = browser::Folder::new("no-places");
    let recording = Recording {
        tasks: vec![bar(None, 0, 10)],
        duration_ns: 10,
        ..Recording::default()
    };
    let (text, _) = page(&recording);
    let file = folder.path("page.html");
    let press = r#"<script>keys.p();
document.documentElement.dataset.hidden = get("places").hidden + ", " + (view === byGroup);
</script></body>"#;
    std::fs::write(&file, text.replace("</body>", press)).unwrap();
    let dom = browser::dom(&folder, &file, "");
    assert!(dom.contains(r#"data-hidden="true, true""#), "{dom}");
}
