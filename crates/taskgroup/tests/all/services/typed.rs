//! S52: typed errors, and plain values.

use std::fmt;
use std::sync::{Arc, Mutex};

use taskgroup::{BoxError, ErrorGroup, Policy, TaskGroup, TaskHandle, until_cancelled};

use crate::support::{Outcome, Steps, builder, dropped_when, everywhere, forever, turns};

/// What a library has.
#[derive(Debug)]
enum StoreError {
    NotFound(u32),
    Tasks(ErrorGroup),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "{id} is not there"),
            Self::Tasks(errors) => errors.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<ErrorGroup> for StoreError {
    fn from(errors: ErrorGroup) -> Self {
        errors.downcast().unwrap_or_else(Self::Tasks)
    }
}

async fn load(id: u32) -> Result<u32, StoreError> {
    turns(id as usize % 3).await;
    if id % 10 == 0 {
        Err(StoreError::NotFound(id))
    } else {
        Ok(id)
    }
}

async fn load_all(settings: taskgroup::GroupBuilder, ids: &[u32]) -> Result<u32, StoreError> {
    let sum = settings.run(async |group| {
        let items: Vec<_> = ids.iter().map(|id| group.spawn(load(*id))).collect();
        let mut sum = 0;
        for item in items {
            sum += item.await?;
        }
        Ok(sum)
    });
    Ok(sum.await?)
}

// S52: empty, one, many that are well; one that fails; all that fail. Nothing is lost.
#[test]
fn a_library_has_its_own_error() {
    everywhere(|| async {
        assert_eq!(load_all(builder(), &[]).await.unwrap(), 0);
        assert_eq!(load_all(builder(), &[1]).await.unwrap(), 1);
        let many: Vec<_> = (1..10).cycle().take(100).collect();
        assert!(load_all(builder(), &many).await.is_ok());
        for ids in [&[20][..], &[1, 20, 2], &[20, 1], &[1, 2, 3, 4, 5, 20]] {
            match load_all(builder(), ids).await {
                Err(StoreError::NotFound(20)) => {}
                other => panic!("{ids:?}: {other:?}"),
            }
        }
        let all_fail = builder().policy(Policy::collect()).run(async |group| {
            for id in [10, 20, 30] {
                drop(group.spawn(load(id)));
            }
            Ok(())
        });
        match all_fail.await.map_err(StoreError::from) {
            Err(StoreError::Tasks(errors)) => {
                let found: Vec<_> = errors.leaves().collect();
                assert_eq!(found.len(), 3);
                assert!(found.iter().all(|leaf| leaf.is::<StoreError>()));
            }
            other => panic!("{other:?}"),
        }
    });
}

// S52: through groups in groups, from the body, and where the handle was dropped.
#[test]
fn it_comes_out_of_deep_groups() {
    everywhere(|| async {
        let deep = async || -> Result<(), StoreError> {
            let outer = builder().run(async |group| {
                drop(group.spawn(async {
                    let inner = builder().run(async |group| {
                        drop(group.spawn(load(10)));
                        forever().await;
                        Ok(())
                    });
                    inner.await
                }));
                forever().await;
                Ok(())
            });
            Ok(outer.await?)
        };
        assert!(matches!(deep().await, Err(StoreError::NotFound(10))));

        let from_body =
            builder().run(async |_| Err::<(), BoxError>(StoreError::NotFound(7).into()));
        let error = StoreError::from(from_body.await.unwrap_err());
        assert!(matches!(error, StoreError::NotFound(7)), "{error:?}");

        let jobs = builder().open();
        drop(jobs.spawn(load(30)).unwrap());
        let error = jobs.close().await.unwrap_err();
        // The group keeps it for the next call of `close`.
        let error = error.downcast::<StoreError>().unwrap_err();
        let _clone = jobs.group().clone();
        drop(jobs);
        assert!(matches!(StoreError::from(error), StoreError::NotFound(30)));
    });
}

// S52: what it is not comes back whole.
#[test]
fn the_rest_comes_back_whole() {
    everywhere(|| async {
        let failed = async |child: fn(&TaskGroup) -> TaskHandle<()>| {
            let run = builder().name("shop").run(async |group| {
                drop(child(&group));
                forever().await;
                Ok(())
            });
            let error = run.await.unwrap_err().downcast::<StoreError>().unwrap_err();
            assert_eq!((error.name(), error.leaf_count()), ("shop", 1));
            error
        };
        let other = failed(|group| group.spawn(async { Err::<(), _>("another type") })).await;
        assert_eq!(other.cause().error().unwrap().to_string(), "another type");
        let panicked = failed(|group| group.spawn(async { assert!(false_now(), "a bug") })).await;
        assert_eq!(panicked.cause().panic_message(), Some("a bug"));

        // A cancelled group has a leaf as well.
        let cancelled = builder().run(async |group: TaskGroup| {
            group.cancel();
            forever().await;
            Ok(())
        });
        let error = cancelled.await.unwrap_err().downcast::<StoreError>();
        assert!(error.unwrap_err().is_cancelled());
    });
}

