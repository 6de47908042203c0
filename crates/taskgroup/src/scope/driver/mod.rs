//! How children are driven: the seam between the tree and Tokio.
//!
//! A task knows three things of its driver: `submit` puts a new task where it will be polled,
//! `hand_over` one that was woken, and [`Runtime::current`] finds the current runtime. A driver
//! knows one thing of a task: how to poll it once.
//!
//! | file | what it answers |
//! |---|---|
//! | `submit` | how a task gets to what polls it |
//! | `runtime`, `find` | what is kept for one Tokio runtime, and how it is found |
//! | `tokio_task` | the default: each child is driven by a Tokio task of its own |
//! | `light`, `queue` | an option of a group: short-lived Tokio tasks poll its children from a queue |
//! | `explored` | for `testing::explore`: all children of a runtime wait in one queue until they are chosen |
//! | `dead` | how children end whose runtime is gone |
//! | `model` | what stands for Tokio in the schedule models |
//!
//! Invariants:
//!
//! - **DR1** A task is in at most one queue: it is submitted when it is new, and by the thread that
//!   set `SCHEDULED` on an idle one.
//! - **DR2** No lost wake-up: a queue changes under one lock, together with the count of the pumps
//!   that are on their way to it.
//! - **DR3** When a runtime shuts down, Tokio drops each driver. A dropped driver drops the
//!   children that it drove, and marks its queue or its task as dead, so that what is handed over
//!   later is dropped by the thread that hands it over.

mod dead;
#[cfg(any(feature = "testing", loom))]
pub(crate) mod explored;
mod find;
mod light;
#[cfg(loom)]
mod model;
mod queue;
mod runtime;
mod submit;
mod tokio_task;

pub(crate) use light::light_queue;
pub(crate) use queue::LightQueue;
pub(crate) use runtime::Runtime;
pub(crate) use submit::settings;
