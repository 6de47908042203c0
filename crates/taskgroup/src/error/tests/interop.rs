use super::*;
use anyhow::Context as _;
use std::error::Error;

fn both() -> ErrorGroup {
    let first = failed("a", Wrapped("loading", Box::new(io_error("refused"))));
    group("main", vec![first, failed("b", Invalid("y"))])
}

const LINE: &str = "group `main` failed: 2 errors: task `a` failed: loading; task `b` failed: y";

#[test]
fn it_is_an_error_that_can_go_anywhere() {
    // S23
    fn sound<T: Error + Send + Sync + 'static>() {}
    sound::<ErrorGroup>();
    sound::<TaskError>();
    sound::<Overrun>();
    fn shareable<T: Send + Sync>() {}
    shareable::<Member>();
    shareable::<TaskInfo>();
    shareable::<Leaves<'_>>();
    shareable::<Clauses>();
}

/// The text of the group's source.
fn origin(error: &(dyn Error + 'static)) -> String {
    let group = std::iter::successors(Some(error), |error| (*error).source())
        .find(|error| error.is::<ErrorGroup>());
    let text = group.unwrap().source().unwrap().to_string();
    assert!(
        text.starts_with(concat!(
            "first to fail: main/a [1.1], spawned at ",
            file!(),
            ":"
        )),
        "{text}"
    );
    text
}

#[test]
fn question_mark_makes_a_boxed_error() {
    // S23
    fn run() -> Result<(), Box<dyn Error>> {
        Err(both())?;
        Ok(())
    }
    fn run_sync() -> Result<(), BoxError> {
        Err(both())?;
        Ok(())
    }
    assert_eq!(run().unwrap_err().to_string(), LINE);
    assert_eq!(
        run_sync()
            .unwrap_err()
            .downcast_ref::<ErrorGroup>()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn question_mark_makes_an_anyhow_error_whose_chain_says_nothing_twice() {
    // S23
    fn run() -> anyhow::Result<()> {
        Err(both()).context("starting up")
    }
    let report = run().unwrap_err();
    assert_eq!(
        format!("{report:#}"),
        format!("starting up: {LINE}: {}: refused", origin(report.as_ref()))
    );
    assert_eq!(report.downcast_ref::<ErrorGroup>().unwrap().len(), 2);
}

#[test]
fn question_mark_makes_an_eyre_report_whose_chain_says_nothing_twice() {
    // S23
    fn run() -> eyre::Result<()> {
        Err(both())?;
        Ok(())
    }
    let report = run().unwrap_err();
    assert_eq!(
        format!("{report:#}"),
        format!("{LINE}: {}: refused", origin(report.as_ref()))
    );
    assert_eq!(report.downcast_ref::<ErrorGroup>().unwrap().len(), 2);
}

#[test]
fn an_error_below_a_context_of_a_report_is_found() {
    // S24
    let report = || anyhow::Error::new(io_error("refused")).context("loading the list");
    let leaf = failed("a", report()).to_task_error();
    assert_eq!(leaf.to_string(), "task `a` failed: loading the list");
    assert!(leaf.find::<io::Error>().is_some());
    let rest = group("main", vec![failed("a", report())])
        .on_caused_by::<io::Error>(|_| ())
        .rest();
    assert!(rest.is_ok());

    let report = eyre::Report::new(io_error("refused")).wrap_err("loading the list");
    assert!(
        failed("a", report)
            .to_task_error()
            .find::<io::Error>()
            .is_some()
    );
}

#[test]
fn a_bare_report_hides_its_type() {
    // The limit that the documentation of `find` mentions. If this fails, the limit is gone.
    let leaf = failed("a", anyhow::Error::new(io_error("refused"))).to_task_error();
    assert!(leaf.find::<io::Error>().is_none());
    let leaf = failed("a", eyre::Report::new(io_error("refused"))).to_task_error();
    assert!(leaf.find::<io::Error>().is_none());
}

#[test]
fn a_group_returned_through_a_report_is_a_branch() {
    // S23
    let through_anyhow = failed("crawl", anyhow::Error::new(both()));
    let through_eyre = failed("crawl", eyre::Report::new(both()));
    let err = group("root", vec![through_anyhow, through_eyre]);
    assert_eq!(shape(&err), "root(main(a, b), main(a, b))");
    assert_eq!(err.first().info().name(), "crawl");
    let again = err
        .on::<Invalid>(|matched| Err(anyhow::Error::new(matched)))
        .rest()
        .unwrap_err();
    assert_eq!(shape(&again), "root(main(a, b), main(a, b))");
}

#[test]
fn a_group_with_a_context_is_the_cause_of_a_leaf() {
    // S23
    let member = failed("crawl", anyhow::Error::new(both()).context("nightly crawl"));
    let leaf = member.as_task().expect("a leaf");
    assert_eq!(leaf.to_string(), "task `crawl` failed: nightly crawl");
    assert_eq!(leaf.find::<ErrorGroup>().unwrap().len(), 2);
    assert!(leaf.find::<io::Error>().is_some());
    assert!(format!("{leaf:#}").contains("\n└─ caused by: group `main` [1.3] failed: 2 errors\n"));
}

/// Shows a failure unchanged, as the join error of a handle does.
#[derive(Debug)]
struct Passed(TaskError);

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Passed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[test]
fn a_failure_passed_on_is_known_again() {
    // S6
    let member = failed("a", Wrapped("loading", Box::new(io_error("refused"))));
    let passed = || Passed(member.to_task_error());
    let forms: [BoxError; 4] = [
        Box::new(member.to_task_error()),
        Box::new(passed()),
        anyhow::Error::new(passed()).into(),
        eyre::Report::new(passed()).into(),
    ];
    for error in forms {
        let same = TaskError::passed_on_by(&*error).unwrap();
        assert!(member.is_same(&same));
    }
    let wrapped: BoxError = anyhow::Error::new(passed()).context("user 7").into();
    assert!(TaskError::passed_on_by(&*wrapped).is_none());
    let leaf = failed("b", wrapped).to_task_error();
    assert!(leaf.find::<Wrapped>().is_some() && leaf.find::<io::Error>().is_some());
    let other: BoxError = Box::new(io_error("x"));
    assert!(TaskError::passed_on_by(&*other).is_none());

    let branch = nested("w", "g", vec![failed("a", Invalid("x"))]);
    let error: BoxError = anyhow::Error::new(Passed(branch.to_task_error())).into();
    assert!(branch.is_same(&TaskError::passed_on_by(&*error).unwrap()));
    assert!(!member.is_same(&branch.to_task_error()) && !branch.is_same(&member.to_task_error()));
}

#[test]
fn the_chain_of_a_failure_says_nothing_twice() {
    // S23
    let task = failed("a", Wrapped("loading", Box::new(io_error("refused")))).to_task_error();
    let (place, line) = (format!("{}", task.source().unwrap()), task.to_string());
    assert!(
        place.starts_with(concat!("in main/a [1.1], spawned at ", file!(), ":")),
        "{place}"
    );
    let report = anyhow::Error::new(task);
    assert_eq!(format!("{report:#}"), format!("{line}: {place}: refused"));
}
