//! No task outlives its group, no error is lost, no cleanup is skipped.

// Some of what is tested here is how work in progress gets out of a scope.
#![allow(clippy::async_yields_async)]

use std::error::Error;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};

use taskgroup::{
    BoxError, Cancelled, ErrorGroup, GroupBuilder, Local, Policy, Progress, Started, TaskGroup,
    TaskHandle, bracket, defer, move_on_after, shield, timeout, until_cancelled,
};
use tokio::time::sleep;

use crate::common::paused_everywhere;
use crate::common::waker::{Op, hooked};
use crate::common::{
    Bomb, Flavour, Surroundings, Tokens, another_group_works, drivers, everywhere, forever,
    isolated, isolated_everywhere, isolated_paused, isolated_with_drivers, ms, on_one_thread,
    on_threads, polled, texts, turns, warnings,
};

type Outcome<T = ()> = Result<T, BoxError>;

// S2: groups and handles are exchanged between runtimes of which one shuts down: every group ends,
// after its children, and counts well.
#[test]
fn fault_b1_exchange_between_runtimes() {
    isolated_with_drivers(|builder| {
        let living = on_threads(2);
        let tokens = Tokens::default();
        for round in 0..60 {
            let dying = if round % 2 == 0 {
                on_one_thread()
            } else {
                on_threads(2)
            };
            let (ours, theirs, tokens_in) = (builder.clone(), builder.clone(), tokens.clone());
            let (handed, taken) = tokio::sync::oneshot::channel();
            let (more, rest) = (tokens.clone(), tokens.clone());
            dying.block_on(async move {
                tokio::spawn(theirs.run_cancellable(async move |group| {
                    let mut handles = Vec::new();
                    for _ in 0..4 {
                        let token = more.one();
                        handles.push(group.spawn(async move {
                            let token = token;
                            turns(3).await;
                            forever().await;
                            Outcome::Ok(token)
                        }));
                        let token = more.one();
                        handles.push(group.spawn(async move { Outcome::Ok(token) }));
                    }
                    let _ = handed.send((group.clone(), handles));
                    forever().await;
                    Ok(())
                }));
                turns(round % 5 + 1).await;
            });
            let run = living.spawn(ours.run(async move |group| {
                // The other one may have gone before it had opened its group.
                let Ok((foreign, handles)) = taken.await else {
                    return Ok(group.clone());
                };
                for handle in handles {
                    let (foreign, token) = (foreign.clone(), tokens_in.one());
                    group.spawn(async move {
                        let _token = token;
                        drop(foreign.spawn(async {}));
                        drop(handle.await);
                    });
                }
                Ok(group.clone())
            }));
            dying.shutdown_timeout(ms(5_000));
            let ended = living.block_on(run).unwrap().unwrap();
            assert_eq!(ended.live(), 0);
            drop(ended);
            assert_eq!(rest.alive(), 0, "round {round}");
            assert_eq!(taskgroup::observe::live_tasks(), 0, "round {round}");
        }
    });
}

/// How an error misbehaves.
#[derive(Clone, Copy, Debug)]
enum Bad {
    DisplayPanics,
    DisplayFails,
    SourcePanics,
    SourceOfSourcePanics,
}

#[derive(Debug)]
struct Misbehaves(Bad, Option<Box<Misbehaves>>);

impl Misbehaves {
    fn new(bad: Bad) -> Self {
        let inner = matches!(bad, Bad::SourceOfSourcePanics)
            .then(|| Box::new(Self(Bad::SourcePanics, None)));
        Self(bad, inner)
    }
}

impl fmt::Display for Misbehaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Bad::DisplayPanics => panic!("in Display"),
            Bad::DisplayFails => Err(fmt::Error),
            Bad::SourcePanics | Bad::SourceOfSourcePanics => f.write_str("misbehaves"),
        }
    }
}

impl Error for Misbehaves {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match (self.0, &self.1) {
            (Bad::SourcePanics, _) => panic!("in source"),
            (_, Some(inner)) => Some(&**inner),
            _ => None,
        }
    }
}

/// Runs a child that fails with such an error, in a group that is cancelled and in one that is not.
fn fails_with(bad: Bad) {
    everywhere(|builder| async move {
        for policy in [Policy::collect(), Policy::fail_fast()] {
            for cancelled in [false, true] {
                let ran = Arc::new(AtomicBool::new(false));
                let sibling = ran.clone();
                let run = builder.clone().policy(policy.clone()).run(async |group| {
                    // The sibling has run before the group can be cancelled.
                    group
                        .spawn(async move { sibling.store(true, Ordering::SeqCst) })
                        .await?;
                    let (started, start) = tokio::sync::oneshot::channel();
                    group.spawn(async move {
                        if cancelled {
                            let _cut_off = until_cancelled(async move {
                                let _ = started.send(());
                                forever().await;
                            })
                            .await;
                            turns(1).await;
                            return Err(Misbehaves::new(bad));
                        }
                        Err::<(), _>(Misbehaves::new(bad))
                    });
                    if cancelled {
                        // A child that is cancelled before its first poll would never run.
                        start.await?;
                        group.cancel();
                    }
                    Ok(())
                });
                let error = run.await.unwrap_err();
                assert!(ran.load(Ordering::SeqCst), "a sibling did not run");
                assert_eq!(error.leaf_count(), 1);
                assert!(error.cause().is::<Misbehaves>());
                // What we print of it has a placeholder for what cannot be had.
                assert!(!format!("{error}").is_empty());
                assert!(!format!("{error:#}").is_empty());
                assert!(!format!("{error:?}").is_empty());
                another_group_works(builder.clone()).await;
            }
        }
    });
}

// S39
#[test]
fn fault_b2_display_panics() {
    isolated(|| fails_with(Bad::DisplayPanics));
}

// S39
#[test]
fn fault_b2_display_fails() {
    isolated(|| fails_with(Bad::DisplayFails));
}

// S39
#[test]
fn fault_b2_source_panics() {
    isolated(|| fails_with(Bad::SourcePanics));
}

// S39
#[test]
fn fault_b2_source_of_the_source_panics() {
    isolated(|| fails_with(Bad::SourceOfSourcePanics));
}

// S39: also where the error is that of the body.
#[test]
fn fault_b2_display_of_the_error_of_a_body_panics() {
    isolated_everywhere(|builder| async move {
        for bad in [Bad::DisplayPanics, Bad::DisplayFails, Bad::SourcePanics] {
            let run = builder.clone().run(async |group| {
                group.spawn(forever());
                turns(1).await;
                Outcome::<()>::Err(Misbehaves::new(bad).into())
            });
            let error = run.await.unwrap_err();
            assert!(error.cause().is::<Misbehaves>());
            another_group_works(builder.clone()).await;
        }
    });
}

