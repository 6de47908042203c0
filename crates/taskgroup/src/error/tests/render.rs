use super::*;

/// Locations depend on the lines of this file, so only their presence is compared.
fn drawn(err: &dyn fmt::Display) -> String {
    let text = format!("{err:#}");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.find(file!()) {
            Some(at) => lines.push(format!("{}HERE", &line[..at])),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[test]
fn display_is_one_line() {
    // S23
    let err = group(
        "main",
        vec![failed("a", "x\n  y\r\n"), panicked("b", "p\nq")],
    );
    assert_eq!(
        err.to_string(),
        "group `main` failed: 2 errors: task `a` failed: x y; task `b` panicked: p q"
    );
    assert_eq!(err.cause().to_string(), "task `a` failed: x y");
    let one = group("main", vec![nested("w", "low", vec![failed("a", "x")])])
        .with_context(reason("deadline of 5s"));
    assert_eq!(
        one.to_string(),
        format!(
            "group `main` failed while being cancelled: {}: task `a` failed: x",
            one.context().unwrap()
        )
    );
    let odd = group("main", vec![panicked("a", 7_u8)]);
    assert_eq!(
        odd.to_string(),
        "group `main` failed: task `a` panicked with a payload that is not text"
    );
}

#[test]
fn a_long_line_is_cut() {
    let err = group("main", (0..20).map(|_| failed("a", "x")).collect());
    let text = err.to_string();
    assert!(
        text.starts_with("group `main` failed: 20 errors: task `a` failed: x; "),
        "{text}"
    );
    assert!(text.ends_with("; and 15 more"), "{text}");
}

#[test]
fn the_alternate_form_draws_the_tree() {
    // S23
    let err = group(
        "main",
        vec![
            nested(
                "crawl",
                "urls",
                vec![
                    failed(
                        "first",
                        Wrapped(
                            "cannot load\nthe list",
                            Box::new(Wrapped("refused", "no route\nto host".into())),
                        ),
                    ),
                    panicked("second", "index out of range"),
                ],
            )
            .as_group()
            .map(|urls| Member::Group(urls.clone().with_context(reason("a deadline"))))
            .unwrap(),
            failed("save", Invalid("disk full")),
        ],
    );
    let expected = "\
group `main` [1.3] failed: 3 errors
│ in main/main
│ run at HERE
├─ (cause) group `urls` [1.3] failed: 2 errors
│  │ run at HERE
│  │ returned by task `crawl` [1.4], spawned at HERE
│  │ while being cancelled: a deadline (HERE
│  ├─ (cause) task `first` [1.1] failed: cannot load
│  │    the list
│  │    spawned at HERE
│  │    caused by: refused
│  │    caused by: no route
│  │    to host
│  └─ task `second` [1.2] panicked: index out of range
│       spawned at HERE
└─ task `save` [1.1] failed: disk full
     spawned at HERE";
    assert_eq!(drawn(&err), expected);
    assert_eq!(format!("{err:?}"), format!("{err:#}"));
}

#[test]
fn what_was_being_handled_is_drawn_below() {
    // ES5
    let err = group("main", vec![failed("a", io_error("x"))])
        .on::<io::Error>(|_| Err(Invalid("no fallback")))
        .rest()
        .unwrap_err();
    let expected = "\
group `main` [1.3] failed: 1 error
│ in main/main
│ run at HERE
└─ task `handler` [1.3] failed: no fallback
   │ spawned at HERE
   └─ while handling: group `main` [1.3] failed: 1 error
      │ run at HERE
      └─ task `a` [1.1] failed: x
           spawned at HERE";
    assert_eq!(drawn(&err), expected);
}

#[test]
fn a_group_below_a_context_is_drawn_as_a_tree() {
    let inner = group(
        "urls",
        vec![failed("a", Invalid("x")), failed("b", Invalid("y"))],
    );
    let leaf = failed(
        "crawl",
        Wrapped(
            "nightly crawl",
            Box::new(Wrapped("first part", Box::new(inner))),
        ),
    );
    let expected = "\
task `crawl` [1.1] failed: nightly crawl
│ in main/crawl
│ spawned at HERE
│ caused by: first part
└─ caused by: group `urls` [1.3] failed: 2 errors
   │ run at HERE
   ├─ (cause) task `a` [1.1] failed: x
   │    spawned at HERE
   └─ task `b` [1.1] failed: y
        spawned at HERE";
    assert_eq!(drawn(&leaf.to_task_error()), expected);
    let with_handle = nested("worker", "g", vec![failed("a", Invalid("x"))]).to_task_error();
    assert!(drawn(&with_handle).starts_with(
        "task `worker` [1.4] failed with the errors of its own group\n│ in main/worker\n│ spawned"
    ));
    assert!(drawn(&with_handle).contains("\n└─ group `g` [1.3] failed: 1 error\n"));
}

#[test]
fn a_chain_of_sources_without_end_is_cut() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl std::error::Error for Endless {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self)
        }
    }
    let err = group("main", vec![failed("a", Endless)]);
    assert_eq!(drawn(&err).matches("caused by: again").count(), 64);
}

#[test]
fn a_line_that_names_every_failure_has_no_rest() {
    let err = group("main", (0..5).map(|_| failed("a", "x")).collect());
    let text = err.to_string();
    assert_eq!(text.matches("task `a` failed: x").count(), 5);
    assert!(!text.contains("more"), "{text}");
}

#[test]
fn a_cancelled_task_did_not_fail_but_ended() {
    // S7, S8
    let ended = Member::from_cancelled(info("a", 1), "cancelled by the caller".into());
    assert_eq!(ended.to_string(), "task `a` ended: cancelled by the caller");
}

