//! What comes in on our standard input, for the commands that get it.
//!
//! On a terminal, each line goes to one command: `name: text` to the command with that name, any
//! other line to the one that was chosen, or else to the first one that runs. From a pipe or a file
//! every byte goes to one command, unchanged.
//!
//! Where the progress is drawn, what the terminal shows of a line would be erased with it. There
//! `line` is the line, and it is drawn with the progress.

mod line;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use self::line::Line;
use crate::output::{Partials, Redraw, Typed as Shown};
use crate::process::{Feed, Keyboard, Size, Stdio, Terminal, Typing};

const CHUNK: usize = 16 << 10;

/// How many pieces wait for a command that does not read.
const QUEUE: usize = 16;

/// How often to look whether what is typed may be shown, and whether it may be read.
const LOOK: Duration = Duration::from_millis(100);

/// Which commands get a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tty {
    #[default]
    Off,
    All,
    /// Those with these names.
    Named(Vec<String>),
}

/// Which command gets our standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reader {
    #[default]
    Off,
    Named(String),
    /// The first one that has a terminal and runs.
    WithTerminal,
}

/// Clones share one state.
#[derive(Clone)]
pub(crate) struct Typed(Arc<Inner>);

struct Inner {
    tty: Tty,
    reader: Reader,
    is_typed: bool,
    /// Of all commands that lines may be for.
    names: Vec<String>,
    state: Mutex<State>,
    /// A command has begun.
    begun: Notify,
    keyboard: Mutex<Option<Keyboard>>,
    /// What shows the line that is typed, if the terminal does not.
    screen: Option<(Partials, Redraw)>,
}

/// In the order of the plan; what is not in it, in the order of the starts.
type Key = (usize, u64);

#[derive(Default)]
struct State {
    next: u64,
    /// The commands that run and get input, or have a terminal.
    commands: BTreeMap<Key, Command>,
    /// The end of the input has come.
    ended: bool,
    /// For commands that do not run yet, or not at the moment.
    held: Vec<(String, Vec<u8>)>,
}

struct Command {
    name: String,
    /// Nothing for the end of the input.
    to: Option<mpsc::Sender<Option<Vec<u8>>>>,
    terminal: Option<Weak<Terminal>>,
    /// The columns of its label.
    label: usize,
}

/// A command that runs or is being started, until this is dropped.
pub(crate) struct Place {
    typed: Typed,
    key: Key,
    /// What was typed for it before.
    held: Vec<Vec<u8>>,
    input: mpsc::Receiver<Option<Vec<u8>>>,
    /// The end of the input had come before.
    ended: bool,
    has_run: bool,
}

impl Place {
    /// The command is about to run with this terminal. If it cannot be started, it may be tried
    /// again with another one.
    pub(crate) fn opened(&self, terminal: Option<&Arc<Terminal>>) {
        let mut state = self.typed.lock();
        let Some(command) = state.commands.get_mut(&self.key) else {
            return;
        };
        command.terminal = terminal.map(Arc::downgrade);
        if let (Some(terminal), Some(ours)) = (terminal, Size::ours()) {
            // Ours may have another size than when this one was opened.
            terminal.resize(ours.beside(command.label));
        }
    }

    /// The command runs. Writes what arrives for it. Never resolves.
    pub(crate) async fn feed(&mut self, mut feed: Option<Feed>) {
        self.has_run = true;
        for piece in std::mem::take(&mut self.held) {
            feed = write(feed, Some(piece)).await;
        }
        if self.ended {
            feed = write(feed, None).await;
        }
        while let Some(piece) = self.input.recv().await {
            feed = write(feed, piece).await;
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.typed.lock();
        let Some(command) = state.commands.remove(&self.key) else {
            return;
        };
        if self.has_run {
            return;
        }
        // What no process could read is for the next attempt.
        let later = std::iter::from_fn(|| self.input.try_recv().ok()).flatten();
        let pieces = self.held.drain(..).chain(later);
        let pieces = pieces.map(|piece| (command.name.clone(), piece));
        state.held.extend(pieces);
    }
}

impl Typed {
    pub(crate) fn new(
        tty: Tty,
        reader: Reader,
        names: Vec<String>,
        screen: Option<(Partials, Redraw)>,
    ) -> Typed {
        Typed(Arc::new(Inner {
            tty,
            reader,
            is_typed: io::stdin().is_terminal(),
            names,
            state: Mutex::default(),
            begun: Notify::new(),
            keyboard: Mutex::default(),
            screen,
        }))
    }

