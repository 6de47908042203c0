use super::super::layout::{Hanging, OneLine};
use super::*;
use fmt::Write as _;
use proptest::prelude::*;

fn one_line(pieces: &[&str]) -> String {
    let mut out = String::new();
    let mut line = OneLine::new(&mut out);
    for piece in pieces {
        line.write_str(piece).unwrap();
    }
    out
}

fn hanging(pieces: &[&str]) -> String {
    let mut out = String::new();
    let mut text = Hanging::new(&mut out, "> ", "  ");
    for piece in pieces {
        text.write_str(piece).unwrap();
    }
    out
}

#[test]
fn line_breaks_of_all_kinds() {
    assert_eq!(one_line(&["a\r\n  b\rc\n\n"]), "a b c");
    assert_eq!(one_line(&["\na"]), " a");
    assert_eq!(
        hanging(&["a\r\n  b\rc\n\nd\n"]),
        "a\n>     b\n>   c\n>\n>   d"
    );
    assert_eq!(hanging(&["a\r", "\nb\n", "\r\n"]), "a\n>   b");
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!['a', 'ü', ' ', '\n', '\r']), 0..20)
        .prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn how_a_text_arrives_in_pieces_makes_no_difference(text in text()) {
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let pieces: Vec<&str> = letters.iter().map(String::as_str).collect();
        prop_assert_eq!(one_line(&pieces), one_line(&[&text]));
        prop_assert_eq!(hanging(&pieces), hanging(&[&text]));
    }

    #[test]
    fn nothing_but_white_space_is_changed(text in text()) {
        let visible = |text: &str| text.replace([' ', '\n', '\r', '>'], "");
        let line = one_line(&[&text]);
        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(visible(&line), visible(&text));
        let block = hanging(&[&text]);
        prop_assert_eq!(visible(&block), visible(&text));
        prop_assert!(block.lines().skip(1).all(|line| line == ">" || line.starts_with(">   ")));
        prop_assert!(!block.contains('\r'));
    }
}