// S39: the value of a `Local` panics when it is dropped, wherever that is.
#[test]
fn fault_b2_local_value_panics() {
    static LOCAL: Local<Arc<Bomb>> = Local::new();
    isolated_everywhere(|builder| async move {
        let ran = Arc::new(AtomicUsize::new(0));
        let seen = ran.clone();
        let inner = builder.clone();
        let run = builder
            .clone()
            .policy(Policy::collect())
            .run(async |group| {
                for index in 0..3 {
                    let (builder, seen) = (inner.clone(), seen.clone());
                    group.spawn(async move {
                        // One ends by itself, one is dropped half-way, one leaves children behind.
                        let work = LOCAL.scope(Arc::new(Bomb("value of a local")), async {
                            let run = builder.run(async |group| {
                                if index == 2 {
                                    group.spawn(forever());
                                }
                                if index > 0 {
                                    forever().await;
                                }
                                Ok(())
                            });
                            run.await
                        });
                        tokio::select! { biased; _ = work => {}, () = turns(2) => {} }
                    });
                    group.spawn(async move {
                        turns(3).await;
                        seen.fetch_add(1, Ordering::SeqCst);
                    });
                }
                Ok(())
            });
        // The failure may be the child's or a warning. Either way the group ends.
        let _ = run.await;
        assert_eq!(ran.load(Ordering::SeqCst), 3);
        another_group_works(builder).await;
    });
}

// S39: the payload of a panic panics when it is dropped: that of a child, a body, a blocking
// closure.
#[test]
fn fault_b2_payload_panics() {
    isolated_everywhere(|builder| async move {
        let ran = Arc::new(AtomicBool::new(false));
        let sibling = ran.clone();
        let run = builder
            .clone()
            .policy(Policy::collect())
            .run(async |group| {
                drop(group.spawn(async {
                    if true {
                        std::panic::panic_any(Bomb("payload"));
                    }
                }));
                drop(group.spawn_blocking(|_| {
                    if true {
                        std::panic::panic_any(Bomb("payload of a closure"));
                    }
                }));
                group.spawn(async move {
                    turns(3).await;
                    sibling.store(true, Ordering::SeqCst);
                });
                Ok(())
            });
        let error = run.await.unwrap_err();
        assert_eq!(error.leaf_count(), 2);
        assert!(error.leaves().all(|leaf| leaf.task().is_panic()));
        assert!(ran.load(Ordering::SeqCst));
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(error)));
        let _ = dropped.map_err(std::mem::forget);
        another_group_works(builder).await;
    });
}

// S42: a cleanup is no success.
#[test]
fn fault_b3_cleanup_is_no_success() {
    isolated_everywhere(|builder| async move {
        let only_failures = builder
            .clone()
            .policy(Policy::first_success())
            .run(async |group| {
                defer(async {});
                group.spawn(async { Outcome::<()>::Err("the only child has failed".into()) });
                Ok(())
            });
        let error = only_failures.await.unwrap_err();
        assert_eq!(texts(&error), ["the only child has failed"]);

        // One success, and two are wanted.
        let quorum = builder
            .clone()
            .policy(Policy::quorum(2))
            .run(async |group| {
                defer(async {});
                defer(async {});
                group.spawn(async { Outcome::Ok(()) });
                group.spawn(async { Outcome::<()>::Err("one of two".into()) });
                Ok(())
            });
        let error = quorum.await.unwrap_err();
        assert_eq!(texts(&error), ["one of two"]);
    });
}

