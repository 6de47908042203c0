//! The engine: the scope tree, the tasks in it, and what drives them. Nothing here is public.
//!
//! Data flows one way. The public face (groups, cancellation, deadlines, cleanup) opens scopes and spawns tasks; the *tree*
//! knows who is below whom and carries cancellation down and endings up; a *task* is one child with its future and its
//! outcome; a *section* polls a scope inline; the *driver* is the seam to Tokio.
//!
//! | file | what it answers |
//! |---|---|
//! | `tree` | who is below whom, who is cancelled, what has ended |
//! | `tree/spread` | a cancellation on its way down |
//! | `group` | errors, policy, grace and limit of a group |
//! | `task` | one child: state word, future, outcome |
//! | `section` | the guard rule for code that is polled inline |
//! | `current` | whose code is being polled on this thread |
//! | `polling` | who polls what, as seen from another thread |
//! | `driver` | who polls children: pumps, or Tokio tasks |
//! | `timer` | alarms: one sleeping Tokio task per runtime |

pub(crate) mod current;
pub(crate) mod driver;
pub(crate) mod group;
#[cfg(loom)]
pub mod models;
pub(crate) mod polling;
pub(crate) mod section;
pub(crate) mod task;
pub(crate) mod timer;
pub(crate) mod tree;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, Weak};

    use super::task::TaskObject;
    use crate::{TaskGroup, bracket, shield, until_cancelled};

    // S4, TG23
    #[tokio::test]
    async fn tasks_that_opened_scopes_are_freed() {
        type Seen = Arc<Mutex<Vec<Weak<dyn TaskObject>>>>;
        async fn opens(seen: Seen) -> Result<(), crate::BoxError> {
            let here = || Arc::downgrade(&super::current::task().expect("in a task"));
            seen.lock().unwrap().push(here());
            let work = async |_: &mut ()| {
                let _ = until_cancelled(tokio::task::yield_now()).await;
                shield(tokio::task::yield_now()).await;
                Ok::<_, crate::BoxError>(())
            };
            bracket(async { Ok(()) }, work, |()| async {}).await?;
            TaskGroup::run(async |group| {
                group.spawn(tokio::task::yield_now());
                Ok(())
            })
            .await?;
            Ok(())
        }
        let seen = Seen::default();
        let group = TaskGroup::run(async |group| {
            for _ in 0..3 {
                group.spawn(opens(seen.clone()));
            }
            Ok(group)
        });
        let _kept = group.await.unwrap();
        // The pump has let go of the last one when it has had another turn.
        tokio::task::yield_now().await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|task| task.strong_count() == 0));
    }
}
