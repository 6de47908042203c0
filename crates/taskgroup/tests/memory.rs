//! A group that lives long stays small (S4, TG23): a million short children one after the other,
//! counted by the allocator. A binary of its own, so that nothing else allocates meanwhile.

#[path = "common/counting.rs"]
mod counting;

use std::future::IntoFuture as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use taskgroup::combine::Until;
use taskgroup::{TaskGroup, drain, shield, wait};
use tokio::task::yield_now;

use counting::live_bytes;

const CHILDREN: usize = 1_000_000;

/// Live bytes after the first thousand children, and the least and the most that there were at any
/// later thousand.
async fn one_after_the_other(
    builder: taskgroup::GroupBuilder,
    children: usize,
    kind: &str,
) -> (isize, isize, isize) {
    let run = builder.run(async |group| {
        let (mut first, mut least, mut most) = (0, isize::MAX, 0);
        for count in 1..=children {
            match kind {
                "scopes" => group.spawn(shield(yield_now())).await?,
                "names" => {
                    let child = group.task(format!("child number {count}"));
                    child.spawn(async {}).await?;
                }
                _ => group.spawn(async {}).await?,
            }
            if count % 1000 == 0 {
                let live = live_bytes();
                if count == 1000 {
                    first = live;
                }
                least = least.min(live);
                most = most.max(live);
            }
        }
        Ok((first, least, most))
    });
    run.await.unwrap()
}

/// What one test does the other would count.
fn alone() -> MutexGuard<'static, ()> {
    static ALLOCATOR: Mutex<()> = Mutex::new(());
    ALLOCATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// So many children that are alive at once, and then end.
async fn a_wide_moment(group: &TaskGroup, children: usize) {
    let parked = Arc::new(AtomicUsize::new(0));
    let (open, gate) = tokio::sync::watch::channel(());
    for _ in 0..children {
        let (parked, mut gate) = (parked.clone(), gate.clone());
        group.spawn(async move {
            parked.fetch_add(1, Ordering::Relaxed);
            let _ = gate.changed().await;
        });
    }
    while parked.load(Ordering::Relaxed) < children {
        yield_now().await;
    }
    drop((open, gate));
    while group.live() > 0 {
        yield_now().await;
    }
}

// S4: the lists of a group that lives on are as long as what lives in it.
#[test]
fn a_wide_moment_is_forgotten() {
    let _alone = alone();
    on_one_thread()
        .block_on(TaskGroup::run(async |group| {
            // Tokio's own queue keeps the room of its widest moment.
            let plain: Vec<_> = (0..50_000).map(|_| tokio::spawn(async {})).collect();
            for task in plain {
                task.await?;
            }
            a_wide_moment(&group, 1000).await;
            let before = live_bytes();
            a_wide_moment(&group, 50_000).await;
            let grown = live_bytes() - before;
            println!("{grown} bytes more are live after 50 000 children at once");
            // What a thread keeps of its nodes, and the breath of the rest.
            assert!(grown < 10_000 + 256 * 1024, "{grown}");
            Ok(())
        }))
        .unwrap();
}

// M3: a thread that ends, and a runtime that goes, keep nothing.
#[test]
fn threads_and_runtimes_come_and_go() {
    let _alone = alone();
    let mut live = Vec::new();
    for _ in 0..20 {
        let thread = std::thread::spawn(|| {
            let wide = async |group: TaskGroup| {
                a_wide_moment(&group, 1000).await;
                Ok(())
            };
            on_one_thread().block_on(TaskGroup::run(wide)).unwrap();
        });
        thread.join().unwrap();
        live.push(live_bytes());
    }
    let grown = live[19] - live[1];
    println!("{grown} bytes more are live after eighteen threads");
    assert!(grown < 10_000, "{live:?}");
}