    /// What the command with this name has as its standard streams.
    pub(crate) fn stdio(&self, name: &str) -> Stdio {
        let has_terminal = match &self.0.tty {
            Tty::Off => false,
            Tty::All => true,
            Tty::Named(names) => names.iter().any(|known| known == name),
        };
        let input = match &self.0.reader {
            Reader::Off => false,
            // A line may go to any of them.
            _ if self.0.is_typed && has_terminal => true,
            Reader::Named(_) if self.0.is_typed => true,
            Reader::Named(reader) => reader == name,
            Reader::WithTerminal => false,
        };
        match (has_terminal, input) {
            (true, input) => Stdio::Terminal { input },
            (false, true) => Stdio::InputAndOutput,
            (false, false) => Stdio::Output,
        }
    }

    /// A command is being started. What is for it from now on waits for it.
    pub(crate) fn begin(&self, name: &str, label: usize, takes_input: bool) -> Place {
        let (sender, input) = mpsc::channel(QUEUE);
        let mut state = self.lock();
        let index = self.0.names.iter().position(|known| known == name);
        let key = (index.unwrap_or(usize::MAX), state.next);
        state.next += 1;
        let held = std::mem::take(&mut state.held);
        let (now, later): (Vec<_>, _) = held.into_iter().partition(|(to, _)| to == name);
        state.held = later;
        let command = Command {
            name: name.to_owned(),
            to: takes_input.then_some(sender),
            terminal: None,
            label,
        };
        let ended = state.ended;
        state.commands.insert(key, command);
        drop(state);
        self.0.begun.notify_waiters();
        Place {
            typed: self.clone(),
            key,
            held: now.into_iter().map(|(_, piece)| piece).collect(),
            input,
            ended,
            has_run: false,
        }
    }

    /// Gives all terminals the size that ours has now.
    pub(crate) fn resize(&self) {
        let Some(ours) = Size::ours() else { return };
        for command in self.lock().commands.values() {
            if let Some(terminal) = command.terminal.as_ref().and_then(Weak::upgrade) {
                terminal.resize(ours.beside(command.label));
            }
        }
    }

    /// Passes the input on. Does nothing if no command gets any. Never resolves.
    pub(crate) async fn pass_on(self) {
        if self.0.reader == Reader::Off
            || (self.0.reader == Reader::WithTerminal && !self.0.is_typed)
        {
            return std::future::pending().await;
        }
        *self.keyboard() = Keyboard::ours();
        let Ok(mut pieces) = read_standard_input(self.0.is_typed) else {
            return std::future::pending().await;
        };
        if let (Some(screen), Some(keys)) = (&self.0.screen, Keyboard::keys()) {
            return self.edit(Line::new(keys), pieces, screen).await;
        }
        loop {
            tokio::select! {
                piece = pieces.recv() => match piece {
                    Some(piece) => self.route(piece).await,
                    None => break,
                },
                () = sleep(LOOK), if self.0.is_typed => {}
            }
            self.set_keyboard(match self.is_shown() {
                true => Typing::Shown,
                false => Typing::Hidden,
            });
        }
        if !self.0.is_typed {
            self.lock().ended = true;
        }
        std::future::pending::<()>().await;
    }

    /// Passes on what is typed, and shows it meanwhile. Never resolves.
    async fn edit(
        &self,
        mut line: Line,
        mut keys: mpsc::Receiver<Vec<u8>>,
        (partials, redraw): &(Partials, Redraw),
    ) {
        // A command that reads late must not keep the next line from being shown.
        let (complete, mut lines) = mpsc::unbounded_channel();
        let typing = async {
            loop {
                self.set_keyboard(Typing::Keys);
                let to = self.chosen(|command| command.name.clone());
                let text = match self.is_shown() {
                    true => line.shown(),
                    false => String::new(),
                };
                if partials.set_typed(Shown { to, text }) {
                    redraw.ask();
                }
                tokio::select! {
                    Some(keys) = keys.recv() => {
                        let lines = keys.into_iter().filter_map(|key| line.push(key));
                        lines.for_each(|line| drop(complete.send(line)));
                    }
                    () = sleep(LOOK) => {}
                }
            }
        };
        let routing = async {
            while let Some(line) = lines.recv().await {
                self.route(line).await;
            }
        };
        tokio::join!(typing, routing);
    }

    /// Gives the terminal back as it was at the beginning.
    pub(crate) fn leave_keyboard(&self) {
        self.set_keyboard(Typing::Shown);
    }

