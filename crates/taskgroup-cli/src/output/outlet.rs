//! Where the lines of one command go: out at once, out together, or nowhere.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::held::{Held, Position};
use super::{Show, Sink, Stream};

/// Clones are the same outlet.
#[derive(Clone)]
pub(crate) struct Outlet(Arc<Inner>);

struct Inner {
    sink: Sink,
    state: tokio::sync::Mutex<State>,
    trouble: Mutex<Option<Trouble>>,
}

enum State {
    /// Lines go out as they come.
    Open,
    /// The same, but other commands hold back theirs, which must stay together.
    Between,
    Holding(Held),
    Closed,
}

/// What went wrong with lines that were to be held back.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There was no room for them, so they came out at once, between those of other commands.
    Mixed(io::Error),
    /// They could not be read again.
    Lost(io::Error),
}

/// What comes before and after the lines of a command that come out together.
#[derive(Debug, Default)]
pub(crate) struct Heading {
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

impl Outlet {
    /// With `waits`, lines are held back until they are released, even those that are to be shown
    /// at once.
    pub(crate) fn new(show: Show, waits: bool, sink: Sink) -> Outlet {
        let state = match show {
            Show::Stream if !waits => State::Open,
            Show::Stream | Show::Group | Show::Failures => State::Holding(Held::default()),
            Show::Quiet => State::Closed,
        };
        Outlet(Arc::new(Inner {
            sink,
            state: tokio::sync::Mutex::new(state),
            trouble: Mutex::default(),
        }))
    }

    /// Takes whole lines. Resolves when there is room for more.
    pub(crate) async fn send(&self, stream: Stream, lines: Vec<u8>) {
        let inner = &*self.0;
        let mut state = inner.state.lock().await;
        match &mut *state {
            State::Open => inner.sink.send(stream, lines).await,
            State::Between => {
                let _turn = inner.sink.turn().await;
                inner.sink.send(stream, lines).await;
            }
            State::Holding(held) => {
                let Err(error) = held.push(stream, &lines) else {
                    return;
                };
                // From here on the lines come out mixed, but none is lost.
                inner.fail(Trouble::Mixed(error));
                let held = std::mem::take(held);
                *state = State::Between;
                let _turn = inner.sink.turn().await;
                inner.send_all(held).await;
                inner.sink.send(stream, lines).await;
            }
            State::Closed => {}
        }
    }

    /// Shows the lines that were held back, under their heading, and from now on each line at once.
    /// Without this call they are dropped with the outlet.
    pub(crate) async fn release(&self, heading: Heading) {
        let inner = &*self.0;
        let mut state = inner.state.lock().await;
        let held = match std::mem::replace(&mut *state, State::Between) {
            State::Holding(held) => held,
            State::Open | State::Between => Held::default(),
            State::Closed => {
                *state = State::Closed;
                return;
            }
        };
        // There are several pieces, and another command may end at the same time.
        let _turn = inner.sink.turn().await;
        inner.sink.send_some(Stream::Err, heading.before).await;
        inner.send_all(held).await;
        inner.sink.send_some(Stream::Err, heading.after).await;
    }

    /// What went wrong with the output, once.
    pub(crate) fn take_trouble(&self) -> Option<Trouble> {
        self.0.trouble().take()
    }
}

impl Inner {
    async fn send_all(&self, mut held: Held) {
        let mut position = Position::default();
        loop {
            match held.pop(&mut position) {
                Ok(Some((stream, lines))) => self.sink.send(stream, lines).await,
                Ok(None) => return,
                Err(error) => return self.fail(Trouble::Lost(error)),
            }
        }
    }

    /// The worst counts, otherwise the first.
    fn fail(&self, trouble: Trouble) {
        let mut known = self.trouble();
        if known.is_none() || matches!(trouble, Trouble::Lost(_)) {
            *known = Some(trouble);
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
