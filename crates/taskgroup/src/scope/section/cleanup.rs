//! Cleanups that were left to a scope: a shielded task works through them, one after the other.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Began, BoxError, Interval, Member};
use crate::gate;
use crate::scope::current;
use crate::scope::driver;
use crate::scope::task::{self, SHIELDED, Spec, TaskRef};
use crate::scope::tree::{Deferred, Kind, Scope, outward};

impl Deferred {
    pub(crate) fn new(future: impl Future<Output = Result<(), BoxError>> + Send + 'static) -> Self {
        Self {
            future: Box::pin(future),
            adopt,
        }
    }
}

/// [`Scope::adopt_cleanups`], where there are some.
fn adopt(scope: &Arc<Scope>, deferred: Vec<Deferred>) {
    // A scope that has ended cannot run it. Then the work goes to the scope around it.
    let mut homes = outward(scope).filter(|scope| scope.enter_child().is_ok());
    let Some(scope) = homes.next() else {
        return drop_all(deferred);
    };
    if matches!(scope.kind, Kind::Root) {
        scope.leave();
        // The root belongs to no runtime. So one scope is opened for all of it, in which the
        // cleanups run one after the other as well.
        let orphan = Scope::open(Kind::Section, scope.clone(), scope.location);
        orphan.adopt_cleanups(deferred);
        return orphan.orphan();
    }
    if scope.runtime_if_any().is_none() {
        scope.leave();
        return drop_all(deferred);
    }
    if !scope.push_adopted(deferred.into_iter().rev()) {
        return scope.leave();
    }
    let spec = Spec {
        owner: scope.clone(),
        index: scope.next_index(),
        name: Some("cleanup".into()),
        location: scope.location,
        bits: SHIELDED | driver::settings(scope),
    };
    let cleanups = Cleanups {
        scope: scope.clone(),
        current: None,
    };
    let Ok((born, _)) = task::new(cleanups, |maker| Ok::<_, Infallible>(maker.node(spec)));
    born.begin().into_iter().for_each(TaskRef::submit);
}

/// Nothing can run it.
fn drop_all(deferred: Vec<Deferred>) {
    for cleanup in deferred.into_iter().rev() {
        gate::drop_or_report(CLEANUP, cleanup);
    }
}

/// Works through the cleanups of a scope, one after the other. If one fails or panics, the others
/// still run.
struct Cleanups {
    scope: Arc<Scope>,
    current: Option<Deferred>,
}

/// The subject of the report, if one panics that belongs to no task.
const CLEANUP: &str = "a cleanup";

impl Cleanups {
    /// A panic of the destructor is a failure of the cleanup.
    fn drop_one(&self, cleanup: Option<Deferred>) {
        let Err(payload) = gate::drop_value(cleanup) else {
            return;
        };
        match current::task() {
            Some(task) => {
                let member = Member::from_panic(task.header().info(), payload, Interval::now());
                self.scope.adopt_cleanup_failure(member);
            }
            None => gate::report(CLEANUP, payload),
        }
    }
}

impl Future for Cleanups {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(cleanup) = &mut self.current else {
                self.current = self.scope.pop_adopted();
                if self.current.is_none() {
                    return Poll::Ready(());
                }
                continue;
            };
            let began = Began::now();
            let polled = gate::call(|| cleanup.future.as_mut().poll(cx)).map_err(|payload| {
                if gate::is_cut_off(&payload) {
                    let cut = self.current.take();
                    self.drop_one(cut);
                }
                gate::hand_on(payload)
            });
            let Poll::Ready(result) = began.polled(polled) else {
                return Poll::Pending;
            };
            if let (Err(failed), Some(task)) = (result, current::task()) {
                let member = Member::failed(task.header().info(), failed);
                self.scope.adopt_cleanup_failure(member);
            }
            let done = self.current.take();
            self.drop_one(done);
        }
    }
}

impl Drop for Cleanups {
    /// Dropped before the end, because the grace has ended or the runtime shuts down. What still
    /// waits is dropped too.
    fn drop(&mut self) {
        let begun = self.current.take();
        self.drop_one(begun);
        while let Some(cleanup) = self.scope.pop_adopted() {
            self.drop_one(Some(cleanup));
        }
    }
}
