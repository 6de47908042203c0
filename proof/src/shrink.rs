//! Makes a failing program smaller, as long as it still fails.

use crate::program::{Block, Rigour, Stmt, Then, is_valid, size};

/// The smallest program found that still `fails`, as `program` does.
///
/// The search is greedy: the first simpler candidate that fails replaces the program, until none
/// fails.
///
/// # Errors
/// The first error of `fails` itself.
pub fn shrink<E>(
    program: Block,
    mut fails: impl FnMut(&Block) -> Result<bool, E>,
) -> Result<Block, E> {
    let mut smallest = program;
    'again: loop {
        for candidate in candidates(&smallest) {
            if is_valid(&candidate) && fails(&candidate)? {
                smallest = candidate;
                continue 'again;
            }
        }
        return Ok(smallest);
    }
}

/// Simpler programs, with the largest change first: without a statement, with a block in place of
/// its statement, with rounder times.
fn candidates(program: &Block) -> Vec<Block> {
    let mut found = Vec::new();
    edit(
        program,
        &mut |block, found| {
            for index in 0..block.len() {
                let mut without = block.clone();
                without.remove(index);
                found.push(without);
            }
            for (index, stmt) in block.iter().enumerate() {
                for inner in stmt.blocks() {
                    let mut flat = block[..index].to_vec();
                    flat.extend_from_slice(inner);
                    flat.extend_from_slice(&block[index + 1..]);
                    found.push(flat);
                }
            }
        },
        &mut found,
    );
    found.sort_by_key(|candidate| size(candidate));
    edit(
        program,
        &mut |block, found| {
            for (index, stmt) in block.iter().enumerate() {
                for simpler in simplify(stmt) {
                    let mut changed = block.clone();
                    changed[index] = simpler;
                    found.push(changed);
                }
            }
        },
        &mut found,
    );
    found
}

/// Applies `change` to each block of the program in turn; every variant of a block gives a variant
/// of the program.
fn edit(program: &Block, change: &mut dyn FnMut(&Block, &mut Vec<Block>), found: &mut Vec<Block>) {
    change(program, found);
    for (index, stmt) in program.iter().enumerate() {
        for (nth, inner) in stmt.blocks().into_iter().enumerate() {
            let mut variants = Vec::new();
            edit(inner, change, &mut variants);
            for variant in variants {
                let mut changed = program.clone();
                if let Some(slot) = changed[index].blocks_mut().into_iter().nth(nth) {
                    *slot = variant;
                }
                found.push(changed);
            }
        }
    }
}

/// The same statement with simpler numbers, or a simpler statement.
fn simplify(stmt: &Stmt) -> Vec<Stmt> {
    match stmt {
        Stmt::Sleep { id, ms } => rounder(*ms).map(|ms| Stmt::Sleep { id: *id, ms }).collect(),
        Stmt::Deadline {
            id,
            ms: Some(ms),
            kind,
            body,
        } => {
            let with = |ms| Stmt::Deadline {
                id: *id,
                ms: Some(ms),
                kind: *kind,
                body: body.clone(),
            };
            rounder(*ms).map(with).collect()
        }
        Stmt::Reschedule {
            id,
            deadline,
            ms: Some(ms),
        } => rounder(*ms)
            .map(|ms| Stmt::Reschedule {
                id: *id,
                deadline: *deadline,
                ms: Some(ms),
            })
            .collect(),
        Stmt::Join {
            id,
            task,
            give_up: Some(ms),
        } => std::iter::once(None)
            .chain(rounder(*ms).map(Some))
            .map(|give_up| Stmt::Join {
                id: *id,
                task: *task,
                give_up,
            })
            .collect(),
        Stmt::Group { id, policy, body } if *policy != Rigour::FailFast => vec![Stmt::Group {
            id: *id,
            policy: Rigour::FailFast,
            body: body.clone(),
        }],
        Stmt::Start {
            id,
            group,
            before,
            after,
        } => vec![Stmt::Spawn {
            id: *id,
            group: *group,
            body: [before.as_slice(), after].concat(),
        }],
        Stmt::OnCancel {
            id,
            body,
            cleanup,
            then,
        } if *then != Then::Leave => {
            vec![Stmt::OnCancel {
                id: *id,
                body: body.clone(),
                cleanup: cleanup.clone(),
                then: Then::Leave,
            }]
        }
        _ => Vec::new(),
    }
}

/// Numbers below `ms` and above zero that are easier to read.
fn rounder(ms: u64) -> impl Iterator<Item = u64> {
    let mut unit = 1;
    while unit * 10 <= ms {
        unit *= 10;
    }
    [ms / 100, ms / 10, ms / unit * unit]
        .into_iter()
        .filter(move |rounder| *rounder > 0 && *rounder < ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::generate;

    #[test]
    fn a_program_that_fails_for_one_statement_shrinks_to_what_that_needs() {
        fn cancels(block: &Block) -> bool {
            block.iter().any(|stmt| {
                matches!(stmt, Stmt::CancelGroup { .. }) || stmt.blocks().into_iter().any(cancels)
            })
        }
        let mut seen = 0;
        for program in (0..200).map(generate).filter(cancels) {
            let small = shrink(program, |candidate| Ok::<_, ()>(cancels(candidate))).unwrap();
            assert_eq!(size(&small), 2, "a group and its cancel: {small:?}");
            seen += 1;
        }
        assert!(seen > 10, "the seeds give such programs");
    }
}
