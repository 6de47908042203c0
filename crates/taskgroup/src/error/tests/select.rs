use super::*;

fn mixed() -> ErrorGroup {
    group(
        "main",
        vec![
            failed("io1", io_error("1")),
            nested(
                "w",
                "mid",
                vec![
                    failed("bad1", Invalid("2")),
                    nested("v", "low", vec![failed("io2", io_error("3"))]),
                    panicked("boom", "4"),
                ],
            ),
            nested("u", "bads", vec![failed("bad2", Invalid("5"))]),
        ],
    )
    .with_context(reason("deadline"))
}

#[test]
fn split_gives_each_leaf_to_one_part_and_keeps_the_shape() {
    // S24, EG6
    let (matched, rest) = mixed().split::<io::Error>();
    assert_eq!(shape_or_none(matched.as_ref()), "main(io1, mid(low(io2)))");
    assert_eq!(
        shape_or_none(rest.as_ref()),
        "main(mid(bad1, boom), bads(bad2))"
    );
}

#[test]
fn both_parts_say_what_the_whole_said() {
    // EG7
    let whole = mixed();
    let (matched, rest) = whole.clone().split::<io::Error>();
    for part in [matched.unwrap(), rest.unwrap()] {
        assert_eq!(part.path(), "main/main");
        assert_eq!(part.id(), whole.id());
        assert_eq!(part.location(), whole.location());
        assert_eq!(
            part.context().unwrap().to_string(),
            whole.context().unwrap().to_string()
        );
        let branch = part.members().iter().find_map(Member::as_group).unwrap();
        assert!(branch.returned_by().is_some());
    }
}

#[test]
fn all_and_nothing() {
    // EG5
    let whole = mixed();
    let all = whole.subgroup_by(|_| true).unwrap();
    assert!(all.same_node(&whole));
    assert!(whole.subgroup_by(|_| false).is_none());
    let (matched, rest) = whole.clone().split_by(|_| false);
    assert!(matched.is_none() && rest.unwrap().same_node(&whole));
}

#[test]
fn branches_that_go_as_a_whole_are_shared() {
    let whole = mixed();
    let (_, rest) = whole.clone().split::<io::Error>();
    let before = whole.members()[2].as_group().unwrap();
    let after = rest.as_ref().unwrap().members()[1].as_group().unwrap();
    assert!(before.same_node(after));
}

#[test]
fn subgroup_leaves_the_whole_alone() {
    let whole = mixed();
    let part = whole.subgroup::<Invalid>();
    assert_eq!(shape_or_none(part.as_ref()), "main(mid(bad1), bads(bad2))");
    assert_eq!(whole.leaves().count(), 5);
}

#[test]
fn a_predicate_may_select_a_whole_group() {
    // EG10
    let (matched, rest) =
        mixed().split_by(|leaf| leaf.ancestors().any(|group| group.name() == "mid"));
    assert_eq!(
        shape_or_none(matched.as_ref()),
        "main(mid(bad1, low(io2), boom))"
    );
    assert_eq!(shape_or_none(rest.as_ref()), "main(io1, bads(bad2))");
}

#[test]
fn singletons_are_kept() {
    // EG6
    let err = group(
        "main",
        vec![nested(
            "w",
            "low",
            vec![nested("v", "lower", vec![failed("a", Invalid("x"))])],
        )],
    );
    let (matched, rest) = err.split::<Invalid>();
    assert_eq!(shape_or_none(matched.as_ref()), "main(low(lower(a)))");
    assert!(rest.is_none());
}

#[test]
fn errors_of_a_part_can_be_taken_by_value() {
    let (matched, _) = mixed().split::<Invalid>();
    let errors = matched
        .unwrap()
        .into_leaves()
        .into_iter()
        .map(TaskError::into_error);
    assert_eq!(errors.filter_map(Result::ok).count(), 2);
}