    fn set_keyboard(&self, typing: Typing) {
        if let Some(keyboard) = &mut *self.keyboard() {
            keyboard.set(typing);
        }
    }

    fn keyboard(&self) -> MutexGuard<'_, Option<Keyboard>> {
        let keyboard = self.0.keyboard.lock();
        keyboard.unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty piece is the end of the input.
    async fn route(&self, piece: Vec<u8>) {
        if let (true, Some((name, text))) = (self.0.is_typed, self.addressed(&piece)) {
            let text = text.to_vec();
            let to = {
                let mut state = self.lock();
                let mut commands = state.commands.values();
                let named = commands.find(|command| command.name == *name);
                let to = named.map(|command| command.to.clone());
                if to.is_none() {
                    state.held.push((name.clone(), text.clone()));
                }
                to.flatten()
            };
            if let Some(to) = to {
                // An error means that the command has ended meanwhile.
                let _ = to.send(Some(text)).await;
            }
            return;
        }
        let to = loop {
            let begun = self.0.begun.notified();
            if let Some(to) = self.chosen(|command| command.to.clone()).flatten() {
                break to;
            }
            // What comes before the command has begun waits for it.
            begun.await;
        };
        let _ = to.send((!piece.is_empty()).then_some(piece)).await;
    }

    /// The command that a line names, and what it gets. A longer name counts before a shorter one.
    fn addressed<'a>(&self, line: &'a [u8]) -> Option<(&String, &'a [u8])> {
        let names = self.0.names.iter().filter_map(|name| {
            let rest = line.strip_prefix(name.as_bytes())?;
            Some((name, rest.strip_prefix(b": ")?))
        });
        names.max_by_key(|(name, _)| name.len())
    }

    /// Asks the command that gets what is for no other one.
    fn chosen<T>(&self, ask: impl FnOnce(&Command) -> T) -> Option<T> {
        let state = self.lock();
        let mut commands = state.commands.values();
        commands.find(|command| self.is_chosen(command)).map(ask)
    }

    fn is_chosen(&self, command: &Command) -> bool {
        match &self.0.reader {
            Reader::Off => false,
            Reader::Named(name) => command.name == *name,
            Reader::WithTerminal => command.terminal.is_some(),
        }
    }

    /// Whether the command that gets what is typed wants it to be shown.
    fn is_shown(&self) -> bool {
        let terminal = self.chosen(|command| command.terminal.as_ref()?.upgrade());
        terminal.flatten().is_none_or(|terminal| terminal.echoes())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the piece, or the end of the input. None if the command reads no more.
async fn write(feed: Option<Feed>, piece: Option<Vec<u8>>) -> Option<Feed> {
    let mut feed = feed?;
    match piece {
        Some(bytes) => feed.write(&bytes).await.ok().map(|()| feed),
        None => feed.end().await,
    }
}

/// A read cannot be cancelled, so it has a thread, which is left behind at the end.
fn read_standard_input(is_typed: bool) -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, pieces) = mpsc::channel(1);
    thread::Builder::new()
        .name("keyboard".to_owned())
        .spawn(move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                // In the background a read would stop the whole process.
                while is_typed && !Keyboard::is_in_front() {
                    thread::sleep(LOOK);
                }
                let count = match io::stdin().read(&mut chunk) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => 0,
                };
                let sent = sender.blocking_send(chunk[..count].to_vec());
                if sent.is_err() || (count == 0 && !is_typed) {
                    return;
                }
                if count == 0 {
                    // More may be typed after Ctrl-D. Without a terminal there would be no end.
                    thread::sleep(LOOK);
                }
            }
        })?;
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_no_process_could_read_is_for_the_next_attempt() {
        let typed = Typed(Arc::new(Inner {
            tty: Tty::Off,
            reader: Reader::Named("b".to_owned()),
            is_typed: true,
            names: vec!["a".to_owned(), "b".to_owned()],
            state: Mutex::default(),
            begun: Notify::new(),
            keyboard: Mutex::default(),
            screen: None,
        }));
        let begin = || typed.begin("a", 0, true);
        let types = async |text: &str| typed.route(format!("a: {text}").into_bytes()).await;
        types("before").await;
        let could_not_start = begin();
        types("at the start").await;
        drop(could_not_start);
        types("in a pause").await;
        let place = begin();
        assert_eq!(place.held, [&b"before"[..], b"at the start", b"in a pause"]);
    }
}
