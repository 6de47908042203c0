//! Which of several failures is the cause (S43).

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[track_caller]
fn at(name: &'static str, error: impl Into<BoxError>, interval: Interval) -> Member {
    Member::from_failure(info(name, 1), error.into(), interval)
}

/// Failures whose polls overlap. The first one ended first.
fn beside<const N: usize>() -> [Interval; N] {
    let began = Began::now();
    std::array::from_fn(|_| began.failed())
}

/// One after the other.
fn one_by_one<const N: usize>() -> [Interval; N] {
    std::array::from_fn(|_| Began::now().failed())
}

fn names(members: Vec<Member>) -> Vec<String> {
    let error = group("main", members);
    let members = error.members().iter();
    members
        .map(|member| member.info().name().to_owned())
        .collect()
}

/// Whether `error` comes after a failure that overlaps with it, ended later and does not mention
/// another task.
fn is_consequence(error: impl Into<BoxError>) -> bool {
    let [first, second] = beside();
    let members = vec![at("neighbour", error, first), at("stage", "full", second)];
    names(members)[0] == "stage"
}

// Only the order of their ends distinguishes the two.
#[test]
fn of_independent_failures_the_first_one_is_the_cause() {
    let [a, b] = beside();
    assert_eq!(names(vec![at("a", "x", a), at("b", "y", b)]), ["a", "b"]);
    let [a, b] = beside();
    let closed = |name, interval| at(name, "channel closed", interval);
    assert_eq!(names(vec![closed("a", a), closed("b", b)]), ["a", "b"]);
    // It failed first, and arrived second.
    let [a, b] = beside();
    assert_eq!(names(vec![at("b", "y", b), at("a", "x", a)]), ["a", "b"]);
}

#[test]
fn what_began_later_is_not_the_cause_in_whatever_order_it_arrives() {
    let [a, b] = one_by_one();
    let stage = || at("stage", "full", a);
    let neighbour = || at("neighbour", "nothing left to do", b);
    assert_eq!(names(vec![neighbour(), stage()])[0], "stage");
    assert_eq!(names(vec![stage(), neighbour()])[0], "stage");
}

// A channel may be closed because its other side ended well. A later failure in the cleanup does
// not explain it.
#[test]
fn a_text_does_not_outweigh_the_order() {
    let [a, b] = one_by_one();
    let closed = at("neighbour", "channel closed", a);
    let cleanup = at("cleanup", "the disk is full", b);
    assert_eq!(names(vec![closed, cleanup])[0], "neighbour");
}

#[test]
fn the_others_stay_in_the_order_in_which_they_arrived() {
    let [a, b, c, d] = beside();
    let members = vec![
        at("third", "channel closed", c),
        at("first", "channel closed", a),
        at("stage", "full", d),
        at("second", "channel closed", b),
    ];
    assert_eq!(names(members), ["stage", "third", "first", "second"]);
}

#[test]
fn a_closed_channel_is_known_by_its_errors() {
    use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
    let (send, _) = mpsc::channel(1);
    assert!(is_consequence(send.try_send(1).unwrap_err()));
    let (send, _) = mpsc::unbounded_channel();
    assert!(is_consequence(send.send(1).unwrap_err()));
    let (_, mut receive) = mpsc::channel::<u32>(1);
    assert!(is_consequence(receive.try_recv().unwrap_err()));
    let (_, mut receive) = oneshot::channel::<u32>();
    assert!(is_consequence(receive.try_recv().unwrap_err()));
    let (send, receive) = broadcast::channel(1);
    drop(receive);
    assert!(is_consequence(send.send(1).unwrap_err()));
    let (send, receive) = watch::channel(1);
    drop(receive);
    assert!(is_consequence(send.send(1).unwrap_err()));
    let semaphore = Semaphore::new(1);
    semaphore.close();
    assert!(is_consequence(semaphore.try_acquire().unwrap_err()));

    use std::sync::mpsc as threads;
    let (send, _) = threads::channel();
    assert!(is_consequence(send.send(1).unwrap_err()));
    let (send, _) = threads::sync_channel(1);
    assert!(is_consequence(send.try_send(1).unwrap_err()));
    let (_, receive) = threads::channel::<u32>();
    assert!(is_consequence(receive.recv().unwrap_err()));
    assert!(is_consequence(receive.try_recv().unwrap_err()));
    let soon = std::time::Duration::ZERO;
    assert!(is_consequence(receive.recv_timeout(soon).unwrap_err()));

    // As `futures`, `flume`, `async-channel` and `crossbeam` print theirs.
    for text in [
        "send failed because receiver is gone",
        "oneshot canceled",
        "sending on a closed channel",
        "sending into a closed channel",
        "receiving from an empty and closed channel",
        "sending on a disconnected channel",
        "channel is empty and disconnected",
    ] {
        assert!(is_consequence(text), "{text}");
    }
}

// In words of its own: weaker than the error of a channel, stronger than anything else.
#[test]
fn what_programs_say_of_a_closed_channel() {
    for text in [
        "the sink is gone",
        "no more input",
        "upstream closed",
        "the reader hung up",
    ] {
        assert!(is_consequence(text), "{text}");
    }
}