#[test]
fn a_million_children_one_after_the_other_keep_constant_memory() {
    let _alone = alone();
    for (flavour, driver) in [
        (1, "light"),
        (2, "light"),
        (1, "tokio"),
        (2, "tokio"),
        (1, "scopes"),
        (2, "scopes"),
        (1, "names"),
        (2, "names"),
    ] {
        let runtime = if flavour == 1 {
            on_one_thread()
        } else {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .build()
                .unwrap()
        };
        let (builder, children) = match driver {
            "light" => (TaskGroup::builder().light_tasks(), CHILDREN),
            // These cost ten times as much, and show the same with fewer.
            "tokio" => (TaskGroup::builder(), CHILDREN / 10),
            // A scope opened inside of the child goes with it, too.
            "scopes" => (TaskGroup::builder(), CHILDREN / 10),
            // So does a name that was made for it.
            "names" => (TaskGroup::builder(), CHILDREN / 10),
            _ => (TaskGroup::builder(), CHILDREN),
        };
        let (first, least, most) = runtime.block_on(one_after_the_other(builder, children, driver));
        println!(
            "{driver}, {flavour} thread(s): {first} bytes live after 1 000 children, at most {most} until {children}"
        );
        // The test harness and the runtime's queues breathe; 10 000 bytes are a hundredth of a byte
        // per child. A thread that polls keeps 256 KiB of what it was given back of a size.
        let breath = 10_000 + flavour * 256 * 1024;
        assert!(
            most - first < breath,
            "{driver}, {flavour}: {first} grew to {most}"
        );
        assert!(
            first - least < breath,
            "{driver}, {flavour}: more was given back than taken, {least} of {first} are left"
        );
    }
}

/// A future that is polled once and then dropped.
async fn given_up(wait: impl Future) {
    let mut wait = std::pin::pin!(wait);
    let polled = std::future::poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_ready()));
    assert!(!polled.await, "there is nothing to wait for");
}

// S44: waits for what goes on are given up, each by a task of its own, as by a request that ends.
#[test]
fn fault_d1_waits_that_are_given_up_leave_nothing() {
    let _alone = alone();
    let grown = async |what: &str, round: &dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>>| {
        for _ in 0..100 {
            tokio::spawn(round()).await.unwrap();
        }
        let before = live_bytes();
        for _ in 0..5_000 {
            tokio::spawn(round()).await.unwrap();
        }
        let grown = live_bytes() - before;
        println!("{grown} bytes more are live after 5 000 times {what}");
        // Ten bytes a wait: the harness may begin another test meanwhile.
        assert!(grown < 50_000, "{what}: {grown}");
    };
    on_one_thread().block_on(async {
        let body = async |group: TaskGroup| {
            let service = Arc::new(group.spawn(std::future::pending::<()>()));
            let handle = service.clone();
            let ended = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let handle = handle.clone();
                Box::pin(async move { given_up(handle.ended()).await })
            };
            grown("ended", &ended).await;
            let by_ref = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let handle = handle.clone();
                Box::pin(async move { given_up((&*handle).into_future()).await })
            };
            grown("await by reference", &by_ref).await;
            let first = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let handle = handle.clone();
                Box::pin(async move {
                    given_up(wait([&*handle], Until::FirstCompleted)).await;
                    given_up(wait([&*handle], Until::FirstFailure)).await;
                })
            };
            grown("wait", &first).await;
            let spawning = group.clone();
            let when_free = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let group = spawning.clone();
                Box::pin(async move { given_up(group.spawn_when_free(async {})).await })
            };
            grown("spawn_when_free", &when_free).await;
            group.cancel();
            Ok(())
        };
        let run = TaskGroup::builder().limit(1).run_cancellable(body);
        run.await.unwrap();

        // Something that is left at the process root, until it is let go.
        let (let_go, gate) = tokio::sync::oneshot::channel::<()>();
        let mut left = Box::pin(TaskGroup::run(async |group| {
            group.spawn(shield(async move { drop(gate.await) }));
            std::future::pending().await
        }));
        for _ in 0..3 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx)));
            let _: Poll<Result<(), _>> = polled.await;
            yield_now().await;
        }
        drop(left);
        let drained = || -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move { given_up(drain()).await })
        };
        grown("drain", &drained).await;
        drop(let_go);
        drain().await.unwrap();
    });
}
