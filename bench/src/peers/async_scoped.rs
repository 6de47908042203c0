//! async-scoped, through its safe function, which blocks the worker that calls it.

use async_scoped::TokioScope;

use super::{Measured, Peer};
use crate::row::Row;
use crate::work::{YieldOnce, sum_below};

pub(super) const PEER: Peer = Peer {
    name: "async-scoped",
    programs: &[
        (Row::SpawnJoin, |n| Box::pin(spawn_join(n, false))),
        (Row::YieldsOnce, |n| Box::pin(spawn_join(n, true))),
    ],
    needs_workers: true,
};

async fn spawn_join(n: usize, yields: bool) -> Measured {
    let ((), values) = TokioScope::scope_and_block(|scope| {
        for index in 0..n {
            scope.spawn(async move {
                if yields {
                    YieldOnce::default().await;
                }
                index
            });
        }
    });
    let values = values.into_iter();
    let sum: usize = values.map(|value| value.expect("no child panics")).sum();
    assert_eq!(sum, sum_below(n));
    Measured::whole()
}
