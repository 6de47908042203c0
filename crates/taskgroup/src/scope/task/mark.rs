//! What a task carries only to be seen: its name, where it was spawned, since when it waits.
//!
//! Built with `--cfg taskgroup_bare`, tasks carry none of that, no time is taken for ages, and no
//! thread can be asked whose code it polls. That build serves one purpose: `bench/` measures beside
//! it what being seen costs. Everything else holds there too, but who failed is told by number
//! alone.

pub(crate) use imp::Mark;

#[cfg(not(taskgroup_bare))]
mod imp {
    use std::borrow::Cow;
    use std::panic::Location;

    use crate::clock::{self, Stamp};
    use crate::scope::task::name::Name;
    use crate::sync::{AtomicU32, Ordering};

    pub(crate) struct Mark {
        name: Name,
        location: &'static Location<'static>,
        since: AtomicU32,
    }

    impl Mark {
        #[inline]
        pub(crate) fn new(
            name: Option<Cow<'static, str>>,
            location: &'static Location<'static>,
        ) -> Self {
            Self {
                name: Name::new(name),
                location,
                since: AtomicU32::new(0),
            }
        }

        pub(crate) fn name(&self) -> Option<Cow<'static, str>> {
            self.name.get()
        }

        pub(crate) fn location(&self) -> &'static Location<'static> {
            self.location
        }

        /// It is linked now.
        pub(crate) fn linked(&self) {
            self.since.store(clock::stamp(), Ordering::Relaxed);
        }

        /// When it was linked; 0 before that.
        pub(crate) fn since(&self) -> Stamp {
            self.since.load(Ordering::Relaxed)
        }
    }
}

#[cfg(taskgroup_bare)]
mod imp {
    use std::borrow::Cow;
    use std::panic::Location;

    use crate::clock::Stamp;

    pub(crate) struct Mark;

    impl Mark {
        // By value, as the other one takes it.
        #[allow(clippy::needless_pass_by_value)]
        pub(crate) fn new(_: Option<Cow<'static, str>>, _: &'static Location<'static>) -> Self {
            Self
        }

        pub(crate) fn name(&self) -> Option<Cow<'static, str>> {
            None
        }

        pub(crate) fn location(&self) -> &'static Location<'static> {
            Location::caller()
        }

        pub(crate) fn linked(&self) {}

        pub(crate) fn since(&self) -> Stamp {
            0
        }
    }
}
