//! Instruction counts of the hot paths, under callgrind. They show the cost of a change even on a
//! busy machine.
//!
//! Each step runs in a process of its own on a current-thread runtime, once with [`OPERATIONS`]
//! operations and once with twice as many. The difference does not contain the start and the end of
//! the process. A path is a step minus the part that it shares with another step. The counts are
//! kept in `bench/instructions.txt`, which names the compiler and the allocator that they are for.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::future::ready;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;

use taskgroup::{ErrorGroup, GroupBuilder, TaskGroup};

use crate::machine::{ALLOCATOR, said_by, workspace};
use crate::measure::runtimes;
use crate::work::{MINUTE, Parking, YieldOnce};

/// A power of two, so that what grows by doubling grows exactly once more in the larger run.
const OPERATIONS: usize = 4_096;

/// The name of a path, the step that measures it, and the step to subtract.
const PATHS: &[(&str, &str, Option<&str>)] = &[
    ("spawn a child", "spawn", None),
    ("run and end it", "complete", Some("spawn")),
    ("read its result", "join", Some("complete")),
    ("wake and poll it once more", "yield", Some("complete")),
    ("park it", "park", Some("spawn")),
    ("cancel a parked child", "cancel", Some("park")),
    ("spawn, run and end, as a light task", "light-tasks", None),
    ("open and close a group", "group", None),
    ("a group in a tree of groups", "nested", None),
    ("the same with light tasks", "nested-light", None),
    ("deadline, ready", "deadline-ready", None),
    ("deadline, woken once", "deadline-woken", Some("woken")),
    ("guard: checkpoint", "checkpoint", None),
    ("guard: until_cancelled", "until-cancelled", None),
    ("guard: shield", "shield", None),
];

/// Prints the counts next to the kept ones. Keeps the new ones if `write` is set.
pub(crate) fn run(write: bool) -> Result<(), String> {
    let file = workspace().join("bench/instructions.txt");
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let head = format!(
        "{}, {ALLOCATOR} allocator",
        said_by("rustc", &["--version"])
    );
    if let (false, Some(line)) = (
        write,
        kept.lines().find(|line| line.starts_with("# rustc ")),
    ) {
        if line != format!("# {head}") {
            println!(
                "kept with {}, counted with {head}: a difference may come from these",
                &line[2..]
            );
        }
    }
    println!(
        "{:<38} {:>8} {:>8} {:>8}",
        "instructions each", "kept", "now", ""
    );
    let mut text = String::from(
        "# Instructions of each operation on a current-thread runtime, by callgrind.\n\
         # Kept by: cargo run --release -p taskgroup-bench -- instructions --write\n",
    );
    let _ = writeln!(text, "# {head}");
    let mut steps: Vec<(&str, i64)> = Vec::new();
    for &(path, step, without) in PATHS {
        let count =
            known(&mut steps, step)? - without.map_or(Ok(0), |step| known(&mut steps, step))?;
        let before = kept.lines().find_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            (name.trim_end() == path).then(|| count.parse::<i64>().ok())?
        });
        let (shown, change) = match before {
            Some(before) if before != 0 => {
                let change = 100.0 * (count - before) as f64 / before as f64;
                (before.to_string(), format!("{change:+.1} %"))
            }
            _ => ("-".into(), "new".into()),
        };
        println!("{path:<38} {shown:>8} {count:>8} {change:>8}");
        let _ = writeln!(text, "{path:<38} {count}");
    }
    if write {
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("kept in {}", file.display());
    }
    Ok(())
}

/// Counts the instructions of one operation of a step.
fn known<'a>(steps: &mut Vec<(&'a str, i64)>, step: &'a str) -> Result<i64, String> {
    if let Some((_, count)) = steps.iter().find(|(name, _)| *name == step) {
        return Ok(*count);
    }
    let few = collected(step, OPERATIONS)?;
    let many = collected(step, 2 * OPERATIONS)?;
    let count = (many - few) / OPERATIONS as i64;
    steps.push((step, count));
    Ok(count)
}

/// The instructions of a whole process.
fn collected(step: &str, n: usize) -> Result<i64, String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--step", &format!("{step}:{n}")])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected :")?;
        count.trim().parse().ok()
    });
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("valgrind ended with {}: {text}", output.status)),
    }
}

