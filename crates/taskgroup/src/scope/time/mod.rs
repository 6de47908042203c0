//! Time: alarms, deadlines, and the runtimes whose clocks ring.
//!
//! | file | what it answers |
//! |---|---|
//! | `timer` | alarms: one sleeping Tokio task per runtime |
//! | `alarm` | what an alarm does when it rings |
//! | `clock` | which runtime's clock rings for what |
//! | `deadline` | deadlines with a scope |
//! | `bell` | the alarm of a deadline without one |
//! | `stand_in` | what rings where no runtime has a clock |

pub(crate) mod alarm;
pub(crate) mod bell;
mod clock;
mod deadline;
mod stand_in;
pub(crate) mod timer;

pub(crate) use deadline::ArmedBy;
