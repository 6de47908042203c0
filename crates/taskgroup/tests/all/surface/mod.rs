//! What a group can do besides running its children: policies, the limit, background children, readiness, blocking work, progress.

mod background;
mod blocking;
mod limit;
mod policy;
mod progress;
mod start;
