//! Runs one program on both sides and compares the traces.

use crate::oracle::{Answer, Error, Interpreter};
use crate::program::Block;
use crate::rules::{Counts, Rule};
use crate::trace::Trace;

/// How many other orders of the steps at one instant the oracle tries before a difference counts.
/// An order that needs several unlikely choices comes up about once in a hundred.
const VARIATIONS: u64 = 2000;

/// The result of a comparison.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Both are the same, apart from these named differences.
    Same {
        /// How often each occurred.
        rules: Counts,
        /// How many events were compared.
        events: u64,
    },
    /// They differ, and no rule explains it.
    Different {
        /// The trace of the oracle on its plain schedule.
        oracle: Trace,
        /// The trace of the subject.
        subject: Trace,
    },
}

/// Compares the subject's run of a program with the oracle's.
///
/// # Errors
/// If an interpreter fails.
pub fn compare(
    program: &Block,
    oracle: &mut dyn Interpreter,
    subject: &mut dyn Interpreter,
) -> Result<Verdict, Error> {
    let ours = subject.run(program, 0)?;
    let plain = oracle.run(program, 0)?;
    let events = ours.trace.0.values().map(|task| task.len() as u64).sum();
    if let Some(rules) = agree(&plain, &ours) {
        return Ok(Verdict::Same { rules, events });
    }
    for variation in 1..=VARIATIONS {
        let other = oracle.run(program, variation)?;
        if let Some(mut rules) = agree(&other, &ours) {
            *rules.entry(Rule::SameInstantOrder).or_default() += 1;
            return Ok(Verdict::Same { rules, events });
        }
    }
    Ok(Verdict::Different {
        oracle: plain.trace,
        subject: ours.trace,
    })
}

/// The named differences between two runs, or `None` if there are others as well.
fn agree(oracle: &Answer, subject: &Answer) -> Option<Counts> {
    if oracle.trace != subject.trace {
        return None;
    }
    let mut counts = oracle.rules.clone();
    for (rule, count) in &subject.rules {
        *counts.entry(*rule).or_default() += count;
    }
    Some(counts)
}
