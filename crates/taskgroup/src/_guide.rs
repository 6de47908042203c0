//! The guide, a chapter a page. The same chapters are a book, `docs/guide` in the repository, which
//! has a part on the command `taskgroup` as well.
//!
//! # Begin
//!
//! - [A first hour](first_hour) builds one program, step by step.
//! - [Questions](faq), with answers
//! - [Glossary](glossary)
//!
//! # Coming from elsewhere
//!
//! - [From asyncio](from_asyncio), [from Trio](from_trio), [from JoinSet](from_joinset)
//! - [Migrating a service](migrating) from `JoinSet`, in steps
//! - [From Go's errgroup](from_errgroup), [from Kotlin coroutines](from_kotlin), [from Swift
//!   concurrency](from_swift), [from Java's StructuredTaskScope](from_java)
//! - [Compared](compared): all of them in one table
//!
//! # Using it
//!
//! - [Patterns](patterns), and [examples] by topic
//! - [Policies](policies): when a group gives up
//! - [Errors](errors)
//! - [Cleanup, `defer` and grace](cleanup)
//! - [Values for everything below](local)
//! - [The root of a program](root), and [servers]
//! - [Pitfalls](pitfalls), and [limits]: what the library does not do
//! - [Seeing what runs](seeing), [testing], [speed]
//!
//! # Reference
//!
//! - [Features](features), [versions and their stability](stability), [platforms]
//! - [Claims about asyncio](claims), and [the texts that the library began with](seeds)
//! - [What is proved](proof)

taskgroup_macros::guide! {
    first_hour, faq, glossary,
    from_asyncio, from_trio, from_joinset, migrating, from_errgroup, from_kotlin, from_swift,
    from_java, compared,
    patterns, examples, policies, errors, cleanup, local, root, servers, pitfalls, limits, seeing,
    testing, speed,
    features, stability, platforms, claims, seeds, proof,
}
