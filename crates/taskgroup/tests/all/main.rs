//! The contract, rule by rule: each test names the rules of `semantics.md` that it proves.

mod group;
mod support;
