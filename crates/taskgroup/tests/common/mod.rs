//! What the tests of faults and of foreign code share: a process of its own for each test, the
//! surroundings, the ends of the world.

#![allow(dead_code)]

pub(crate) mod waker;

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use taskgroup::{ErrorGroup, GroupBuilder, TaskGroup};
use tokio::runtime::{Builder, Runtime};

/// Set in the process that runs the body of a test.
const INSIDE: &str = "TASKGROUP_TEST_INSIDE";
/// How many seconds a test may take, in place of thirty.
const PATIENCE: &str = "TASKGROUP_TEST_PATIENCE";

/// The drivers of children, each as the settings of a group, by name. The one line to change with
/// them.
pub(crate) fn drivers() -> [(&'static str, GroupBuilder); 2] {
    [
        ("default", TaskGroup::builder()),
        ("light tasks", TaskGroup::builder().light_tasks()),
    ]
}

/// Runs `body` in a process of its own: a fault that kills the process or makes it stand still
/// fails this test and no other, and what the process counts (its memory, its live tasks) is of
/// this test alone.
///
/// A test that hangs is ended after thirty seconds, with its name and the live tree.
pub(crate) fn isolated<F: FnOnce()>(body: F) {
    isolated_as(test_name::<F>(), body);
}

/// As [`isolated`], with each driver.
pub(crate) fn isolated_with_drivers<F: FnMut(GroupBuilder)>(mut test: F) {
    isolated_as(test_name::<F>(), || {
        for (driver, builder) in drivers() {
            println!("-- {driver}");
            test(builder);
        }
    });
}

/// As [`isolated`], [`everywhere`].
pub(crate) fn isolated_everywhere<F, T>(test: F)
where
    F: Fn(GroupBuilder) -> T,
    T: Future<Output = ()>,
{
    isolated_as(test_name::<F>(), || everywhere(test));
}

/// As [`isolated`], [`paused_everywhere`].
pub(crate) fn isolated_paused<F, T>(test: F)
where
    F: Fn(GroupBuilder) -> T,
    T: Future<Output = ()>,
{
    isolated_as(test_name::<F>(), || paused_everywhere(test));
}

fn isolated_as(name: &'static str, body: impl FnOnce()) {
    if is_inside() {
        watch(name);
        body();
        return;
    }
    let output = rerun(name, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "`{name}` has failed in its process ({}):\n{out}\n{err}",
        output.status
    );
    assert!(
        out.contains("1 passed"),
        "`{name}` did not run in its process:\n{out}\n{err}"
    );
}

/// Whether this is the process that runs the body of a test.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The path of the test that `F`, a closure in it, belongs to, without the name of the binary.
pub(crate) fn test_name<F>() -> &'static str {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, name)| name)
}

/// Runs this binary again, for one test.
pub(crate) fn rerun(name: &str, settings: &[(&str, String)]) -> Output {
    let program = std::env::current_exe().expect("this binary has a path");
    Command::new(program)
        .args([name, "--exact", "--nocapture"])
        .envs(settings.iter().map(|(key, value)| (*key, value)))
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("this binary runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How long is too long.
pub(crate) fn patience() -> Duration {
    let given = std::env::var(PATIENCE).ok();
    let seconds = given.and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// Ends this process if it is still there after a while.
fn watch(name: &'static str) {
    std::thread::spawn(move || {
        std::thread::sleep(patience());
        hangs(name);
    });
}

/// Ends this process with what is alive in it.
pub(crate) fn hangs(name: &str) -> ! {
    eprintln!("`{name}` HANGS");
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = send.send(taskgroup::observe::tree().to_string());
    });
    match receive.recv_timeout(Duration::from_secs(5)) {
        Ok(tree) => {
            let lines: Vec<&str> = tree.lines().take(60).collect();
            eprintln!("{}", lines.join("\n"));
        }
        Err(_) => eprintln!("and the live tree cannot be looked at"),
    }
    std::process::abort();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    CurrentThread,
    MultiThread,
}

impl Flavour {
    pub(crate) const ALL: [Self; 2] = [Self::CurrentThread, Self::MultiThread];

    pub(crate) fn runtime(self) -> Runtime {
        match self {
            Self::CurrentThread => on_one_thread(),
            Self::MultiThread => on_threads(2),
        }
    }
}

pub(crate) fn on_one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn on_threads(workers: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

/// One thread in virtual time.
pub(crate) fn paused<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(test)
}

/// A driver on a flavour of the runtime.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) driver: &'static str,
    pub(crate) flavour: Flavour,
    builder: GroupBuilder,
}

impl Surroundings {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for flavour in Flavour::ALL {
            for (driver, builder) in drivers() {
                all.push(Self {
                    driver,
                    flavour,
                    builder,
                });
            }
        }
        all
    }

    pub(crate) fn builder(&self) -> GroupBuilder {
        self.builder.clone()
    }
}

impl std::fmt::Display for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {:?}", self.driver, self.flavour)
    }
}

/// Runs a test with each driver on both flavours, in real time.
pub(crate) fn everywhere<F: Future<Output = ()>>(test: impl Fn(GroupBuilder) -> F) {
    for place in Surroundings::all() {
        println!("-- {place}");
        place.flavour.runtime().block_on(test(place.builder()));
    }
}

/// Runs a test with each driver, on one thread in virtual time.
pub(crate) fn paused_everywhere<F: Future<Output = ()>>(test: impl Fn(GroupBuilder) -> F) {
    for (driver, builder) in drivers() {
        println!("-- {driver}, virtual time");
        paused(test(builder));
    }
}

/// Never ready.
pub(crate) async fn forever() {
    std::future::pending::<()>().await;
}

/// Lets the others have some turns.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Polls `future` once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + ?Sized>(
    future: std::pin::Pin<&mut F>,
) -> std::task::Poll<F::Output> {
    let waker = std::task::Waker::noop();
    future.poll(&mut std::task::Context::from_waker(waker))
}

/// Polls `future` once, as the task that awaits this.
pub(crate) async fn polled<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// What every leaf says, in order.
pub(crate) fn texts(error: &ErrorGroup) -> Vec<String> {
    let one = |leaf: taskgroup::error::Leaf<'_>| match leaf.task().error() {
        Some(error) => error.to_string(),
        None => {
            let message = leaf.task().panic_message();
            format!("panic: {}", message.unwrap_or("(something else)"))
        }
    };
    error.leaves().map(one).collect()
}

/// Counts how many of its tokens are alive.
#[derive(Clone, Default)]
pub(crate) struct Tokens(Arc<AtomicUsize>);

pub(crate) struct Token(Tokens);

impl Tokens {
    pub(crate) fn one(&self) -> Token {
        self.0.fetch_add(1, Ordering::SeqCst);
        Token(self.clone())
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped, unless something panics already.
pub(crate) struct Bomb(pub(crate) &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// The messages that the warning hook gets from now on.
pub(crate) fn warnings() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    let send = std::sync::Mutex::new(send);
    taskgroup::observe::set_warning_hook(move |warning| {
        let _ = send.lock().unwrap().send(warning.to_string());
    });
    receive
}

/// A group started now works: its child runs and gives its value.
pub(crate) async fn another_group_works(builder: GroupBuilder) {
    let run = builder.run(async |group| {
        let child = group.spawn(async {
            turns(2).await;
            Ok::<_, taskgroup::BoxError>(7)
        });
        Ok(child.await?)
    });
    assert_eq!(run.await.unwrap(), 7);
}
