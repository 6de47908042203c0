//! Makes a failing schedule small: as few choices out of order as it takes.

use super::schedule::Schedule;

/// The most runs that are spent on it.
const RUNS: usize = 400;

/// The smallest schedule found for which `fails` holds. It holds for `schedule`, or nothing is
/// changed.
pub(super) fn shrink(schedule: &Schedule, mut fails: impl FnMut(&Schedule) -> bool) -> Schedule {
    let mut best = schedule.clone();
    let mut runs = RUNS;
    let mut attempt = |best: &mut Schedule, choices: Vec<u32>| {
        let candidate = Schedule::new(choices);
        if runs == 0 || candidate == *best {
            return false;
        }
        runs -= 1;
        let smaller = fails(&candidate);
        if smaller {
            *best = candidate;
        }
        smaller
    };
    // Back to the order of arrival: all, halves, quarters and so on, from the end, where it matters
    // least.
    let mut width = best.choices().len();
    while width > 0 {
        let mut end = best.choices().len();
        while end > 0 {
            let start = end.saturating_sub(width);
            let mut choices = best.choices().to_vec();
            choices[start..end].fill(0);
            attempt(&mut best, choices);
            end = start.min(best.choices().len());
        }
        width /= 2;
    }
    // Leave choices out altogether, which makes the run shorter; then take smaller ones.
    for at in (0..best.choices().len()).rev() {
        let mut choices = best.choices().to_vec();
        if at < choices.len() {
            choices.remove(at);
            attempt(&mut best, choices);
        }
    }
    for at in 0..best.choices().len() {
        while let Some(&choice) = best.choices().get(at).filter(|&&choice| choice > 1) {
            let mut choices = best.choices().to_vec();
            choices[at] = choice - 1;
            if !attempt(&mut best, choices) {
                break;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let schedule = Schedule::new(vec![3, 1, 4, 1, 5, 9, 2, 6]);
        let fails = |candidate: &Schedule| candidate.choices().iter().any(|&choice| choice > 3);
        let small = shrink(&schedule, fails);
        assert_eq!(small.to_string(), "4");
    }

    #[test]
    fn what_does_not_fail_again_stays_as_it_is() {
        let schedule = Schedule::new(vec![3, 1, 4]);
        assert_eq!(shrink(&schedule, |_| false), schedule);
    }
}
