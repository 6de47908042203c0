//! Random programs in the neutral form.
//!
//! A seed always gives the same program. There are two kinds. *Spread* programs draw their times
//! from a wide range, so two timers are hardly ever due at the same instant. *Tied* programs, one
//! in eight, draw them from a narrow range, so timers often coincide. For those the comparison
//! accepts any order of the tied timers.

use crate::program::{Block, DeadlineKind, Id, Rigour, Side, Stmt, Surroundings, Then};
use crate::random::Random;

/// How deep statements nest at most.
const DEPTH: u32 = 7;

/// The program for a seed.
pub fn generate(seed: u64) -> Block {
    generate_from(Random::new(seed))
}

/// The program for a sequence of choices. Each sequence of bytes gives one, and short sequences
/// give small programs.
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
    let mut program = vec![maker.group(&Surroundings::root(), 0)];
    if maker.random.one_in(2) {
        program = vec![Stmt::Catch {
            id: maker.id(),
            body: program,
        }];
    }
    // A wait after a scope shows what the scope has left behind.
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

    /// A length of time. In the wide range each order of magnitude is equally likely, so short and
    /// long waits meet.
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
        // Usually some time passes first, because several events at one instant are seldom
        // interesting.
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

    /// A statement, or `None` if the one that was drawn cannot stand here.
    fn try_stmt(&mut self, here: &Surroundings, depth: u32) -> Option<Stmt> {
        let draw = self.random.below(120);
        if draw >= 46 && depth >= DEPTH {
            return None;
        }
        let stmt = match draw {
            0..=13 => self.sleep(),
            14..=19 if here.may_fail => Stmt::Fail { id: self.id() },
            20..=21 if here.may_panic => Stmt::Panic { id: self.id() },
            22..=28 => self.join()?,
            29..=35 => {
                let mut tasks = self.spawned.clone();
                tasks.extend(&here.inside);
                let task = self.random.pick(&tasks)?;
                Stmt::CancelTask {
                    id: self.id(),
                    task,
                }
            }
            36..=39 => {
                let group = self.random.pick(&here.groups)?;
                Stmt::CancelGroup {
                    id: self.id(),
                    group,
                }
            }
            40..=45 => {
                let deadline = self.random.pick(&here.deadlines)?;
                Stmt::Reschedule {
                    id: self.id(),
                    deadline,
                    ms: self.limit(),
                }
            }
            46..=62 => self.spawn(here, depth)?,
            63..=72 if here.may_fail => self.group(here, depth + 1),
            73..=77 => Stmt::Shield {
                id: self.id(),
                body: self.block(&here.in_scope(), depth + 1),
            },
            78..=85 => self.deadline(here, depth),
            86..=89 => Stmt::Ensure {
                id: self.id(),
                body: self.block(&here.in_ensure(), depth + 1),
            },
            90..=93 => Stmt::Bracket {
                id: self.id(),
                body: self.block(&here.in_scope(), depth + 1),
                release: self.block(&here.in_release(), depth + 1),
            },
            94..=99 => self.on_cancel(here, depth),
            100..=102 => Stmt::Catch {
                id: self.id(),
                body: self.block(&here.in_catch(), depth + 1),
            },
            103..=106 if here.may_defer => Stmt::Defer {
                id: self.id(),
                body: self.block(&here.in_deferred(), depth + 1),
            },
            107..=111 => self.start(here, depth)?,
            112..=115 if here.may_fail => self.race(here, depth),
            116..=118 => self.waiters(here)?,
            _ => return None,
        };
        Some(stmt)
    }

    fn group(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        let id = self.id();
        let policy = match self.random.below(6) {
            0 => Rigour::Collect,
            1 => Rigour::FirstSuccess,
            _ => Rigour::FailFast,
        };
        Stmt::Group {
            id,
            policy,
            body: self.block(&here.in_group(id), depth),
        }
    }

    /// A wait for a task. Some give up after a while.
    fn join(&mut self) -> Option<Stmt> {
        let task = self.random.pick(&self.spawned)?;
        Some(Stmt::Join {
            id: self.id(),
            task,
            give_up: self.random.one_in(3).then(|| self.ms()),
        })
    }

    /// Several tasks that wait for one, with limits of their own.
    fn waiters(&mut self, here: &Surroundings) -> Option<Stmt> {
        let group = *here.groups.last()?;
        let task = self.random.pick(&self.spawned)?;
        // No task waits for itself, or for one that waits for it.
        let many = 2 + self.random.below(2);
        let body = (0..many)
            .map(|_| {
                let id = self.id();
                let join = |maker: &mut Self, give_up| Stmt::Join {
                    id: maker.id(),
                    task,
                    give_up,
                };
                let wait = match self.random.below(3) {
                    0 => join(self, None),
                    1 => {
                        let limit = self.ms();
                        join(self, Some(limit))
                    }
                    _ => Stmt::Deadline {
                        id: self.id(),
                        ms: Some(self.ms()),
                        kind: DeadlineKind::MoveOn,
                        body: vec![join(self, None)],
                    },
                };
                Stmt::Spawn {
                    id,
                    group,
                    body: vec![wait],
                }
            })
            .collect();
        // Nothing around the waiters interferes with them.
        Some(Stmt::Ensure {
            id: self.id(),
            body,
        })
    }

    fn start(&mut self, here: &Surroundings, depth: u32) -> Option<Stmt> {
        let group = if self.random.one_in(4) {
            self.random.pick(&here.groups)?
        } else {
            *here.groups.last()?
        };
        let id = self.id();
        let before = self.block(&here.in_starting_task(id, group), depth + 1);
        let after = self.block(&here.in_task(id, group), depth + 1);
        self.spawned.push(id);
        Some(Stmt::Start {
            id,
            group,
            before,
            after,
        })
    }

    fn race(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        let inner = here.in_side();
        let id = self.id();
        let mut side = || {
            let id = self.id();
            let mut body = vec![self.sleep()];
            body.extend(self.block(&inner, depth + 1));
            Side { id, body }
        };
        Stmt::Race {
            id,
            left: side(),
            right: side(),
        }
    }

    fn spawn(&mut self, here: &Surroundings, depth: u32) -> Option<Stmt> {
        // Usually into the innermost group, sometimes into one further out.
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
        Stmt::Deadline {
            id,
            ms: self.limit(),
            kind: if timeout {
                DeadlineKind::Timeout
            } else {
                DeadlineKind::MoveOn
            },
            body: self.block(&here.in_deadline(id), depth + 1),
        }
    }

    fn on_cancel(&mut self, here: &Surroundings, depth: u32) -> Stmt {
        let then = match self.random.below(4) {
            0 if here.may_fail => Then::Fail,
            1 => Then::GoOn,
            _ => Then::Leave,
        };
        Stmt::OnCancel {
            id: self.id(),
            body: self.block(&here.in_watched(), depth + 1),
            cleanup: self.block(&here.in_cleanup(), depth + 1),
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
