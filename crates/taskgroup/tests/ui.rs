//! What the types forbid, in the compiler's words, each beside the program that was meant.

#[test]
fn the_compiler_refuses() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/ok/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
