//! Runs the combinations of one place, and looks whether everything else went on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use taskgroup::ErrorGroup;

use crate::common::{
    Surroundings, Tokens, another_group_works, hangs, is_inside, patience, rerun, test_name, text,
    turns, warnings,
};
use crate::deed::{Act, Deed, another};
use crate::place::{Blame, Place, excluded, happen, is_mishap};

/// The number of the first combination to run, in the process that runs them.
const FROM: &str = "TASKGROUP_TEST_FROM";

type Combination = (Deed, Surroundings);

fn combinations(place: Place) -> Vec<Combination> {
    let mut all = Vec::new();
    for deed in Deed::ALL {
        for at in Surroundings::all() {
            if excluded(place, deed, &at).is_none() {
                all.push((deed, at));
            }
        }
    }
    all
}

/// Runs all combinations of a place in a process of their own. After one that hangs, kills the
/// process or fails, a new process goes on behind it. `test` is a closure in the test.
pub(crate) fn place<F: FnOnce()>(place: Place, test: F) {
    let name = test_name::<F>();
    drop(test);
    let all = combinations(place);
    if is_inside() {
        let from = std::env::var(FROM).ok().and_then(|text| text.parse().ok());
        inside(place, name, &all, from.unwrap_or(0));
        return;
    }
    let mut failed = Vec::new();
    let mut from = 0;
    while from < all.len() {
        let output = rerun(name, &[(FROM, from.to_string())]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            assert!(out.contains("1 passed"), "it did not run:\n{out}\n{err}");
            break;
        }
        let numbers = out.lines().filter_map(|line| line.split("begin ").nth(1));
        let mut last = numbers.filter_map(|number| number.trim().parse::<usize>().ok());
        let Some(last) = last.next_back() else {
            panic!("no combination began:\n{out}\n{err}");
        };
        let (deed, at) = &all[last];
        let said = out.lines().find_map(|line| line.split("FAILED: ").nth(1));
        let said = said.map_or_else(
            || format!("{}: {}", output.status, summary(&err)),
            ToOwned::to_owned,
        );
        failed.push(format!("{place:?}, {deed:?}, {at}: {said}"));
        from = last + 1;
    }
    println!(
        "{place:?}: {} of {} are right",
        all.len() - failed.len(),
        all.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {} combinations are wrong:\n{}",
        failed.len(),
        all.len(),
        failed.join("\n")
    );
}

/// The line that says most about the end of a process.
fn summary(err: &str) -> String {
    let mut lines = err.lines().rev();
    let telling = lines.find(|line| line.contains("HANGS") || line.contains("panicked at"));
    telling
        .or_else(|| err.lines().last())
        .unwrap_or_default()
        .to_owned()
}

/// In the process of the place: one combination after the other, until one fails.
fn inside(place: Place, name: &'static str, all: &[Combination], from: usize) {
    let (progress, progresses) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        loop {
            match progresses.recv_timeout(patience()) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => hangs(name),
            }
        }
    });
    for (number, (deed, at)) in all.iter().enumerate().skip(from) {
        println!("begin {number}");
        let ran = catch_unwind(AssertUnwindSafe(|| combination(place, *deed, at)));
        if let Err(payload) = ran {
            let message = payload.downcast_ref::<&str>().map(ToString::to_string);
            let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
            let message = message.unwrap_or_default().replace('\n', " | ");
            println!("FAILED: {message}");
            std::process::exit(1);
        }
        let _ = progress.send(());
    }
}

fn combination(place: Place, deed: Deed, at: &Surroundings) {
    let told = warnings();
    let tokens = Tokens::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let runtime = at.flavour.runtime();
    runtime.block_on(async {
        // Each of the siblings has some turns before and after.
        let siblings = Arc::new(AtomicUsize::new(0));
        let has_happened = Arc::new(AtomicBool::new(false));
        let another = another(at.builder(), &tokens).await;
        let mut kept = None;
        let settings = place.settings(at.builder()).name("group");
        let run = settings.run_cancellable(async |group| {
            let act = Act::new(deed, at, &group, another, &tokens, calls.clone());
            let looks = kept.insert(act.clone());
            for _ in 0..3 {
                let (siblings, token, calls) = (siblings.clone(), tokens.one(), calls.clone());
                let has_happened = has_happened.clone();
                group.spawn(async move {
                    let _token = token;
                    turns(3).await;
                    // A quorum of siblings would cancel the culprit before it came to the place.
                    while !has_happened.load(Ordering::SeqCst) {
                        turns(1).await;
                    }
                    // Most places are reached while the group runs, and then the siblings are
                    // there.
                    for _ in 0..50 {
                        if calls.load(Ordering::SeqCst) > 0 {
                            break;
                        }
                        turns(1).await;
                    }
                    turns(3).await;
                    siblings.fetch_add(1, Ordering::SeqCst);
                });
            }
            let happened = happen(place, act, &group).await;
            has_happened.store(true, Ordering::SeqCst);
            if looks.deed() != Deed::Cancels {
                happened?;
            }
            Ok(())
        });
        let outcome = run.await;
        // A hook may keep the deed for longer.
        kept.iter().for_each(Act::clear);
        crate::subscriber::clear();
        crate::recorder::clear();
        if deed != Deed::Cancels {
            if place.siblings_live() {
                assert_eq!(
                    siblings.load(Ordering::SeqCst),
                    3,
                    "siblings did not run: {:?}",
                    leaves(&outcome)
                );
            }
            judge(place, deed, &outcome, &told);
        }
        if let Err(error) = outcome {
            // What is printed has a placeholder for what cannot be had.
            assert!(!format!("{error}").is_empty(), "an empty text");
            assert!(!format!("{error:#}").is_empty(), "an empty tree");
            assert!(!format!("{error:?}").is_empty(), "an empty debug text");
            drop(error);
        }
        let reached = calls.load(Ordering::SeqCst) > 0;
        assert!(reached || !place.is_reached(), "the place was not reached");
        another_group_works(at.builder()).await;
        // What was polled by hand and dropped belongs to the process root.
        let _ = taskgroup::drain().await;
    });
    taskgroup::observe::reset_warning_hook();
    drop(told);
    // What another thread still calls, once the last task has ended, may open a group of its own:
    // the subscriber when a span closes does. Tasks that stay hang here, and the watchdog prints
    // them.
    while taskgroup::observe::live_tasks() > 0 {
        std::thread::yield_now();
    }
    runtime.block_on(another_group_works(at.builder()));
    drop(runtime);
    assert_eq!(tokens.alive(), 0, "something was not dropped");
}

