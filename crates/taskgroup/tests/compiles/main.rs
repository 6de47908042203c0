//! What compiles in `main` compiles everywhere: each function × where it is called × what its work
//! uses × what the work fails with × how the work is written.
//!
//! Most places ask for a future that is `Send`. The compiler then forgets how the lifetimes inside
//! the future are related and has to prove every bound for all of them, so a bound that holds in
//! `main` may fail there, with "implementation of … is not general enough". See decision 0021.
//!
//! All cases are in one crate, and one run of the compiler tells which of them fail: exactly those
//! that the language forbids. With `TASKGROUP_COMPILES=all` each error is combined with each place;
//! otherwise the boxed error, which is the hardest, is in all places, and the others are in one.

mod check;
mod rows;
mod sources;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use rows::{FORBIDDEN, Forbidden, ROWS, Row};
use words::{Data, Failure, Form, PRELUDE, Place, Work};

/// A case, and the line of the generated source on which it is.
struct Case {
    line: usize,
    row: &'static Row,
    work: Work,
    place: Place,
}

impl Case {
    /// Without what all places and all errors have in common.
    fn text(&self) -> String {
        let Work { data, form, .. } = self.work;
        format!("`{}` with {}, {}", self.row.name, form.text(), data.text())
    }

    fn place_text(&self) -> String {
        format!("{} with {}", self.place.text(), self.work.failure.text())
    }

    fn forbidden(&self) -> Option<&'static Forbidden> {
        Forbidden::find(self.row, self.work, self.place)
    }
}

fn works() -> impl Iterator<Item = Work> {
    let pairs = Data::ALL
        .iter()
        .flat_map(|&data| Failure::ALL.iter().map(move |&f| (data, f)));
    pairs.flat_map(|(data, failure)| {
        let forms = Form::ALL.iter();
        forms.map(move |&form| Work {
            data,
            failure,
            form,
        })
    })
}

/// The source of all cases, and the list of them.
fn generate() -> (String, Vec<Case>) {
    let all = std::env::var("TASKGROUP_COMPILES").is_ok_and(|value| value == "all");
    let mut lines: Vec<String> = PRELUDE.lines().map(str::to_owned).collect();
    for &data in Data::ALL {
        lines.extend(Failure::ALL.iter().map(|&failure| data.function(failure)));
    }
    let mut cases = Vec::new();
    for row in ROWS {
        for work in works() {
            let Some(code) = row.code(work) else { continue };
            for &place in row.places() {
                if !all && work.failure != Failure::Boxed && place != row.main_place() {
                    continue;
                }
                lines.push(place.around(&format!("case_{}", cases.len()), &code));
                let line = lines.len();
                cases.push(Case {
                    line,
                    row,
                    work,
                    place,
                });
            }
        }
    }
    (lines.join("\n"), cases)
}

#[test]
fn what_compiles_in_main_compiles_everywhere() {
    let (source, cases) = generate();
    let mut errors = check::compile(&source);
    // What is wrong, where, and one of the compiler's messages.
    let mut wrong: BTreeMap<String, (BTreeSet<String>, String)> = BTreeMap::new();
    let mut is_wrong = |what: String, place: String, said: String| {
        let (places, _) = wrong.entry(what).or_insert((BTreeSet::new(), said));
        places.insert(place);
    };
    let mut forbidden = 0;
    for case in &cases {
        let said = errors.remove(&case.line);
        let (text, place) = (case.text(), case.place_text());
        match (case.forbidden(), said) {
            (None, None) => {}
            (None, Some(said)) => is_wrong(format!("{text} does not compile"), place, said),
            (Some(_), None) => is_wrong(format!("{text} compiles by now"), place, String::new()),
            (Some(entry), Some(said)) => {
                forbidden += 1;
                if !said.contains(entry.message) {
                    is_wrong(format!("{text} fails for another reason"), place, said);
                }
            }
        }
    }
    for (line, said) in errors {
        is_wrong(
            String::from("The code around the cases does not compile"),
            format!("line {line}"),
            said,
        );
    }
    let reasons: BTreeSet<_> = FORBIDDEN.iter().map(|entry| entry.reason).collect();
    println!("{} combinations compile.", cases.len() - forbidden);
    println!("{forbidden} are forbidden by the language: {reasons:#?}");
    for (what, (places, said)) in &wrong {
        println!("{what}: {places:?}\n{said}");
    }
    assert!(wrong.is_empty(), "{:#?}", wrong.keys());
}

#[test]
fn each_public_function_with_a_future_has_a_row() {
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.name.to_owned()).collect();
    let found: BTreeSet<_> = sources::public_async_functions().into_iter().collect();
    let without: Vec<_> = found.difference(&rows).collect();
    assert!(
        without.is_empty(),
        "add a row to tests/compiles/rows.rs for {without:?}"
    );
    assert!(found.len() > 30, "only {found:?} were found");
}

#[test]
fn what_is_forbidden_is_about_rows() {
    for entry in FORBIDDEN {
        assert!(
            ROWS.iter().any(|row| row.name == entry.name),
            "{}",
            entry.name
        );
    }
}
