//! Programs for which a stop by signal is a success. Like those of `programs`, each says on its
//! standard output how far it is.

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskgroup::{
    BoxError, GroupBuilder, Runner, TaskGroup, shield, timeout, until_cancelled, until_stopped,
    when_cancelled, when_stopped,
};
use tokio::sync::{Barrier, oneshot};

use crate::programs::{HOUR, cleanup, input_ended, work};

pub(crate) fn run(name: &str) -> Option<ExitCode> {
    let runner = || Runner::new().graceful();
    let on_one_thread = || runner().current_thread().grace(HOUR);
    Some(match name {
        "graceful" => runner().run_main(after_the_group),
        "graceful_on_one_thread" => runner().current_thread().run_main(after_the_group),
        "graceful_shielded" => runner().run_main(shielded),
        "graceful_in_the_body" => runner().run_main(in_the_body),
        "graceful_future" => runner().run_main(future_of_the_stop),
        "graceful_loop" => runner().run_main(loop_of_sections),
        "graceful_level" => runner().current_thread().run_main(between_sections),
        "graceful_never_asks" => runner().run_main(cleanup),
        "graceful_in_a_child" => runner().run_main(asked_in_a_child),
        "graceful_value" => value_of_run(),
        "graceful_not" => Runner::new().run_main(after_the_group),
        "graceful_cleanup_fails" => runner().run_main(cleanup_fails),
        "graceful_end_fails" => runner().run_main(end_fails),
        "graceful_left_fails" => runner().run_main(left_fails),
        "graceful_many" => runner().run_main(async || eight(own(), || Ok(())).await),
        "graceful_many_light" => runner().run_main(async || eight(light(), || Ok(())).await),
        "graceful_many_on_one_thread" => {
            on_one_thread().run_main(async || eight(own(), || Ok(())).await)
        }
        "graceful_many_light_on_one_thread" => {
            on_one_thread().run_main(async || eight(light(), || Ok(())).await)
        }
        "graceful_all_fail" => {
            runner().run_main(async || eight(own(), || Err("the disk is full".into())).await)
        }
        "graceful_all_panic" => {
            runner().run_main(async || eight(light(), || panic!("a bug")).await)
        }
        "graceful_late_task" => on_one_thread().run_main(late_task),
        "graceful_late_main" => on_one_thread().run_main(late_main),
        _ => return None,
    })
}

/// A group that never ends by itself.
async fn service() -> Result<(), BoxError> {
    TaskGroup::run(async |group| {
        group.task("worker").spawn(work());
        Ok(())
    })
    .await?;
    Ok(())
}

/// The code after the stop is as any other: it has groups, deadlines and sections.
async fn after_the_group() -> Result<(), BoxError> {
    let ended = until_stopped(service()).await;
    println!("ended by itself: {}", ended.is_some());
    let flushed = timeout(HOUR, async {
        TaskGroup::run(async |group| {
            let block = group.spawn(async {
                tokio::task::yield_now().await;
                Ok::<_, BoxError>(7)
            });
            Ok(block.await?)
        })
        .await
    });
    println!("flushed: {}", flushed.await??);
    let told = until_cancelled(tokio::task::yield_now()).await.is_err();
    println!("told of a cancellation: {told}");
    Ok(())
}

/// A request in flight is answered. The body is cut off, so there is no value.
async fn shielded() -> Result<(), BoxError> {
    let request = async {
        println!("started");
        input_ended().await;
        println!("answered");
    };
    let served = TaskGroup::run(async |group| {
        group.spawn(shield(request));
        std::future::pending::<Result<(), BoxError>>().await
    });
    println!("{:?}", until_stopped(served).await.transpose()?);
    Ok(())
}

/// A body that is told of the stop, and returns. The value is none where the group had to wait.
async fn in_the_body() -> Result<(), BoxError> {
    let served = TaskGroup::run(async |group| {
        group.spawn(shield(async {
            println!("started");
            input_ended().await;
            println!("answered");
        }));
        let accept = std::future::pending::<()>();
        assert!(until_cancelled(accept).await.is_err());
        Ok(())
    });
    until_stopped(served).await.transpose()?;
    println!("goes on");
    Ok(())
}

/// A server that takes the future of the stop.
async fn future_of_the_stop() {
    let asked = tokio::spawn(when_stopped());
    println!("started");
    asked.await.unwrap();
    println!("asked");
    // Asked once, asked for good.
    when_stopped().await;
}

