//! S31, S32: all outputs, whatever they are.

use taskgroup::{BoxError, TaskGroup, join, timeout};

use super::{ZERO, dropped_after, fails, has_a_child, now, panics, works};
use crate::support::{Log, Outcome, ms, paused, sleep, took};

#[test]
fn empty() {
    assert!(
        now(join(Vec::<std::future::Ready<()>>::new()))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one() {
    assert_eq!(now(join([async { 1 }])).unwrap(), [1]);
    assert_eq!(now(join((async { 1 },))).unwrap(), (1,));
}

#[test]
fn many() {
    paused(async {
        let text = String::from("borrowed");
        let (time, (length, ())) = took(join((async { text.len() }, sleep(3)))).await;
        assert_eq!((time, length), (3, 8));
        let many = join((0..100).map(|n| async move {
            sleep(100 - n).await;
            n
        }));
        let (time, outputs) = took(many).await;
        assert_eq!(time, 100);
        assert!(outputs.into_iter().eq(0..100));
    });
}

// S31: an `Err` is an output like any other.
#[test]
fn all_fail() {
    paused(async {
        let outputs = join((0..3).map(|_| fails::<()>(1, "bad"))).await;
        assert_eq!(outputs.iter().filter(|output| output.is_err()).count(), 3);
    });
}

// GA6: one task named twice runs once, and its value is there twice.
#[test]
fn duplicates() {
    paused(async {
        TaskGroup::run(async |group| {
            let task = group.spawn(works(1, String::from("value")));
            let values = join([&task, &task]).await;
            assert_eq!(values[0].unwrap(), values[1].unwrap());
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_panic() {
    paused(async {
        let child = TaskGroup::run(async |group| {
            group.spawn(async { join((panics::<()>(1, "oh"), sleep(60))).await.0 });
            Ok(())
        });
        let (time, result) = took(child).await;
        assert_eq!(result.unwrap_err().cause().panic_message(), Some("oh"));
        assert_eq!(time, 1);
    });
}

#[test]
fn cancelled_from_outside() {
    paused(async {
        let log = Log::default();
        let child = has_a_child::<()>(log.clone(), 5);
        let (time, cut) = took(timeout(ms(10), join((child, sleep(60))))).await;
        assert!(cut.is_err());
        assert_eq!((time, log.take().len()), (15, 1));
    });
}

#[test]
fn dropped_half_way() {
    paused(async {
        let log = Log::default();
        let children = join([
            has_a_child::<()>(log.clone(), 10),
            has_a_child(log.clone(), 1),
        ]);
        let (time, ()) = took(dropped_after(5, children)).await;
        assert_eq!((time, log.take().len()), (15, 2));
    });
}

#[test]
fn zero_deadline() {
    paused(async {
        let ready: Outcome<_> = timeout(ZERO, join([async { 1 }]))
            .await
            .map_err(BoxError::from);
        assert_eq!(ready.unwrap(), [1]);
        assert!(timeout(ZERO, join([sleep(1)])).await.is_err());
    });
}
