//! "Did you mean": the candidate that a misspelt word is closest to.

/// The candidate that contains `word`, or else the one with the fewest edits, if they are few
/// enough for a slip.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if let Some(longer) = candidates
        .iter()
        .find(|longer| word.len() > 2 && longer.contains(word))
    {
        return Some(longer);
    }
    let (edits, best) = candidates
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .min_by_key(|(edits, _)| *edits)?;
    // More than half of the word changed is a different word, not a slip.
    (edits * 2 <= best.chars().count()).then_some(best)
}

/// The number of insertions, removals, replacements and swaps of neighbours between two words.
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.to_lowercase().chars().collect();
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut cost = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = cost;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::{edits, nearest};

    #[test]
    fn counts_single_edits() {
        assert_eq!(edits("grace", "grace"), 0);
        assert_eq!(edits("grce", "grace"), 1);
        assert_eq!(edits("graace", "grace"), 1);
        assert_eq!(edits("grade", "grace"), 1);
        assert_eq!(edits("garce", "grace"), 1);
        assert_eq!(edits("", "grace"), 5);
        assert_eq!(edits("grace", ""), 5);
    }

    #[test]
    fn names_the_slip_and_not_a_stranger() {
        let known = ["flavor", "worker_threads", "start_paused", "grace"];
        assert_eq!(nearest("flavour", &known), Some("flavor"));
        assert_eq!(nearest("Worker_thread", &known), Some("worker_threads"));
        assert_eq!(nearest("paused", &known), Some("start_paused"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest("flavor", &[]), None);
    }
}
