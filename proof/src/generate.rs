//! Random programs in the neutral form.
//!
//! A seed gives one program, always the same. Two kinds are made: *spread* programs draw their times from a wide range,
//! so that two timers are hardly ever due at the same instant, and *tied* programs (one in eight) from a narrow one, so
//! that they often are; for those the comparison accepts any order of the tied timers.

use crate::program::{Block, DeadlineKind, Id, Stmt, Surroundings, Then};
use crate::random::Random;

/// How deep statements nest at most.
const DEPTH: u32 = 7;

/// The program of a seed.
pub fn generate(seed: u64) -> Block {
    generate_from(Random::new(seed))
}

/// The program of some choices: each sequence of bytes gives one, and the shortest give the smallest.
pub fn generate_of_bytes(bytes: &[u8]) -> Block {
    generate_from(Random::of_bytes(bytes))
}

fn generate_from(mut random: Random) -> Block {
    let tied = random.one_in(8);
    let budget = 4 + random.below(5) * random.below(10);
    let mut maker = Maker {
        random,
        tied,
        budget: i64::try_from(budget).unwrap_or(4),
        last: 0,
        spawned: Vec::new(),
    };
    let group = maker.id();
    let body = maker.block(&Surroundings::root().in_group(group), 0);
    let mut program = vec![Stmt::Group { id: group, body }];
    if maker.random.one_in(2) {
        program = vec![Stmt::Catch {
            id: maker.id(),
            body: program,
        }];
    }
    // What a scope leaves behind shows itself in a wait after it.
    program.push(maker.sleep());
    program
}

struct Maker {
    random: Random,
    tied: bool,
    budget: i64,
    last: Id,
    spawned: Vec<Id>,
}

impl Maker {
    fn id(&mut self) -> Id {
        self.last += 1;
        self.last
    }

    /// A length of time. The wide range is even in its order of magnitude, so short and long waits meet.
    fn ms(&mut self) -> u64 {
        if self.tied {
            return 10 * (1 + self.random.below(20));
        }
        let magnitude = 1000 << self.random.below(8);
        1 + magnitude + self.random.below(magnitude)
    }

    fn sleep(&mut self) -> Stmt {
        Stmt::Sleep {
            id: self.id(),
            ms: self.ms(),
        }
    }

    fn limit(&mut self) -> Option<u64> {
        match self.random.below(12) {
            0 => None,
            1 => Some(0),
            _ => Some(self.ms()),
        }
    }

    fn block(&mut self, here: &Surroundings, depth: u32) -> Block {
        let mut block = Block::new();
        // Mostly time passes before something happens: what happens at one instant is seldom interesting twice.
        if !self.random.one_in(4) {
            block.push(self.sleep());
        }
        let wanted = 1 + self.random.below(4);
        for _ in 0..wanted {
            if self.budget <= 0 {
                break;
            }
            self.budget -= 1;
            let stmt = self.stmt(here, depth);
            let ends = matches!(stmt, Stmt::Fail { .. } | Stmt::Panic { .. });
            block.push(stmt);
            if ends {
                return block;
            }
        }
        if self.random.one_in(3) {
            block.push(self.sleep());
        }
        block
    }

    fn stmt(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        loop {
            if let Some(stmt) = self.try_stmt(here, depth) {
                return stmt;
            }
        }
    }

    /// A statement, or `None` when the one that was drawn has no place here.
    fn try_stmt(&mut self, here: &Surroundings, depth: u32) -> Option<Stmt> {
        let draw = self.random.below(100);
        if draw >= 44 && depth >= DEPTH {
            return None;
        }
        let stmt = match draw {
            0..=13 => self.sleep(),
            14..=19 if here.may_fail => Stmt::Fail { id: self.id() },
            20..=21 if here.may_panic => Stmt::Panic { id: self.id() },
            22..=26 => {
                let task = self.random.pick(&self.spawned)?;
                Stmt::Join {
                    id: self.id(),
                    task,
                }
            }
            27..=33 => {
                let mut tasks = self.spawned.clone();
                tasks.extend(&here.inside);
                let task = self.random.pick(&tasks)?;
                Stmt::CancelTask {
                    id: self.id(),
                    task,
                }
            }
            34..=37 => {
                let group = self.random.pick(&here.groups)?;
                Stmt::CancelGroup {
                    id: self.id(),
                    group,
                }
            }
            38..=43 => {
                let deadline = self.random.pick(&here.deadlines)?;
                Stmt::Reschedule {
                    id: self.id(),
                    deadline,
                    ms: self.limit(),
                }
            }
            44..=60 => self.spawn(here, depth)?,
            61..=69 if here.may_fail => {
                let id = self.id();
                Stmt::Group {
                    id,
                    body: self.block(&here.in_group(id), depth + 1),
                }
            }
            70..=74 => Stmt::Shield {
                id: self.id(),
                body: self.block(here, depth + 1),
            },
            75..=82 => self.deadline(here, depth),
            83..=86 => Stmt::Ensure {
                id: self.id(),
                body: self.block(here, depth + 1),
            },
            87..=90 => {
                let infallible = Surroundings {
                    may_fail: false,
                    may_panic: false,
                    ..here.clone()
                };
                Stmt::Bracket {
                    id: self.id(),
                    body: self.block(here, depth + 1),
                    release: self.block(&infallible, depth + 1),
                }
            }
            91..=96 => self.on_cancel(here, depth),
            97..=99 => {
                let inner = Surroundings {
                    may_fail: true,
                    may_panic: false,
                    ..here.clone()
                };
                Stmt::Catch {
                    id: self.id(),
                    body: self.block(&inner, depth + 1),
                }
            }
            _ => return None,
        };
        Some(stmt)
    }

    fn spawn(&mut self, here: &Surroundings, depth: u32) -> Option<Stmt> {
        // Mostly into the group at hand, sometimes into one further out.
        let group = if self.random.one_in(4) {
            self.random.pick(&here.groups)?
        } else {
            *here.groups.last()?
        };
        let id = self.id();
        let body = self.block(&here.in_task(id, group), depth + 1);
        self.spawned.push(id);
        Some(Stmt::Spawn { id, group, body })
    }

    fn deadline(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        let id = self.id();
        let timeout = here.may_fail && self.random.one_in(2);
        let mut inner = here.clone();
        inner.deadlines.push(id);
        Stmt::Deadline {
            id,
            ms: self.limit(),
            kind: if timeout {
                DeadlineKind::Timeout
            } else {
                DeadlineKind::MoveOn
            },
            body: self.block(&inner, depth + 1),
        }
    }

    fn on_cancel(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        let inner = Surroundings {
            may_panic: false,
            ..here.clone()
        };
        let then = match self.random.below(4) {
            0 if here.may_fail => Then::Fail,
            1 => Then::GoOn,
            _ => Then::Leave,
        };
        Stmt::OnCancel {
            id: self.id(),
            body: self.block(&inner, depth + 1),
            cleanup: self.block(&inner, depth + 1),
            then,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::is_valid;

    #[test]
    fn every_program_keeps_the_invariants() {
        for seed in 0..2000 {
            let program = generate(seed);
            assert!(is_valid(&program), "seed {seed}: {program:?}");
            assert_eq!(program, generate(seed), "seed {seed} gives one program");
        }
    }

    #[test]
    fn every_program_of_bytes_keeps_the_invariants() {
        let mut random = Random::new(1);
        for length in 0..2000 {
            let bytes: Vec<u8> = (0..length % 300).map(|_| random.draw() as u8).collect();
            let program = generate_of_bytes(&bytes);
            assert!(is_valid(&program), "{bytes:?}: {program:?}");
        }
    }
}
