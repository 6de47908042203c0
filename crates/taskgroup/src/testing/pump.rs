//! Polls the tasks of a runtime in the order that a chooser picks, in place of the engine's own
//! pump.
//!
//! Everything that a pump has to keep (DR1–DR3 of `scope::driver`) is the runtime's; here is only
//! the order. So what runs under it is the real engine. The program itself, with the bodies of its
//! groups, waits for its turn like the tasks: it is polled through a [`Gate`].
//!
//! One task is polled at a time. Then the runtime runs everything else that is ready (a task of
//! `tokio::spawn`, a task that yielded, a timer) before the next choice. So the choice is always
//! between all that could run.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::schedule::{Chooser, Schedule, Source};
use crate::error::TaskId;
use crate::scope::driver::Runtime;
use crate::scope::task::TaskRef;

/// What the pump, the program and the watcher of the run share.
pub(super) struct Course {
    runtime: Arc<Runtime>,
    steps: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    chooser: Chooser,
    done: u64,
    /// The names of what was run, if they are to be kept.
    names: Option<Vec<StepTaken>>,
    /// The program was woken.
    woken: bool,
    turn: Turn,
    /// How often in a row it was the program's turn while no other task waited.
    alone: u32,
    /// The waker of the task that polls the program.
    outside: Option<Waker>,
    /// The waker for the end of the steps.
    watcher: Option<Waker>,
}

/// One turn.
#[derive(Clone, Debug)]
pub(super) struct StepTaken {
    pub(super) task: String,
    /// How many tasks could have been chosen.
    pub(super) waiting: usize,
}

/// The progress of the program's turn. Tokio polls the program some time after it was woken, and
/// wakes what yields in it some time after that. The next choice is made only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Admitted,
    Polled,
    Over,
}

enum Waiting {
    Program,
    Task(TaskRef),
}

impl Waiting {
    fn id(&self) -> TaskId {
        match self {
            // No task has this one.
            Self::Program => TaskId::new(0, u32::MAX),
            Self::Task(task) => task.header().id(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Program => "the program".into(),
            Self::Task(task) => task.header().info().path().to_string(),
        }
    }
}

impl Course {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        source: Source,
        steps: u64,
        with_names: bool,
    ) -> Arc<Self> {
        let inner = Inner {
            chooser: Chooser::new(source),
            done: 0,
            names: with_names.then(Vec::new),
            woken: true,
            turn: Turn::Over,
            alone: 0,
            outside: None,
            watcher: None,
        };
        Arc::new(Self {
            runtime,
            steps,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn done(&self) -> u64 {
        self.lock().done
    }

    pub(super) fn taken(&self) -> Schedule {
        self.lock().chooser.taken()
    }

    pub(super) fn names(&self) -> Vec<StepTaken> {
        self.lock().names.clone().unwrap_or_default()
    }

    pub(super) fn alone(&self) -> u32 {
        self.lock().alone
    }

    /// Resolves when the steps are used up.
    pub(super) fn poll_used_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.done >= self.steps {
            return Poll::Ready(());
        }
        inner.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives one of the waiting tasks its turn. There are steps left.
    fn turn(&self, waiting: &mut Vec<Waiting>) {
        let mut inner = self.lock();
        let choice = if waiting.len() > 1 {
            inner.chooser.choose(waiting.iter().map(Waiting::id))
        } else {
            0
        };
        inner.done += 1;
        let next = waiting.remove(choice);
        if let Some(names) = &mut inner.names {
            names.push(StepTaken {
                task: next.name(),
                waiting: waiting.len() + 1,
            });
        }
        match next {
            Waiting::Task(task) => {
                inner.alone = 0;
                drop(inner);
                task.run();
            }
            Waiting::Program => {
                inner.alone = if waiting.is_empty() {
                    inner.alone + 1
                } else {
                    0
                };
                inner.turn = Turn::Admitted;
                let outside = inner.outside.take();
                drop(inner);
                outside.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Whether the next choice can be made.
    fn is_open(&self) -> bool {
        let mut inner = self.lock();
        let open = inner.turn == Turn::Over;
        if inner.turn == Turn::Polled {
            inner.turn = Turn::Over;
        }
        open
    }

    fn take_woken(&self) -> bool {
        std::mem::take(&mut self.lock().woken)
    }

    fn is_used_up(&self) -> bool {
        let watcher = {
            let mut inner = self.lock();
            if inner.done < self.steps {
                return false;
            }
            inner.watcher.take()
        };
        watcher.into_iter().for_each(Waker::wake);
        true
    }
}

/// The program was woken: it waits for its turn.
impl Wake for Course {
    fn wake(self: Arc<Self>) {
        self.lock().woken = true;
        self.runtime.nudge();
    }
}

/// Polls the program when it is its turn.
pub(super) struct Gate<F>(pub(super) Arc<Course>, pub(super) Pin<Box<F>>);

impl<F: Future> Future for Gate<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut inner = self.0.lock();
            inner.outside = Some(cx.waker().clone());
            if inner.turn != Turn::Admitted {
                return Poll::Pending;
            }
            inner.turn = Turn::Polled;
        }
        let waker = Waker::from(self.0.clone());
        self.1.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// The pump; a Tokio task.
pub(super) struct Pump {
    course: Arc<Course>,
    /// In the order in which they became ready.
    waiting: Vec<Waiting>,
}

impl Pump {
    pub(super) fn new(course: Arc<Course>) -> Self {
        Self {
            course,
            waiting: Vec::new(),
        }
    }

    fn has_program(&self) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|one| matches!(one, Waiting::Program))
    }

    fn gather(&mut self) {
        if self.course.take_woken() && !self.has_program() {
            self.waiting.push(Waiting::Program);
        }
        let ready = self.course.runtime.take_ready();
        self.waiting.extend(ready.into_iter().map(Waiting::Task));
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let course = self.course.clone();
        course.runtime.rouse();
        if !course.is_open() {
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        self.gather();
        if self.waiting.is_empty() {
            let rests = course.runtime.rest(cx.waker());
            // The program may have been woken since, and who wakes it looks for a pump that rests.
            self.gather();
            if rests && self.waiting.is_empty() {
                return Poll::Pending;
            }
            course.runtime.rouse();
        }
        if course.is_used_up() {
            return Poll::Pending;
        }
        if !self.waiting.is_empty() {
            course.turn(&mut self.waiting);
        }
        // To the very back: all that yielded come back first.
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let tasks = waiting.into_iter().filter_map(|one| match one {
            Waiting::Task(task) => Some(task),
            Waiting::Program => None,
        });
        self.course.runtime.go_down(tasks.collect());
    }
}
