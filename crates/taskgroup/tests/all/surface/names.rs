//! The names at the root of the crate beside those of others.
//!
//! Two glob imports may bring the same name; the compiler refuses it only where it is used. So each
//! module below uses what it would lose if the root of this crate had one name more.

use crate::support::{paused, sleep};

#[test]
fn beside_the_names_of_other_crates() {
    paused(async {
        assert_eq!(beside_std_and_tokio::sum().await, 6);
        assert_eq!(beside_futures::sum().await, 9);
    });
}

/// The root beside those of the standard library's `future` and of Tokio.
mod beside_std_and_tokio {
    use super::sleep;
    use std::future::*;
    use taskgroup::*;
    use tokio::*;

    pub(super) async fn sum() -> u8 {
        let one = ready(1).await;
        let mut polls = 0;
        poll_fn(|_| {
            polls += 1;
            std::task::Poll::Ready(())
        })
        .await;
        let two = spawn(async { 2 });
        task::yield_now().await;
        time::sleep(time::Duration::ZERO).await;
        let lock = sync::Mutex::new(());
        drop(lock.lock().await);
        let three = TaskGroup::run(async |group| {
            let child = group.spawn(async { Ok::<_, BoxError>(3) });
            Ok(child.await?)
        });
        let (three, cut) =
            join((three, move_on_after(time::Duration::ZERO, pending::<()>()))).await;
        assert!(cut.is_none());
        assert!(timeout(time::Duration::ZERO, sleep(1)).await.is_err());
        one + two.await.unwrap() + three.unwrap()
    }
}

/// The root beside that of `futures`.
mod beside_futures {
    use futures_util::*;
    use taskgroup::*;

    // Of the language: with an attribute `test` at the root this would be ambiguous.
    #[test]
    fn a_plain_test_is_one() {
        assert!(future::pending::<()>().now_or_never().is_none());
    }

    pub(super) async fn sum() -> u8 {
        let doubled = stream::iter([1, 2]).map(|number| number * 2);
        let six: u8 = doubled.fold(0, async |sum, number| sum + number).await;
        let (one, two) = gather((future::ok::<_, BoxError>(1), future::ok::<_, BoxError>(2)))
            .map(Result::unwrap)
            .await;
        six + one + two
    }
}

/// The root beside the modules of the standard library that have short names.
mod beside_the_standard_library {
    use std::collections::*;
    use std::iter::*;
    use std::task::*;
    use std::thread::*;
    use taskgroup::*;

    #[test]
    fn all_of_them_work() {
        let thread = current().id();
        assert_eq!(scope(|_| current().id()), thread);
        assert_eq!(zip(once(1), repeat(2)).next(), Some((1, 2)));
        assert!(HashMap::<u8, Waker>::new().is_empty());
        assert!(Poll::Ready(TaskGroup::builder()).is_ready());
    }
}

/// The names of a program of one's own, behind a glob, as `use super::*` in its tests brings them.
mod beside_a_program {
    use program::*;
    use taskgroup::*;

    mod program {
        #[derive(Debug, PartialEq)]
        pub(super) struct State(pub(super) Node);
        #[derive(Debug, PartialEq)]
        pub(super) struct Node(pub(super) u8);
        pub(super) struct Tree;
        pub(super) struct Warning;
        pub(super) struct Outcome;
        pub(super) struct Handler;
        pub(super) struct Leaf;
        pub(super) struct Member;
        pub(super) struct Counts;
        pub(super) struct Settled;
        pub(super) struct Join;
        pub(super) enum Until {
            Morning,
        }
        pub(super) fn tree(_: Warning, _: Outcome, _: Handler, _: Counts) -> Tree {
            Tree
        }
        pub(super) fn current(_: Leaf, _: Member, _: Settled, _: Join, _: Until) -> State {
            State(Node(1))
        }
    }

    #[test]
    fn they_are_its_own() {
        let Tree = tree(Warning, Outcome, Handler, Counts);
        let state = current(Leaf, Member, Settled, Join, Until::Morning);
        assert_eq!(state, State(Node(1)));
        assert!(!is_cancelled());
    }
}

/// What a program defines itself wins over any glob, the functions of the root included.
mod before_the_root {
    use taskgroup::*;

    fn join(left: &str, right: &str) -> String {
        format!("{left}{right}")
    }

    fn map(number: u8) -> u8 {
        number + 1
    }

    fn timeout() -> u8 {
        30
    }

    struct Policy;

    mod error {
        pub(super) struct Error;
    }

    #[test]
    fn its_own_names_win() {
        let (Policy, error::Error) = (Policy, error::Error);
        assert_eq!((join("a", "b").as_str(), map(1), timeout()), ("ab", 2, 30));
        assert!(current_deadline().is_none());
    }
}
