//! What the attributes reject, and the error messages: one file per kind of misuse in `ui/`.

#[test]
fn misuse_is_refused_with_clear_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
