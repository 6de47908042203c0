use super::*;

fn three_kinds() -> ErrorGroup {
    group(
        "main",
        vec![
            failed("io1", io_error("1")),
            nested(
                "w",
                "low",
                vec![failed("bad", Invalid("2")), failed("io2", io_error("3"))],
            ),
            panicked("boom", "4"),
        ],
    )
    .with_context(reason("deadline"))
}

fn shape_of_rest(rest: Result<(), ErrorGroup>) -> String {
    rest.map_or_else(|err| shape(&err), |()| "nothing".to_owned())
}

#[test]
fn clauses_run_in_order_and_each_gets_what_is_left() {
    // S24, ES1, ES2
    let mut seen = Vec::new();
    let rest = three_kinds()
        .on::<io::Error>(|matched| seen.push(shape(&matched)))
        .on_match(|_| true, |matched| seen.push(shape(&matched)))
        .on::<Invalid>(|_| unreachable!("nothing is left"))
        .rest();
    assert_eq!(shape_of_rest(rest), "nothing");
    assert_eq!(seen, ["main(io1, low(io2))", "main(low(bad), boom)"]);
}

#[test]
fn what_no_clause_takes_comes_out_in_its_shape() {
    // S24, ES2
    let rest = three_kinds().on::<io::Error>(|_| ()).rest().unwrap_err();
    assert_eq!(shape(&rest), "main(low(bad), boom)");
    assert_eq!(rest.context().unwrap().kind(), ReasonKind::Deadline);
    assert_eq!(rest.members()[0].info().name(), "w");
}

#[test]
fn a_clause_that_matches_nothing_is_not_run() {
    let err = three_kinds();
    let rest = err
        .clone()
        .on::<fmt::Error>(|_| unreachable!("no such error"))
        .rest()
        .unwrap_err();
    assert!(rest.same_node(&err));
}

#[test]
fn panics_have_a_clause() {
    // S10, S24
    let mut text = None;
    let rest = three_kinds()
        .on_panic(|matched| text = matched.cause().panic_message().map(str::to_owned))
        .rest();
    assert_eq!(text.as_deref(), Some("4"));
    assert_eq!(shape_of_rest(rest), "main(io1, low(bad, io2))");
}

#[test]
fn the_type_is_compared_with_the_error_and_not_with_its_cause() {
    // S24: as in Python. There is another clause for what caused an error.
    let err = || {
        group(
            "main",
            vec![failed("a", Wrapped("outer", Box::new(io_error("inner"))))],
        )
    };
    assert_eq!(
        shape_of_rest(err().on::<io::Error>(|_| ()).rest()),
        "main(a)"
    );
    assert_eq!(
        shape_of_rest(err().on_caused_by::<io::Error>(|_| ()).rest()),
        "nothing"
    );
}

#[test]
fn a_handler_owns_what_it_is_given() {
    let mut errors = Vec::new();
    let rest = three_kinds()
        .on::<Invalid>(|matched| errors.extend(matched.into_single().unwrap().into_error().ok()))
        .rest();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].is::<Invalid>());
    assert_eq!(rest.unwrap_err().leaves().count(), 3);
}

#[test]
fn the_matched_group_returned_is_put_back_where_it_was() {
    // S24, ES4
    let rest = three_kinds()
        .on::<io::Error>(Err)
        .on::<Invalid>(|_| ())
        .rest();
    assert_eq!(shape_of_rest(rest), "main(io1, low(io2), boom)");
    let all = three_kinds()
        .on::<Invalid>(Err)
        .on_panic(Err)
        .on::<io::Error>(Err)
        .rest();
    assert_eq!(shape_of_rest(all), "main(io1, low(bad, io2), boom)");
}

#[test]
fn a_part_of_the_matched_group_or_one_leaf_of_it_is_put_back_too() {
    // ES4
    let rest = three_kinds()
        .on::<io::Error>(|matched| {
            let (again, _) = matched.split_by(|leaf| leaf.name() == "io2");
            again.map_or(Ok(()), Err)
        })
        .on_panic(|matched| Err(anyhow::Error::new(matched.into_single().unwrap())))
        .on::<Invalid>(|_| ())
        .rest()
        .unwrap_err();
    assert_eq!(shape(&rest), "main(low(io2), boom)");
    assert_eq!(rest.context().unwrap().kind(), ReasonKind::Deadline);
}

