//! Which runtime's clock rings for what.

use std::sync::Arc;

use super::timer::NO_CLOCK;
use crate::scope::driver::Runtime;
use crate::scope::tree::Scope;

const SHUT_DOWN: &str = "this needs a clock, and the Tokio runtime has been shut down";

impl Runtime {
    /// The runtime whose clock wakes what is polled now: the one that this thread has entered, as
    /// with Tokio's own timers. A runtime around it may be unable to ring, since its last worker
    /// may be the thread that polls. It stands in where the inner one has no clock.
    ///
    /// # Panics
    /// Where neither has a clock that rings, as Tokio's own timers do.
    pub(crate) fn with_clock() -> Arc<Self> {
        if let Some(entered) = Self::entered().filter(Self::rings) {
            return entered;
        }
        let runtime = Self::current();
        if !runtime.rings() {
            let is_silent = runtime.timers().is_silent();
            panic!("{}", if is_silent { SHUT_DOWN } else { NO_CLOCK });
        }
        runtime
    }

    /// A runtime that rings for `scope`, from whichever thread: its own or, where that has been
    /// shut down, the one that this thread has entered.
    pub(crate) fn with_clock_for(scope: &Arc<Scope>) -> Option<Arc<Self>> {
        let own = scope.runtime_if_any().filter(|runtime| runtime.rings());
        own.cloned().or_else(|| Self::entered().filter(Self::rings))
    }

    /// As [`with_clock_for`](Self::with_clock_for), for a deadline that is moved. The runtime that
    /// polls its work need not be the runtime of the scope, and the latter may not be running. If
    /// the work itself moves the deadline, the runtime that this thread has entered polls the work.
    /// Otherwise `known` is the runtime in which the alarm was set last.
    pub(crate) fn with_clock_of(
        scope: &Arc<Scope>,
        is_inside: bool,
        known: Option<Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let here = is_inside.then(Self::entered).flatten();
        let mut nearer = [here, known].into_iter().flatten();
        let nearer = nearer.find(Self::rings);
        nearer.or_else(|| Self::with_clock_for(scope))
    }

    /// Whether an alarm rings here.
    fn rings(self: &Arc<Self>) -> bool {
        !self.timers().is_silent() && self.timers().has_clock(self)
    }
}
