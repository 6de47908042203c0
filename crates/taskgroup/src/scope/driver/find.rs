//! How the runtime is found that drives what is spawned here.

use std::sync::{Arc, Weak};

use tokio::runtime::{Handle, Id};

use super::runtime::Runtime;
use crate::scope::current;
use crate::sync::Mutex;

/// All runtimes that were looked up and are alive: a list, because a program has few.
static ALL: std::sync::OnceLock<Mutex<Vec<Known>>> = std::sync::OnceLock::new();

type Known = (Id, Weak<Runtime>);

impl Runtime {
    /// The runtime that polls the current task, even if its code has entered another one. Outside
    /// any task it is the one that Tokio has entered.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn current() -> Arc<Self> {
        Self::of_task().unwrap_or_else(|| Self::of(&Handle::current()))
    }

    /// The runtime whose context this thread has entered, whichever polls the current task.
    pub(in crate::scope) fn entered() -> Option<Arc<Self>> {
        Handle::try_current().ok().map(|handle| Self::of(&handle))
    }

    pub(crate) fn try_current() -> Option<Arc<Self>> {
        Self::of_task().or_else(Self::entered)
    }

    fn of_task() -> Option<Arc<Self>> {
        let task = current::task()?;
        task.header().owner.runtime_if_set().cloned()
    }

    fn of(handle: &Handle) -> Arc<Self> {
        let id = handle.id();
        let mut all = ALL.get_or_init(Mutex::default).lock();
        let mut known = all.iter().filter(|(known, _)| *known == id);
        if let Some(known) = known.find_map(|(_, runtime)| runtime.upgrade()) {
            return known;
        }
        all.retain(|(_, runtime)| runtime.strong_count() > 0);
        let runtime = Arc::new(Self::new(handle));
        all.push((id, Arc::downgrade(&runtime)));
        runtime
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    // A runtime of Tokio has one `Runtime`, whichever thread asks, and is forgotten when it is
    // gone.
    #[test]
    fn a_runtime_is_known_once() {
        let tokio = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().unwrap()
        };
        let is_known = |id| {
            let all = ALL.get().unwrap().lock();
            all.iter().any(|(known, _)| *known == id)
        };
        let (one, two) = (tokio(), tokio());
        let (id, gone) = (one.handle().id(), two.handle().id());
        let first = Runtime::of(one.handle());
        let second = Runtime::of(two.handle());
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        assert!(Arc::ptr_eq(&first, &Runtime::of(one.handle())));
        drop((second, two));
        let third = tokio();
        drop(Runtime::of(third.handle()));
        assert!(is_known(id) && !is_known(gone));
    }
}
