//! Pumps: queues, sleeping, stealing, going down.

use std::future::pending;
use std::sync::{Arc, Mutex};

use loom::thread;

use super::{Count, Dropped, Model, Seen, Stage};
use crate::TaskGroup;

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "submit versus a pump going idle",
        preemptions: Some(5),
        outcomes: &["woken", "found it"],
        run: submit_versus_idle,
    },
    Model {
        name: "submit further down versus a pump going idle",
        preemptions: Some(3),
        outcomes: &["woken", "found it"],
        run: submit_deeper_versus_idle,
    },
    Model {
        name: "stealing",
        preemptions: Some(2),
        outcomes: &["both kept", "one stolen", "both elsewhere"],
        run: stealing,
    },
    Model {
        name: "submit versus shutdown",
        preemptions: Some(3),
        outcomes: &["ran", "never ran"],
        run: submit_versus_shutdown,
    },
];

/// D2: a child is submitted while the one pump goes to sleep.
fn submit_versus_idle(seen: &Seen) {
    let stage = Stage::new(1);
    let bell = stage.workers[0].bell.clone();
    stage
        .block_on_only(TaskGroup::run(async |group| {
            group.spawn(async {});
            Ok(())
        }))
        .unwrap();
    seen.saw(if bell.rung() == 0 {
        "found it"
    } else {
        "woken"
    });
    stage.end();
}

/// Q2: two children of a group in a group are submitted while the one pump goes to sleep.
fn submit_deeper_versus_idle(seen: &Seen) {
    let stage = Stage::with_deeper(1, 1);
    let bell = stage.workers[0].bell.clone();
    stage
        .block_on_only(TaskGroup::run(async |_| {
            let inner = TaskGroup::run(async |group| {
                group.spawn(async {});
                group.spawn(async {});
                Ok(())
            });
            Ok(inner.await?)
        }))
        .unwrap();
    seen.saw(if bell.rung() == 0 {
        "found it"
    } else {
        "woken"
    });
    stage.end();
}

/// D1, D2: a child spawns two more into the queue of its pump, while the other pump looks for something to steal.
fn stealing(seen: &Seen) {
    let stage = Stage::new(1);
    let places = Arc::new(Mutex::new(Vec::new()));
    let said = places.clone();
    stage
        .block_on(TaskGroup::run(async |group| {
            let clone = group.clone();
            group.spawn(async move {
                said.lock().unwrap().push(thread::current().id());
                for _ in 0..2 {
                    let said = said.clone();
                    clone.spawn(async move { said.lock().unwrap().push(thread::current().id()) });
                }
            });
            Ok(())
        }))
        .unwrap();
    let places = places.lock().unwrap().clone();
    assert_eq!(places.len(), 3, "D1: each ran once");
    let elsewhere = places.iter().filter(|place| **place != places[0]).count();
    seen.saw(["both kept", "one stolen", "both elsewhere"][elsewhere]);
    stage.end();
}

/// D3: a child is submitted while the runtime goes down: it is dropped, and the group ends.
fn submit_versus_shutdown(seen: &Seen) {
    let stage = Stage::new(0);
    let pump = stage.runtime.pump(0);
    let (ran, dropped) = (Count::default(), Count::default());
    let (counted, value) = (ran.clone(), Dropped(dropped.clone()));
    let down = thread::spawn(move || {
        let mut pump = pump;
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = std::pin::Pin::new(&mut pump).poll(&mut cx);
        drop(pump);
    });
    stage
        .block_on_only(TaskGroup::run(async |group| {
            group.spawn(async move {
                let _value = value;
                counted.up();
                pending::<()>().await;
            });
            Ok(())
        }))
        .unwrap();
    down.join().unwrap();
    assert_eq!(dropped.get(), 1);
    seen.saw(if ran.get() == 1 { "ran" } else { "never ran" });
    stage.end();
}
