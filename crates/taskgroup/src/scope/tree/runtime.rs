//! Which runtime drives what is spawned in a scope (T8).

#![allow(unsafe_code)]

use std::sync::Arc;

use super::{Scope, ancestors};
use crate::scope::driver::Runtime;
use crate::sync::Ordering;

impl Scope {
    /// The runtime that drives what is spawned here: the runtime of the scopes around it, or else
    /// the one in which it was first asked for.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[inline]
    pub(crate) fn runtime(self: &Arc<Self>) -> &Arc<Runtime> {
        self.runtime_if_set()
            .unwrap_or_else(|| self.runtime_around_or_here())
    }

    #[cold]
    fn runtime_around_or_here(self: &Arc<Self>) -> &Arc<Runtime> {
        self.runtime_around()
            .unwrap_or_else(|| self.keep_runtime(Runtime::current()))
    }

    #[cfg(loom)]
    pub(in crate::scope) fn set_runtime(&self, runtime: &Arc<Runtime>) {
        self.keep_runtime(runtime.clone());
    }

    #[inline]
    pub(in crate::scope) fn runtime_if_set(&self) -> Option<&Arc<Runtime>> {
        // Acquire: T8, with the stores in `runtime_around` and `keep_runtime`.
        let known = self.runtime.load(Ordering::Acquire);
        // SAFETY: T8: it is null, or points to what is set once in a scope that outlives this one.
        unsafe { known.as_ref() }
    }

    pub(crate) fn runtime_if_any(self: &Arc<Self>) -> Option<&Arc<Runtime>> {
        if let Some(runtime) = self.runtime_around() {
            return Some(runtime);
        }
        Some(self.keep_runtime(Runtime::try_current()?))
    }

    /// What the nearest scope around that knows its runtime has found.
    fn runtime_around(self: &Arc<Self>) -> Option<&Arc<Runtime>> {
        if let Some(runtime) = self.runtime_if_set() {
            return Some(runtime);
        }
        let runtime = ancestors(self).find_map(|above| above.runtime_if_set())?;
        let known = std::ptr::from_ref(runtime).cast_mut();
        // Release: T8, with `runtime_if_set`. A thread that finds it here need not have seen it set
        // above.
        self.runtime.store(known, Ordering::Release);
        Some(runtime)
    }

    /// No scope above knows its runtime; this one does from now on.
    fn keep_runtime(&self, runtime: Arc<Runtime>) -> &Arc<Runtime> {
        let runtime = self.own_runtime.get_or_init(|| runtime);
        let known = std::ptr::from_ref(runtime).cast_mut();
        // Release: T8, with `runtime_if_set`: what it points to was written before.
        self.runtime.store(known, Ordering::Release);
        runtime
    }
}