#[test]
fn what_is_no_closed_channel_is_not_taken_for_one() {
    let (send, _receive) = tokio::sync::mpsc::channel(1);
    send.try_send(1).unwrap();
    assert!(!is_consequence(send.try_send(1).unwrap_err()), "it is full");
    for text in [
        "the disk is full",
        "no such channel",
        "the shop is closed",
        "no more bread",
    ] {
        assert!(!is_consequence(text), "{text}");
    }
    assert!(!is_consequence(io::Error::from(io::ErrorKind::NotFound)));
}

#[test]
fn a_closed_channel_is_found_below_a_context_and_in_a_text() {
    use anyhow::Context as _;
    let closed = || {
        let (send, _) = std::sync::mpsc::channel();
        send.send(1).unwrap_err()
    };
    let sent = Err::<(), _>(closed()).context("the next stage does not take it");
    assert!(is_consequence(sent.unwrap_err()));
    assert!(is_consequence(Wrapped("no luck", Box::new(closed()))));
    assert!(is_consequence(format!("cannot send: {}", closed())));
    assert!(is_consequence(format!("cannot send: {:?}", closed())));
    // The error of a task, passed on inside another error.
    let [interval] = beside();
    let Member::Task(passed_on) = at("other", closed(), interval) else {
        unreachable!("it is no group");
    };
    assert!(is_consequence(Wrapped("no luck", Box::new(passed_on))));
}

#[test]
fn a_closed_channel_is_known_in_the_panic_of_an_unwrap() {
    let panicked = std::panic::catch_unwind(|| {
        let (send, _) = tokio::sync::mpsc::unbounded_channel();
        send.send(1).unwrap();
    });
    let [first, second, third] = beside();
    let neighbour = Member::from_panic(info("neighbour", 1), panicked.unwrap_err(), first);
    let bug = Member::from_panic(info("bug", 1), Box::new("index out of bounds"), second);
    let members = vec![neighbour, bug, at("stage", "full", third)];
    assert_eq!(names(members), ["bug", "neighbour", "stage"]);
}

// A pipe may have been closed from outside, a channel only from inside.
#[test]
fn a_closed_pipe_stands_between_a_closed_channel_and_anything_else() {
    for kind in [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
    ] {
        assert!(is_consequence(io::Error::from(kind)), "{kind:?}");
        let [first, second] = beside();
        let members = vec![
            at("neighbour", "channel closed", first),
            at("stage", io::Error::from(kind), second),
        ];
        assert_eq!(names(members)[0], "stage", "{kind:?}");
    }
    assert!(is_consequence("cannot write: Broken pipe (os error 32)"));
}

#[test]
fn a_nested_group_counts_as_its_cause() {
    let [stage, neighbour] = one_by_one();
    let inner = group("inner", vec![at("stage", "full", stage)]);
    let inner = Member::from_failure(info("w", 4), Box::new(inner), Interval::now());
    assert_eq!(
        names(vec![at("n", "nothing to do", neighbour), inner])[0],
        "w"
    );

    // If it overlaps, only the text of its cause counts, not the texts of the others in it.
    let [first, second, third] = beside();
    let inner = group(
        "inner",
        vec![
            at("stage", "full", second),
            at("n", "channel closed", third),
        ],
    );
    let inner = Member::from_failure(info("w", 4), Box::new(inner), Interval::now());
    assert_eq!(names(vec![at("n", "channel closed", first), inner])[0], "w");

    let [first, second] = beside();
    let inner = group("inner", vec![at("n", "channel closed", first)]);
    let inner = Member::from_failure(info("w", 4), Box::new(inner), Interval::now());
    assert_eq!(names(vec![inner, at("stage", "full", second)])[0], "stage");
}

/// Counts how often its text is asked for. The text is empty.
#[derive(Debug)]
struct Asked(&'static AtomicUsize);

impl fmt::Display for Asked {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("no text");
    }
}

impl std::error::Error for Asked {}

// S39: the text is foreign code. It may panic, and it is asked for only if it decides something.
#[test]
fn a_text_is_asked_for_where_there_is_a_choice() {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let [a, b] = one_by_one();
    names(vec![at("a", Asked(&TIMES), a), at("b", Asked(&TIMES), b)]);
    assert_eq!(TIMES.load(Ordering::Relaxed), 0);
    let [a, b, c] = beside();
    let members = vec![
        at("a", Asked(&TIMES), a),
        at("b", Asked(&TIMES), b),
        at("c", Asked(&TIMES), c),
    ];
    assert_eq!(names(members), ["a", "b", "c"]);
    assert_eq!(TIMES.load(Ordering::Relaxed), 1);
}

// S44: n failures cost O(n).
#[test]
fn many_failures_at_once() {
    let began = Began::now();
    let closed = |_| at("n", "channel closed", began.failed());
    let mut members: Vec<Member> = (0..20_000).map(closed).collect();
    members.push(at("stage", "full", began.failed()));
    assert_eq!(names(members)[0], "stage");
}
