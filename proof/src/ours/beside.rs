//! The statements that run something next to their task: `start`, `race`, `defer`.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use taskgroup::{ErrorGroup, StartError, Started, is_cancelled, until_cancelled};

use super::outcome::outcome_of;
use super::{Flow, Planted, Running, World, lock};
use crate::program::{Block, Id, Side, Stmt};
use crate::trace::{Kind, Outcome};

impl World {
    pub(super) async fn start(
        self: &Arc<Self>,
        task: Id,
        id: Id,
        group: Id,
        before: &[Stmt],
        after: &[Stmt],
    ) {
        let group = lock(&self.groups)[&group].clone();
        let interrupted = self.on_drop(task, Kind::Interrupted, id, None);
        let (world, before, after) = (self.clone(), before.to_vec(), after.to_vec());
        let child = |started: Started<()>| async move {
            world.log(id, Kind::Start, id, None);
            let mut started = Some(started);
            if world.planted == Some(Planted::EarlyStart) {
                started.take().into_iter().for_each(|word| word.ready(()));
            }
            world.block(id, &before).await?;
            world.log(id, Kind::Ready, id, None);
            started.into_iter().for_each(|word| word.ready(()));
            world.block(id, &after).await
        };
        let started = group.task(id.to_string()).start(child).await;
        interrupted.disarm();
        let outcome = match started {
            Ok(((), handle)) => {
                self.watch(id, handle);
                Outcome::OK
            }
            Err(StartError::Failed(error)) => outcome_of(error.as_ref()),
            // A task that is not cancelled reports that it is ready, or fails.
            Err(_) => Outcome::CANCELLED,
        };
        self.log(task, Kind::Started, id, Some(outcome));
    }

    pub(super) async fn race(
        self: &Arc<Self>,
        task: Id,
        id: Id,
        left: &Side,
        right: &Side,
    ) -> Flow {
        let cancelled = self.on_drop(task, Kind::Raced, id, Some(Outcome::CANCELLED));
        let ended = self.run_race(id, left, right).await;
        cancelled.disarm();
        let outcome = match &ended {
            Ok(()) => Outcome::OK,
            Err(error) => outcome_of(error),
        };
        let cut_off = outcome == Outcome::CANCELLED;
        self.log(task, Kind::Raced, id, Some(outcome));
        if cut_off && is_cancelled() {
            // A scope further out cut the race off, and cuts this statement off as well.
            let Err(cancelled) = until_cancelled(pending::<Infallible>()).await;
            return Err(cancelled.into());
        }
        Ok(ended?)
    }

    /// Boxed, like its sides, because their errors then have no lifetime of their own.
    fn run_race<'a>(
        self: &'a Arc<Self>,
        id: Id,
        left: &'a Side,
        right: &'a Side,
    ) -> Pin<Box<dyn Future<Output = Result<(), ErrorGroup>> + Send + 'a>> {
        let sides = [left, right].map(|side| -> Running<'a> {
            Box::pin(async {
                self.log(side.id, Kind::Start, side.id, None);
                self.block(side.id, &side.body).await
            })
        });
        Box::pin(self.builder(id).race(sides))
    }

    pub(super) fn defer(self: &Arc<Self>, task: Id, id: Id, body: Block) {
        if self.planted == Some(Planted::SkippedDefer) && id % 2 == 0 {
            return;
        }
        let world = self.clone();
        taskgroup::defer(async move {
            world.log(task, Kind::Deferred, id, None);
            let done = world.block(task, &body).await;
            world.log(task, Kind::Undeferred, id, None);
            done
        });
    }
}
