//! What foreign code does when the engine calls it.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use taskgroup::{BoxError, GroupBuilder, TaskGroup, TaskHandle};
use tokio::runtime::Handle;

use crate::common::{
    Flavour, Surroundings, Token, Tokens, another_group_works, forever, on_one_thread, poll_once,
    turns,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Panics,
    /// Returns an error.
    Fails,
    /// Blocks its thread until another thread has answered.
    Blocks,
    /// Spawns a child into its group.
    Spawns,
    /// Cancels its group.
    Cancels,
    /// Drops what is left of another group: its last handle, with the value, and the last clone.
    DropsAnother,
    /// Opens a runtime and runs a group in it.
    OpensARuntime,
    /// Looks at the tree, and polls groups and waits of this crate by hand.
    ComesBack,
}

impl Deed {
    pub(crate) const ALL: [Self; 8] = [
        Self::Panics,
        Self::Fails,
        Self::Blocks,
        Self::Spawns,
        Self::Cancels,
        Self::DropsAnother,
        Self::OpensARuntime,
        Self::ComesBack,
    ];
}

/// What the culprit says when it fails or panics.
pub(crate) const MISHAP: &str = "mishap";

#[derive(Debug)]
pub(crate) struct Mishap;

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MISHAP)
    }
}

impl Error for Mishap {}

/// What is left of another group.
pub(crate) type Another = (TaskGroup, TaskHandle<Token>);

pub(crate) async fn another(builder: GroupBuilder, tokens: &Tokens) -> Another {
    let token = tokens.one();
    let run = builder.run(async move |group| {
        let child = group.spawn(async move { Ok::<_, BoxError>(token) });
        Ok((group, child))
    });
    run.await.unwrap()
}

/// The deed, ready to be done wherever a clone of this is.
#[derive(Clone)]
pub(crate) struct Act(Arc<Inner>);

struct Inner {
    deed: Deed,
    surroundings: Surroundings,
    group: TaskGroup,
    runtime: Handle,
    another: Mutex<Option<Another>>,
    tokens: Tokens,
    /// How often it was called.
    calls: Arc<AtomicUsize>,
    /// In the middle of it: what it brings about may call it again.
    busy: AtomicBool,
}

impl Act {
    pub(crate) fn new(
        deed: Deed,
        surroundings: &Surroundings,
        group: &TaskGroup,
        another: Another,
        tokens: &Tokens,
        calls: Arc<AtomicUsize>,
    ) -> Self {
        Self(Arc::new(Inner {
            deed,
            surroundings: surroundings.clone(),
            group: group.clone(),
            runtime: Handle::current(),
            another: Mutex::new(Some(another)),
            tokens: tokens.clone(),
            calls,
            busy: AtomicBool::new(false),
        }))
    }

    /// Waits until it is called. Where that is to come from another thread, no number of turns is
    /// enough.
    pub(crate) async fn called(&self) {
        while self.0.calls.load(Ordering::SeqCst) == 0 {
            turns(1).await;
        }
    }

    pub(crate) fn deed(&self) -> Deed {
        self.0.deed
    }

    /// Keeps nothing of the other group any more, whatever keeps this.
    pub(crate) fn clear(&self) {
        let another = self.0.another.lock().unwrap().take();
        drop(another);
    }

    /// Settings of one more group.
    pub(crate) fn builder(&self) -> GroupBuilder {
        self.0.surroundings.builder()
    }

    /// One that does it when it is dropped.
    pub(crate) fn on_drop(&self) -> ActOnDrop {
        ActOnDrop(self.clone())
    }

