//! Random programs whose outcome can be told beforehand.

mod deadlines;
mod limit;

use proptest::test_runner::Config;

/// So many cases, and no file with those that failed: what fails here gets a test of its own.
fn cases(count: u32) -> Config {
    Config {
        failure_persistence: None,
        ..Config::with_cases(count)
    }
}
