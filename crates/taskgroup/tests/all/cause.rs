//! S43: the cause is the cause, whatever is recorded first. None of the neighbours here says that
//! it found a channel closed, unless that is the point: so it is the order that tells, and the
//! order is forced.

use std::sync::{Arc, Barrier};

use taskgroup::{
    BoxError, ErrorGroup, GroupBuilder, Policy, TaskGroup, bracket, defer, gather, until_cancelled,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{oneshot, watch};

use crate::support::{Outcome, builder, everywhere, forever, group, messages, turns};

const FULL: &str = "the disk is full";
const NOTHING: &str = "nothing left to do";

fn full<T>() -> Outcome<T> {
    Err(FULL.into())
}

/// Opened by a stage when it has failed; the neighbour waits for it and is recorded before the
/// stage is.
#[derive(Clone)]
struct Between {
    failed: watch::Sender<bool>,
    recorded: watch::Sender<bool>,
}

impl Between {
    fn new() -> Self {
        Self {
            failed: watch::Sender::new(false),
            recorded: watch::Sender::new(false),
        }
    }

    /// Spawns the neighbour, and a task of another group that tells when it has been recorded.
    fn neighbour(&self, group: &TaskGroup, says: &'static str) {
        let failed = self.failed.clone();
        let neighbour = group.task("neighbour").spawn(async move {
            failed.subscribe().wait_for(|failed| *failed).await?;
            Outcome::<()>::Err(says.into())
        });
        let recorded = self.recorded.clone();
        tokio::spawn(async move {
            neighbour.ended().await;
            recorded.send_replace(true);
        });
    }

    /// What comes after the failure and before the end of a stage.
    async fn cleanup(self) {
        self.failed.send_replace(true);
        let mut recorded = self.recorded.subscribe();
        recorded.wait_for(|recorded| *recorded).await.unwrap();
    }
}

#[track_caller]
fn stage_is_the_cause(error: &ErrorGroup) {
    assert_eq!(messages(error), [FULL, NOTHING], "{error:#}");
    assert_eq!(messages(error).len(), error.leaf_count());
}

// S43: a stage is recorded when its cleanup has ended. Its neighbour noticed its end before that.
#[test]
fn a_stage_with_cleanup_comes_before_its_neighbour() {
    everywhere(|| async {
        for blocking in [false, true] {
            let between = Between::new();
            let error = group(async |group| {
                between.neighbour(&group, NOTHING);
                let stage = between.clone();
                let stage = move || {
                    defer(stage.cleanup());
                    full::<()>()
                };
                if blocking {
                    group.task("stage").spawn_blocking(move |_| stage());
                } else {
                    group.task("stage").spawn(async move { stage() });
                }
                Ok(())
            });
            stage_is_the_cause(&error.await.unwrap_err());
        }
    });
}

// S43, S14: the work has failed, and the release lets others notice before the task fails.
#[test]
fn the_work_of_a_bracket_fails_before_its_release() {
    everywhere(|| async {
        for panics in [false, true] {
            let between = Between::new();
            let error = group(async |group| {
                between.neighbour(&group, NOTHING);
                let held = between.clone();
                group.spawn(bracket(
                    async move { Outcome::Ok(held) },
                    async move |_: &mut Between| {
                        assert!(!panics, "{FULL}");
                        full::<()>()
                    },
                    Between::cleanup,
                ));
                Ok(())
            });
            let error = error.await.unwrap_err();
            let cause = if panics {
                format!("panic: {FULL}")
            } else {
                FULL.to_owned()
            };
            assert_eq!(messages(&error), [&cause, NOTHING], "{error:#}");
        }
    });
}

// S43, S29: the child failed before it was ready, and its starter passes that on when it has ended.
#[test]
fn a_child_that_was_never_ready_fails_before_its_starter() {
    everywhere(|| async {
        let between = Between::new();
        let error = group(async |group| {
            between.neighbour(&group, NOTHING);
            let (inner, between) = (group.clone(), between.clone());
            group.task("starter").spawn(async move {
                let started = inner.start(|_ready: taskgroup::Started<()>| async move {
                    defer(between.cleanup());
                    full::<()>()
                });
                started.await.map(drop)
            });
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert!(messages(&error)[0].ends_with(FULL), "{error:#}");
        assert_eq!(messages(&error)[1], NOTHING, "{error:#}");
    });
}

// S43: the stage is a group. It is recorded when all in it has ended, and counts from the failure
// that ended it.
#[test]
fn a_nested_group_counts_as_its_cause() {
    everywhere(|| async {
        for body in [false, true] {
            let between = Between::new();
            let error = group(async |group| {
                between.neighbour(&group, NOTHING);
                let between = between.clone();
                group.task("stage").spawn(builder().run(async move |inner| {
                    let (ready, is_ready) = oneshot::channel();
                    inner.task("cleanup").spawn(async move {
                        let cancelled = until_cancelled(async move {
                            let _ = ready.send(());
                            forever().await;
                        });
                        let cancelled = cancelled.await;
                        between.cleanup().await;
                        cancelled
                    });
                    is_ready.await?;
                    if body {
                        return full();
                    }
                    inner.task("inside").spawn(async { full::<()>() });
                    Ok(())
                }));
                Ok(())
            });
            let error = error.await.unwrap_err();
            stage_is_the_cause(&error);
            assert!(error.first().as_group().is_some(), "{error:#}");
        }
    });
}

// S43, S10: the body has panicked, and a child fails in the cleanup that this has set off. The
// panic goes on after that.
#[test]
fn the_panic_of_a_body_comes_before_the_failures_of_its_children() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(builder().run(async |inner| {
                let (ready, is_ready) = oneshot::channel();
                inner.spawn(async move {
                    let guard = until_cancelled(async move {
                        let _ = ready.send(());
                        forever().await;
                    });
                    drop(guard.await);
                    Outcome::<()>::Err("cleanup".into())
                });
                is_ready.await?;
                panic!("a bug");
                #[allow(unreachable_code)]
                Outcome::Ok(())
            }));
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["panic: a bug", "cleanup"], "{error:#}");
    });
}

