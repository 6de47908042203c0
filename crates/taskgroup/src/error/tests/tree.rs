use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

#[test]
fn a_group_is_never_empty() {
    // S23, EG2
    assert!(ErrorGroup::new(main_info(), Vec::new()).is_none());
}

#[test]
fn a_leaf_says_who_and_where() {
    // S23
    let line = line!() + 1;
    let err = group("fetch", vec![failed("user_123", io_error("refused"))]);
    let leaf = err.cause();
    assert_eq!(leaf.name(), "user_123");
    assert_eq!(leaf.id(), TaskId::new(1, 1));
    assert_eq!(leaf.id().to_string(), "1.1");
    assert_eq!(leaf.path(), "main/user_123");
    assert_eq!(
        leaf.path().names().collect::<Vec<_>>(),
        ["main", "user_123"]
    );
    assert_eq!(leaf.location().line(), line);
    assert_eq!(leaf.location().file(), file!());
    assert_eq!(err.name(), "fetch");
    assert_eq!(err.path(), "main/fetch");
    assert_eq!(err.location().line(), line);
}

#[test]
fn members_keep_the_order_of_arrival_and_the_first_is_the_cause() {
    // S25
    let err = group(
        "g",
        vec![
            failed("b", Invalid("1")),
            failed("a", Invalid("2")),
            failed("c", Invalid("3")),
        ],
    );
    assert_eq!(shape(&err), "g(b, a, c)");
    assert_eq!(err.len(), 3);
    assert_eq!(err.first().info().name(), "b");
    assert_eq!(err.cause().name(), "b");
}

#[test]
fn the_error_of_a_group_becomes_a_branch_that_names_its_task() {
    // S23, TG14
    let err = group(
        "main",
        vec![
            nested("worker", "urls", vec![failed("a", Invalid("x"))]),
            failed("b", Invalid("y")),
        ],
    );
    let branch = err.members()[0].as_group().expect("a nested group");
    assert_eq!(branch.name(), "urls");
    assert_eq!(branch.returned_by().map(TaskInfo::name), Some("worker"));
    assert_eq!(err.members()[0].info().name(), "worker");
    assert_eq!(err.cause().name(), "a");
}

#[test]
fn leaves_come_with_the_groups_above_them() {
    // S24, EG12
    let err = group(
        "main",
        vec![
            failed("a", Invalid("1")),
            nested(
                "w",
                "mid",
                vec![
                    nested("v", "low", vec![failed("b", Invalid("2"))]),
                    failed("c", Invalid("3")),
                ],
            ),
            failed("d", Invalid("4")),
        ],
    );
    let seen: Vec<(String, Vec<&str>)> = err
        .leaves()
        .map(|leaf| {
            (
                leaf.name().to_owned(),
                leaf.ancestors().map(ErrorGroup::name).collect(),
            )
        })
        .collect();
    let expected = [
        ("a", vec!["main"]),
        ("b", vec!["low", "mid", "main"]),
        ("c", vec!["mid", "main"]),
        ("d", vec!["main"]),
    ];
    assert_eq!(seen, expected.map(|(name, above)| (name.to_owned(), above)));
    assert_eq!(
        err.leaves().map(|leaf| leaf.depth()).collect::<Vec<_>>(),
        [1, 3, 2, 1]
    );
}

#[test]
fn a_single_failure_is_taken_out_by_value() {
    // S24
    let err = group(
        "main",
        vec![nested("w", "low", vec![failed("a", io_error("x"))])],
    );
    let task = err.into_single().expect("one leaf");
    assert_eq!(task.name(), "a");
    let error = task.into_error().expect("nobody else holds it");
    assert!(error.is::<io::Error>());

    let two = group(
        "main",
        vec![failed("a", Invalid("1")), failed("b", Invalid("2"))],
    );
    assert_eq!(
        shape(&two.into_single().expect_err("two leaves")),
        "main(a, b)"
    );
}

#[test]
fn a_shared_error_is_not_taken() {
    let err = group("main", vec![failed("a", Invalid("x"))]);
    let handle = err.first().to_task_error();
    let task = err
        .into_single()
        .expect("one leaf")
        .into_error()
        .expect_err("the handle has it, too");
    drop(handle);
    assert_eq!(
        *task.into_error().unwrap().downcast::<Invalid>().unwrap(),
        Invalid("x")
    );
}

#[test]
fn the_handle_of_a_task_that_returned_a_group_gets_the_same_tree() {
    let member = nested("worker", "urls", vec![failed("a", Invalid("x"))]);
    let task = member.to_task_error();
    assert_eq!(task.name(), "worker");
    assert_eq!(shape(task.downcast_ref::<ErrorGroup>().unwrap()), "urls(a)");
    assert_eq!(task.find::<Invalid>(), Some(&Invalid("x")));
}

