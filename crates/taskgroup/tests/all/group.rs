use crate::support::{Log, on_both_flavours};
use std::time::Duration;
use taskgroup::{BoxError, TaskGroup, timeout, until_cancelled};

#[test]
fn values_come_back() {
    on_both_flavours(|| async {
        let (a, b) = TaskGroup::run(async |group| {
            let a = group.spawn(async { Ok::<_, BoxError>(1) });
            let b = group.spawn(async { Ok::<_, BoxError>("x".to_owned()) });
            Ok((a.await?, b.await?))
        })
        .await
        .unwrap();
        assert_eq!((a, b.as_str()), (1, "x"));
    });
}

#[test]
fn fail_fast() {
    on_both_flavours(|| async {
        let log = Log::default();
        let err = TaskGroup::run(async |group| {
            for i in 0..3 {
                let d = log.on_drop(&format!("dropped {i}"));
                group.spawn(async move {
                    let _d = d;
                    std::future::pending::<()>().await;
                });
            }
            group.task("bad").spawn(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Err::<(), _>("boom")
            });
            std::future::pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(log.take().len(), 3);
        println!("{err}\n{err:#}");
    });
}

#[tokio::test(start_paused = true)]
async fn cleanup_and_timeout() {
    let log = Log::default();
    let start = tokio::time::Instant::now();
    let l = log.clone();
    let r = timeout(
        Duration::from_secs(1),
        TaskGroup::run(async |group| {
            group.spawn(async move {
                let Err(c) = until_cancelled(std::future::pending::<()>()).await else {
                    return Ok(());
                };
                l.add(format!("cleaning {}", c.reason()));
                tokio::time::sleep(Duration::from_secs(2)).await;
                l.add("cleaned");
                Err(c)
            });
            Ok(())
        }),
    )
    .await;
    println!("{r:?} {:?}", start.elapsed());
    assert_eq!(start.elapsed().as_secs(), 3);
    println!("{:?}", log.take());
}

#[test]
fn many() {
    on_both_flavours(|| async {
        let t = std::time::Instant::now();
        TaskGroup::run(async |group| {
            for _ in 0..1_000_000 {
                group.spawn(async {});
            }
            Ok(())
        })
        .await
        .unwrap();
        println!("million {:?}", t.elapsed());
    });
}

#[test]
fn deep() {
    fn nest(depth: u32) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return Err("bottom".into());
            }
            TaskGroup::run(async |group| {
                group.spawn(nest(depth - 1)).await?;
                Ok(())
            })
            .await?;
            Ok(())
        })
    }
    on_both_flavours(|| async {
        let t = std::time::Instant::now();
        let e = nest(100_000).await.unwrap_err();
        println!("deep {:?}", t.elapsed());
        drop(e);
        println!("dropped {:?}", t.elapsed());
    });
}
