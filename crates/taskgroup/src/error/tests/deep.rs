//! Depth: nothing recurses over a tree.

use super::*;

const DEPTH: usize = 100_000;

/// Runs `test` on a stack that a recursion over `DEPTH` overflows.
fn on_a_small_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(test).unwrap().join().unwrap();
}

/// Below each group a leaf and the next group, `DEPTH` times.
fn comb() -> ErrorGroup {
    let mut infos = vec![main_info()];
    for _ in 1..DEPTH {
        let parent = infos.last();
        infos.push(TaskInfo::new(
            "g",
            TaskId::new(2, 0),
            parent,
            Location::caller(),
        ));
    }
    let mut err: Option<ErrorGroup> = None;
    // All failed at once, so a group below is no more the cause than the leaf.
    let at = Interval::now();
    for info in infos.iter().rev() {
        let mut members = vec![Member::from_failure(
            TaskInfo::new("leaf", TaskId::new(2, 1), Some(info), Location::caller()),
            if is_below_io(err.as_ref()) {
                Invalid("x").into()
            } else {
                io_error("y").into()
            },
            at,
        )];
        members.extend(
            err.take()
                .map(|err| Member::from_failure(info.clone(), Box::new(err), Interval::now())),
        );
        err = ErrorGroup::new(info.clone(), members);
    }
    err.unwrap()
}

fn is_below_io(below: Option<&ErrorGroup>) -> bool {
    below.is_some_and(|below| below.cause().is::<io::Error>())
}

#[test]
fn a_tree_of_great_depth_is_walked_split_merged_and_dropped() {
    on_a_small_stack(walk_split_merge_drop);
}

fn walk_split_merge_drop() {
    // S16, S23, EG11, TR20
    let err = comb();
    assert_eq!(err.leaves().count(), DEPTH);
    assert_eq!(err.leaves().map(|leaf| leaf.depth()).max(), Some(DEPTH));
    let deepest = err.leaves().last().unwrap();
    assert_eq!(deepest.path().depth(), DEPTH + 1);
    assert_eq!(deepest.ancestors().count(), DEPTH);
    drop(deepest);

    let (matched, rest) = err.clone().split::<io::Error>();
    assert_eq!(
        matched.unwrap().leaves().count() + rest.unwrap().leaves().count(),
        DEPTH
    );

    let merged = err.clone().on::<io::Error>(Err).rest().unwrap_err();
    assert!(
        merged
            .leaves()
            .map(|l| l.key())
            .eq(err.leaves().map(|l| l.key()))
    );
    drop(merged);
    drop(err);
}

#[test]
fn a_tree_of_great_depth_is_printed() {
    on_a_small_stack(print);
}

fn print() {
    // S23, EG11
    let err = comb();
    assert!(err.to_string().ends_with("and 99995 more"));
    let text = format!("{err:#}");
    assert_eq!(
        text.lines()
            .filter(|line| line.contains("task `leaf` [2.1] failed: "))
            .count(),
        // One for each drawn level, and the first ones of the deeper levels.
        24 + 100
    );
    let left_out = format!("… and {} more failures\n", DEPTH - 124);
    assert!(text.contains(&left_out), "{text}");
    assert!(text.contains("in …/g/g/g/g/g/g/g/leaf\n"));
    assert!(text.lines().all(|line| line.chars().count() < 200));
}

#[test]
fn a_chain_of_handlers_is_dropped_without_recursion() {
    on_a_small_stack(chain_of_handlers);
}

fn chain_of_handlers() {
    // Each turn raises a new error while it handles the one before.
    let mut err = group("main", vec![failed("a", Invalid("0"))]);
    for _ in 0..DEPTH {
        err = err
            .on::<Invalid>(|_| Err(Invalid("again")))
            .rest()
            .unwrap_err();
    }
    let text = format!("{err:#}");
    assert!(text.lines().count() < 1000, "{}", text.lines().count());
    drop(err);
}

#[test]
fn errors_nested_in_foreign_errors_are_dropped_without_recursion() {
    on_a_small_stack(nest_in_foreign_errors);
}

fn nest_in_foreign_errors() {
    let mut task = failed("a", Invalid("x")).to_task_error();
    let mut context = group("g", vec![failed("a", Invalid("x"))]);
    for _ in 0..DEPTH {
        task = failed("a", Wrapped("awaiting", Box::new(task))).to_task_error();
        context = group(
            "g",
            vec![failed("a", anyhow::Error::new(context).context("more"))],
        );
    }
    assert!(task.find::<Invalid>().is_some() && context.find::<Invalid>().is_some());
    drop(task);
    drop(context);
}

#[test]
fn a_panic_while_an_error_is_dropped_does_not_stop_the_others() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    #[derive(Debug)]
    struct Bad(bool);
    impl fmt::Display for Bad {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bad")
        }
    }
    impl std::error::Error for Bad {}
    impl Drop for Bad {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            assert!(!self.0, "the drop of an error panics");
        }
    }
    let members = (0..10).map(|n| failed("a", Bad(n == 4))).collect();
    let err = group(
        "main",
        vec![nested("w", "low", members), failed("b", Bad(false))],
    );
    // S39: the warning hook is called.
    drop(err);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 11);
    // The queue is closed again: the next drop runs at once.
    drop(group("main", vec![failed("b", Bad(false))]));
    assert_eq!(DROPPED.load(Ordering::Relaxed), 12);
}

#[test]
fn a_wide_tree_is_handled_in_linear_time() {
    let err = group(
        "main",
        (0..DEPTH).map(|_| failed("a", Invalid("x"))).collect(),
    );
    let rest = err.on::<Invalid>(Err).rest().unwrap_err();
    assert_eq!(rest.len(), DEPTH);
}

/// `levels` nested groups. Each except the innermost has a leaf next to the inner group.
fn tower(levels: usize, innermost: impl FnOnce() -> Member) -> ErrorGroup {
    // Each leaf failed before the group next to it.
    let leaves: Vec<Member> = (1..levels).map(|_| failed("leaf", Invalid("x"))).collect();
    let mut err = group("g", vec![innermost()]);
    for leaf in leaves.into_iter().rev() {
        err = group(
            "g",
            vec![
                leaf,
                Member::from_failure(info("w", 4), Box::new(err), Interval::now()),
            ],
        );
    }
    err
}

#[test]
fn the_levels_that_are_drawn_are_counted() {
    // S23: the root and 24 levels below it. Only deeper leaves have their paths printed.
    let text = format!("{:#}", tower(30, || failed("last", Invalid("y"))));
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count("group `g` [1.3] failed: "), 25);
    assert_eq!(count("task `leaf` [1.1] failed: x"), 29);
    assert_eq!(count(" in main/leaf"), 5);
    assert_eq!(count(" in main/last"), 1);
    // The path of the root, above which no branch shows it.
    assert_eq!(count(" in main/g"), 1);
}

#[test]
fn what_hangs_on_a_drawn_level_is_drawn() {
    // ES5
    let handler = || {
        let handled = group("main", vec![failed("a", Invalid("x"))]);
        let rest = handled.on::<Invalid>(|_| Err(Invalid("again"))).rest();
        rest.unwrap_err().into_members().remove(0)
    };
    let drawn = format!("{:#}", tower(24, handler));
    let branch = "└─ while handling: group `main` [1.3] failed: 1 error\n";
    assert!(drawn.contains(branch), "{drawn}");
    let told = format!("{:#}", tower(25, handler));
    let line = "│ while handling: group `main` failed: task `a` failed: x";
    assert!(told.ends_with(line), "{told}");
}