// S43: the body panics because of a child: the child is the cause.
#[test]
fn a_body_that_panics_because_of_a_child_is_not_the_cause() {
    everywhere(|| async {
        let error = group(async |group| {
            group.spawn(builder().policy(Policy::collect()).run(async |inner| {
                let child = inner.spawn(async { full::<()>() });
                child.await.unwrap();
                Ok(())
            }));
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error)[0], FULL, "{error:#}");
        assert_eq!(error.leaf_count(), 2);
    });
}

// S43: two closures run side by side and fail one after the other. Nothing tells which one came of
// the other, so the first stays first.
#[test]
fn of_two_that_ran_side_by_side_the_first_stays_first() {
    everywhere(|| async {
        let both_run = Arc::new(Barrier::new(2));
        let (first_ended, wait) = std::sync::mpsc::channel::<()>();
        let error = group(async |group| {
            let (one, other) = (both_run.clone(), both_run);
            let first = group.spawn_blocking(move |_| {
                one.wait();
                Outcome::<()>::Err("first".into())
            });
            group.spawn_blocking(move |_| {
                other.wait();
                // It returns an error when the first one has been recorded and the sender is gone.
                let _ = wait.recv();
                Outcome::<()>::Err("second".into())
            });
            tokio::spawn(async move {
                first.ended().await;
                drop(first_ended);
            });
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["first", "second"]);
    });
}

// S43: as above, and the first one says that it found a channel closed: then it is not the cause,
// although it was recorded first.
#[test]
fn of_two_that_ran_side_by_side_the_one_that_found_a_channel_closed_is_not_the_cause() {
    everywhere(|| async {
        let (send, receive) = std::sync::mpsc::sync_channel(0);
        let (recorded, wait) = std::sync::mpsc::channel::<()>();
        let error = group(async |group| {
            let neighbour = group.spawn_blocking(move |_| {
                loop {
                    send.send(1)?;
                }
                #[allow(unreachable_code)]
                Outcome::Ok(())
            });
            group.spawn_blocking(move |_| {
                receive.recv()?;
                drop(receive);
                let _ = wait.recv();
                full::<()>()
            });
            tokio::spawn(async move {
                neighbour.ended().await;
                drop(recorded);
            });
            Ok(())
        });
        let error = error.await.unwrap_err();
        let closed = "sending on a closed channel";
        assert_eq!(messages(&error), [FULL, closed], "{error:#}");
    });
}

// S43: a channel that was closed by a good end. What fails in the cleanup after that is not the
// cause, whatever it says.
#[test]
fn who_found_a_channel_closed_is_the_cause_of_what_came_after_it() {
    everywhere(|| async {
        let error = group(async |group| {
            let (ready, is_ready) = oneshot::channel();
            group.spawn(async move {
                let cancelled = until_cancelled(async move {
                    let _ = ready.send(());
                    forever().await;
                });
                let cancelled = cancelled.await;
                // Its first poll may still be under way when it is cancelled. It fails in another
                // one.
                turns(1).await;
                drop(cancelled);
                full::<()>()
            });
            is_ready.await?;
            let (send, receive) = tokio::sync::mpsc::channel(1);
            group.spawn(async move { drop(receive) });
            group.spawn(async move {
                send.closed().await;
                send.send(1).await.map_err(BoxError::from)
            });
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(messages(&error), ["channel closed", FULL], "{error:#}");
    });
}

// S43, S32: the same for futures that run in one task.
#[test]
fn a_stage_among_gathered_futures_comes_before_its_neighbour() {
    everywhere(|| async {
        let (send, mut receive) = tokio::sync::mpsc::channel(1);
        let neighbour = async move {
            loop {
                send.send(1).await?;
            }
            #[allow(unreachable_code)]
            Outcome::Ok(())
        };
        let between = Between::new();
        let late = between.clone();
        let stage = async move {
            receive.recv().await;
            defer(async move {
                late.failed.send_replace(true);
            });
            full::<()>()
        };
        let error = gather((neighbour, stage)).await.unwrap_err();
        assert_eq!(messages(&error)[0], FULL, "{error:#}");
        assert!(*between.failed.borrow());
    });
}

/// When it is dropped, it lets the neighbour fail and waits until that is recorded.
struct DroppedLate(Between);

impl Drop for DroppedLate {
    fn drop(&mut self) {
        self.0.failed.send_replace(true);
        let handle = tokio::runtime::Handle::current();
        handle.block_on(async {
            let mut recorded = self.0.recorded.subscribe();
            recorded.wait_for(|recorded| *recorded).await.unwrap();
        });
    }
}

// S43: a closure has failed, and its captures are dropped before it returns. What that closes, the
// neighbour finds and has failed when the closure returns.
#[test]
fn a_blocking_stage_fails_before_its_captures_are_dropped() {
    everywhere(|| async {
        for panics in [false, true] {
            let between = Between::new();
            let error = group(async |group| {
                between.neighbour(&group, NOTHING);
                let captured = DroppedLate(between.clone());
                group.task("stage").spawn_blocking(move |_| {
                    let _captured = &captured;
                    assert!(!panics, "{FULL}");
                    full::<()>()
                });
                Ok(())
            });
            let error = error.await.unwrap_err();
            assert!(messages(&error)[0].ends_with(FULL), "{error:#}");
            assert_eq!(messages(&error)[1], NOTHING, "{error:#}");
        }
    });
}

/// One of three stages. It takes items from the stage before, and gives them to the one behind.
#[derive(Clone, Copy)]
struct Stage {
    /// The item at which it fails.
    fails_at: Option<usize>,
    /// What it says of a closed channel is its own.
    own_words: bool,
}

impl Stage {
    fn handle(self, item: usize) -> Outcome {
        if self.fails_at == Some(item) {
            return full();
        }
        Ok(())
    }

    fn closed(self, channel: &str) -> BoxError {
        if self.own_words {
            format!("the {channel} is gone").into()
        } else {
            "channel closed".into()
        }
    }

    async fn run(
        self,
        mut input: Option<Receiver<usize>>,
        output: Option<Sender<usize>>,
    ) -> Outcome {
        for number in 0.. {
            let item = match &mut input {
                Some(input) => input.recv().await.ok_or_else(|| self.closed("source"))?,
                None => number,
            };
            self.handle(item)?;
            if let Some(output) = &output {
                let sent = output.send(item).await;
                sent.map_err(|_| self.closed("sink"))?;
            }
        }
        Ok(())
    }

    fn run_blocking(
        self,
        mut input: Option<Receiver<usize>>,
        output: Option<&Sender<usize>>,
    ) -> Outcome {
        for number in 0.. {
            let item = match &mut input {
                Some(input) => input.blocking_recv().ok_or_else(|| self.closed("source"))?,
                None => number,
            };
            self.handle(item)?;
            if let Some(output) = output {
                let sent = output.blocking_send(item);
                sent.map_err(|_| self.closed("sink"))?;
            }
        }
        Ok(())
    }
}

/// Whether the stage that fails is the cause.
async fn cause_is_right(run: usize, builder: GroupBuilder) -> bool {
    let (blocking, failing, own_words) = (run % 8, run / 8 % 3, run / 24 % 2 == 1);
    let result = builder.run(async |group| {
        let (one, to_second) = channel(2);
        let (two, to_third) = channel(2);
        let ends = [
            (None, Some(one)),
            (Some(to_second), Some(two)),
            (Some(to_third), None),
        ];
        for (index, (input, output)) in ends.into_iter().enumerate() {
            let stage = Stage {
                fails_at: (index == failing).then_some(run % 11),
                own_words,
            };
            if blocking >> index & 1 == 1 {
                group.spawn_blocking(move |_| stage.run_blocking(input, output.as_ref()));
            } else {
                group.spawn(stage.run(input, output));
            }
        }
        Ok(())
    });
    let error = result.await.unwrap_err();
    error
        .cause()
        .error()
        .is_some_and(|error| error.to_string() == FULL)
}

// S43: a thousand pipelines of three stages on real threads, each stage async or blocking, each
// stage the one that fails, with the errors of the channels and with words of their own.
#[test]
fn of_a_thousand_pipelines_all_but_one_have_the_right_cause() {
    everywhere(|| async {
        for light in [false, true] {
            let mut right = 0;
            for run in 0..1_000 {
                let builder = TaskGroup::builder();
                let builder = if light {
                    builder.light_tasks()
                } else {
                    builder
                };
                right += usize::from(cause_is_right(run, builder).await);
            }
            println!("{right} of 1 000 are right, with light tasks: {light}");
            assert!(right >= 999, "{right}");
        }
    });
}
