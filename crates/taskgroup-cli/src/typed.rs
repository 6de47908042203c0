//! What comes in on our standard input, for the commands that get it.
//!
//! On a terminal, each line goes to one command: `name: text` to the command with that name, any
//! other line to the one that was chosen, or else to the first one that runs. From a pipe or a file
//! every byte goes to one command, unchanged.
//!
//! Where the progress is drawn, what the terminal shows of a line would be erased with it. There
//! `line` is the line, and it is drawn with the progress.

mod line;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IsTerminal, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use self::line::Line;
use crate::output::{Partials, Redraw, Typed as Shown};
use crate::process::{Feed, InputPipe, Keyboard, Size, Stdio, Terminal, Typing};

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
    /// A command has begun, or an input has changed.
    changed: Notify,
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
    /// By the names of the commands, which may not run yet, or not at the moment.
    inputs: HashMap<String, Input>,
}

/// What no process has read yet of the input of a command. The attempts share it.
#[derive(Default)]
struct Input {
    /// Nothing for the end of the input. The first one may be written in part.
    pieces: VecDeque<Option<Vec<u8>>>,
    /// What was written and may not have been read.
    pipe: Option<Arc<InputPipe>>,
}

struct Command {
    name: String,
    takes_input: bool,
    terminal: Option<Weak<Terminal>>,
    /// The columns of its label.
    label: usize,
}

/// A command that runs or is being started, until this is dropped.
pub(crate) struct Place {
    typed: Typed,
    key: Key,
    name: String,
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

