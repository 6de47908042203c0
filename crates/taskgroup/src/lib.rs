//! Structured concurrency on Tokio.
