//! S51: to and from the `CancellationToken` of tokio-util.

use taskgroup::{CancelScope, ReasonKind, TaskGroup, cancellation_token};
use tokio_util::sync::CancellationToken;

use crate::support::{Log, Outcome, builder, dropped_when, everywhere, forever, group, turns};

// S51: a token cancels a group, also one that was cancelled before.
#[test]
fn a_token_cancels_a_group() {
    everywhere(|| async {
        for early in [true, false] {
            let (first, second) = (CancellationToken::new(), CancellationToken::new());
            let log = Log::default();
            if early {
                second.cancel();
            }
            let ran = builder().run_cancellable(async |group: TaskGroup| {
                group.cancel_on(&first);
                group.cancel_on(&second);
                group.spawn(log.forever("child"));
                if !early {
                    log.started(1).await;
                    second.cancel();
                }
                forever().await;
                Ok(group)
            });
            assert!(ran.await.unwrap().is_none());
            assert!(!first.is_cancelled());
            assert_eq!(log.take(), ["child"]);
        }
        // A group that is done does not wait for its token.
        let token = CancellationToken::new();
        let ran = group(async |group| {
            group.cancel_on(&token);
            Ok(group.spawn(async { Outcome::Ok(1) }).await?)
        });
        assert_eq!(ran.await.unwrap(), 1);
        // A group in a field.
        let jobs = builder().open();
        jobs.group().cancel_on(&token);
        let child = jobs.spawn(forever()).unwrap();
        token.cancel();
        let reason = child.await.unwrap_err();
        assert!(reason.to_string().contains("token"), "{reason}");
        jobs.close().await.unwrap();
    });
}

// S51
#[test]
fn a_token_cancels_a_section() {
    everywhere(|| async {
        let token = CancellationToken::new();
        let mut section = CancelScope::new();
        section.cancel_on(&CancellationToken::new());
        section.cancel_on(&token);
        assert_eq!(section.run(async { 1 }).await, Some(1));
        let (stop, log) = (token.clone(), Log::default());
        let begun = log.clone();
        let stopper = tokio::spawn(async move {
            begun.started(1).await;
            stop.cancel();
        });
        assert_eq!(section.run(log.forever("work")).await, None);
        assert!(section.has_cut_off());
        assert_eq!(section.reason().unwrap().kind(), ReasonKind::CancelCalled);
        assert_eq!(log.take(), ["work"]);
        stopper.await.unwrap();
    });
}

// S51: a token of a scope is cancelled with it, and cancels nothing itself.
#[test]
fn a_scope_cancels_its_tokens() {
    everywhere(|| async {
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let own = group.cancellation_token();
            own.cancel();
            let other = group.cancellation_token();
            assert!(!other.is_cancelled() && !group.is_cancelled());
            let task = group.spawn(async {
                let token = cancellation_token();
                tokio::spawn(async move { token.cancelled().await });
                let token = cancellation_token();
                let watch = tokio::spawn(async move { token.cancelled().await });
                Outcome::Ok(watch)
            });
            // A task that ends without being cancelled leaves its token as it is.
            let left = task.await?;
            turns(2).await;
            assert!(!left.is_finished());
            left.abort();
            let watch = tokio::spawn(async move { other.cancelled().await });
            turns(2).await;
            assert!(!watch.is_finished());
            group.cancel();
            assert!(group.cancellation_token().is_cancelled());
            Ok(watch)
        });
        ran.await.unwrap().unwrap().await.unwrap();
    });
}

// S51: of a task that is cancelled alone, whatever has woken the watchers of its scope before.
#[test]
fn a_task_cancels_its_tokens() {
    everywhere(|| async {
        let ran = group(async |group| {
            let (give, taken) = tokio::sync::oneshot::channel();
            let task = group.spawn(async move {
                let _ = give.send(cancellation_token());
                forever().await;
            });
            let token: CancellationToken = taken.await?;
            assert!(!token.is_cancelled());
            task.cancel();
            token.cancelled().await;
            assert!(!group.is_cancelled());
            Ok(())
        });
        ran.await.unwrap();

        // The failures of others wake the watchers of a group.
        let collect = builder().policy(taskgroup::Policy::collect());
        let ran = collect.run(async |group: TaskGroup| {
            let token = group.cancellation_token();
            let failed = group.spawn(async { Err::<(), _>("broken") });
            assert!(failed.await.is_err());
            assert!(!token.is_cancelled());
            group.cancel();
            token.cancelled().await;
            Ok(())
        });
        assert_eq!(ran.await.unwrap_err().leaf_count(), 1);
    });
}

// S51: the token of a group that ends by itself stays as it is. A group whose children all fail or
// panic, that is cancelled from outside or is dropped half-way cancels it. A token that comes after
// the end of its group cancels nothing.
#[test]
fn each_end_has_its_tokens() {
    everywhere(|| async {
        let empty = builder().run(async |group: TaskGroup| Ok(group.cancellation_token()));
        let token = empty.await.unwrap();
        assert!(!token.is_cancelled());

        // What its end cancels is cancelled with its own tokens.
        let late = CancellationToken::new();
        let ended = builder().run(async |group: TaskGroup| {
            group.cancel_on(&late);
            let (give, taken) = tokio::sync::oneshot::channel();
            let served = group.task("service").background();
            served.spawn(async move {
                let below = builder().run(async |below: TaskGroup| {
                    let _ = give.send([cancellation_token(), below.cancellation_token()]);
                    forever().await;
                    Ok(())
                });
                below.await
            });
            let of_service: [CancellationToken; 2] = taken.await?;
            let own = [cancellation_token(), group.cancellation_token()];
            Ok((own, of_service))
        });
        let (own, of_service) = ended.await.unwrap();
        late.cancel();
        turns(2).await;
        assert!(own.iter().all(|token| !token.is_cancelled()));
        assert!(of_service.iter().all(CancellationToken::is_cancelled));

        let mut tokens = Vec::new();
        for panics in [false, true] {
            let ran = builder().run(async |group: TaskGroup| {
                tokens.push(group.cancellation_token());
                for _ in 0..5 {
                    group.spawn(async move {
                        assert!(!panics, "a bug");
                        Err::<(), _>("broken")
                    });
                }
                forever().await;
                Ok(())
            });
            assert!(ran.await.is_err());
        }

        let log = Log::default();
        let ran = builder().run_cancellable(async |outer: TaskGroup| {
            let inner = builder().run(async |group: TaskGroup| {
                tokens.push(group.cancellation_token());
                group.spawn(log.forever("child"));
                log.started(1).await;
                outer.cancel();
                forever().await;
                Ok(())
            });
            let _ = inner.await;
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);

        let ran = group(async |_| {
            let inner = builder().run(async |group: TaskGroup| {
                tokens.push(group.cancellation_token());
                group.spawn(log.forever("child"));
                forever().await;
                Ok(())
            });
            dropped_when(inner, log.started(2)).await;
            Ok(())
        });
        ran.await.unwrap();

        assert_eq!(tokens.len(), 4);
        for token in tokens {
            token.cancelled().await;
        }
        assert_eq!(log.take(), ["child", "child"]);
    });
}
