//! The command `taskgroup`.

fn main() {}
