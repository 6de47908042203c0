//! Properties of random trees.

use super::*;
use proptest::prelude::*;

/// A tree as plain data: `kind` of a leaf, or the nodes below.
#[derive(Clone, Debug)]
enum Plan {
    Leaf(u8),
    Group(Vec<Plan>),
}

fn plan() -> impl Strategy<Value = Plan> {
    let leaf = (0..4_u8).prop_map(Plan::Leaf);
    leaf.prop_recursive(6, 60, 5, |node| {
        prop::collection::vec(node, 1..5).prop_map(Plan::Group)
    })
}

fn build(plans: &[Plan], next: &mut u32, parent: Option<&TaskInfo>) -> ErrorGroup {
    let here = Location::caller();
    let id = |next: &mut u32| {
        *next += 1;
        TaskId::new(1, *next)
    };
    let own = TaskInfo::new("group", id(next), parent, here);
    let mut members = Vec::new();
    for plan in plans {
        let task = TaskInfo::new("task", id(next), Some(&own), here);
        members.push(match plan {
            Plan::Leaf(0) => {
                Member::from_failure(task, Box::new(io_error("io\nerror")), Interval::now())
            }
            Plan::Leaf(1) => Member::from_failure(
                task,
                Box::new(Wrapped("wrapped", Box::new(io_error("io")))),
                Interval::now(),
            ),
            Plan::Leaf(2) => Member::from_panic(task, Box::new("panic"), Interval::now()),
            Plan::Leaf(_) => {
                Member::from_failure(task, Box::new(Invalid("invalid")), Interval::now())
            }
            Plan::Group(plans) => {
                let nested = build(plans, next, Some(&task));
                Member::from_failure(task, Box::new(nested), Interval::now())
            }
        });
    }
    ErrorGroup::new(own, members).unwrap()
}

fn tree() -> impl Strategy<Value = ErrorGroup> {
    prop::collection::vec(plan(), 1..5).prop_map(|plans| build(&plans, &mut 0, None))
}

/// Which leaf it is, and below which groups.
type Place = (TaskId, Vec<(TaskId, Option<TaskId>)>);

fn place(leaf: &Leaf<'_>) -> Place {
    let above = leaf
        .ancestors()
        .map(|group| (group.id(), group.returned_by().map(TaskInfo::id)));
    (leaf.id(), above.collect())
}

fn places(err: Option<&ErrorGroup>) -> Vec<Place> {
    err.into_iter()
        .flat_map(ErrorGroup::leaves)
        .map(|leaf| place(&leaf))
        .collect()
}

/// No branch is without a leaf.
fn no_empty_branch(err: &ErrorGroup) -> bool {
    !err.members().is_empty()
        && err
            .members()
            .iter()
            .filter_map(Member::as_group)
            .all(no_empty_branch)
}

/// Takes the bits of `mask` in turn.
fn chosen(mask: u64, n: usize) -> bool {
    (mask >> (n % 64)) & 1 == 1
}

proptest! {
    #[test]
    fn splitting_loses_nothing_and_keeps_shape_and_order(err in tree(), mask in any::<u64>()) {
        // S24, EG6
        let all = places(Some(&err));
        let expected = |side| -> Vec<Place> {
            all.iter().enumerate().filter(|(n, _)| chosen(mask, *n) == side).map(|(_, place)| place.clone()).collect()
        };
        let mut n = 0;
        let (matched, rest) = err.clone().split_by(|_| {
            n += 1;
            chosen(mask, n - 1)
        });
        prop_assert_eq!(n, all.len());
        prop_assert_eq!(places(matched.as_ref()), expected(true));
        prop_assert_eq!(places(rest.as_ref()), expected(false));
        prop_assert!(matched.iter().chain(&rest).all(no_empty_branch));
        prop_assert!(matched.iter().chain(&rest).all(|part| part.leaf_count() == part.leaves().count()));
        n = 0;
        let part = err.subgroup_by(|_| {
            n += 1;
            chosen(mask, n - 1)
        });
        prop_assert_eq!(places(part.as_ref()), expected(true));
    }

    #[test]
    fn clauses_give_each_leaf_to_one_handler_or_to_the_rest(err in tree()) {
        // S24, ES1
        let all = places(Some(&err));
        let mut seen: Vec<Place> = Vec::new();
        let rest = err
            .on::<io::Error>(|matched| seen.extend(places(Some(&matched))))
            .on_panic(|matched| seen.extend(places(Some(&matched))))
            .on_caused_by::<io::Error>(|matched| seen.extend(places(Some(&matched))))
            .rest();
        seen.extend(places(rest.as_ref().err()));
        seen.sort();
        let mut all = all;
        all.sort();
        prop_assert_eq!(seen, all);
    }

    #[test]
    fn what_is_re_raised_goes_back_to_its_place(err in tree(), again in any::<[bool; 3]>(), mask in any::<u64>()) {
        // S24, ES4
        let kept = |leaf: &Leaf<'_>| {
            (leaf.is::<io::Error>() && again[0])
                || (leaf.is_panic() && again[1])
                || (leaf.is::<Invalid>() && again[2] && chosen(mask, leaf.id().index() as usize))
                || leaf.is::<Wrapped>()
        };
        let expected: Vec<Place> = err.leaves().filter(|leaf| kept(leaf)).map(|leaf| place(&leaf)).collect();
        let rest = err
            .on::<io::Error>(|matched| if again[0] { Err(matched) } else { Ok(()) })
            .on_panic(|matched| if again[1] { Err(matched) } else { Ok(()) })
            .on::<Invalid>(|matched| {
                let part = matched.subgroup_by(|leaf| again[2] && chosen(mask, leaf.id().index() as usize));
                part.map_or(Ok(()), Err)
            })
            .rest();
        prop_assert_eq!(places(rest.as_ref().err()), expected);
        prop_assert!(rest.err().iter().all(no_empty_branch));
    }

    #[test]
    fn the_tree_has_a_line_for_each_leaf_and_the_line_has_no_break(err in tree()) {
        // S23
        let line = err.to_string();
        prop_assert!(!line.contains('\n'));
        let text = format!("{err:#}");
        for leaf in err.leaves() {
            let head = format!("task `task` [{}] ", leaf.id());
            let lines = text.lines().filter(|line| line.contains(&head) && !line.contains("returned by")).count();
            prop_assert_eq!(lines, 1, "{}", text);
        }
        prop_assert_eq!(text.matches("(cause)").count(), branching(&err));
        prop_assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn the_cause_is_the_first_leaf(err in tree()) {
        // S25
        prop_assert_eq!(err.cause().id(), err.leaves().next().unwrap().id());
        prop_assert_eq!(err.clone().into_single().is_ok(), err.leaves().count() == 1);
        prop_assert_eq!(err.contains::<io::Error>(), err.leaves().any(|leaf| leaf.is::<io::Error>()));
    }
}

/// How many groups have more than one member.
fn branching(err: &ErrorGroup) -> usize {
    let below: usize = err
        .members()
        .iter()
        .filter_map(Member::as_group)
        .map(branching)
        .sum();
    below + usize::from(err.len() > 1)
}
