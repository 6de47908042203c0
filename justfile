# Short names for common commands. `just` alone lists them.

_list:
    @just --list --unsorted

# All tests, as README.md says.
test:
    cargo test --workspace --all-features

# All checks that a change must pass before it lands.
ci *steps:
    .ci/run {{ steps }}

# One minute of random operations under AddressSanitizer.
sanitize:
    .ci/run sanitize

# Run every example and compare its output.
examples:
    cargo test -p taskgroup --all-features --test examples

# Check with the oldest compiler that Cargo.toml promises.
msrv:
    .ci/run msrv

# Compile and run the code of README.md and the guide, and check the documents.
guide:
    cargo test -p taskgroup-book

# Look for misspelt words in documents and code.
spelling:
    .ci/run spelling

# Package each published crate and build it from its package.
package:
    .ci/run package

# Serve the guide in the browser; needs `cargo install mdbook --locked` once.
book:
    mdbook serve --open docs/guide

# Accept what the compiler now says about misuse of the macros; look at the difference before
# committing it.
accept-ui:
    TRYBUILD=overwrite cargo test -p taskgroup-macros --test ui
