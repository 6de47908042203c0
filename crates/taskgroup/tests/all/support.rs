//! What the tests share.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use taskgroup::{BoxError, ErrorGroup, GroupBuilder, TaskGroup};
use tokio::runtime::Builder;

pub(crate) type Outcome<T = ()> = Result<T, BoxError>;

/// A list of what happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>, Steps);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// For what happens on several threads at once.
    pub(crate) fn take_sorted(&self) -> Vec<String> {
        let mut lines = self.take();
        lines.sort();
        lines
    }

    /// Waits until so many of its [`forever`](Self::forever) futures have been polled.
    pub(crate) async fn started(&self, count: usize) {
        self.1.reached(count).await;
    }

    /// Adds `line` when it is dropped.
    pub(crate) fn on_drop(&self, line: &str) -> OnDrop {
        OnDrop(self.clone(), line.to_owned())
    }

    /// Never ready; counts as started when it is polled, and adds `line` when it is dropped, polled
    /// or not.
    pub(crate) fn forever(&self, line: &str) -> impl Future<Output = ()> + Send + use<> {
        let (dropped, steps) = (self.on_drop(line), self.1.clone());
        async move {
            let _dropped = dropped;
            steps.step();
            forever().await;
        }
    }
}

pub(crate) struct OnDrop(Log, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(std::mem::take(&mut self.1));
    }
}

/// Polls `run`, which never ends, and drops it at the time of `when`.
pub(crate) async fn dropped_when<T>(run: impl Future<Output = T>, when: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = run => panic!("it never ends"),
        () = when => {}
    }
}

/// Counts up; lets the tasks of a test wait for each other without sleeping.
#[derive(Clone)]
pub(crate) struct Steps(Arc<tokio::sync::watch::Sender<usize>>);

impl Default for Steps {
    fn default() -> Self {
        Self(Arc::new(tokio::sync::watch::Sender::new(0)))
    }
}

impl Steps {
    pub(crate) fn step(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) async fn reached(&self, count: usize) {
        let mut receiver = self.0.subscribe();
        receiver
            .wait_for(|reached| *reached >= count)
            .await
            .unwrap();
    }

    pub(crate) fn is_at(&self, count: usize) -> bool {
        *self.0.borrow() == count
    }

    /// Counts the suspensions of `future`, each when it has nothing left to do in that poll.
    pub(crate) fn at_each_suspension<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let steps = self.clone();
        async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if polled.is_pending() {
                    steps.step();
                }
                polled
            })
            .await
        }
    }
}

/// Settings of a group, with the driver that the environment asks for.
pub(crate) fn builder() -> GroupBuilder {
    static LIGHT: OnceLock<bool> = OnceLock::new();
    let light = LIGHT.get_or_init(|| match std::env::var("TASKGROUP_TEST_DRIVER") {
        Ok(driver) if driver == "light" => true,
        Ok(driver) if driver == "tokio" => false,
        Ok(other) => panic!("TASKGROUP_TEST_DRIVER is `{other}`; there are `tokio` and `light`"),
        Err(_) => false,
    });
    let builder = TaskGroup::builder();
    if *light {
        builder.light_tasks()
    } else {
        builder
    }
}

/// [`TaskGroup::run`] with the driver that the environment asks for.
#[track_caller]
pub(crate) fn group<R, B, F>(body: B) -> impl Future<Output = Result<R, ErrorGroup>>
where
    B: FnOnce(TaskGroup) -> F,
    F: Future<Output = Outcome<R>>,
{
    builder().run(body)
}

/// Never ready.
pub(crate) async fn forever() {
    std::future::pending::<()>().await;
}

/// Lets all others have some turns.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Pending once, and woken in the same poll: who awaits it is due again before it has given way.
/// (Tokio's `yield_now` wakes later.)
pub(crate) async fn again() {
    let mut polled = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many milliseconds of virtual time.
pub(crate) async fn sleep(millis: u64) {
    tokio::time::sleep(ms(millis)).await;
}

/// The milliseconds of virtual time that `future` took, and its output.
pub(crate) async fn took<F: Future>(future: F) -> (u128, F::Output) {
    let start = tokio::time::Instant::now();
    let output = future.await;
    (start.elapsed().as_millis(), output)
}

/// Runs a test on one thread in virtual time: it jumps when nothing else can happen, so a test that
/// hangs fails at once.
pub(crate) fn paused<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(bounded(test))
}

/// Runs a test on both Tokio flavours, in real time. (S3)
pub(crate) fn everywhere<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(bounded(test()));
    let multi = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    multi.block_on(bounded(test()));
}

/// Turns a hang into a failure. No test comes near this limit.
async fn bounded<F: Future>(test: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(100), test).await {
        Ok(output) => output,
        Err(_) => panic!("the test hangs"),
    }
}

/// The messages of all failures below, in order.
pub(crate) fn messages(error: &ErrorGroup) -> Vec<String> {
    let message =
        |leaf: taskgroup::error::Leaf<'_>| match (leaf.task().error(), leaf.task().panic_message())
        {
            (Some(error), _) => error.to_string(),
            (None, message) => format!("panic: {}", message.unwrap_or("?")),
        };
    error.leaves().map(message).collect()
}
