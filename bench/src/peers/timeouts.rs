//! Timeouts that do not fire, one after the other: those of `taskgroup` and of Tokio, and none.

use std::future::ready;

use super::{Measured, Peer};
use crate::row::Row;
use crate::work::{MINUTE, YieldOnce};

pub(super) const TASKGROUP: Peer = Peer::new(
    "taskgroup",
    &[
        (Row::TimeoutReady, |n| {
            Box::pin(async move {
                for index in 0..n {
                    let value = taskgroup::timeout(MINUTE, ready(index)).await;
                    assert!(value.is_ok_and(|value| value == index));
                }
                Measured::whole()
            })
        }),
        (Row::TimeoutWoken, |n| {
            Box::pin(async move {
                for _ in 0..n {
                    let value = taskgroup::timeout(MINUTE, YieldOnce::default()).await;
                    assert!(value.is_ok());
                }
                Measured::whole()
            })
        }),
    ],
);

pub(super) const TOKIO: Peer = Peer::new(
    "tokio",
    &[
        (Row::TimeoutReady, |n| {
            Box::pin(async move {
                for index in 0..n {
                    let value = tokio::time::timeout(MINUTE, ready(index)).await;
                    assert!(value.is_ok_and(|value| value == index));
                }
                Measured::whole()
            })
        }),
        (Row::TimeoutWoken, |n| {
            Box::pin(async move {
                for _ in 0..n {
                    let value = tokio::time::timeout(MINUTE, YieldOnce::default()).await;
                    assert!(value.is_ok());
                }
                Measured::whole()
            })
        }),
    ],
);

/// The same work without a timeout: the part of both figures that no timeout can avoid.
pub(super) const NONE: Peer = Peer::new(
    "no timeout",
    &[
        (Row::TimeoutReady, |n| {
            Box::pin(async move {
                for index in 0..n {
                    assert_eq!(std::hint::black_box(ready(index)).await, index);
                }
                Measured::whole()
            })
        }),
        (Row::TimeoutWoken, |n| {
            Box::pin(async move {
                for _ in 0..n {
                    YieldOnce::default().await;
                }
                Measured::whole()
            })
        }),
    ],
);
