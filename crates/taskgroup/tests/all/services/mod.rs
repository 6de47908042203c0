//! What a service keeps and hands around: a group in a field, cancel scopes and cancellers, futures
//! of a cancellation or an end, outcomes and failures as they come, typed errors, and the places of
//! a limit, also with real requests.

mod cancel_scope;
mod open_group;
mod outcomes;
mod places;
mod policies;
mod requests;
#[cfg(feature = "tokio-util")]
mod token;
mod typed;
mod when;