    /// Does it. A panic and an error come each time, the rest once.
    pub(crate) fn act(&self) -> Result<(), Mishap> {
        let inner = &*self.0;
        let first = inner.calls.fetch_add(1, Ordering::SeqCst) == 0;
        match inner.deed {
            Deed::Panics if std::thread::panicking() => {}
            Deed::Panics => panic!("{MISHAP}"),
            Deed::Fails => return Err(Mishap),
            _ if !first || inner.busy.swap(true, Ordering::SeqCst) => {}
            Deed::Blocks => blocks(),
            Deed::Spawns => {
                let token = inner.tokens.one();
                let _entered = inner.runtime.enter();
                drop(inner.group.spawn(async move {
                    let _token = token;
                    turns(2).await;
                }));
            }
            Deed::Cancels => inner.group.cancel(),
            Deed::DropsAnother => {
                let another = inner.another.lock().unwrap().take();
                drop(another);
            }
            Deed::OpensARuntime => inner.opens_a_runtime(),
            Deed::ComesBack => inner.comes_back(),
        }
        inner.busy.store(false, Ordering::SeqCst);
        Ok(())
    }
}

fn blocks() {
    let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
    let thread = std::thread::spawn(move || asked.recv().unwrap().send(()).unwrap());
    let (answer, answered) = mpsc::channel();
    ask.send(answer).unwrap();
    answered.recv().unwrap();
    thread.join().unwrap();
}

impl Inner {
    fn opens_a_runtime(&self) {
        let builder = self.surroundings.builder();
        let run = || {
            let runtime = on_one_thread();
            runtime.block_on(another_group_works(builder));
        };
        let may_block_in_place =
            self.surroundings.flavour == Flavour::MultiThread && Handle::try_current().is_ok();
        if may_block_in_place {
            tokio::task::block_in_place(run);
        } else {
            std::thread::spawn({
                let builder = self.surroundings.builder();
                move || on_one_thread().block_on(another_group_works(builder))
            })
            .join()
            .unwrap();
        }
    }

    fn comes_back(&self) {
        let _entered = self.runtime.enter();
        let _ = taskgroup::observe::tree().to_string();
        let _ = taskgroup::observe::current_task();
        let _ = taskgroup::observe::live_tasks();
        let _ = taskgroup::is_cancelled();
        let _ = self.group.live();
        let _ = self.group.tree();
        let token = self.tokens.one();
        let mut nested = Box::pin(self.surroundings.builder().run(async move |group| {
            group.spawn(async move {
                let _token = token;
                forever().await;
            });
            forever().await;
            Ok(())
        }));
        assert!(poll_once(nested.as_mut()).is_pending());
        drop(nested);
        if let Some((_, handle)) = &*self.another.lock().unwrap() {
            assert!(poll_once(pin!(handle.ended())).is_ready());
        }
        drop(poll_once(pin!(taskgroup::drain())));
        drop(self.group.spawn(async {}));
    }
}

pub(crate) struct ActOnDrop(Act);

impl Drop for ActOnDrop {
    fn drop(&mut self) {
        // A destructor has no caller to give an error to.
        let _ = self.0.act();
    }
}

/// The part of an error that does it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Display,
    Debug,
    Source,
    Drop,
}

/// An error one part of which does it.
pub(crate) struct ActingError {
    act: Act,
    part: Part,
    source: Option<BoxError>,
}

impl ActingError {
    pub(crate) fn new(act: &Act, part: Part) -> Self {
        Self {
            act: act.clone(),
            part,
            source: None,
        }
    }

    pub(crate) fn with_source(act: &Act, part: Part, source: BoxError) -> Self {
        let mut error = Self::new(act, part);
        error.source = Some(source);
        error
    }

    fn write(&self, part: Part, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part == part {
            self.act.act().map_err(|Mishap| fmt::Error)?;
        }
        f.write_str("an error that acts")
    }
}

impl fmt::Display for ActingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(Part::Display, f)
    }
}

impl fmt::Debug for ActingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(Part::Debug, f)
    }
}

impl Error for ActingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if self.part == Part::Source {
            let _ = self.act.act();
        }
        self.source.as_deref().map(|source| source as _)
    }
}

impl Drop for ActingError {
    fn drop(&mut self) {
        if self.part == Part::Drop {
            let _ = self.act.act();
        }
    }
}
