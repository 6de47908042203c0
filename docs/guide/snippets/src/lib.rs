//! The code of README.md and of the guide, as doctests: `cargo test -p taskgroup-book` compiles and
//! runs it.
//!
//! A chapter is a module here whose documentation is the chapter. tests/chapters.rs fails when one
//! is missing.

#![cfg(doctest)]

#[doc = include_str!("../../../../README.md")]
mod readme {}

#[doc = include_str!("../../src/first-hour.md")]
mod first_hour {}

#[doc = include_str!("../../src/from-asyncio.md")]
mod from_asyncio {}

#[doc = include_str!("../../src/from-trio.md")]
mod from_trio {}

#[doc = include_str!("../../src/from-joinset.md")]
mod from_joinset {}

#[doc = include_str!("../../src/from-errgroup.md")]
mod from_errgroup {}

#[doc = include_str!("../../src/from-kotlin.md")]
mod from_kotlin {}

#[doc = include_str!("../../src/from-swift.md")]
mod from_swift {}

#[doc = include_str!("../../src/from-java.md")]
mod from_java {}

#[doc = include_str!("../../src/compared.md")]
mod compared {}

#[doc = include_str!("../../src/seeing.md")]
mod seeing {}

#[doc = include_str!("../../src/testing.md")]
mod testing {}

#[doc = include_str!("../../src/introduction.md")]
mod introduction {}

#[doc = include_str!("../../src/patterns.md")]
mod patterns {}

#[doc = include_str!("../../src/examples.md")]
mod examples {}

#[doc = include_str!("../../src/servers.md")]
mod servers {}

#[doc = include_str!("../../src/pitfalls.md")]
mod pitfalls {}

#[doc = include_str!("../../src/limits.md")]
mod limits {}

#[doc = include_str!("../../src/claims.md")]
mod claims {}

#[doc = include_str!("../../src/seeds.md")]
mod seeds {}

#[doc = include_str!("../../src/proof.md")]
mod proof {}

#[doc = include_str!("../../src/speed.md")]
mod speed {}

#[doc = include_str!("../../src/command.md")]
mod command {}

#[doc = include_str!("../../src/command-from.md")]
mod command_from {}

#[doc = include_str!("../../src/cluster.md")]
mod cluster {}

#[doc = include_str!("../../src/faq.md")]
mod faq {}

#[doc = include_str!("../../src/glossary.md")]
mod glossary {}

#[doc = include_str!("../../src/migrating.md")]
mod migrating {}

#[doc = include_str!("../../src/policies.md")]
mod policies {}

#[doc = include_str!("../../src/errors.md")]
mod errors {}

#[doc = include_str!("../../src/cleanup.md")]
mod cleanup {}

#[doc = include_str!("../../src/local.md")]
mod local {}

#[doc = include_str!("../../src/root.md")]
mod root {}

#[doc = include_str!("../../src/features.md")]
mod features {}

#[doc = include_str!("../../src/stability.md")]
mod stability {}

#[doc = include_str!("../../src/platforms.md")]
mod platforms {}

#[doc = include_str!("../../src/command-tutorial.md")]
mod command_tutorial {}

#[doc = include_str!("../../src/command-reference.md")]
mod command_reference {}