#[test]
fn a_new_error_is_added_with_what_was_being_handled() {
    // S24, ES5
    let line = line!() + 2;
    let rest = three_kinds()
        .on::<io::Error>(|_| Err(Invalid("giving up")))
        .on_panic(|_| Ok::<(), BoxError>(()))
        .rest()
        .unwrap_err();
    assert_eq!(shape(&rest), "main(low(bad), handler)");
    let new = rest.members()[1].as_task().unwrap();
    assert_eq!(new.downcast_ref(), Some(&Invalid("giving up")));
    assert_eq!(new.path(), "main/main/handler");
    assert_eq!(new.location().line(), line);
    assert_eq!(shape_or_none(new.handling()), "main(io1, low(io2))");
}

#[test]
fn a_new_error_is_not_seen_by_later_clauses() {
    // ES1
    let rest = three_kinds()
        .on::<io::Error>(|_| Err(Invalid("new")))
        .on::<Invalid>(|_| ())
        .rest();
    assert_eq!(shape_of_rest(rest), "main(boom, handler)");
}

#[test]
fn a_new_group_is_added_as_a_branch() {
    // ES5
    let rest = three_kinds()
        .on_match(
            |_| true,
            |_| Err(group("recovery", vec![failed("again", Invalid("x"))])),
        )
        .rest()
        .unwrap_err();
    assert_eq!(shape(&rest), "main(recovery(again))");
    let branch = rest.first().as_group().unwrap();
    assert_eq!(branch.returned_by().unwrap().name(), "handler");
    assert_eq!(
        shape_or_none(branch.handling()),
        "main(io1, low(bad, io2), boom)"
    );
}

#[test]
fn handled_leaves_do_not_come_back_through_a_later_clause() {
    let mut taken = None;
    let rest = three_kinds()
        .on::<Invalid>(|matched| taken = Some(matched))
        .on_match(|_| true, |_| Ok::<(), BoxError>(()))
        .rest();
    assert_eq!(shape_of_rest(rest), "nothing");
    assert_eq!(shape_or_none(taken.as_ref()), "main(low(bad))");
}

#[test]
fn the_same_failure_at_two_places_is_counted_twice() {
    // ES7
    let shared = group("low", vec![failed("a", Invalid("x"))]);
    let again = |by| Member::from_failure(info(by, 1), Box::new(shared.clone()), Interval::now());
    let err = group(
        "main",
        vec![again("one"), failed("b", io_error("y")), again("two")],
    );
    let rest = err
        .clone()
        .on::<io::Error>(|_| ())
        .on::<Invalid>(Err)
        .rest();
    assert_eq!(shape_of_rest(rest), "main(low(a), low(a))");
    let (first, second) = err.split_by({
        let mut n = 0;
        move |_| {
            n += 1;
            n == 1
        }
    });
    assert_eq!(shape_or_none(first.as_ref()), "main(low(a))");
    assert_eq!(shape_or_none(second.as_ref()), "main(b, low(a))");
}

#[test]
fn a_failure_from_elsewhere_is_a_new_error() {
    // ES5: the handler was not given that leaf, so there is no place to put it back.
    let elsewhere = failed("elsewhere", Invalid("x")).to_task_error();
    let rest = three_kinds()
        .on::<io::Error>(|_| Err(elsewhere))
        .rest()
        .unwrap_err();
    assert_eq!(shape(&rest), "main(low(bad), boom, handler)");
    let new = rest.members()[2].as_task().unwrap();
    assert_eq!(new.downcast_ref::<TaskError>().unwrap().name(), "elsewhere");
    assert_eq!(shape_or_none(new.handling()), "main(io1, low(io2))");
}

#[test]
fn a_chain_that_is_under_way_shows_what_it_holds() {
    let clauses = three_kinds()
        .on::<io::Error>(Err)
        .on_panic(|_| Err(Invalid("giving up")));
    let text = format!("{clauses:?}");
    let held: Vec<_> = [
        "pending",
        "`bad`",
        "reraised",
        "`io1`",
        ", raised",
        "giving up",
    ]
    .map(|what| text.find(what))
    .into();
    assert!(held.is_sorted() && held[0].is_some(), "{text}");
}
