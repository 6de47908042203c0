//! The programs that the tests start. Each says on its standard output how far it is, and goes on
//! when its input ends.

use std::io::Read;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use taskgroup::{BoxError, Cancelled, Runner, TaskGroup, until_cancelled};
use tokio::io::AsyncReadExt;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn run(name: &str) -> ExitCode {
    match name {
        "cleanup" => Runner::new().run_main(cleanup),
        "main_cleans_up" => Runner::new().run_main(main_cleans_up),
        "busy_from_the_start" => Runner::new().current_thread().run_main(busy_from_the_start),
        "blocked_on_one_thread" => Runner::new().current_thread().run_main(|| blocked(1)),
        "blocked_on_two" => Runner::new().worker_threads(1).run_main(|| blocked(2)),
        "without_signals" => Runner::new().signals(false).run_main(cleanup),
        "grace" => Runner::new().current_thread().grace(HOUR).run_main(grace),
        "stopped_run" => stopped_run(),
        "failing" => Runner::new().current_thread().run_main(failing),
        other => crate::graceful::run(other)
            .or_else(|| crate::plain::run(other))
            .unwrap_or_else(|| panic!("there is no program `{other}`")),
    }
}

/// The input has ended.
pub(crate) async fn input_ended() {
    let read = tokio::io::stdin().read(&mut [0]).await;
    assert_eq!(read.unwrap(), 0);
}

/// Works until it is cancelled, and then cleans up until the input ends.
pub(crate) async fn work() -> Result<(), Cancelled> {
    let work = async {
        println!("started");
        std::future::pending::<()>().await;
    };
    let Err(cancelled) = until_cancelled(work).await else {
        unreachable!("it has no end");
    };
    println!("cleaning");
    input_ended().await;
    println!(
        "cleaned: {:?}: {}",
        cancelled.reason().kind(),
        cancelled.reason()
    );
    Err(cancelled)
}

/// The one who cleans up is a task.
pub(crate) async fn cleanup() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.spawn(work());
        std::future::pending().await
    })
    .await?;
    Ok(())
}

/// The one who cleans up is the main body.
async fn main_cleans_up() -> Result<(), BoxError> {
    work().await?;
    Ok(())
}

/// Does not suspend before its input has ended.
async fn busy_from_the_start() {
    println!("started");
    let read = std::io::stdin().read(&mut [0]);
    assert_eq!(read.unwrap(), 0);
    println!("suspends");
    std::future::pending::<()>().await;
}

/// Blocks each thread of the runtime: the one of `main`, and the workers.
async fn blocked(threads: usize) -> Result<(), BoxError> {
    fn block(cancelled: &Mutex<bool>) {
        let mut told = cancelled.lock().unwrap();
        while !taskgroup::is_cancelled() {
            std::thread::yield_now();
        }
        if !std::mem::replace(&mut told, true) {
            println!("cancelled");
        }
        drop(told);
        loop {
            std::thread::park();
        }
    }
    TaskGroup::run(async |group| {
        let cancelled = Arc::new(Mutex::new(false));
        for _ in 1..threads {
            let (cancelled, (begun, has_begun)) = (cancelled.clone(), mpsc::channel());
            group.spawn(async move {
                begun.send(()).unwrap();
                block(&cancelled);
            });
            has_begun.recv()?;
        }
        println!("started");
        block(&cancelled);
        Ok(())
    })
    .await?;
    Ok(())
}

/// Two tasks, of which one takes less than the grace for its cleanup, and one more. The clock jumps
/// when nothing else can happen, so the hours are none.
async fn grace() -> Result<(), BoxError> {
    async fn cleans_up_for(time: Duration, name: &str) -> Result<(), Cancelled> {
        let cancelled = until_cancelled(std::future::pending::<()>()).await;
        tokio::time::sleep(time).await;
        println!("cleaned: {name}");
        cancelled
    }
    tokio::time::pause();
    TaskGroup::builder()
        .name("server")
        .run(async |group| {
            group
                .task("prompt")
                .spawn(cleans_up_for(HOUR * 9 / 10, "prompt"));
            group
                .task("slow")
                .spawn(cleans_up_for(HOUR * 11 / 10, "slow"));
            tokio::task::yield_now().await;
            println!("started");
            std::future::pending().await
        })
        .await?;
    Ok(())
}

/// Tells what `Runner::run` gave.
fn stopped_run() -> ExitCode {
    let stopped = Runner::new().run(cleanup).unwrap_err();
    let kind = stopped.reason().map(taskgroup::CancelReason::kind);
    println!("{stopped}");
    println!("{kind:?} {:?}", stopped.failures());
    println!("a value: {}", stopped.into_value().is_some());
    ExitCode::SUCCESS
}

/// Fails in a task, and in the cleanup of another; tells the tree on standard output.
async fn failing() -> Result<(), BoxError> {
    let failed = TaskGroup::builder()
        .name("backup")
        .run(async |group| {
            let (started, wait) = tokio::sync::oneshot::channel();
            group.task("report").spawn(async {
                let work = async {
                    let _ = started.send(());
                    std::future::pending::<()>().await;
                };
                let _cancelled = until_cancelled(work).await;
                Err::<(), _>("the network is down")
            });
            group.task("copy").spawn(async {
                let _ = wait.await;
                Err::<(), _>("the disk is full")
            });
            Ok(())
        })
        .await
        .unwrap_err();
    println!("{failed:#}");
    Err(failed.into())
}
