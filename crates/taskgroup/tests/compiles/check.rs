//! Compiles the cases: one crate, one run of the compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the compiler says of each line, where it has an error. The key 0 has errors without one.
pub(crate) type Errors = BTreeMap<usize, String>;

/// A package of its own, so that one that does not compile harms nothing else. Its dependencies
/// have the versions of this workspace.
fn package() -> String {
    format!(
        "[package]\nname = \"taskgroup-compiles\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [workspace]\n[lib]\npath = \"cases.rs\"\n[dependencies]\n\
         taskgroup = {{ path = {:?}, features = [\"indicatif\", \"retry\"] }}\n\
         anyhow = \"*\"\naxum = {{ version = \"*\", default-features = false }}\n\
         backon = {{ version = \"*\", default-features = false }}\n\
         indicatif = {{ version = \"*\", default-features = false }}\n\
         thiserror = \"*\"\ntokio = {{ version = \"*\", features = [\"full\"] }}\n\
         tower = {{ version = \"*\", features = [\"util\"] }}\n\
         [profile.dev]\ndebug = false\nincremental = false\n",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// Compiles `source`, and gives the errors by line.
pub(crate) fn compile(source: &str) -> Errors {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiles");
    fs::create_dir_all(&folder).unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(folder.join("Cargo.toml"), package()).unwrap();
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("cases.rs"), source).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--message-format=json"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .unwrap();
    let mut errors = Errors::new();
    let mut compiled = false;
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        compiled |= message["target"]["name"] == "taskgroup_compiles";
        let message = &message["message"];
        if message["level"] == "error" {
            let text = message["rendered"].as_str().unwrap();
            for line in lines(message) {
                errors.entry(line).or_default().push_str(text);
            }
        }
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(compiled, "the compiler did not get to the cases: {printed}");
    errors
}

/// The lines that an error is about. The last error, which counts the others, is about none.
fn lines(message: &Value) -> BTreeSet<usize> {
    let spans = message["spans"].as_array().unwrap().iter();
    let own = spans.filter(|span| span["is_primary"] == true && span["file_name"] == "cases.rs");
    let mut lines: BTreeSet<_> = own
        .map(|span| span["line_start"].as_u64().unwrap() as usize)
        .collect();
    let text = message["message"].as_str().unwrap();
    if lines.is_empty() && !text.starts_with("aborting due to") {
        lines.insert(0);
    }
    lines
}
