//! What a task carries only to be observed: its name, its spawn location, the time of its first
//! wait.
//!
//! Built with `--cfg taskgroup_bare`, tasks carry none of it, no clock is read for ages, and no
//! thread can be asked which code it polls. That build serves one purpose: `bench/` measures
//! against it what being observable costs. All rules hold there too, but errors name tasks by
//! number alone.

pub(crate) use imp::Label;

#[cfg(not(taskgroup_bare))]
mod imp {
    use std::borrow::Cow;
    use std::panic::Location;

    use crate::clock::{self, Stamp};
    use crate::scope::task::name::Name;
    use crate::sync::{AtomicU32, Ordering};

    pub(crate) struct Label {
        name: Name,
        location: &'static Location<'static>,
        since: AtomicU32,
    }

    impl Label {
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

        /// Notes that the task is linked now.
        pub(crate) fn linked(&self) {
            self.since.store(clock::stamp(), Ordering::Relaxed);
        }

        /// When the task was linked; 0 before that.
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

    pub(crate) struct Label;

    impl Label {
        // By value, as the observable `Mark` takes it.
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