#[test]
fn members_and_leaves_come_out_by_value() {
    let err = group(
        "main",
        vec![
            nested("w", "low", vec![failed("a", Invalid("1"))]),
            failed("b", Invalid("2")),
        ],
    );
    let copy = err.clone();
    assert_eq!(copy.into_members().len(), 2);
    let errors: Vec<Invalid> = err
        .into_leaves()
        .into_iter()
        .map(|t| *t.into_error().unwrap().downcast().unwrap())
        .collect();
    assert_eq!(errors, [Invalid("1"), Invalid("2")]);
}

#[test]
fn errors_are_found_by_type() {
    let deep = Wrapped("reading the list", Box::new(io_error("refused")));
    let err = group("main", vec![failed("a", Invalid("x")), failed("b", deep)]);
    assert!(err.contains::<Invalid>());
    assert!(!err.contains::<io::Error>());
    assert_eq!(err.find::<io::Error>().unwrap().to_string(), "refused");
    let b = err.members()[1].as_task().unwrap();
    assert!(b.is::<Wrapped>() && !b.is::<io::Error>());
    assert!(b.find::<io::Error>().is_some());
    assert!(b.find::<Invalid>().is_none());
}

#[test]
fn find_steps_through_leaves_that_were_returned_as_errors() {
    let single = group("inner", vec![failed("a", io_error("refused"))])
        .into_single()
        .unwrap();
    let outer = failed("b", single);
    assert!(outer.as_task().unwrap().find::<io::Error>().is_some());
    let through_group = failed(
        "c",
        Wrapped(
            "context",
            Box::new(group("g", vec![failed("a", Invalid("x"))])),
        ),
    );
    assert!(through_group.as_task().unwrap().find::<Invalid>().is_some());
}

#[test]
fn a_panic_keeps_its_payload() {
    // S10
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    let err = group("main", vec![panicked("a", Payload(7))]);
    let leaf = err.cause();
    assert!(leaf.is_panic() && leaf.error().is_none() && leaf.panic_message().is_none());
    let caught = catch_unwind(AssertUnwindSafe(|| leaf.resume_unwind())).unwrap_err();
    assert_eq!(caught.downcast_ref(), Some(&Payload(7)));
    assert!(leaf.take_panic().is_none());
}

#[test]
fn a_panic_resumed_twice_gives_its_text_the_second_time() {
    // S10
    for member in [panicked("a", "boom"), panicked("a", String::from("boom"))] {
        let leaf = member.to_task_error();
        assert_eq!(leaf.panic_message(), Some("boom"));
        assert!(leaf.take_panic().is_some());
        let caught = catch_unwind(AssertUnwindSafe(|| leaf.resume_unwind())).unwrap_err();
        assert_eq!(
            caught.downcast_ref::<String>().map(String::as_str),
            Some("boom")
        );
        assert_eq!(leaf.panic_message(), Some("boom"));
        assert!(leaf.into_error().is_err());
    }
}

#[test]
fn resume_unwind_returns_for_an_error() {
    let leaf = failed("a", Invalid("x")).to_task_error();
    leaf.resume_unwind();
    assert!(leaf.take_panic().is_none());
}

#[test]
fn a_group_is_cancelled_when_all_its_leaves_are() {
    // S8
    let cancelled = |name| Member::from_cancelled(info(name, 1), "cancelled by the caller".into());
    let err = group(
        "main",
        vec![cancelled("a"), nested("w", "low", vec![cancelled("b")])],
    );
    assert!(err.is_cancelled());
    let mixed = group("main", vec![cancelled("a"), failed("b", Invalid("x"))]);
    assert!(!mixed.is_cancelled());
    assert!(mixed.first().as_task().unwrap().is_cancelled());
}

#[test]
fn an_overrun_says_what_was_granted() {
    // S18
    let err = group(
        "main",
        vec![failed("slow", Overrun::new(Duration::from_secs(5)))],
    );
    assert_eq!(
        err.find::<Overrun>().unwrap().grace(),
        Duration::from_secs(5)
    );
    assert_eq!(
        err.to_string(),
        "group `main` failed: task `slow` failed: cleanup exceeded the grace of 5s and was dropped"
    );
}

#[test]
fn ids_and_paths_are_compared_and_printed() {
    // S23
    let leaf = failed("a/b", Invalid("x")).to_task_error();
    let id = TaskId::new(3, 17);
    assert_eq!((id.group(), id.index()), (3, 17));
    assert_eq!(format!("{id:?}"), "TaskId(3.17)");
    let path = leaf.path();
    assert!(path == "main/a/b" && path == *"main/a/b");
    assert!(path != "main/a" && path != *"main/a");
    assert_eq!(format!("{path:?}"), "\"main/a/b\"");
    assert_eq!(
        format!("{:?}", leaf.info()),
        format!(
            "TaskInfo {{ name: \"a/b\", id: TaskId(1.1), path: \"main/a/b\", location: {} }}",
            leaf.location()
        )
    );
}
