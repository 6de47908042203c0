//! Sections that outlive the code that they were opened in (S40).

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{Bell, Count, Model, Seen, Stage, yield_once};
use crate::scope::tree::{Kind, Scope};
use crate::{TaskGroup, shield};

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "handing on versus end",
        preemptions: Some(4),
        outcomes: &["ended before", "ended later"],
        run: handing_on_versus_end,
    },
    Model {
        name: "handing on versus cancel",
        preemptions: Some(4),
        outcomes: &["found there", "took it over"],
        run: handing_on_versus_cancel,
    },
    Model {
        name: "handing on versus drop",
        preemptions: Some(4),
        outcomes: &["dropped before", "dropped later"],
        run: handing_on_versus_drop,
    },
    Model {
        name: "handing on versus handing on",
        preemptions: Some(4),
        outcomes: &["inner first", "outer first"],
        run: handing_on_twice,
    },
    Model {
        name: "a hold versus handing on",
        preemptions: Some(5),
        outcomes: &["held the old home", "held the new home"],
        run: hold_versus_handing_on,
    },
    Model {
        name: "a guard versus parking",
        preemptions: Some(5),
        outcomes: &["guard lived", "guard was gone"],
        run: guard_versus_parking,
    },
];

fn open(kind: Kind, parent: &Arc<Scope>) -> Arc<Scope> {
    Scope::open(kind, parent.clone(), Location::caller())
}

/// What a section does at its end.
fn close(scope: &Arc<Scope>) {
    assert!(scope.try_close());
    scope.finish_section();
}

/// T10: a group ends on another thread while the section that it was opened in ends.
fn handing_on_versus_end(seen: &Seen) {
    let stage = Stage::new(0);
    let ended = Count::default();
    let (before, thread) = stage.block_on(async {
        let run = TaskGroup::run(async |_outer| {
            let thread = shield(async {
                let mut inner = Box::pin(TaskGroup::run(async |_inner| {
                    yield_once().await;
                    Ok(())
                }));
                poll_fn(|cx| {
                    assert!(inner.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                let ended = ended.clone();
                loom::thread::spawn(move || {
                    let waker = Waker::from(Bell::new());
                    let polled = inner.as_mut().poll(&mut Context::from_waker(&waker));
                    assert!(polled.is_ready());
                    ended.up();
                })
            })
            .await;
            Ok((ended.get(), thread))
        });
        run.await.unwrap()
    });
    thread.join().unwrap();
    seen.saw(if before == 1 {
        "ended before"
    } else {
        "ended later"
    });
    stage.end();
}

/// T4, T10: the new home is cancelled while a section is moved there.
fn handing_on_versus_cancel(seen: &Seen) {
    let stage = Stage::new(0);
    let outer = open(Kind::Section, &stage.run);
    let old = open(Kind::Shield, &outer);
    let section = open(Kind::Section, &old);
    let canceller = {
        let outer = outer.clone();
        loom::thread::spawn(move || {
            let reason = crate::reason::CancelReason::dropped(outer.location);
            outer.cancel(&reason, crate::scope::tree::Dropping::Scheduled);
        })
    };
    let early = outer.is_cancelled();
    old.hand_on();
    canceller.join().unwrap();
    assert!(section.is_cancelled(), "T4: it was missed");
    assert!(!old.is_cancelled());
    seen.saw(if early { "took it over" } else { "found there" });
    close(&section);
    close(&old);
    close(&outer);
    stage.end();
}

/// T10: a section is dropped on another thread while it is moved. It ends where it is then.
fn handing_on_versus_drop(seen: &Seen) {
    let stage = Stage::new(0);
    let old = open(Kind::Shield, &stage.run);
    let section = open(Kind::Section, &old);
    let dropper = {
        let section = section.clone();
        loom::thread::spawn(move || section.abandon())
    };
    old.hand_on();
    let moved = section.home().is_some_and(|home| !Arc::ptr_eq(home, &old));
    dropper.join().unwrap();
    assert!(section.is_closed());
    assert_eq!(old.below(), 0);
    seen.saw(if moved {
        "dropped later"
    } else {
        "dropped before"
    });
    close(&old);
    stage.end();
}

/// T10, T11: two scopes, one in the other, end at the same time: what lives in the inner one leaves
/// both.
fn handing_on_twice(seen: &Seen) {
    let stage = Stage::new(0);
    let outer = open(Kind::Shield, &stage.run);
    let inner = open(Kind::Shield, &outer);
    let section = open(Kind::Section, &inner);
    let thread = {
        let (inner, section, outer) = (inner.clone(), section.clone(), outer.clone());
        loom::thread::spawn(move || {
            inner.hand_on();
            section.home().is_some_and(|home| Arc::ptr_eq(home, &outer))
        })
    };
    outer.hand_on();
    let inner_first = thread.join().unwrap();
    for scope in [&section, &inner] {
        assert!(
            scope
                .home()
                .is_some_and(|home| Arc::ptr_eq(home, &stage.run))
        );
    }
    assert_eq!((outer.below(), inner.below(), stage.run.below()), (0, 0, 3));
    seen.saw(if inner_first {
        "inner first"
    } else {
        "outer first"
    });
    close(&section);
    close(&inner);
    close(&outer);
    stage.end();
}

/// T12: code in a section takes a hold and gives it back while the section is moved: neither keeps
/// a count that is not theirs.
fn hold_versus_handing_on(seen: &Seen) {
    let stage = Stage::new(0);
    let outer = open(Kind::Shield, &stage.run);
    let old = open(Kind::Shield, &outer);
    let section = open(Kind::Section, &old);
    section.hold_home();
    let holder = {
        let (section, old) = (section.clone(), old.clone());
        loom::thread::spawn(move || {
            section.hold();
            let at_old = old.holds() > 0;
            section.release();
            at_old
        })
    };
    old.hand_on();
    let at_old = holder.join().unwrap();
    assert_eq!((section.holds(), old.holds(), outer.holds()), (0, 0, 0));
    seen.saw(if at_old {
        "held the old home"
    } else {
        "held the new home"
    });
    close(&section);
    close(&old);
    close(&outer);
    stage.end();
}

/// T12, T13: a section is parked and polled again while guards inside it come and go. No scope
/// keeps a hold that is not its own.
fn guard_versus_parking(seen: &Seen) {
    let stage = Stage::new(0);
    let outer = open(Kind::Shield, &stage.run);
    let section = open(Kind::Section, &outer);
    section.hold_home();
    section.hold();
    let guards = {
        let section = section.clone();
        loom::thread::spawn(move || {
            section.release();
            section.hold();
            section.release();
        })
    };
    section.park();
    let lived = section.holds() > 0;
    assert_eq!(outer.holds(), 0, "T13: what is parked holds its home");
    section.unpark();
    guards.join().unwrap();
    assert_eq!((section.holds(), outer.holds()), (0, 0));
    seen.saw(if lived {
        "guard lived"
    } else {
        "guard was gone"
    });
    close(&section);
    close(&outer);
    stage.end();
}
