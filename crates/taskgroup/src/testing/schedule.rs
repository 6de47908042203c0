//! Which task runs next: drawn from a seed, or read from a schedule that was printed before.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::error::TaskId;

/// The choices of one run, one for each time when more than one task could run: 0 takes the task
/// that has waited longest, 1 the one after it, and so on. After its end every choice is 0.
///
/// Its text is short: `3*0.2.1` stands for 0, 0, 0, 2, 1.
///
/// ```
/// use taskgroup::testing::Schedule;
///
/// let schedule: Schedule = "3*0.2.1".parse().unwrap();
/// assert_eq!(schedule.deviations(), 2);
/// assert_eq!(schedule.to_string(), "3*0.2.1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule(Vec<u32>);

impl Schedule {
    pub(super) fn new(mut choices: Vec<u32>) -> Self {
        while choices.last() == Some(&0) {
            choices.pop();
        }
        Self(choices)
    }

    pub(super) fn choices(&self) -> &[u32] {
        &self.0
    }

    /// The number of choices that do not take the task that has waited longest.
    #[must_use]
    pub fn deviations(&self) -> usize {
        self.0.iter().filter(|&&choice| choice != 0).count()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        let runs = self.0.chunk_by(|one, other| one == other);
        for (at, run) in runs.enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            match run.len() {
                1 => write!(f, "{}", run[0])?,
                times => write!(f, "{times}*{}", run[0])?,
            }
        }
        Ok(())
    }
}

/// What is wrong with the text of a schedule.
///
/// ```
/// use taskgroup::testing::Schedule;
///
/// let bad = "0.x".parse::<Schedule>().unwrap_err();
/// assert!(bad.to_string().contains('x'));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchedule(String);

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a part of a schedule, which is a row of numbers such as 3*0.2.1",
            self.0
        )
    }
}

impl std::error::Error for BadSchedule {}

/// More choices than any run makes; a typing error must not eat the memory.
const LONGEST: usize = 10_000_000;

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        let mut choices = Vec::new();
        for part in text.trim().split('.') {
            let bad = || BadSchedule(part.to_owned());
            let (times, choice) = part.split_once('*').unwrap_or(("1", part));
            let times: usize = times.parse().map_err(|_| bad())?;
            let choice: u32 = choice.parse().map_err(|_| bad())?;
            if times > LONGEST - choices.len() {
                return Err(bad());
            }
            choices.resize(choices.len() + times, choice);
        }
        Ok(Self::new(choices))
    }
}

/// Where the choices of a run come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Seed(u64),
    Schedule(Schedule),
}

/// Makes the choices of one run and remembers them.
#[derive(Debug)]
pub(super) struct Chooser {
    way: Way,
    taken: Vec<u32>,
}

#[derive(Debug)]
enum Way {
    /// All waiting tasks are equally likely: many short detours.
    Even(u64),
    /// The task with the highest rank goes first, and now and then the task that went gets another
    /// rank: few long delays. Choosing evenly hardly ever makes one task late by several turns of
    /// another.
    Ranked(u64, HashMap<TaskId, u64>),
    Given(Schedule),
}

/// One turn in this number draws a new rank.
const TURNS: u64 = 8;

impl Chooser {
    pub(super) fn new(source: Source) -> Self {
        let way = match source {
            Source::Schedule(schedule) => Way::Given(schedule),
            Source::Seed(mut seed) => match draw(&mut seed) % 2 {
                0 => Way::Even(seed),
                _ => Way::Ranked(seed, HashMap::new()),
            },
        };
        Self {
            way,
            taken: Vec::new(),
        }
    }

    /// The number of one of the waiting tasks, of which there is at least one.
    pub(super) fn choose(&mut self, waiting: impl ExactSizeIterator<Item = TaskId>) -> usize {
        let most = waiting.len().saturating_sub(1);
        let choice = match &mut self.way {
            Way::Even(state) => {
                let bound = most as u64 + 1;
                usize::try_from(draw(state) % bound).unwrap_or(most)
            }
            Way::Ranked(state, ranks) => {
                let ranked = waiting.enumerate().map(|(at, task)| {
                    let rank = *ranks.entry(task).or_insert_with(|| draw(state));
                    (rank, at, task)
                });
                let Some((_, choice, task)) = ranked.max() else {
                    return 0;
                };
                if draw(state) % TURNS == 0 {
                    ranks.insert(task, draw(state));
                }
                choice
            }
            Way::Given(schedule) => {
                let choice = schedule.0.get(self.taken.len()).copied().unwrap_or(0);
                usize::try_from(choice).map_or(most, |choice| choice.min(most))
            }
        };
        self.taken.push(u32::try_from(choice).unwrap_or(u32::MAX));
        choice
    }

    pub(super) fn taken(&self) -> Schedule {
        Schedule::new(self.taken.clone())
    }
}

/// SplitMix64: small, and the same on every machine.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_schedule_means_the_same_again() {
        let texts = [(vec![], "0"), (vec![0, 0, 0, 2, 1], "3*0.2.1")];
        for (choices, text) in texts {
            let schedule = Schedule::new(choices);
            assert_eq!(schedule.to_string(), text);
            assert_eq!(text.parse(), Ok(schedule));
        }
        assert_eq!("1.0.0".parse(), Ok(Schedule::new(vec![1])));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "1..2", "x", "1*", "*1", "-1", "99999999999*0", "1,2"] {
            let refused = text.parse::<Schedule>().unwrap_err();
            assert!(refused.to_string().contains("3*0.2.1"), "{text}");
        }
    }

    /// `count` tasks that are always ready.
    fn tasks(count: u32) -> impl ExactSizeIterator<Item = TaskId> {
        (0..count).map(|index| TaskId::new(1, index))
    }

    #[test]
    fn a_seed_makes_the_same_choices_again_and_all_of_them() {
        let choices = |seed| {
            let mut chooser = Chooser::new(Source::Seed(seed));
            (0..400)
                .map(|_| chooser.choose(tasks(3)))
                .collect::<Vec<_>>()
        };
        let (mut long_delays, mut seen) = (0, std::collections::BTreeSet::new());
        for seed in 0..20 {
            let made = choices(seed);
            assert_eq!(made, choices(seed));
            assert_ne!(made, choices(seed + 1));
            seen.extend(made.iter().copied());
            let of_one = made.chunk_by(|one, other| one == other);
            long_delays += usize::from(of_one.map(<[_]>::len).max() >= Some(10));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        // Both ways are there.
        assert!((5..15).contains(&long_delays), "{long_delays}");
    }

    #[test]
    fn a_schedule_is_cut_to_what_there_is_and_then_goes_on_in_order() {
        let schedule = "9.1".parse().unwrap();
        let mut chooser = Chooser::new(Source::Schedule(schedule));
        let choices: Vec<usize> = (0..4).map(|_| chooser.choose(tasks(3))).collect();
        assert_eq!(choices, [2, 1, 0, 0]);
        assert_eq!(chooser.taken().to_string(), "2.1");
    }
}
