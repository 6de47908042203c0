//! What a group can do besides running its children: policies, the limit, background children,
//! readiness, blocking work, progress; and the names under which all of it is found.

mod background;
mod blocking;
mod limit;
mod names;
mod policy;
mod progress;
mod start;
