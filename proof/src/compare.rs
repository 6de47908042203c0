//! Runs one program on both sides and judges.

use crate::oracle::{Answer, Error, Interpreter};
use crate::program::Block;
use crate::rules::{Counts, Rule};
use crate::trace::Trace;

/// How many other orders of the steps at one instant the oracle tries before a difference counts as
/// one. An order that takes some unlikely choices at once comes once in some hundred.
const VARIATIONS: u64 = 2000;

/// What the comparison found.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The same, after these named differences.
    Same {
        /// How often each was met.
        rules: Counts,
        /// How many events were compared.
        events: u64,
    },
    /// Not the same, and no rule says why.
    Different {
        /// What the oracle observed on its plain schedule.
        oracle: Trace,
        /// What the subject observed.
        subject: Trace,
    },
}

/// Compares the subject's run of a program with the oracle's.
///
/// # Errors
/// When an interpreter fails.
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

/// The named differences between two runs, or `None` when there is another one.
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