/// Who failed, as paths.
fn leaves<T>(outcome: &Result<T, ErrorGroup>) -> Vec<String> {
    let Err(error) = outcome else {
        return Vec::new();
    };
    error
        .leaves()
        .map(|leaf| leaf.task().path().to_string())
        .collect()
}

/// Whether the failure is where it belongs.
fn judge<T>(
    place: Place,
    deed: Deed,
    outcome: &Result<T, ErrorGroup>,
    told: &mpsc::Receiver<String>,
) {
    let mishap = matches!(deed, Deed::Panics | Deed::Fails);
    let culprits = leaves(outcome);
    let by_culprit = !culprits.is_empty() && culprits.iter().all(|path| path.contains("culprit"));
    let was_told = || told.recv_timeout(Duration::from_secs(5)).is_ok();
    match place.blame() {
        // The error itself is there, whatever the code does.
        Blame::CulpritAnyway => {
            assert!(by_culprit, "the failure is with {culprits:?}");
        }
        _ if matches!(
            place,
            Place::ConversionOfAnError | Place::ConversionOfALateError
        ) =>
        {
            assert!(by_culprit, "the failure is with {culprits:?}");
        }
        _ if !mishap => assert!(culprits.is_empty(), "failures of {culprits:?}"),
        Blame::Culprit => {
            assert!(by_culprit, "the failure is with {culprits:?}");
            assert!(
                says_mishap(outcome),
                "the failure does not say what happened"
            );
        }
        Blame::Told => {
            assert!(culprits.is_empty(), "failures of {culprits:?}");
            assert!(was_told(), "nobody was told");
        }
        Blame::CulpritOrTold => {
            assert!(
                by_culprit || was_told(),
                "nobody was told, and failures of {culprits:?}"
            );
        }
        Blame::CallerOrTold => {
            assert!(culprits.is_empty(), "failures of {culprits:?}");
        }
        Blame::Nowhere => assert!(culprits.is_empty(), "failures of {culprits:?}"),
    }
}

fn says_mishap<T>(outcome: &Result<T, ErrorGroup>) -> bool {
    let Err(error) = outcome else {
        return false;
    };
    error.leaves().any(|leaf| {
        let task = leaf.task();
        let text = match task.error() {
            Some(error) => error.to_string(),
            None => task.panic_message().unwrap_or_default().to_owned(),
        };
        is_mishap(&text)
    })
}

// S39: how many combinations there are, and why the others are none.
#[test]
fn matrix() {
    let surroundings = Surroundings::all();
    let (mut run, mut reasons) = (0, BTreeMap::new());
    println!("{:<32}{:>5}{:>10}", "place", "run", "excluded");
    for place in Place::ALL {
        let mut without = 0;
        for deed in Deed::ALL {
            for at in &surroundings {
                match excluded(*place, deed, at) {
                    None => run += 1,
                    Some(reason) => {
                        without += 1;
                        *reasons.entry(reason).or_insert(0) += 1;
                    }
                }
            }
        }
        let all = Deed::ALL.len() * surroundings.len();
        println!(
            "{:<32}{:>5}{without:>10}",
            format!("{place:?}"),
            all - without
        );
        assert_eq!(combinations(*place).len(), all - without);
        assert!(without < all, "{place:?} is never run");
    }
    let excluded: usize = reasons.values().sum();
    for (reason, count) in &reasons {
        println!("{count:>5} excluded: {reason}");
    }
    println!(
        "foreign matrix: {} places x {} deeds x {} surroundings: {run} run, {excluded} excluded",
        Place::ALL.len(),
        Deed::ALL.len(),
        surroundings.len()
    );
    assert_eq!(
        run + excluded,
        Place::ALL.len() * Deed::ALL.len() * surroundings.len()
    );
}
