//! The engine: the scope tree, the tasks in it, and what drives them. Nothing here is public.
//!
//! Data flows one way. The public face (groups, cancellation, deadlines, cleanup) opens scopes and spawns tasks; the *tree*
//! knows who is below whom and carries cancellation down and endings up; a *task* is one child with its future and its
//! outcome; a *section* polls a scope inline; the *driver* is the seam to Tokio.
//!
//! | file | what it answers |
//! |---|---|
//! | `tree` | who is below whom, who is cancelled, what has ended |
//! | `group` | errors, policy, grace and limit of a group |
//! | `task` | one child: state word, future, outcome |
//! | `section` | the guard rule for code that is polled inline |
//! | `current` | whose code is being polled on this thread |
//! | `polling` | who polls what, as seen from another thread |
//! | `driver` | who polls children: pumps, or Tokio tasks |
//! | `timer` | alarms: one sleeping Tokio task per runtime |

pub(crate) mod current;
pub(crate) mod driver;
pub(crate) mod group;
pub(crate) mod polling;
pub(crate) mod section;
pub(crate) mod task;
pub(crate) mod timer;
pub(crate) mod tree;