// S52: a handle or a clone that is alive shares the error, so it is not taken away from there.
#[test]
fn what_is_shared_is_not_taken() {
    everywhere(|| async {
        let kept: Arc<Mutex<Option<TaskHandle<u32>>>> = Arc::default();
        let run = builder().run(async |group: TaskGroup| {
            *kept.lock().unwrap() = Some(group.spawn(load(10)));
            forever().await;
            Ok(())
        });
        let error = run.await.unwrap_err();
        let error = error.downcast::<StoreError>().unwrap_err();
        let handle = kept.lock().unwrap().take().unwrap();
        let failed = handle.await.unwrap_err();
        assert!(failed.failure().unwrap().is::<StoreError>());
        let clone = error.clone();
        drop(failed);
        let error = error.downcast::<StoreError>().unwrap_err();
        drop(clone);
        assert!(matches!(error.downcast(), Ok(StoreError::NotFound(10))));
    });
}

// S52, S5: plain values, none, one, many; a panic; cancelled from outside; by name.
#[test]
fn children_return_plain_values() {
    everywhere(|| async {
        let ran = builder().run(async |group: TaskGroup| {
            let text = group
                .task("text")
                .spawn_value(async { "forty-one".to_owned() });
            assert_eq!(text.name(), "text");
            let many: Vec<_> = (0..50_u32)
                .map(|n| {
                    group.spawn_value(async move {
                        turns(n as usize % 3).await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for value in many {
                sum += value.await?;
            }
            // An error is a value, too.
            let result = group
                .spawn_value(async { Err::<(), _>("no failure") })
                .await?;
            assert_eq!(result, Err("no failure"));
            let stopped = group.spawn_value(async {
                forever().await;
                1
            });
            stopped.cancel();
            assert!(stopped.await.unwrap_err().is_cancelled());
            let mut outcomes = group.outcomes();
            outcomes.push(group.spawn_value(async { 5 }));
            assert!(matches!(outcomes.next().await, Some((0, Ok(5)))));
            Ok((text.await?, sum))
        });
        assert_eq!(ran.await.unwrap(), ("forty-one".to_owned(), 1225));

        let ran = builder().run(async |group: TaskGroup| {
            let value: Outcome<u8> = match group.spawn_value(async { panic!("a bug") }).await {
                Ok(value) => Ok(value),
                Err(error) => Err(error.into()),
            };
            value
        });
        assert!(ran.await.unwrap_err().cause().is_panic());
    });
}

fn false_now() -> bool {
    std::hint::black_box(false)
}

// S52, S15: what a group that was dropped half-way leaves behind has its type in the scope around
// it. A plain value is cancelled with its group.
#[test]
fn dropped_half_way() {
    everywhere(|| async {
        let ran = builder().run(async |_| {
            let (steps, mut kept) = (Steps::default(), None);
            let inner = builder().run(async |group: TaskGroup| {
                let begun = steps.clone();
                group.spawn(async move {
                    begun.step();
                    let _cleaning = until_cancelled(forever()).await;
                    Err::<(), _>(StoreError::NotFound(3))
                });
                let begun = steps.clone();
                kept = Some(group.spawn_value(async move {
                    begun.step();
                    forever().await;
                    1
                }));
                forever().await;
                Ok(())
            });
            dropped_when(inner, steps.reached(2)).await;
            let plain: TaskHandle<i32> = kept.unwrap();
            assert!(plain.await.unwrap_err().is_cancelled());
            Ok(())
        });
        let error = StoreError::from(ran.await.unwrap_err());
        assert!(matches!(error, StoreError::NotFound(3)), "{error:?}");
    });
}

// S52, S10: plain values where all panic, and cancelled from outside.
#[test]
fn plain_values_in_each_end() {
    everywhere(|| async {
        let collect = builder().policy(Policy::collect());
        let (none, errors) = collect
            .run_to_end(async |group: TaskGroup| {
                for number in 0..10 {
                    group.spawn_value(async move {
                        assert!(false_now(), "a bug");
                        number
                    });
                }
                Ok(())
            })
            .await;
        assert_eq!((none, errors.unwrap().len()), (Some(()), 10));

        let (steps, mut kept) = (Steps::default(), None);
        let ran = builder().run_cancellable(async |group: TaskGroup| {
            let begun = steps.clone();
            kept = Some(group.spawn_value(async move {
                begun.step();
                forever().await;
                1
            }));
            steps.reached(1).await;
            group.cancel();
            forever().await;
            Ok(())
        });
        assert_eq!(ran.await.unwrap(), None);
        let plain: TaskHandle<i32> = kept.unwrap();
        assert!(plain.await.unwrap_err().is_cancelled());
    });
}
