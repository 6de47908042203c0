//! What code sees of where it is, and what is left of it afterwards.

use std::sync::mpsc;

use taskgroup::{BoxError, Local};

use crate::common::{Bomb, Surroundings, forever, isolated, isolated_everywhere, texts, turns};

// S45: a blocking closure sees the `Local` of its task.
#[test]
fn fault_f1_local_in_blocking() {
    static USER: Local<&str> = Local::new();
    isolated_everywhere(|builder| async move {
        let run = builder.run(async |group| {
            let child = group.spawn(async { Ok::<_, BoxError>(USER.get()) });
            let closure = group.spawn_blocking(|_| Ok::<_, BoxError>(USER.get()));
            let below = group.spawn(async {
                let own = USER.scope("Grace", async {
                    let run = taskgroup::TaskGroup::run(async |group| {
                        let closure = group.spawn_blocking(|_| Ok::<_, BoxError>(USER.get()));
                        Ok(closure.await?)
                    });
                    run.await
                });
                Ok::<_, BoxError>(own.await?)
            });
            Ok((child.await?, closure.await?, below.await?))
        });
        let seen = USER.scope("Ada", run).await.unwrap();
        assert_eq!(seen, (Some("Ada"), Some("Ada"), Some("Grace")));
    });
}

// S45: it knows who it is.
#[test]
fn fault_f1_current_in_blocking() {
    isolated_everywhere(|builder| async move {
        let run = builder.name("shop").run(async |group| {
            let named = group.task("orders").spawn_blocking(|_| {
                let info = taskgroup::observe::current_task();
                Ok::<_, BoxError>(info.map(|info| info.path().to_string()))
            });
            Ok(named.await?)
        });
        assert_eq!(run.await.unwrap().as_deref(), Some("shop/orders"));
        // The thread goes back to the pool without it.
        let after = tokio::task::spawn_blocking(|| taskgroup::observe::current_task().is_none());
        assert!(after.await.unwrap());
    });
}

// S45: it sees that it is cancelled.
#[test]
fn fault_f1_is_cancelled_in_blocking() {
    isolated_everywhere(|builder| async move {
        let (send, receive) = mpsc::channel();
        let run = builder.run_cancellable(async |group| {
            let (started, start) = tokio::sync::oneshot::channel();
            let (cancelled, told) = mpsc::channel::<()>();
            group.spawn_blocking(move |token| {
                let before = taskgroup::is_cancelled();
                let _ = started.send(());
                let _ = told.recv();
                let seen = (before, taskgroup::is_cancelled(), token.is_cancelled());
                send.send(seen).unwrap();
            });
            start.await?;
            group.cancel();
            cancelled.send(())?;
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(receive.recv().unwrap(), (false, true, true));
    });
}

// S2: no task of the runtime is left when the first group has ended, or a later one.
#[test]
fn fault_f5_alive_tasks() {
    isolated(|| {
        for place in Surroundings::all() {
            println!("-- {place}");
            let runtime = place.flavour.runtime();
            for round in 0..3 {
                let run = place.builder().run(async |group| {
                    for _ in 0..10 {
                        group.spawn(turns(3));
                    }
                    let one = group.spawn(forever());
                    group.spawn_blocking(|_| ()).await?;
                    one.cancel();
                    Ok(())
                });
                runtime.block_on(async {
                    run.await.unwrap();
                    // What has ended may need a moment until Tokio has counted it.
                    while tokio::runtime::Handle::current()
                        .metrics()
                        .num_alive_tasks()
                        > 0
                    {
                        turns(1).await;
                    }
                });
                println!("round {round}");
            }
        }
    });
}

// S5, S10: a value whose destructor panics, when the handle is dropped before the child has ended:
// a failure of the child.
#[test]
fn fault_f6_value_of_a_dropped_handle() {
    isolated_everywhere(|builder| async move {
        let run = builder.run(async |group| {
            let (open, gate) = tokio::sync::oneshot::channel::<()>();
            let child = group.spawn(async move {
                gate.await?;
                Ok::<_, BoxError>(Bomb("value"))
            });
            drop(child);
            let _ = open.send(());
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(texts(&error), ["panic: value"]);
    });
}

// S5, S10, S39: the same when the child has ended before: the order of the two does not matter.
#[test]
fn fault_f6_value_of_an_ended_child() {
    isolated_everywhere(|builder| async move {
        let told = crate::common::warnings();
        let run = builder.run(async |group| {
            let child = group.spawn(async { Ok::<_, BoxError>(Bomb("value")) });
            child.ended().await;
            drop(child);
            assert!(group.is_cancelled(), "it is a failure like any other");
            Ok(())
        });
        let error = run.await.unwrap_err();
        assert_eq!(texts(&error), ["panic: value"]);
        assert!(told.try_recv().is_err(), "it is told once");
    });
}
