//! Light children: the queue of a group, its pumps, and the end of their runtime.

use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Waker};

use loom::thread;

use super::{Count, Dropped, Model, Seen, Stage};
use crate::TaskGroup;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "light: submit versus a pump that falls asleep",
        preemptions: Some(3),
        outcomes: &["woken", "found it"],
        run: submit_versus_sleep,
    },
    Model {
        name: "light: two pumps share a queue",
        preemptions: Some(2),
        outcomes: &["one pump", "both pumps"],
        run: two_pumps,
    },
    Model {
        name: "light: submit versus shutdown",
        preemptions: Some(3),
        outcomes: &["ran", "never ran"],
        run: submit_versus_shutdown,
    },
];

/// L1: a child is submitted while the resident pump finds the queue empty and falls asleep.
fn submit_versus_sleep(seen: &Seen) {
    let stage = Stage::of_tokio(1, false);
    let bell = stage.workers[0].bell.clone();
    let run = TaskGroup::builder().light_tasks().run(async |group| {
        group.spawn(async {});
        let first = bell.rung();
        group.spawn(async {});
        Ok(bell.rung() - first)
    });
    let rung = stage.block_on_only(run).unwrap();
    seen.saw(if rung == 0 { "found it" } else { "woken" });
    stage.end();
}

/// L2, L3: two children are submitted, and the pumps that come for them are polled by two threads.
fn two_pumps(seen: &Seen) {
    let stage = Stage::of_tokio(1, true);
    let places = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = places.clone();
    let run = TaskGroup::builder().light_tasks().run(async |group| {
        for _ in 0..2 {
            let told = told.clone();
            group.spawn(async move { told.lock().unwrap().push(thread::current().id()) });
        }
        Ok(())
    });
    stage.block_on(run).unwrap();
    let places = places.lock().unwrap().clone();
    assert_eq!(places.len(), 2, "DR1: each ran once");
    seen.saw(if places[0] == places[1] {
        "one pump"
    } else {
        "both pumps"
    });
    stage.end();
}

/// L5: a child is submitted while the runtime goes down. It is dropped, and the group ends.
fn submit_versus_shutdown(seen: &Seen) {
    let stage = Stage::of_tokio(0, false);
    let runtime = stage.runtime.clone();
    let (ran, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ran.clone(), Dropped(dropped.clone()));
    let run = TaskGroup::builder().light_tasks().run(async |group| {
        group.spawn(async {});
        let mut pump = runtime.drive();
        let down = thread::spawn(move || {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut pump).poll(&mut cx);
            drop(pump);
        });
        group.spawn(async move {
            let _value = value;
            counted.up();
            pending::<()>().await;
        });
        down.join().unwrap();
        Ok(())
    });
    assert!(stage.block_on_only(run).is_err(), "S46");
    assert_eq!(dropped.get(), 1);
    seen.saw(if ran.get() == 1 { "ran" } else { "never ran" });
    stage.end();
}
