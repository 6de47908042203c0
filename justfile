# The short names of what one does here. `just` alone lists them.

_list:
    @just --list --unsorted

# All tests, as README.md says.
test:
    cargo test --workspace --all-features

# Everything that has to hold before a change lands.
ci *steps:
    .ci/run {{ steps }}

# Random operations for a minute under AddressSanitizer.
sanitize:
    .ci/run sanitize

# Every example, its output compared.
examples:
    cargo test -p taskgroup --all-features --test examples

# The library, the macros and the command with the oldest compiler that Cargo.toml promises.
msrv:
    .ci/run msrv

# The code of README.md and of the guide, compiled and run.
guide:
    cargo test -p taskgroup-book

# The guide as a book in the browser; needs `cargo install mdbook --locked` once.
book:
    mdbook serve --open docs/guide

# Accept what the compiler now says about misuse of the macros; look at the difference before committing it.
accept-ui:
    TRYBUILD=overwrite cargo test -p taskgroup-macros --test ui