#[test]
fn a_root_has_no_path_to_tell() {
    let err = ErrorGroup::new(main_info(), vec![failed("a", Invalid("x"))]).unwrap();
    let expected = "\
group `main` [1.0] failed: 1 error
│ run at HERE
└─ task `a` [1.1] failed: x
     spawned at HERE";
    assert_eq!(drawn(&err), expected);
}

#[test]
fn every_view_of_a_failure_prints_as_the_failure() {
    // S23
    let err = group(
        "main",
        vec![
            failed("a", Wrapped("x", "y".into())),
            nested("w", "low", vec![failed("b", Invalid("z"))]),
        ],
    );
    let (task, low) = (&err.members()[0], &err.members()[1]);
    let leaf = err.leaves().next().unwrap();
    assert_eq!(task.to_string(), "task `a` failed: x");
    assert_eq!(leaf.to_string(), task.to_string());
    assert_eq!(low.to_string(), "group `low` failed: task `b` failed: z");
    let tree = format!("{:#}", err.cause());
    assert!(tree.ends_with("caused by: y"), "{tree}");
    assert_eq!(format!("{:?}", err.cause()), tree);
    assert_eq!(format!("{leaf:?}"), tree);
    assert_eq!(format!("{task:?}"), tree);
    assert_eq!(format!("{low:?}"), format!("{low:#}"));
    assert!(format!("{low:?}").contains("task `b` [1.1] failed: z"));
    for error in [&err as &dyn std::error::Error, err.cause()] {
        let origin = error.source().unwrap();
        assert!(origin.to_string().contains("main/a [1.1]"));
        assert_eq!(format!("{origin:?}"), origin.to_string());
    }
    let mut leaves = err.leaves();
    assert_eq!(format!("{leaves:?}"), "Leaves { depth: 1, .. }");
    assert_eq!(leaves.by_ref().count(), 2);
    assert_eq!(format!("{leaves:?}"), "Leaves { depth: 0, .. }");
}

// S23: the first of many members are drawn, and the others are counted by their texts.
#[test]
fn fault_d7_a_wide_tree_is_bounded() {
    const MANY: usize = 100_000;
    let text = |number: usize| match number {
        0..50_000 => "refused".to_owned(),
        50_000..99_000 => "timed out".to_owned(),
        _ => format!("number {number}"),
    };
    let members = (0..MANY).map(|number| failed("a", text(number)));
    let err = group("main", members.collect());
    let drawn = format!("{err:#}");
    assert_eq!(drawn.matches("task `a`").count(), 100);
    assert!(drawn.len() < 20_000, "{}", drawn.len());
    let end = "└─ … and 99900 more failures\n     49900 × failed: refused\n     49000 × failed: timed out\n     1 × failed: number 99000\n";
    assert!(drawn.contains(end), "{drawn}");
    assert!(drawn.ends_with("\n     994 × something else"), "{drawn}");
    assert_eq!(err.leaves().count(), MANY);
}

// S23: the same for many groups with many members each.
#[test]
fn fault_d7_a_tree_of_wide_trees_is_bounded() {
    let wide = |_| nested("w", "wide", (0..200).map(|_| failed("a", "x")).collect());
    let err = group("main", (0..200).map(wide).collect());
    let drawn = format!("{err:#}");
    let lines = drawn.lines().count();
    assert!((1_000..4_000).contains(&lines), "{lines}");
    assert!(drawn.contains("… and 100 more failures\n"), "{drawn}");
    let counted = |line: &str| -> Option<usize> {
        let (_, rest) = line.split_once("… and ")?;
        rest.split(' ').next()?.parse().ok()
    };
    let left_out: usize = drawn.lines().filter_map(counted).sum();
    assert_eq!(drawn.matches("task `a`").count() + left_out, 200 * 200);
}

// A group with exactly as many members as are drawn has no rest.
#[test]
fn fault_d7_a_hundred_members_are_drawn() {
    for (members, rest) in [(100, 0), (101, 1)] {
        let err = group("main", (0..members).map(|_| failed("a", "x")).collect());
        let drawn = format!("{err:#}");
        assert_eq!(drawn.matches("task `a`").count(), 100);
        assert_eq!(drawn.matches("… and 1 more failure\n").count(), rest);
    }
}

/// An error whose code misbehaves: `Display` panics or fails, `source` panics.
#[derive(Debug)]
struct Bad {
    panics: bool,
    source: bool,
}

impl fmt::Display for Bad {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.panics, "no text");
        Err(fmt::Error)
    }
}

impl std::error::Error for Bad {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        assert!(!self.source, "no source");
        None
    }
}

// S39: there is a report even if a part of it panics.
#[test]
fn fault_b2_a_report_of_an_error_without_a_text() {
    for (panics, text) in [
        (true, "(its `Display` panicked: no text)"),
        (false, "(its `Display` returned an error)"),
    ] {
        let bad = Bad {
            panics,
            source: true,
        };
        let wrapped = Wrapped(
            "around",
            Box::new(Bad {
                panics,
                source: false,
            }),
        );
        let err = group("main", vec![failed("a", bad), failed("b", wrapped)]);
        let line = format!("task `a` failed: {text}");
        assert!(err.to_string().contains(&line), "{err}");
        assert_eq!(err.cause().to_string(), line);
        let drawn = format!("{err:#}");
        assert!(drawn.contains(&format!("failed: {text}")), "{drawn}");
        assert!(drawn.contains(&format!("caused by: {text}")), "{drawn}");
        assert_eq!(format!("{err:?}"), drawn);
        let origin = std::error::Error::source(&err).unwrap();
        assert!(origin.source().is_none());
        assert!(err.find::<io::Error>().is_none());
        let reason = err.first().as_reason().to_string();
        assert!(reason.contains(text), "{reason}");
    }
}
