//! Errors of a group in an application: by type, with the context of `anyhow`, and a panic.
//!
//! An `ErrorGroup` is an ordinary error, so `?` turns it into an `anyhow::Error`. The errors inside
//! keep their types: a leaf finds them again below any context that was put around them.

use std::io;

use anyhow::Context;
use taskgroup::{ErrorGroup, Policy, TaskGroup};

fn read(name: &str) -> anyhow::Result<String> {
    Err(io::Error::from(io::ErrorKind::NotFound)).with_context(|| format!("reading {name}"))
}

async fn load() -> anyhow::Result<()> {
    let group = TaskGroup::builder().name("load").policy(Policy::collect());
    let loaded = group.run(async |group| {
        group
            .task("config")
            .spawn(async { read("config.toml").map(drop) });
        group.task("cache").spawn(async {
            let entries: Vec<u32> = Vec::new();
            assert!(!entries.is_empty(), "the cache is empty");
        });
        Ok(())
    });
    loaded.await.context("the program cannot start")
}

#[tokio::main]
async fn main() {
    // The panic is in the error. The message that Rust prints for each panic is left out here.
    std::panic::set_hook(Box::new(|_| ()));
    let error = load().await.unwrap_err();
    println!("{error}");

    let errors = error.downcast_ref::<ErrorGroup>().expect("it is inside");
    let mut leaves: Vec<_> = errors.leaves().collect();
    leaves.sort_by_key(|leaf| leaf.name().to_owned());
    for leaf in leaves {
        let kind = leaf.find::<io::Error>().map(io::Error::kind);
        println!("{}: panic {}, {kind:?}", leaf.name(), leaf.is_panic());
    }

    // Clauses: what is caused by an I/O error, below whatever context, and panics.
    let rest = errors
        .clone()
        .on_caused_by::<io::Error>(|part| println!("caused by I/O: {}", part.cause().name()))
        .on_panic(|part| println!("panicked: {}", part.cause().name()))
        .rest();
    println!("everything is handled: {}", rest.is_ok());
}