/// A worker without a group.
async fn loop_of_sections() {
    let mut rounds = 0;
    while let Some(()) = until_stopped(async {
        if rounds == 3 {
            println!("started");
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    })
    .await
    {
        rounds += 1;
    }
    println!("rounds: {rounds}");
}

/// The signal comes while no section waits for it.
async fn between_sections() {
    until_stopped(async {}).await;
    println!("started");
    let read = std::io::stdin().read(&mut [0]);
    assert_eq!(read.unwrap(), 0);
    println!("goes on");
    let more = until_stopped(std::future::pending::<()>()).await;
    println!("{more:?}");
}

/// A child asks, and cancels what is around it. It is below the run as well.
async fn asked_in_a_child() -> Result<(), BoxError> {
    let ended = TaskGroup::builder().run_cancellable(async |group| {
        let itself = group.clone();
        group.spawn(async move {
            let stop = when_stopped();
            println!("started");
            stop.await;
            itself.cancel_with("asked to stop");
        });
        std::future::pending::<Result<(), BoxError>>().await
    });
    println!("{:?}", ended.await?);
    Ok(())
}

/// Tells what `Runner::run` gave.
fn value_of_run() -> ExitCode {
    let value = Runner::new().graceful().run(async || {
        let stop = when_stopped();
        println!("started");
        stop.await;
        7
    });
    println!("{value:?}");
    ExitCode::SUCCESS
}

/// What is cancelled fails in its cleanup.
async fn cleanup_fails() -> Result<(), BoxError> {
    let service = TaskGroup::run(async |group| {
        group.task("writer").spawn(async {
            let _cancelled = until_cancelled(async {
                println!("started");
                std::future::pending::<()>().await;
            })
            .await;
            Err::<(), _>("the disk is full")
        });
        Ok(())
    });
    until_stopped(service).await.transpose()?;
    println!("not reached");
    Ok(())
}

/// The code after the stop fails.
async fn end_fails() -> Result<(), BoxError> {
    until_stopped(async {
        println!("started");
        std::future::pending::<()>().await;
    })
    .await;
    Err("cannot flush".into())
}

/// What main has dropped half-way fails after the stop, and main ends well.
async fn left_fails() {
    let (begun, begins) = oneshot::channel();
    let service = TaskGroup::run(async |group| {
        group.task("left").spawn(async {
            let stop = when_stopped();
            let work = async {
                let _ = begun.send(());
                std::future::pending::<()>().await;
            };
            let _cancelled = until_cancelled(work).await;
            println!("started");
            stop.await;
            Err::<(), _>("the disk is full")
        });
        Ok(())
    });
    tokio::select! {
        _ = service => unreachable!("it has no end"),
        _ = begins => {}
    }
    when_stopped().await;
    println!("main has ended");
}

async fn cleans_up_for(time: Duration, name: &str) {
    let _cancelled = until_cancelled(std::future::pending::<()>()).await;
    tokio::time::sleep(time).await;
    println!("cleaned: {name}");
}

/// The clock jumps when nothing else can happen, so the hours are none.
async fn late_task() -> Result<(), BoxError> {
    tokio::time::pause();
    let service = TaskGroup::builder().name("server").run(async |group| {
        group
            .task("prompt")
            .spawn(cleans_up_for(HOUR * 9 / 10, "prompt"));
        group
            .task("slow")
            .spawn(cleans_up_for(HOUR * 11 / 10, "slow"));
        tokio::task::yield_now().await;
        println!("started");
        when_cancelled().await;
        Ok(())
    });
    let _ended = until_stopped(service).await;
    println!("not reached");
    Ok(())
}

/// Awaits something that no stop reaches.
async fn late_main() {
    tokio::time::pause();
    let stop = when_stopped();
    println!("started");
    stop.await;
    println!("asked");
    tokio::time::sleep(HOUR * 2).await;
    println!("not reached");
}

fn own() -> GroupBuilder {
    TaskGroup::builder()
}

fn light() -> GroupBuilder {
    TaskGroup::builder().light_tasks()
}

/// Eight tasks that clean up when they are stopped, and then end as `end` says.
async fn eight(settings: GroupBuilder, end: fn() -> Result<(), BoxError>) -> Result<(), BoxError> {
    let (begun, cleaned) = (Arc::new(Barrier::new(9)), Arc::new(AtomicUsize::new(0)));
    let service = settings.run(async |group| {
        for _ in 0..8 {
            let (begun, cleaned) = (begun.clone(), cleaned.clone());
            group.spawn(async move {
                let work = async {
                    begun.wait().await;
                    std::future::pending::<()>().await;
                };
                let _cancelled = until_cancelled(work).await;
                tokio::task::yield_now().await;
                cleaned.fetch_add(1, Ordering::SeqCst);
                end()
            });
        }
        begun.wait().await;
        println!("started");
        std::future::pending::<Result<(), BoxError>>().await
    });
    let ended = until_stopped(service).await;
    println!("cleaned: {}", cleaned.load(Ordering::SeqCst));
    ended.transpose()?;
    Ok(())
}
