//! S30: blocking work in the group, with a token to ask.

use std::sync::mpsc;

use taskgroup::{
    BlockingToken, BoxError, Deadline, Local, checkpoint, defer, is_cancelled, shield,
    timeout_with, until_cancelled,
};
use tokio::runtime::Builder;

use crate::support::{Log, Outcome, builder, everywhere, forever, messages, ms, turns};

/// Spins until the task is cancelled.
fn until_told(token: &BlockingToken) {
    while !token.is_cancelled() {
        std::thread::yield_now();
    }
}

// S30: a value, an error, a panic.
#[test]
fn outcomes() {
    everywhere(|| async {
        let value = builder()
            .run(async |group| Ok(group.spawn_blocking(|_| Ok::<_, BoxError>(6 * 7)).await?));
        assert_eq!(value.await.unwrap(), 42);

        let error = builder().run(async |group| {
            group
                .task("reader")
                .spawn_blocking(|_| Err::<(), _>("no file"));
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["no file"]);
        assert_eq!(error.cause().name(), "reader");

        let panic = builder().run(async |group| {
            group.spawn_blocking(|_| -> Outcome { panic!("bad page") });
            Ok(())
        });
        assert_eq!(messages(&panic.await.unwrap_err()), ["panic: bad page"]);
    });
}

// S30: cancellation reaches the closure, and the group waits for it.
#[test]
fn cancelled() {
    everywhere(|| async {
        let log = Log::default();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let run = builder().run_cancellable(async |group| {
            let own = log.clone();
            group.spawn_blocking(move |token| -> Outcome {
                let _ = begun.send(());
                until_told(&token);
                assert!(token.reason().is_some());
                own.add("stopped");
                token.check()?;
                unreachable!("check is an error now")
            });
            let _ = has_begun.await;
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(run.await.unwrap(), None);
        assert_eq!(log.take(), ["stopped"]);
    });
}

// S30, S6: an error that the closure returns although it was cancelled is an error.
#[test]
fn error_after_cancel() {
    everywhere(|| async {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let run = builder().run_cancellable(async |group| {
            group.spawn_blocking(move |token| {
                let _ = begun.send(());
                until_told(&token);
                Err::<(), _>("half a file")
            });
            let _ = has_begun.await;
            group.cancel();
            Ok(())
        });
        assert_eq!(messages(&run.await.unwrap_err()), ["half a file"]);
    });
}

// S30, S7: through the handle.
#[test]
fn cancelled_alone() {
    everywhere(|| async {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let run = builder().run(async |group| {
            let task = group.spawn_blocking(move |token| {
                let _ = begun.send(());
                until_told(&token);
                token.check()
            });
            let _ = has_begun.await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            Ok("goes on")
        });
        assert_eq!(run.await.unwrap(), "goes on");
    });
}

/// A runtime whose only thread for blocking work can be kept busy.
fn with_one_thread<F: Future>(program: F) -> F::Output {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(program)
}

// S30: work that has not begun when the group is cancelled never runs: its task takes it back.
#[test]
fn never_begun() {
    with_one_thread(async {
        let log = Log::default();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (let_go, held) = mpsc::channel();
        let run = builder().run_cancellable(async |group| {
            // It has the only thread, until the other task has heard of the cancel.
            group.spawn_blocking(move |_| {
                let _ = begun.send(());
                held.recv().unwrap();
            });
            let _ = has_begun.await;
            let own = log.on_drop("dropped");
            group.spawn_blocking(move |_| {
                unreachable!("{:p} ran", &own);
            });
            turns(5).await;
            group.cancel();
            shield(turns(5)).await;
            let_go.send(()).unwrap();
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(log.take(), ["dropped"]);
    });
}

// S30: nor does it run when a thread gets to it before its task has heard of the cancel.
#[test]
fn begun_by_nobody() {
    with_one_thread(async {
        let log = Log::default();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (passed, has_passed) = mpsc::channel();
        let run = builder().run_cancellable(async |group| {
            group.spawn_blocking(move |token| {
                let _ = begun.send(());
                until_told(&token);
            });
            let _ = has_begun.await;
            let own = log.on_drop("dropped");
            group.spawn_blocking(move |_| {
                unreachable!("{:p} ran", &own);
            });
            turns(5).await;
            group.cancel();
            // The runtime stands still until the thread has gone past the second closure.
            tokio::task::spawn_blocking(move || passed.send(()));
            has_passed.recv().unwrap();
            assert_eq!(log.take(), ["dropped"]);
            Ok(())
        });
        run.await.unwrap();
    });
}

// S30, S18: not even the end of the grace makes the group end before the closure has.
#[test]
fn longer_than_the_grace() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Log::default();
        let (go_on, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (overdue, is_overdue) = tokio::sync::oneshot::channel();
        let own = log.clone();
        let group = builder().grace(ms(1)).run_cancellable(async |group| {
            group.task("deaf").spawn_blocking(move |_| {
                let _ = begun.send(());
                let _ = wait.recv();
                own.add("closure ended");
            });
            let _ = has_begun.await;
            group.cancel();
            // Held up by its cleanup, dropped when the grace is over.
            let told = Tell(Some(overdue));
            let _cancelled = taskgroup::until_cancelled(forever()).await;
            forever().await;
            drop(told);
            Ok(())
        });
        let release = async {
            let _ = is_overdue.await;
            turns(20).await;
            log.add("released");
            drop(go_on);
        };
        let (result, ()) = tokio::join!(group, release);
        let errors = result.unwrap_err();
        assert!(errors.leaves().any(|leaf| leaf.task().name() == "deaf"));
        assert_eq!(log.take(), ["released", "closure ended"]);
    });
}

/// Tells when it is dropped.
struct Tell(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.take().map(|told| told.send(()));
    }
}

// S30, S20: a deadline around it is not earlier than the work.
#[test]
fn deadline() {
    everywhere(|| async {
        let log = Log::default();
        let own = log.clone();
        let run = timeout_with(None, async |deadline: Deadline| {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let run = builder().run(async |group| {
                group.spawn_blocking(move |token| {
                    let _ = begun.send(());
                    until_told(&token);
                    own.add("stopped");
                    token.check()
                });
                let _ = has_begun.await;
                deadline.reschedule_after(ms(1));
                Ok(())
            });
            run.await
        });
        assert!(run.await.is_err());
        assert_eq!(log.take(), ["stopped"]);
    });
}

static USER: Local<&str> = Local::new();

// S45: the closure sees what a child sees.
#[test]
fn fault_f1_a_closure_sees_the_context_of_its_task() {
    everywhere(|| async {
        let seen = USER.scope(
            "Ada",
            builder().run(async |group| {
                let reader = group.task("reader").spawn_blocking(|token| {
                    let name = taskgroup::observe::current_task()
                        .unwrap()
                        .name()
                        .to_owned();
                    assert!(!is_cancelled() && !token.is_cancelled());
                    Ok::<_, String>((USER.get(), name))
                });
                Ok(reader.await?)
            }),
        );
        assert_eq!(seen.await.unwrap(), (Some("Ada"), "reader".to_owned()));

        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let run = builder().run_cancellable(async |group| {
            group.spawn_blocking(move |token| {
                let _ = begun.send(());
                until_told(&token);
                while !is_cancelled() {
                    std::thread::yield_now();
                }
            });
            let _ = has_begun.await;
            group.cancel();
            Ok(7)
        });
        assert_eq!(run.await.unwrap(), Some(7));
    });
}

// S45, S2: a group that the closure runs belongs below the task, and is cancelled with it. Nothing
// drops the closure, so what it awaits comes back.
#[test]
fn a_group_inside_a_closure_is_cancelled_with_the_task() {
    everywhere(|| async {
        let log = Log::default();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let run = builder().run_cancellable(async |group| {
            let (own, runtime) = (log.clone(), tokio::runtime::Handle::current());
            group.spawn_blocking(move |_| {
                let below = own.clone();
                let inner = runtime.block_on(builder().run(async |inner| {
                    inner.spawn(below.forever("child dropped"));
                    below.started(1).await;
                    let _ = begun.send(());
                    forever().await;
                    Ok(())
                }));
                assert!(inner.unwrap_err().is_cancelled());
                // In the cancelled scope nothing hangs and nothing begins.
                runtime.block_on(async {
                    checkpoint().await;
                    for _ in 0..3 {
                        assert!(until_cancelled(forever()).await.is_err());
                    }
                    let late = builder().run(async |inner| {
                        inner.spawn(async {}).await?;
                        Ok(())
                    });
                    assert!(late.await.unwrap_err().is_cancelled());
                });
                defer(async move { own.add("deferred") });
            });
            let _ = has_begun.await;
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(run.await.unwrap(), None);
        assert_eq!(log.take(), ["child dropped", "deferred"]);
    });
}

// S2, S30: the captures of a closure that never ran are dropped before its group ends.
#[test]
fn fault_b13_captures_are_gone_before_the_group_has_ended() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            // The one thread for blocking work is busy until the group has been cancelled.
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || {
                let _ = released.recv();
            });
            let log = Log::default();
            let run = builder().run_cancellable(async |group| {
                let dropped = log.on_drop("captures dropped");
                let handle = group.spawn_blocking(move |_| drop(dropped));
                turns(2).await;
                group.cancel();
                drop(release);
                drop(handle);
                Ok(())
            });
            run.await.unwrap();
            assert_eq!(log.take(), ["captures dropped"]);
            busy.await.unwrap();
        }
    });
}

// S41, S18: the task is dropped at the end of the grace; what the closure then fails with is not
// lost.
#[test]
fn a_closure_that_fails_after_the_grace_is_heard() {
    everywhere(|| async {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let run = builder().grace(ms(1)).run_cancellable(async |group| {
            group.task("late").spawn_blocking(move |_| {
                let _ = begun.send(());
                // Until the grace is over.
                let _ = released.recv();
                Err::<(), _>("after the grace")
            });
            group.spawn(shield(async move {
                let _release = release;
                forever().await;
            }));
            let _ = has_begun.await;
            group.cancel();
            Ok(())
        });
        let error = run.await.unwrap_err();
        let heard = messages(&error).contains(&"after the grace".to_owned());
        assert!(heard, "{error:#}");
    });
}
