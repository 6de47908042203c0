//! What a service keeps and hands around: a group in a field, cancel scopes and cancellers, futures
//! of a cancellation or an end.

mod cancel_scope;
mod open_group;
#[cfg(feature = "tokio-util")]
mod token;
mod when;
