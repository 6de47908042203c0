//! Prints a program for people.

use std::fmt::Write as _;

use crate::program::{Rigour, Stmt};

/// The program, one statement per line, with blocks indented.
pub fn program(block: &[Stmt]) -> String {
    let mut text = String::new();
    lines(block, 1, &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn lines(block: &[Stmt], depth: usize, text: &mut String) {
    for stmt in block {
        let indent = depth * 2;
        let _ = writeln!(text, "{:indent$}{}", "", head(stmt));
        for (nth, inner) in stmt.blocks().into_iter().enumerate() {
            if nth > 0 {
                let word = match stmt {
                    Stmt::Bracket { .. } => "release".to_owned(),
                    Stmt::Start { .. } => "ready".to_owned(),
                    Stmt::Race { right, .. } => format!("against {}", right.id),
                    _ => "cleanup".to_owned(),
                };
                let _ = writeln!(text, "{:indent$}{word}", "");
            }
            lines(inner, depth + 1, text);
        }
    }
}

fn head(stmt: &Stmt) -> String {
    let id = stmt.id();
    let limit = |ms: &Option<u64>| ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string());
    match stmt {
        Stmt::Sleep { ms, .. } => format!("{id}: sleep {ms}"),
        Stmt::Fail { .. } => format!("{id}: fail"),
        Stmt::Panic { .. } => format!("{id}: panic"),
        Stmt::Group { policy, .. } => match policy {
            Rigour::FailFast => format!("{id}: group"),
            _ => format!("{id}: group ({policy:?})"),
        },
        Stmt::Spawn { group, .. } => format!("{id}: spawn into {group}"),
        Stmt::Start { group, .. } => format!("{id}: start in {group}"),
        Stmt::Join { task, give_up, .. } => match give_up {
            None => format!("{id}: join {task}"),
            Some(ms) => format!("{id}: join {task} for {ms}"),
        },
        Stmt::Race { left, .. } => format!("{id}: race of {}", left.id),
        Stmt::CancelTask { task, .. } => format!("{id}: cancel task {task}"),
        Stmt::CancelGroup { group, .. } => format!("{id}: cancel group {group}"),
        Stmt::Shield { .. } => format!("{id}: shield"),
        Stmt::Deadline { ms, kind, .. } => format!("{id}: {kind:?} {}", limit(ms)),
        Stmt::Reschedule { deadline, ms, .. } => {
            format!("{id}: reschedule {deadline} to {}", limit(ms))
        }
        Stmt::Ensure { .. } => format!("{id}: ensure"),
        Stmt::Bracket { .. } => format!("{id}: bracket"),
        Stmt::Defer { .. } => format!("{id}: defer"),
        Stmt::OnCancel { then, .. } => format!("{id}: on cancel (then {then:?})"),
        Stmt::Catch { .. } => format!("{id}: catch"),
    }
}
