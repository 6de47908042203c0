//! The contract, rule by rule: each test names the rules of `docs/contract.md` (`S12`) or the
//! behaviour of asyncio or Trio in `docs/contract/reference.md` (`TG05`, `TO3`) that it proves.
//!
//! With `TASKGROUP_TEST_DRIVER=light` in the environment the children are light, otherwise each has
//! a Tokio task of its own; both have to pass.

mod adoption;
mod asyncio;
mod cancelling;
mod cause;
mod cleanup;
mod combine;
mod deadlines;
#[cfg(feature = "testing")]
mod exploring;
mod grace;
mod groups;
mod local_group;
mod misuse;
mod panics;
mod parked;
mod properties;
mod reasons;
mod scale;
mod seeds;
mod services;
mod support;
mod surface;
