//! S51: to and from the `CancellationToken` of tokio-util.

use taskgroup::{CancelScope, ReasonKind, TaskGroup, cancellation_token};
use tokio_util::sync::CancellationToken;

use crate::support::{Log, Outcome, builder, everywhere, forever, group, turns};

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