    /// The command runs. Writes what arrives for it. Never resolves. What is not written when this
    /// is dropped is for the next attempt.
    pub(crate) async fn feed(&mut self, mut feed: Option<Feed>) {
        let typed = self.typed.clone();
        let mut has_ended = false;
        while let Some(to) = &mut feed {
            let changed = typed.0.changed.notified();
            let piece = {
                let state = typed.lock();
                let input = state.inputs.get(&self.name);
                let first = input.and_then(|input| input.pieces.front());
                let at_end = (state.ended && !has_ended).then_some(None);
                first.cloned().or(at_end)
            };
            match piece {
                None => changed.await,
                Some(Some(bytes)) => match to.write_some(&bytes).await {
                    Ok(count) => self.wrote(count),
                    // It reads no more.
                    Err(_) => feed = None,
                },
                Some(None) => {
                    has_ended = true;
                    if let Some(pipe) = self.take_end() {
                        pipe.end();
                    }
                    if let Some(to) = feed.take() {
                        feed = to.end().await;
                    }
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// So many bytes of the first piece are written.
    fn wrote(&self, count: usize) {
        let mut state = self.typed.lock();
        let Some(input) = state.inputs.get_mut(&self.name) else {
            return;
        };
        if let Some(Some(bytes)) = input.pieces.front_mut() {
            bytes.drain(..count);
            if bytes.is_empty() {
                input.pieces.pop_front();
            }
        }
        drop(state);
        self.typed.0.changed.notify_waiters();
    }

    /// Takes the end of the input. Returns the pipe that ends with it.
    fn take_end(&self) -> Option<Arc<InputPipe>> {
        let mut state = self.typed.lock();
        let input = state.inputs.entry(self.name.clone()).or_default();
        if let Some(None) = input.pieces.front() {
            input.pieces.pop_front();
        }
        input.pipe.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.typed.lock().commands.remove(&self.key);
        self.typed.0.changed.notify_waiters();
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
            changed: Notify::new(),
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

    /// What the command with this name reads, if it has no terminal. Its attempts share it.
    pub(crate) fn input(&self, name: &str) -> io::Result<Arc<InputPipe>> {
        let mut state = self.lock();
        let input = state.inputs.entry(name.to_owned()).or_default();
        // More may be typed after Ctrl-D.
        let is_left = |pipe: &Arc<InputPipe>| !(self.0.is_typed && pipe.has_ended());
        if let Some(pipe) = input.pipe.clone().filter(is_left) {
            return Ok(pipe);
        }
        let pipe = Arc::new(InputPipe::open()?);
        input.pipe = Some(Arc::clone(&pipe));
        Ok(pipe)
    }

    /// A command is being started. What is for it from now on waits for it.
    pub(crate) fn begin(&self, name: &str, label: usize, takes_input: bool) -> Place {
        let mut state = self.lock();
        let index = self.0.names.iter().position(|known| known == name);
        let key = (index.unwrap_or(usize::MAX), state.next);
        state.next += 1;
        let command = Command {
            name: name.to_owned(),
            takes_input,
            terminal: None,
            label,
        };
        state.commands.insert(key, command);
        drop(state);
        self.0.changed.notify_waiters();
        Place {
            typed: self.clone(),
            key,
            name: name.to_owned(),
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
        if !self.0.is_typed {
            while let Some(piece) = pieces.recv().await {
                self.pass(piece).await;
            }
            self.lock().ended = true;
            self.0.changed.notify_waiters();
            return std::future::pending().await;
        }
        // A line that waits for its command must not keep the next one from being shown, nor from
        // another command.
        let (unnamed, mut waiting) = mpsc::unbounded_channel();
        let take = |line: Vec<u8>| {
            if !self.pass_to_named(&line) {
                // The receiver lives as long as this.
                let _ = unnamed.send(line);
            }
        };
        let passing = async {
            while let Some(line) = waiting.recv().await {
                self.pass(line).await;
            }
        };
        let reading = async {
            match (&self.0.screen, Keyboard::keys()) {
                (Some(screen), Some(keys)) => {
                    self.edit(Line::new(keys), pieces, screen, take).await;
                }
                _ => self.read_lines(pieces, take).await,
            }
        };
        tokio::join!(reading, passing);
    }

    /// Takes the lines that the terminal edits and shows. Never resolves.
    async fn read_lines(&self, mut lines: mpsc::Receiver<Vec<u8>>, take: impl Fn(Vec<u8>)) {
        loop {
            tokio::select! {
                Some(line) = lines.recv() => take(line),
                () = sleep(LOOK) => {}
            }
            self.set_keyboard(match self.is_shown() {
                true => Typing::Shown,
                false => Typing::Hidden,
            });
        }
    }

    /// Takes the keys, and shows the line that they make. Never resolves.
    async fn edit(
        &self,
        mut line: Line,
        mut keys: mpsc::Receiver<Vec<u8>>,
        (partials, redraw): &(Partials, Redraw),
        take: impl Fn(Vec<u8>),
    ) {
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
                    keys.into_iter().filter_map(|key| line.push(key)).for_each(&take);
                }
                () = sleep(LOOK) => {}
            }
        }
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

    /// Passes a line that names a command to it. Returns whether it names one.
    fn pass_to_named(&self, line: &[u8]) -> bool {
        let Some((name, text)) = self.addressed(line) else {
            return false;
        };
        let mut state = self.lock();
        let input = state.inputs.entry(name.clone()).or_default();
        input.pieces.push_back(Some(text.to_vec()));
        drop(state);
        self.0.changed.notify_waiters();
        true
    }

    /// Passes a piece to the chosen command. Waits for one that takes it. An empty piece is the end
    /// of the input.
    async fn pass(&self, piece: Vec<u8>) {
        let piece = (!piece.is_empty()).then_some(piece);
        loop {
            // What comes before the command has begun waits for it.
            let changed = self.0.changed.notified();
            let chosen = self.chosen(|command| command.takes_input.then(|| command.name.clone()));
            if let Some(name) = chosen.flatten() {
                let mut state = self.lock();
                let input = state.inputs.entry(name).or_default();
                // What is typed must not be overtaken by a later line that names the command.
                if self.0.is_typed || input.pieces.len() < QUEUE {
                    input.pieces.push_back(piece);
                    drop(state);
                    return self.0.changed.notify_waiters();
                }
            }
            changed.await;
        }
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

    #[test]
    fn what_no_process_could_read_is_for_the_next_attempt() {
        let typed = Typed(Arc::new(Inner {
            tty: Tty::Off,
            reader: Reader::Named("b".to_owned()),
            is_typed: true,
            names: vec!["a".to_owned(), "b".to_owned()],
            state: Mutex::default(),
            changed: Notify::new(),
            keyboard: Mutex::default(),
            screen: None,
        }));
        let begin = || typed.begin("a", 0, true);
        let types = |text: &str| assert!(typed.pass_to_named(format!("a: {text}").as_bytes()));
        types("before");
        let could_not_start = begin();
        types("at the start");
        drop(could_not_start);
        types("in a pause");
        let _place = begin();
        let state = typed.lock();
        let waiting = state.inputs["a"].pieces.iter().flatten();
        let waiting: Vec<&[u8]> = waiting.map(Vec::as_slice).collect();
        assert_eq!(waiting, [&b"before"[..], b"at the start", b"in a pause"]);
    }
}