// S42: neither is the release of a bracket that was dropped, nor a group that was.
#[test]
fn fault_b3_adopted_work_is_no_success() {
    isolated_everywhere(|builder| async move {
        let inner = builder.clone();
        let run = builder.policy(Policy::first_success()).run(async |group| {
            {
                let mut held = pin!(bracket(
                    async { Outcome::Ok(()) },
                    async |_| {
                        forever().await;
                        Outcome::Ok(())
                    },
                    |()| async { turns(2).await },
                ));
                assert!(!polled(&mut held).await);
            }
            {
                let mut half = pin!(inner.run(async |group| {
                    group.spawn(async {
                        let _guard = until_cancelled(forever()).await;
                        turns(2).await;
                    });
                    turns(1).await;
                    forever().await;
                    Ok(())
                }));
                for _ in 0..4 {
                    assert!(!polled(&mut half).await);
                    turns(1).await;
                }
            }
            group.spawn(async { Outcome::<()>::Err("the only child has failed".into()) });
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(texts(&error), ["the only child has failed"]);
    });
}

// S42: a cleanup does not count as one failure of several, but its failure comes out, whatever the
// policy puts up with.
#[test]
fn fault_b3_failure_of_a_cleanup_comes_out() {
    isolated_everywhere(|builder| async move {
        for policy in [
            Policy::fail_fast(),
            Policy::collect(),
            Policy::first_success(),
            Policy::stop_after(5),
        ] {
            let run = builder.clone().policy(policy.clone()).run(async |group| {
                defer(async { Outcome::<()>::Err("cleanup".into()) });
                group.spawn(async { Outcome::Ok(()) });
                Ok(())
            });
            let error = run.await.expect_err(&format!("{policy:?}"));
            assert_eq!(texts(&error), ["cleanup"]);
        }
    });
}

// S41: the starter is dropped after the child has failed or panicked.
#[test]
fn fault_b4_start_dropped() {
    isolated_everywhere(|builder| async move {
        for panics in [false, true] {
            let run = builder.clone().run(async |group| {
                let failed = Arc::new(AtomicBool::new(false));
                let flag = OnDrop(failed.clone());
                let (open, gate) = tokio::sync::oneshot::channel::<()>();
                let mut starting = Box::pin(group.start(|_started: Started<()>| async move {
                    let _flag = flag;
                    let _ = gate.await;
                    assert!(!panics, "boom");
                    Outcome::<()>::Err("boom".into())
                }));
                assert!(!polled(&mut starting.as_mut()).await);
                // Not before that: on several threads it would be in the hand of the starter at
                // once.
                let _ = open.send(());
                while !failed.load(Ordering::SeqCst) {
                    turns(1).await;
                }
                drop(starting);
                Ok(())
            });
            let error = run.await.unwrap_err();
            let expected = if panics { "panic: boom" } else { "boom" };
            assert_eq!(texts(&error), [expected]);
        }
    });
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

// S41: the starter's deadline comes while the child fails.
#[test]
fn fault_b4_start_in_a_timeout() {
    isolated_everywhere(|builder| async move {
        let run = builder.run(async |group| {
            let starting = group.start(|_started: Started<()>| async {
                // The deadline has passed when this fails, before the starter could look.
                let begin = std::time::Instant::now();
                while begin.elapsed() < ms(60) {
                    std::hint::spin_loop();
                }
                Outcome::<()>::Err("boom".into())
            });
            match timeout(ms(20), starting).await {
                // It was told: that is no loss either.
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(_)) => unreachable!("it is never ready"),
                Err(_) => Ok(()),
            }
        });
        let error = run.await.unwrap_err();
        assert!(format!("{error:#}").contains("boom"), "{error:#}");
    });
}

// S41: the child of a starter fails, and its cleanup takes until everything is cancelled. A starter
// further out holds its own cancellation meanwhile, which has nothing to do with that failure.
#[test]
fn fault_b4_start_below_a_cancelled_starter() {
    isolated(|| {
        paused_everywhere(|builder| async move {
            let run = builder.run(async |group| {
                let inner = group.clone();
                let outer = async move |_started: Started<()>| {
                    let child = async |_started: Started<()>| {
                        defer(sleep(ms(100)));
                        Outcome::<()>::Err("boom".into())
                    };
                    inner.start(child).await?;
                    Outcome::Ok(())
                };
                group.spawn(async {
                    sleep(ms(50)).await;
                    Outcome::<()>::Err("bang".into())
                });
                group.start(outer).await?;
                Ok(())
            });
            let error = run.await.unwrap_err();
            let mut texts = texts(&error);
            texts.sort();
            assert_eq!(texts, ["bang", "boom"]);
        });
    });
}

// S29: a starter that is cancelled together with its child waits for the child's cleanup.
#[test]
fn fault_b4_start_cancelled_with_its_child() {
    isolated(|| {
        paused_everywhere(|builder| async move {
            let cleaned = Arc::new(AtomicBool::new(false));
            let (flag, seen) = (cleaned.clone(), Arc::new(AtomicBool::new(false)));
            let looked = seen.clone();
            let run = builder.run_cancellable(async |group| {
                let ended = OnDropLook(cleaned, looked);
                let canceller = group.clone();
                let child = |_started: Started<()>| async move {
                    defer(async move {
                        sleep(ms(100)).await;
                        flag.store(true, Ordering::SeqCst);
                    });
                    canceller.cancel();
                    forever().await;
                    Outcome::Ok(())
                };
                let _ = group.start(child).await;
                drop(ended);
                Ok(())
            });
            assert!(run.await.unwrap().is_none());
            assert!(seen.load(Ordering::SeqCst), "the starter did not wait");
        });
    });
}

/// Dropped, it says whether the first flag is set by then.
struct OnDropLook(Arc<AtomicBool>, Arc<AtomicBool>);

impl Drop for OnDropLook {
    fn drop(&mut self) {
        self.1
            .store(self.0.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

// S41: a bracket is dropped while it releases after its work has failed or panicked.
#[test]
fn fault_b4_bracket_dropped_while_it_releases() {
    isolated_everywhere(|builder| async move {
        for panics in [false, true] {
            let run = builder.clone().run(async |group| {
                group.spawn(async move {
                    let mut held = pin!(bracket(
                        async { Outcome::Ok(()) },
                        async |()| {
                            assert!(!panics, "work");
                            Outcome::<()>::Err("work".into())
                        },
                        |()| async { turns(1).await },
                    ));
                    assert!(!polled(&mut held).await);
                });
                Ok(())
            });
            let error = run.await.unwrap_err();
            let expected = if panics { "panic: work" } else { "work" };
            assert_eq!(texts(&error), [expected]);
        }
    });
}

// S41: a group is dropped while it winds up after its body has panicked.
#[test]
fn fault_b4_panic_of_a_body_that_winds_up() {
    isolated_everywhere(|builder| async move {
        let inner = builder.clone();
        let run = builder.run(async |group| {
            let cleaning = Arc::new(AtomicBool::new(false));
            let flag = cleaning.clone();
            let (end, clean) = tokio::sync::oneshot::channel::<()>();
            group.spawn(async move {
                let mut winding = Box::pin(inner.run(async |group| {
                    let (send, receive) = tokio::sync::oneshot::channel();
                    group.spawn(async move {
                        let guard = until_cancelled(async {
                            let _ = send.send(());
                            forever().await;
                        })
                        .await;
                        flag.store(true, Ordering::SeqCst);
                        let _ = clean.await;
                        drop(guard);
                    });
                    receive.await?;
                    if true {
                        panic!("body");
                    }
                    Ok(())
                }));
                while !cleaning.load(Ordering::SeqCst) {
                    let ended = polled(&mut winding.as_mut()).await;
                    assert!(!ended, "the child has not cleaned up");
                    turns(1).await;
                }
                drop(winding);
                drop(end);
            });
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(texts(&error), ["panic: body"]);
    });
}

// S42: a progress counts children and nothing else.
#[test]
fn fault_b5_progress_with_cleanups() {
    isolated_everywhere(|builder| async move {
        let progress = Progress::new();
        let run = builder.clone().progress(&progress).run(async |_| {
            defer(async {});
            Ok(())
        });
        run.await.unwrap();
        let counts = progress.counts();
        assert_eq!((counts.total(), counts.finished), (0, true));

        let progress = Progress::expecting(2);
        let inner = builder.clone();
        let run = builder.clone().progress(&progress).run(async |group| {
            defer(async { turns(2).await });
            {
                let mut half = pin!(inner.run(async |group| {
                    group.spawn(forever());
                    forever().await;
                    Ok(())
                }));
                assert!(!polled(&mut half).await);
            }
            group.spawn(async {});
            group.spawn(async { Outcome::<()>::Err("fails".into()) });
            Ok(())
        });
        assert_eq!(run.await.unwrap_err().leaf_count(), 1);
        let counts = progress.counts();
        assert_eq!((counts.queued, counts.running), (0, 0));
        assert_eq!(counts.total(), 2);
        assert_eq!(counts.failed, 1);
        another_group_works(builder).await;
    });
}

// S45: a Tokio task of another runtime that is first polled inside `block_in_place` of a child is
// not below that child.
#[test]
fn fault_b6_foreign_scope() {
    isolated_with_drivers(|builder| {
        let ours = on_threads(2);
        let other = Arc::new(on_one_thread());
        let (end, told) = tokio::sync::oneshot::channel::<()>();
        let (opened, open) = mpsc::channel();
        let theirs = builder.clone();
        // It has not been polled when the child lends it its thread.
        let server = other.spawn(async move {
            let context = (
                taskgroup::observe::current_task().is_none(),
                taskgroup::is_cancelled(),
            );
            let run = theirs.run(async move |group| {
                let child = group.spawn(async move { told.await.map_err(BoxError::from) });
                opened.send(context).unwrap();
                Ok(child.await?)
            });
            run.await.map_err(|error| error.to_string())
        });
        let lent = other.clone();
        let run = builder.clone().run(async move |group| {
            let child = group.spawn(async move {
                tokio::task::block_in_place(|| lent.block_on(turns(5)));
            });
            child.await?;
            group.cancel();
            Ok(())
        });
        // It ends while the server goes on.
        ours.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
        assert_eq!(open.recv().unwrap(), (true, false));
        end.send(()).unwrap();
        assert_eq!(other.block_on(server).unwrap(), Ok(()));
    });
}

// S45: nor does it see that the child is cancelled, or its `Local`.
#[test]
fn fault_b6_foreign_task_sees_nothing_of_the_child() {
    static LOCAL: Local<&str> = Local::new();
    isolated_with_drivers(|builder| {
        let ours = on_threads(2);
        let other = Arc::new(on_one_thread());
        let foreign = other.spawn(async {
            let name = taskgroup::observe::current_task().map(|info| info.name().to_owned());
            (name, taskgroup::is_cancelled(), LOCAL.get())
        });
        let lent = other.clone();
        let run = LOCAL.scope(
            "ours",
            builder.run(async move |group| {
                let itself = group.clone();
                group.task("lender").spawn(async move {
                    itself.cancel();
                    tokio::task::block_in_place(|| lent.block_on(turns(5)));
                    assert_eq!(LOCAL.get(), Some("ours"));
                });
                Ok(())
            }),
        );
        ours.block_on(async { tokio::spawn(run).await.unwrap().unwrap() });
        assert_eq!(other.block_on(foreign).unwrap(), (None, false, None));
    });
}

// S46: what is left of groups, limited or not, when their runtime goes down: nothing.
#[test]
fn fault_b7_queued_in_dead_runtime() {
    isolated(|| {
        for flavour in Flavour::ALL {
            for (outer_name, outer) in drivers() {
                for (inner_name, inner) in drivers() {
                    for limit in [false, true] {
                        for shielded in [false, true] {
                            let case = format!(
                                "{flavour:?}, outer {outer_name}, inner {inner_name}, limit {limit}, shield {shielded}"
                            );
                            println!("-- {case}");
                            for round in 0..10 {
                                let inner = if limit {
                                    inner.clone().limit(1)
                                } else {
                                    inner.clone()
                                };
                                dies(flavour, outer.clone(), &inner, shielded, round, &case);
                            }
                        }
                    }
                }
            }
        }
    });
}

fn dies(
    flavour: Flavour,
    outer: GroupBuilder,
    inner: &GroupBuilder,
    shielded: bool,
    round: usize,
    case: &str,
) {
    let tokens = Tokens::default();
    let runtime = flavour.runtime();
    let (counted, inner) = (tokens.clone(), inner.clone());
    runtime.block_on(async move {
        tokio::spawn(outer.run_cancellable(async move |group| {
            for _ in 0..3 {
                let (token, tokens, inner) = (counted.one(), counted.clone(), inner.clone());
                group.spawn(async move {
                    let _token = token;
                    let run = inner.run_cancellable(async move |group| {
                        for _ in 0..3 {
                            let token = tokens.one();
                            group.spawn(async move {
                                let _token = token;
                                forever().await;
                            });
                        }
                        Ok(())
                    });
                    if shielded {
                        drop(shield(run).await);
                    } else {
                        drop(run.await);
                    }
                });
            }
            Ok(())
        }));
        turns(round).await;
    });
    runtime.shutdown_timeout(ms(5_000));
    assert_eq!(tokens.alive(), 0, "{case}, round {round}");
    assert_eq!(taskgroup::observe::live_tasks(), 0, "{case}, round {round}");
}

type Boxed = Pin<Box<dyn Future<Output = Result<u32, ErrorGroup>> + Send>>;

/// A group that has some work for fifty milliseconds, and then the value 7.
fn some_work(builder: &GroupBuilder) -> Boxed {
    Box::pin(builder.clone().run(async |group| {
        group.spawn(sleep(ms(50)));
        Ok(7)
    }))
}

/// Polls `work` for five milliseconds and leaves it alive.
async fn half_run(work: &mut Boxed) {
    tokio::select! { biased; _ = work => unreachable!("it takes fifty"), () = sleep(ms(5)) => {} }
}

// S40: the deadline of a consumer around one `next` of a stream that has a group open from item to
// item.
#[test]
fn fault_b8_stream() {
    isolated_paused(|builder| async move {
        let mut work = some_work(&builder);
        let mut done = false;
        for item in 0..20 {
            let next = async {
                if done {
                    sleep(ms(5)).await;
                } else {
                    tokio::select! {
                        biased;
                        value = &mut work => {
                            assert_eq!(value.unwrap(), 7);
                            done = true;
                        }
                        () = sleep(ms(5)) => {}
                    }
                }
                item
            };
            let begin = tokio::time::Instant::now();
            assert_eq!(timeout(ms(1000), next).await.unwrap(), item);
            assert!(begin.elapsed() <= ms(6), "the consumer waits for the rest");
        }
        assert!(done);
    });
}

// S40: what is connected under a deadline goes on in the background of the client.
#[test]
fn fault_b8_connect() {
    isolated_paused(|builder| async move {
        let client = timeout(ms(1000), async {
            let mut background = some_work(&builder);
            half_run(&mut background).await;
            background
        });
        assert_eq!(client.await.unwrap().await.unwrap(), 7);
    });
}

// S40: the same with each other scope around the first poll.
#[test]
fn fault_b8_connect_in_other_scopes() {
    static LOCAL: Local<u32> = Local::new();
    isolated_paused(|builder| async move {
        let connect = || async {
            let mut background = some_work(&builder);
            half_run(&mut background).await;
            background
        };
        println!("shield");
        assert_eq!(shield(connect()).await.await.unwrap(), 7);
        println!("local");
        assert_eq!(LOCAL.scope(1, connect()).await.await.unwrap(), 7);
        println!("until_cancelled");
        let client = until_cancelled(connect()).await.unwrap();
        assert_eq!(client.await.unwrap(), 7);
        println!("move_on_after");
        let client = taskgroup::move_on_after(ms(1000), connect()).await.unwrap();
        assert_eq!(client.await.unwrap(), 7);
        println!("the release of a bracket");
        let client = bracket(
            async { Outcome::Ok(()) },
            async |()| Outcome::Ok(connect().await),
            |()| async {},
        );
        assert_eq!(client.await.unwrap().await.unwrap(), 7);
        println!("the body of a group");
        let client = builder.clone().run(async |_| Ok(connect().await));
        assert_eq!(client.await.unwrap().await.unwrap(), 7);
        println!("a child");
        let inner = builder.clone();
        let client = builder.clone().run(async |group| {
            let child = group.spawn(async move {
                let mut background = some_work(&inner);
                half_run(&mut background).await;
                Outcome::Ok(background)
            });
            Ok(child.await?)
        });
        assert_eq!(client.await.unwrap().await.unwrap(), 7);
    });
}

// S40: the body of one group looks at another one and leaves it for later.
#[test]
fn fault_b8_body() {
    isolated_paused(|builder| async move {
        let mut later = some_work(&builder);
        let run = builder.clone().run(async |_| {
            half_run(&mut later).await;
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(later.await.unwrap(), 7);
    });
}

// S40: a child that is cancelled while it awaits something else, with such a group among its
// locals.
#[test]
fn fault_b8_cancel() {
    isolated_paused(|builder| async move {
        let inner = builder.clone();
        let begin = tokio::time::Instant::now();
        let run = builder.run(async |group| {
            let child = group.spawn(async move {
                let mut work = some_work(&inner);
                half_run(&mut work).await;
                // A reply that never comes, say.
                forever().await;
            });
            sleep(ms(20)).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        });
        run.await.unwrap();
        assert!(begin.elapsed() <= ms(21), "{:?}", begin.elapsed());
    });
}

// S18, S40: the same, and a deadline and a grace around it.
#[test]
fn fault_b8_cancel_grace() {
    isolated_paused(|builder| async move {
        let inner = builder.clone();
        let begin = tokio::time::Instant::now();
        let run = builder.grace(ms(100)).run(async |group| {
            group.spawn(async move {
                let mut work = some_work(&inner);
                half_run(&mut work).await;
                forever().await;
            });
            Ok(())
        });
        assert!(timeout(ms(40), run).await.is_err());
        // Nothing cleaned up, so the grace was not needed.
        assert!(begin.elapsed() <= ms(42), "{:?}", begin.elapsed());
    });
}

// S40: timed out by `&mut` and polled again, it does not say that all went well.
#[test]
fn fault_b8_timeout_by_mut() {
    isolated_paused(|builder| async move {
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        let mut work = pin!(builder.run(async move |group| {
            group.spawn(async move {
                sleep(ms(100)).await;
                flag.store(true, Ordering::SeqCst);
            });
            Ok("all is done")
        }));
        assert!(timeout(ms(20), work.as_mut()).await.is_err());
        let said = work.await;
        assert_eq!(said.is_ok(), done.load(Ordering::SeqCst), "{said:?}");
    });
}

// S40: a group that was told of the cancellation further out, and is parked with the guard in it.
#[test]
fn fault_b8_parked_with_a_guard_of_what_is_around() {
    isolated_paused(|builder| async move {
        let inner = builder.clone();
        let run = builder.run(async |group| {
            let child = group.spawn(async move {
                let is_told = Arc::new(AtomicBool::new(false));
                let flag = is_told.clone();
                let mut parked = Box::pin(inner.run_cancellable(async move |_| {
                    let guard = until_cancelled(forever()).await;
                    flag.store(true, Ordering::SeqCst);
                    forever().await;
                    drop(guard);
                    Ok(())
                }));
                std::future::poll_fn(|cx| {
                    if !is_told.load(Ordering::SeqCst) {
                        let _ = parked.as_mut().poll(cx);
                    }
                    Poll::<()>::Pending
                })
                .await;
            });
            sleep(ms(10)).await;
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(())
        });
        timeout(ms(10_000), run).await.unwrap().unwrap();
    });
}

// S40: a section of any kind that is parked among the locals of a child delays no cancellation.
#[test]
fn fault_b8_parked_sections() {
    static LOCAL: Local<u32> = Local::new();
    type Parked = Pin<Box<dyn Future<Output = ()> + Send>>;
    isolated_paused(|builder| async move {
        type Make = fn() -> Parked;
        let kinds: [(&str, Make); 5] = [
            ("shield", || Box::pin(shield(forever()))),
            ("until_cancelled", || {
                Box::pin(async { drop(until_cancelled(forever()).await) })
            }),
            ("timeout", || {
                Box::pin(async { drop(timeout(ms(60_000), forever()).await) })
            }),
            ("local", || Box::pin(LOCAL.scope(1, forever()))),
            ("bracket", || {
                Box::pin(async {
                    let work = async |_: &mut ()| {
                        forever().await;
                        Outcome::Ok(())
                    };
                    drop(bracket(async { Outcome::Ok(()) }, work, |()| async {}).await);
                })
            }),
        ];
        for (name, make) in kinds {
            println!("{name}");
            let run = builder.clone().run(async |group| {
                let child = group.spawn(async move {
                    let mut parked = make();
                    tokio::select! { biased; () = &mut parked => {}, () = sleep(ms(5)) => {} }
                    forever().await;
                });
                sleep(ms(10)).await;
                child.cancel();
                assert!(child.await.unwrap_err().is_cancelled());
                Ok(())
            });
            timeout(ms(1000), run).await.unwrap().unwrap();
        }
    });
}

// S40: a group that is parked while its code cleans up delays no cancellation, whether it is still
// among the locals or was sent away. A live guard inside it is no reason to wait, because no code
// goes on with that cleanup.
#[test]
fn fault_b8_parked_with_a_guard() {
    async fn clean_up() {
        let Err(guard) = until_cancelled(forever()).await else {
            unreachable!("it never ends")
        };
        forever().await;
        drop(guard);
    }
    isolated(|| {
        paused_everywhere(|builder| async move {
            for (goes_away, in_deadline) in [(false, false), (true, false), (false, true)] {
                println!("sent away: {goes_away}, in a deadline: {in_deadline}");
                let (away, back) = mpsc::channel();
                let run = builder.clone().run(async |group| {
                    let inner = builder.clone();
                    let child = group.spawn(async move {
                        let mut parked = Box::pin(inner.run_cancellable(async move |group| {
                            group.cancel();
                            if in_deadline {
                                drop(timeout(ms(60_000), clean_up()).await);
                            } else {
                                clean_up().await;
                            }
                            Ok(())
                        }));
                        assert!(!polled(&mut parked.as_mut()).await);
                        if goes_away {
                            away.send(parked).unwrap();
                            forever().await;
                        } else {
                            forever().await;
                            drop(parked);
                        }
                    });
                    sleep(ms(10)).await;
                    child.cancel();
                    assert!(child.await.unwrap_err().is_cancelled());
                    Ok(())
                });
                timeout(ms(1000), run).await.unwrap().unwrap();
                drop(back);
            }
        });
    });
}

// S40: what deferred work leaves open and alive is not waited for, also when nothing else was below
// the group at its end.
#[test]
fn fault_b8_parked_by_deferred_work() {
    isolated(|| {
        paused_everywhere(|builder| async move {
            let (away, back) = mpsc::channel();
            let inner = builder.clone();
            let run = builder.run(async |_group| {
                defer(async move {
                    let mut parked = Box::pin(inner.run(async |_group| {
                        forever().await;
                        Ok(())
                    }));
                    assert!(!polled(&mut parked.as_mut()).await);
                    away.send(parked).unwrap();
                });
                Ok(())
            });
            timeout(ms(1000), run).await.unwrap().unwrap();
            drop(back);
        });
    });
}

// S40, S46: a runtime goes down under a thread in `Handle::block_on`: what was cut off does not say
// `Ok`.
#[test]
fn fault_b9_runtime_goes_under_block_on() {
    isolated(|| {
        for place in Surroundings::all() {
            println!("-- {place}");
            let runtime = place.flavour.runtime();
            let handle = runtime.handle().clone();
            let (started, start) = mpsc::channel();
            let done = Arc::new(AtomicUsize::new(0));
            let (builder, done_in) = (place.builder(), done.clone());
            let thread = std::thread::spawn(move || {
                handle.block_on(builder.run(async move |group| {
                    for _ in 0..3 {
                        let (started, done) = (started.clone(), done_in.clone());
                        group.spawn(async move {
                            started.send(()).unwrap();
                            forever().await;
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    Ok(7)
                }))
            });
            // A current-thread runtime needs a thread that runs it.
            runtime.block_on(async {
                for _ in 0..3 {
                    while start.try_recv().is_err() {
                        turns(1).await;
                    }
                }
                turns(2).await;
            });
            drop(runtime);
            // Whether it says so by an error or by a panic, it does not say `Ok`.
            if let Ok(Ok(value)) = thread.join() {
                panic!(
                    "{value} although {} of 3 were done",
                    done.load(Ordering::SeqCst)
                );
            }
        }
    });
}

// S46: what the process root has adopted and the end of the runtime cuts off is told to the warning
// hook.
#[test]
fn fault_b10_cut_off_at_the_process_root() {
    isolated(|| {
        for place in Surroundings::all() {
            println!("-- {place}");
            let told = warnings();
            let runtime = place.flavour.runtime();
            let cleaned = Arc::new(AtomicBool::new(false));
            let (flag, builder) = (cleaned.clone(), place.builder());
            runtime.block_on(async move {
                let (send, receive) = tokio::sync::oneshot::channel();
                let (cleaning, cleans) = tokio::sync::oneshot::channel();
                {
                    let mut half = pin!(builder.run(async move |group| {
                        group.task("cleaner").spawn(async move {
                            let _ = send.send(());
                            let _guard = until_cancelled(forever()).await;
                            let _ = cleaning.send(());
                            forever().await;
                            flag.store(true, Ordering::SeqCst);
                        });
                        forever().await;
                        Ok(())
                    }));
                    tokio::select! {
                        biased;
                        _ = &mut half => {}
                        _ = async { receive.await.unwrap(); turns(2).await } => {}
                    }
                }
                cleans.await.unwrap();
            });
            drop(runtime);
            assert!(!cleaned.load(Ordering::SeqCst));
            let first = told.recv_timeout(ms(10_000));
            assert!(first.is_ok(), "nobody was told");
        }
    });
}

// S46: so is what was cleaning up in an ordinary group.
#[test]
fn fault_b10_cut_off_in_a_group() {
    isolated(|| {
        for place in Surroundings::all() {
            println!("-- {place}");
            let told = warnings();
            let runtime = place.flavour.runtime();
            let builder = place.builder();
            runtime.block_on(async move {
                let (cleaning, cleans) = tokio::sync::oneshot::channel();
                tokio::spawn(builder.run_cancellable(async move |group| {
                    let itself = group.clone();
                    group.task("cleaner").spawn(async move {
                        itself.cancel();
                        let _guard = until_cancelled(forever()).await;
                        let _ = cleaning.send(());
                        forever().await;
                    });
                    Ok(())
                }));
                cleans.await.unwrap();
            });
            drop(runtime);
            let first = told.recv_timeout(ms(10_000));
            assert!(first.is_ok(), "nobody was told");
        }
    });
}

// S6: two children that return the same foreign failure at the same time count once.
#[test]
fn fault_b11_same_failure_twice() {
    isolated_with_drivers(|builder| {
        let runtime = on_threads(2);
        let inner = builder.clone();
        runtime.block_on(async move {
            for round in 0..1000 {
                let first = inner.clone().run(async |group| {
                    group.spawn(async { Outcome::<()>::Err("foreign".into()) });
                    Ok(())
                });
                let failure = first.await.unwrap_err().into_single().unwrap();
                let gate = Arc::new(std::sync::Barrier::new(2));
                let run = builder
                    .clone()
                    .policy(Policy::collect())
                    .run(async |group| {
                        for _ in 0..2 {
                            let (failure, gate) = (failure.clone(), gate.clone());
                            // On two threads at once, without a word to the scheduler in between.
                            group.spawn_blocking(move |_| {
                                gate.wait();
                                Err::<(), _>(failure)
                            });
                        }
                        Ok(())
                    });
                let error = run.await.unwrap_err();
                assert_eq!(error.leaf_count(), 1, "round {round}: {error:#}");
            }
        });
    });
}

/// The receiving end of a stage: when it goes, the stage after it is let go on, and has failed
/// before this returns.
struct Closing {
    receiver: Option<tokio::sync::mpsc::Receiver<u32>>,
    recorded: mpsc::Receiver<()>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Tokio would run what is woken here on this very thread next, and no other thread could
        // take it from there.
        tokio::task::block_in_place(|| {
            self.receiver = None;
            let _ = self.recorded.recv();
        });
    }
}

// S43: a stage fails, and the neighbour that found its channel closed is recorded before it: the
// stage is the cause.
#[test]
fn fault_b12_neighbour_recorded_first() {
    isolated(|| {
        for (driver, builder) in drivers() {
            for blocking in [false, true] {
                println!("-- {driver}, blocking {blocking}");
                let runtime = on_threads(2);
                let builder = builder.clone();
                runtime.block_on(async move {
                    let run = builder.run(async move |group| {
                        let (send, receive) = tokio::sync::mpsc::channel(1);
                        let (record, recorded) = mpsc::channel();
                        let closing = Closing {
                            receiver: Some(receive),
                            recorded,
                        };
                        let stage = move || {
                            let _closing = closing;
                            Outcome::<()>::Err("the disk is full".into())
                        };
                        let neighbour = group.task("neighbour").spawn(async move {
                            send.closed().await;
                            send.send(1).await.map_err(BoxError::from)
                        });
                        // Says when the neighbour has been recorded. Blocking, or the stage could
                        // keep its thread from it.
                        let watcher = tokio::runtime::Handle::current();
                        std::thread::spawn(move || {
                            watcher.block_on(neighbour.ended());
                            let _ = record.send(());
                        });
                        if blocking {
                            group.task("stage").spawn_blocking(move |_| stage());
                        } else {
                            group.task("stage").spawn(async move { stage() });
                        }
                        Ok(())
                    });
                    let error = run.await.unwrap_err();
                    assert_eq!(
                        error.cause().error().unwrap().to_string(),
                        "the disk is full",
                        "{error:#}"
                    );
                });
            }
        }
    });
}

// S43: the same without any help, many times.
#[test]
fn fault_b12_pipeline() {
    isolated(|| {
        for (driver, builder) in drivers() {
            for blocking in [false, true] {
                println!("-- {driver}, blocking {blocking}");
                let runtime = on_threads(2);
                let builder = builder.clone();
                runtime.block_on(async move {
                    for round in 0..300 {
                        let run = builder.clone().run(async move |group| {
                            let (send, mut receive) = tokio::sync::mpsc::channel(1);
                            group.task("neighbour").spawn(async move {
                                loop {
                                    send.send(1).await?;
                                }
                                #[allow(unreachable_code)]
                                Outcome::Ok(())
                            });
                            if blocking {
                                group.task("stage").spawn_blocking(move |_| {
                                    receive.blocking_recv();
                                    Outcome::<()>::Err("the disk is full".into())
                                });
                            } else {
                                group.task("stage").spawn(async move {
                                    receive.recv().await;
                                    Outcome::<()>::Err("the disk is full".into())
                                });
                            }
                            Ok(())
                        });
                        let error = run.await.unwrap_err();
                        assert_eq!(
                            error.cause().error().unwrap().to_string(),
                            "the disk is full",
                            "round {round}: {error:#}"
                        );
                    }
                });
            }
        }
    });
}

// S43: a failure that only comes from cleaning up after the first one never takes its place.
#[test]
fn fault_b12_cleanup_is_no_cause() {
    isolated_everywhere(|builder| async move {
        let run = builder.run(async |group| {
            let (ready, wait) = tokio::sync::oneshot::channel::<()>();
            group.spawn(async move {
                let guard = until_cancelled(async {
                    let _ = ready.send(());
                    forever().await;
                })
                .await;
                drop(guard);
                Outcome::<()>::Err("cleanup".into())
            });
            wait.await?;
            group.spawn(async { Outcome::<()>::Err("first".into()) });
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(error.cause().error().unwrap().to_string(), "first");
        assert_eq!(error.leaf_count(), 2);
    });
}

// S2: the captures of a blocking closure that never runs are gone before its group has ended.
#[test]
fn fault_b13_captures_of_a_closure_that_never_ran() {
    /// Says when it is dropped, and then waits until another thread says that the group has ended.
    struct Capture {
        ended: mpsc::Receiver<()>,
        verdict: mpsc::Sender<bool>,
    }
    impl Drop for Capture {
        fn drop(&mut self) {
            // The word does not come, or the group has ended too early.
            let too_early = self.ended.recv_timeout(ms(300)).is_ok();
            let _ = self.verdict.send(too_early);
        }
    }
    isolated_with_drivers(|builder| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (release, hold) = mpsc::channel::<()>();
        let (held, holds) = mpsc::channel();
        runtime.spawn_blocking(move || {
            held.send(()).unwrap();
            let _ = hold.recv();
        });
        holds.recv().unwrap();
        let (end, ended) = mpsc::channel();
        let (verdict, judged) = mpsc::channel();
        let capture = Capture { ended, verdict };
        let run = runtime.spawn(async move {
            let run = builder.run_cancellable(async move |group| {
                group.spawn_blocking(move |_| {
                    let _capture = capture;
                });
                turns(5).await;
                group.cancel();
                release.send(())?;
                Ok(())
            });
            let outcome = run.await;
            let _ = end.send(());
            outcome
        });
        assert!(!judged.recv().unwrap(), "the group had ended before");
        runtime.block_on(run).unwrap().unwrap();
    });
}

// S39: a put-up-with panic whose payload panics when it is dropped does not make `run` panic.
#[test]
fn fault_b14_payload_that_is_put_up_with() {
    isolated_everywhere(|builder| async move {
        let policy = Policy::first_success();
        let run = builder.clone().policy(policy).run(async |group| {
            let bad = group.spawn(async {
                if true {
                    std::panic::panic_any(Bomb("payload"));
                }
            });
            bad.ended().await;
            drop(bad);
            group.spawn(async {});
            Ok(5)
        });
        let told = warnings();
        let mut run = pin!(run);
        let outcome = std::future::poll_fn(|cx| {
            let polled =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(outcome)) => Poll::Ready(Some(outcome)),
                Err(_) => Poll::Ready(None),
            }
        })
        .await;
        let outcome = outcome.expect("`run` panicked");
        assert_eq!(outcome.unwrap(), 5);
        drop(told);
        another_group_works(builder).await;
    });
}

/// A handle of a child of the group whose value panics when it is dropped.
fn explosive(group: &TaskGroup) -> TaskHandle<Bomb> {
    group.spawn(async { Outcome::Ok(Bomb("value")) })
}

// S39: the handle of an ended child whose value panics in `Drop` is dropped in peace; the warning
// hook is told.
#[test]
fn fault_b14_value_of_an_ended_child() {
    isolated_everywhere(|builder| async move {
        let told = warnings();
        let handle = builder.clone().run(async |group| Ok(explosive(&group)));
        let handle = handle.await.unwrap();
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(handle)));
        assert!(dropped.is_ok(), "the drop of a handle panicked");
        let message = told
            .recv_timeout(ms(10_000))
            .expect("the hook was not called");
        assert!(message.contains("value"), "{message}");
        another_group_works(builder).await;
    });
}

// S39: the same inside the group, in the body and in a sibling: the code that drops the handle goes
// on, and the group has a failure, as when the task drops the value because the handle went first.
#[test]
fn fault_b14_value_of_an_ended_child_in_its_group() {
    isolated_everywhere(|builder| async move {
        let told = warnings();
        let policy = Policy::collect();
        let run = builder.clone().policy(policy).run_to_end(async |group| {
            let in_body = explosive(&group);
            in_body.ended().await;
            drop(in_body);
            let in_child = explosive(&group);
            let child = group.spawn(async move {
                in_child.ended().await;
                drop(in_child);
                Outcome::Ok(3)
            });
            let value = child.await?;
            let (open, gate) = tokio::sync::oneshot::channel::<()>();
            drop(group.spawn(async move {
                let _ = gate.await;
                Outcome::Ok(Bomb("value"))
            }));
            let _ = open.send(());
            Ok(value)
        });
        let (value, failures) = run.await;
        assert_eq!(value, Some(3));
        assert_eq!(texts(&failures.unwrap()), ["panic: value"; 3]);
        assert!(told.try_recv().is_err(), "each is told once");
        another_group_works(builder).await;
    });
}

// S39: a handle that is dropped by hand, outside any task.
#[test]
fn fault_b14_value_dropped_on_a_plain_thread() {
    isolated(|| {
        for place in Surroundings::all() {
            println!("-- {place}");
            let runtime = place.flavour.runtime();
            let told = warnings();
            let run = place.builder().run(async |group| Ok(explosive(&group)));
            let handle = runtime.block_on(run).unwrap();
            let thread = std::thread::spawn(move || drop(handle));
            assert!(thread.join().is_ok(), "the drop of a handle panicked");
            told.recv_timeout(ms(10_000))
                .expect("the hook was not called");
        }
    });
}

// S21: under a guard as well, a deadline that is due from the start fires at the first suspension
// point inside, and to open a group is none.
#[test]
fn fault_b16_due_deadline_under_a_guard() {
    async fn begins(builder: GroupBuilder) -> bool {
        let mut begun = false;
        let run = builder.run_cancellable(async |_| {
            begun = true;
            forever().await;
            Ok(())
        });
        assert!(move_on_after(ms(0), run).await.is_none());
        begun
    }
    isolated(|| {
        paused_everywhere(async |builder| {
            let inside = builder.clone();
            let run = builder.run_cancellable(async |group: TaskGroup| {
                assert!(begins(inside.clone()).await, "nothing is cancelled");
                group.cancel();
                let Err(guard) = until_cancelled(forever()).await else {
                    panic!("it is cancelled");
                };
                assert!(begins(inside).await, "the group did not begin");
                Outcome::<()>::Err(guard.into())
            });
            assert!(run.await.unwrap().is_none());
        });
    });
}

// S2, S14: a failing sibling drops an idle child on the spot. A group in there still does what was
// deferred to its end before what is around it is dropped, as when the child is polled once more.
#[test]
fn fault_b17_deferred_work_of_a_group_in_an_idle_child() {
    struct Around(Arc<Mutex<Vec<&'static str>>>);
    impl Drop for Around {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("around");
        }
    }
    isolated(|| {
        paused_everywhere(async |builder| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (inside, around) = (builder.clone(), Around(seen.clone()));
            let deferred = seen.clone();
            let run = builder.run(async move |group: TaskGroup| {
                group.spawn(async move {
                    let _around = around;
                    let run = inside.run(async move |_| {
                        defer(async move { deferred.lock().unwrap().push("deferred") });
                        forever().await;
                        Ok(())
                    });
                    run.await
                });
                group.spawn(async {
                    sleep(ms(1)).await;
                    Outcome::<()>::Err("a sibling fails".into())
                });
                Ok(())
            });
            let errors = run.await.unwrap_err();
            assert_eq!(errors.leaf_count(), 1, "{errors:#}");
            assert_eq!(*seen.lock().unwrap(), ["deferred", "around"]);
        });
    });
}

// S18: who overran is reported, though it may have ended while others are still being told.
#[test]
fn fault_b15_overrun_of_a_child_that_ends_at_once() {
    isolated_with_drivers(|builder| {
        on_threads(2).block_on(async {
            for round in 0..300 {
                let run = builder.clone().grace(ms(0)).run_cancellable(async |group| {
                    for _ in 0..10 {
                        let (started, start) = tokio::sync::oneshot::channel();
                        group.spawn(shield(async move {
                            let _ = started.send(());
                            forever().await;
                        }));
                        start.await?;
                    }
                    group.cancel();
                    Ok(())
                });
                let errors = run.await.unwrap_err();
                assert_eq!(errors.leaf_count(), 10, "round {round}: {errors:#}");
            }
        });
    });
}

// S18: the same of a body, whose task is polled and ends on the stack of the code that wakes it.
#[test]
fn fault_b15_overrun_of_a_body_that_ends_at_once() {
    type Run = Pin<Box<dyn Future<Output = Result<Option<()>, ErrorGroup>> + Send>>;
    struct Inline {
        run: Mutex<Option<Run>>,
        outcome: Mutex<Option<Result<Option<()>, ErrorGroup>>>,
    }
    fn poll(inline: &Arc<Inline>) {
        // Not while it is being polled.
        let Ok(mut run) = inline.run.try_lock() else {
            return;
        };
        let weak = Arc::downgrade(inline);
        let waker = hooked(move |op| {
            if let (Op::Wake, Some(inline)) = (op, weak.upgrade()) {
                poll(&inline);
            }
        });
        let Some(polled) = run.as_mut() else { return };
        if let Poll::Ready(outcome) = polled.as_mut().poll(&mut Context::from_waker(&waker)) {
            *run = None;
            *inline.outcome.lock().unwrap() = Some(outcome);
        }
    }
    isolated(|| {
        paused_everywhere(async |builder| {
            let (give, given) = mpsc::channel();
            let run = builder
                .grace(ms(10))
                .run_cancellable(async move |group: TaskGroup| {
                    give.send(group).unwrap();
                    shield(forever()).await;
                    Ok(())
                });
            let inline = Arc::new(Inline {
                run: Mutex::new(Some(Box::pin(run))),
                outcome: Mutex::new(None),
            });
            poll(&inline);
            given.recv().unwrap().cancel();
            sleep(ms(20)).await;
            let outcome = inline.outcome.lock().unwrap().take();
            let errors = outcome.expect("it has ended").unwrap_err();
            assert_eq!(errors.leaf_count(), 1, "{errors:#}");
        });
    });
}

/// An error that keeps a guard and names no source.
#[derive(Debug)]
struct Hiding {
    guard: Cancelled,
    says_why: bool,
}

impl fmt::Display for Hiding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.says_why {
            write!(f, "stopped: {}", self.guard)
        } else {
            f.write_str("it does not say why")
        }
    }
}

impl Error for Hiding {}

async fn guard() -> Cancelled {
    until_cancelled(forever()).await.unwrap_err()
}

// S6, S12: an error says "cancelled" if the guard goes with it. While the guard is elsewhere, the
// error of a cancelled task or body is a failure like any other, and keeps its type.
#[test]
fn fault_b18_error_while_the_guard_is_elsewhere() {
    isolated(|| {
        paused_everywhere(async |builder| {
            let disk_full = || Outcome::<()>::Err(std::io::Error::other("disk full").into());
            let is_disk_full = |error: ErrorGroup| {
                assert_eq!(texts(&error), ["disk full"]);
                assert!(error.contains::<std::io::Error>(), "{error:#?}");
            };
            let kept = Arc::new(Mutex::new(Vec::new()));
            let keep = kept.clone();
            let run = builder.clone().run_cancellable(async |group| {
                group.spawn(async move {
                    let guard = guard().await;
                    keep.lock().unwrap().push(guard);
                    disk_full()
                });
                turns(2).await;
                group.cancel();
                Ok(())
            });
            is_disk_full(run.await.unwrap_err());

            let run = builder.clone().run_cancellable(async |group| {
                group.cancel();
                let guard = guard().await;
                kept.lock().unwrap().push(guard);
                disk_full()
            });
            is_disk_full(run.await.unwrap_err());

            // One guard elsewhere, and one in an error that hides it, and says why or does not.
            for says_why in [true, false] {
                let run = builder.clone().run_cancellable(async |group| {
                    let cancels = async {
                        turns(1).await;
                        group.cancel();
                    };
                    let (one, other, ()) = tokio::join!(guard(), guard(), cancels);
                    kept.lock().unwrap().push(one);
                    let guard = other;
                    Outcome::<()>::Err(Hiding { guard, says_why }.into())
                });
                match run.await {
                    Ok(value) => assert!(says_why && value.is_none()),
                    Err(error) => assert!(!says_why && error.contains::<Hiding>(), "{error}"),
                }
            }
        });
    });
}

// S16: a runner whose turn has not come when a staggered race is cancelled never begins, while
// another one cleans up.
#[test]
fn fault_b19_runners_of_a_race_that_is_cancelled() {
    isolated_paused(async |_| {
        let begun = AtomicUsize::new(0);
        let runners = (0..4).map(|_| async {
            begun.fetch_add(1, Ordering::SeqCst);
            let guard = until_cancelled(forever()).await;
            sleep(ms(10)).await;
            guard.map_err(BoxError::from)
        });
        let race = taskgroup::race_staggered(ms(1_000), runners);
        assert!(move_on_after(ms(10), race).await.is_none());
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    });
}