/// Runs such a process: one step, repeated.
pub(crate) fn step(order: &str) -> Result<(), String> {
    let wrong = || format!("not of the form step:n: '{order}'");
    let (step, n) = order.split_once(':').ok_or_else(wrong)?;
    let n: usize = n.parse().map_err(|_| wrong())?;
    let (_, current) = runtimes(1);
    let ended = current.block_on(async {
        match step {
            "spawn" => spawned(n, true).await,
            "complete" => spawned(n, false).await,
            "join" => joined(n).await,
            "yield" => yielding(n).await,
            "park" => parked(n, true).await,
            "cancel" => parked(n, false).await,
            "light-tasks" => filled(TaskGroup::builder().light_tasks(), n, false).await,
            "nested" => nested(TaskGroup::builder, n.ilog2() - 1).await,
            "nested-light" => nested(|| TaskGroup::builder().light_tasks(), n.ilog2() - 1).await,
            _ => inside(step, n).await,
        }
    });
    ended.map_err(|error| format!("{error:#}"))
}

async fn spawned(n: usize, then_exit: bool) -> Result<(), ErrorGroup> {
    filled(TaskGroup::builder(), n, then_exit).await
}

/// With `then_exit`, the process ends before a child is polled.
async fn filled(builder: GroupBuilder, n: usize, then_exit: bool) -> Result<(), ErrorGroup> {
    let run = builder.run(async |group| {
        for _ in 0..n {
            group.spawn(async {});
        }
        if then_exit {
            std::process::exit(0);
        }
        Ok(())
    });
    run.await
}

async fn joined(n: usize) -> Result<(), ErrorGroup> {
    let run = TaskGroup::run(async |group| {
        let child = |index| group.spawn(async move { Ok::<_, Infallible>(index) });
        let handles: Vec<_> = (0..n).map(child).collect();
        for (index, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.await?, index);
        }
        Ok(())
    });
    run.await
}

async fn yielding(n: usize) -> Result<(), ErrorGroup> {
    let run = TaskGroup::run(async |group| {
        for _ in 0..n {
            group.spawn(YieldOnce::default());
        }
        Ok(())
    });
    run.await
}

/// With `then_exit`, the process ends before the group is cancelled.
async fn parked(n: usize, then_exit: bool) -> Result<(), ErrorGroup> {
    let run = TaskGroup::builder().run_cancellable(async |group| {
        let parking = Parking::default();
        for _ in 0..n {
            group.spawn(parking.child());
        }
        parking.full(n).await;
        if then_exit {
            std::process::exit(0);
        }
        group.cancel();
        Ok(())
    });
    run.await.map(|_| ())
}

type Nested = Pin<Box<dyn Future<Output = Result<(), ErrorGroup>> + Send>>;

/// A binary tree of 2^(depth + 1) - 1 groups.
fn nested(builder: fn() -> GroupBuilder, depth: u32) -> Nested {
    Box::pin(async move {
        let run = builder().run(async |group| {
            if depth > 0 {
                group.spawn(nested(builder, depth - 1));
                group.spawn(nested(builder, depth - 1));
            }
            Ok(())
        });
        run.await
    })
}

/// The steps that run within one child.
async fn inside(step: &str, n: usize) -> Result<(), ErrorGroup> {
    let step = step.to_owned();
    let run = TaskGroup::run(async |group| {
        let child = group.spawn(async move {
            for index in 0..n {
                match &*step {
                    "deadline-ready" => drop(taskgroup::timeout(MINUTE, ready(index)).await),
                    "deadline-woken" => {
                        drop(taskgroup::timeout(MINUTE, YieldOnce::default()).await);
                    }
                    "woken" => YieldOnce::default().await,
                    "group" => drop(TaskGroup::run(async |_| Ok(())).await),
                    "checkpoint" => taskgroup::checkpoint().await,
                    "until-cancelled" => drop(taskgroup::until_cancelled(ready(index)).await),
                    "shield" => drop(taskgroup::shield(ready(index)).await),
                    _ => return Err(format!("unknown step '{step}'")),
                }
            }
            Ok(())
        });
        Ok(child.await?)
    });
    run.await
}
