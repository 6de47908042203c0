//! From a template with `{}` to a shell script that has its argument in `$1`.
//!
//! Other placeholders stand for a part of the argument, or for one of several arguments. Each has a
//! parameter of its own.
//!
//! What takes the place of `{}` depends on the quotation around it, so the template is read as a
//! shell reads it: quotations, substitutions, comments and here-documents, also within each other.
//! Where the shell has no way to take an argument as it is, the template is refused.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::plan::Command;

/// A shell script that has its arguments in `$1` and so on, where the template had placeholders.
///
/// An argument is never part of the script, so the shell never runs any of it as code.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    template: OsString,
    columns: Columns,
    text: OsString,
    values: Vec<Value>,
}

/// How many arguments a command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// It reads its input.
    None,
    One,
    /// This many, or any number.
    Several(Option<usize>),
}

/// The arguments of one command.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) columns: Vec<OsString>,
    /// Counted from 1.
    pub(crate) number: u64,
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    /// Counted from 0; none for the only one, or for all.
    column: Option<usize>,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// `{.}`
    WithoutExtension,
    /// `{/}`
    Name,
    /// `{//}`
    Folder,
    /// `{/.}`
    NameWithoutExtension,
}

/// One of the things between braces.
enum Placeholder {
    Value(Value),
    /// A variable that every command has.
    Variable(&'static str),
}

/// An error in a template, and its place, counted from 1: a byte for the reader, a character for
/// people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// The template ends inside something that was opened here.
    Unclosed {
        what: &'static str,
        position: usize,
    },
    /// A placeholder of another program.
    Foreign {
        placeholder: &'static str,
        position: usize,
    },
    /// A `{}` where no argument can be put as it is.
    Misplaced {
        place: Place,
        position: usize,
    },
    /// `{2}` of a command with one argument.
    NoColumn {
        number: usize,
        columns: usize,
        position: usize,
    },
    /// `{}` of a command without arguments.
    NoArgument {
        position: usize,
    },
    /// Several arguments where only one can be.
    Joined {
        placeholder: String,
        position: usize,
    },
    /// Without `{}`, the argument comes at the end, but there it would be something else.
    NoEnd(Ending),
    TooDeep,
}

/// Where an argument would not stay what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Arithmetic,
    QuotedHereDocument,
    Delimiter,
    BackquotesInDouble,
    ParameterInDouble,
    AfterDollar,
    InnerScript,
}

/// What a template ends with that nothing can be appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Comment,
    HereDocument,
    Operator,
}

/// Placeholders of GNU parallel and similar programs. As plain text they would make a command that
/// runs but does something else.
const FOREIGN: [&str; 5] = ["{0}", "{-1}", "{-2}", "{=", "{+/}"];

/// No command that is meant has more; the reader calls itself for each.
const DEEPEST: usize = 100;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Unclosed { what, position } => write!(
                f,
                "the command has an opening {what} at character {position} and no closing one"
            ),
            TemplateError::Foreign {
                placeholder,
                position,
            } => write!(
                f,
                "the command has {placeholder} at character {position}, but the placeholders are \
                 {{}} {{.}} {{/}} {{//}} {{/.}} {{#}} {{%}} and {{1}} {{1.}} {{1/}} and so on; \
                 let the shell do the rest: x={{}}; mv \"$x\" \"${{x%.*}}.bak\" \
                 (in single quotes only {{}} is replaced)"
            ),
            TemplateError::NoColumn {
                number,
                columns: 1,
                position,
            } => write!(
                f,
                "the command has {{{number}}} at character {position}, but each command has one \
                 argument; a second ':::', --colsep or --max-args gives it more (in single quotes \
                 it is left alone)"
            ),
            TemplateError::NoColumn {
                number,
                columns,
                position,
            } => write!(
                f,
                "the command has {{{number}}} at character {position}, but each command has \
                 {columns} arguments"
            ),
            TemplateError::NoArgument { position } => write!(
                f,
                "the command has a placeholder at character {position}, but with --pipe it has no \
                 argument: it reads its standard input"
            ),
            TemplateError::Joined {
                placeholder,
                position,
            } if placeholder == "{}" => write!(
                f,
                "the command has {{}} at character {position}, which stands for several arguments, \
                 so it has to be a word of its own or in quotation marks; {{1}} is the first one"
            ),
            TemplateError::Joined {
                placeholder,
                position,
            } => write!(
                f,
                "the command has {placeholder} at character {position}, but there are several \
                 arguments; write {{1{} for the first one",
                &placeholder[1..]
            ),
            TemplateError::Misplaced { place, position } => write!(
                f,
                "the command has {{}} at character {position}, {}",
                match place {
                    Place::Arithmetic =>
                        "where the shell evaluates it as an expression; check it first: n={}; case \
                         $n in *[!0-9]*) exit 2 ;; esac; echo $((n * 2))",
                    Place::QuotedHereDocument =>
                        "in a here-document that the shell takes as it is; write its delimiter \
                         without quotation marks",
                    Place::Delimiter => "in the delimiter of a here-document",
                    Place::BackquotesInDouble =>
                        "between backquotes within double quotes; use $(…) instead",
                    Place::ParameterInDouble =>
                        "in a ${…} that is quoted itself; put it into a variable first: x={}",
                    Place::AfterDollar => "directly after a $; quote the $: '$'{}",
                    Place::InnerScript =>
                        "in a script for another shell, which would run parts of the argument as \
                         code; hand it over instead: sh -c 'echo \"$1\"' sh {}",
                }
            ),
            TemplateError::NoEnd(ending) => write!(
                f,
                "the command has no {{}} and ends with {}, so the argument cannot come at its end; \
                 write {{}} where it belongs",
                match ending {
                    Ending::Comment => "a comment",
                    Ending::HereDocument => "a here-document",
                    Ending::Operator => "an operator",
                }
            ),
            TemplateError::TooDeep => {
                f.write_str("the command has quotations and substitutions too deep in each other")
            }
        }
    }
}

impl Error for TemplateError {}

impl TemplateError {
    /// Counts the place in characters instead of bytes.
    fn by_characters(mut self, template: &OsStr) -> TemplateError {
        if let TemplateError::Unclosed { position, .. }
        | TemplateError::Foreign { position, .. }
        | TemplateError::Misplaced { position, .. }
        | TemplateError::NoColumn { position, .. }
        | TemplateError::NoArgument { position }
        | TemplateError::Joined { position, .. } = &mut self
        {
            let before = template.as_bytes().get(..*position - 1).unwrap_or_default();
            *position = String::from_utf8_lossy(before).chars().count() + 1;
        }
        self
    }
}

impl Script {
    /// Replaces placeholders, inside and outside of quotations, by what the shell takes as exactly
    /// one word, or as a part of one. A template without any gets the arguments at its end.
    pub(crate) fn from_template(
        template: &OsStr,
        columns: Columns,
    ) -> Result<Script, TemplateError> {
        let read = read(template, columns, None);
        let (mut text, values) = read.map_err(|error| error.by_characters(template))?;
        if columns != Columns::One && !values.is_empty() {
            // The arguments themselves stay `$1` and so on.
            let names = (1..=values.len()).map(|n| format!("{VARIABLE}{n}=${{{n}}} "));
            let mut script = names.collect::<String>().into_bytes();
            script.extend(format!("; shift {}; ", values.len()).into_bytes());
            script.append(&mut text);
            text = script;
        }
        Ok(Script {
            template: template.to_owned(),
            columns,
            text: OsString::from_vec(text),
            values,
        })
    }

    /// The command for these arguments.
    pub(super) fn command(&self, item: &Item) -> Command {
        if self.columns == Columns::None {
            return Command::Shell(self.text.clone());
        }
        let mut arguments: Vec<OsString> = self.values.iter().map(|value| value.of(item)).collect();
        if self.columns != Columns::One {
            arguments.extend(item.columns.iter().cloned());
        }
        let shown = match read(&self.template, self.columns, Some(item)) {
            Ok((shown, _)) => OsString::from_vec(shown),
            // It was read before, without the values.
            Err(_) => self.template.clone(),
        };
        Command::Filled {
            script: self.text.clone(),
            arguments,
            shown,
            argument: item.columns.join(OsStr::new(" ")),
        }
    }
}

impl Value {
    fn of(self, item: &Item) -> OsString {
        let all = self.column.map_or(&item.columns[..], |column| {
            item.columns.get(column).map_or(&[], std::slice::from_ref)
        });
        let whole = all.join(OsStr::new(" "));
        OsString::from_vec(self.part.of(whole.as_bytes()).to_vec())
    }
}

impl Part {
    fn of(self, path: &[u8]) -> &[u8] {
        let trimmed = match path.iter().rposition(|byte| *byte != b'/') {
            Some(last) => &path[..=last],
            // Empty, or the root.
            None => &path[..path.len().min(1)],
        };
        let slash = trimmed.iter().rposition(|byte| *byte == b'/');
        let name = match slash {
            Some(slash) if trimmed.len() > 1 => &trimmed[slash + 1..],
            _ => trimmed,
        };
        // A dot at the start of a name begins no extension.
        let dot = name
            .iter()
            .rposition(|byte| *byte == b'.')
            .filter(|dot| *dot > 0);
        match self {
            Part::Whole => path,
            Part::Name => name,
            Part::NameWithoutExtension => dot.map_or(name, |dot| &name[..dot]),
            Part::WithoutExtension => {
                dot.map_or(path, |dot| &trimmed[..trimmed.len() - name.len() + dot])
            }
            Part::Folder => match slash {
                Some(0) => b"/",
                Some(slash) => &trimmed[..slash],
                None => b".",
            },
        }
    }
}

/// What the variables for parts of several arguments begin with.
const VARIABLE: &str = "taskgroup_";

/// Which variables of a command `{#}` and `{%}` stand for.
const INDEX: &str = "TASKGROUP_INDEX";
const SLOT: &str = "TASKGROUP_SLOT";

/// Reads the template. With an item, the arguments stand in the text, for people.
fn read(
    template: &OsStr,
    columns: Columns,
    shown: Option<&Item>,
) -> Result<(Vec<u8>, Vec<Value>), TemplateError> {
    let mut reader = Reader {
        columns,
        values: Vec::new(),
        shown,
        bytes: template.as_bytes(),
        at: 0,
        script: Vec::new(),
        solid: 0,
        replaced: false,
        ending: None,
        documents: Vec::new(),
        depth: 0,
        inner: false,
    };
    reader.commands(Until::End)?;
    if !reader.replaced && columns != Columns::None {
        // On a line of its own the argument would be a command.
        reader.script.truncate(reader.solid);
        if let Some(ending) = reader.ending {
            return Err(TemplateError::NoEnd(ending));
        }
        reader.script.push(b' ');
        let all = Value {
            column: None,
            part: Part::Whole,
        };
        reader.put(all, As::Word);
    }
    Ok((reader.script, reader.values))
}

/// A word for a shell.
fn quoted(text: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:,+@%=".contains(byte);
    if !text.is_empty() && text.iter().all(is_plain) {
        return text.to_vec();
    }
    [b"'", &in_single(text)[..], b"'"].concat()
}

fn in_single(text: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'\'').collect();
    parts.join(&br"'\''"[..])
}

fn in_double(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in text {
        if b"\"\\$`".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

type Read = Result<(), TemplateError>;

struct Reader<'a> {
    columns: Columns,
    /// In the order of their parameters.
    values: Vec<Value>,
    /// For people, who see the arguments in their places.
    shown: Option<&'a Item>,
    bytes: &'a [u8],
    at: usize,
    script: Vec<u8>,
    /// The length of the script up to its last byte that is no blank.
    solid: usize,
    replaced: bool,
    /// What was read last, if nothing can be appended to it.
    ending: Option<Ending>,
    /// Here-documents that begin on the next line.
    documents: Vec<Document>,
    depth: usize,
    /// Within a word that is the script of another shell.
    inner: bool,
}

struct Document {
    delimiter: Vec<u8>,
    quoted: bool,
    strips_tabs: bool,
    position: usize,
}

/// What ends a list of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Parenthesis,
    /// Also whether they are within double quotes.
    Backquote(bool),
}

/// What a `{}` becomes.
#[derive(Clone, Copy)]
enum As {
    Word,
    InDouble,
    InSingle,
    Nothing(Place),
}

/// After these words, another command begins.
const BEFORE_COMMAND: [&[u8]; 10] = [
    b"if", b"then", b"elif", b"else", b"while", b"until", b"do", b"!", b"{", b"time",
];

/// Programs that run a text as a script.
const SHELLS: [&[u8]; 6] = [b"sh", b"bash", b"dash", b"ash", b"ksh", b"zsh"];

/// Whether the word after this text is a script, as in `sudo bash -ec '…'` and `eval "…"`.
fn is_before_script(text: &[u8]) -> bool {
    let begins = text.iter().rposition(|byte| b"\n;&|(`".contains(byte));
    let command = &text[begins.map_or(0, |at| at + 1)..];
    let words: Vec<&[u8]> = command
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .collect();
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let is_shell = |word: &&[u8]| {
        let name = word.rsplit(|byte| *byte == b'/').next();
        name.is_some_and(|name| SHELLS.contains(&name))
    };
    let takes_script = last.starts_with(b"-") && last.ends_with(b"c") && last[1] != b'-';
    *last == b"eval" || (takes_script && before.iter().any(is_shell))
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn sees(&self, text: &[u8]) -> bool {
        self.rest().starts_with(text)
    }

    /// Copies this many bytes as they are.
    fn copy(&mut self, count: usize) {
        let end = self.bytes.len().min(self.at + count);
        self.script.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
        self.solid = self.script.len();
        self.ending = None;
    }

    fn copy_blank(&mut self) {
        self.script.push(self.bytes[self.at]);
        self.at += 1;
    }

    /// A placeholder, or another brace.
    fn brace(&mut self, becomes: As) -> Read {
        let position = self.at + 1;
        // Between single quotes there are programs for awk and patterns, with braces of their own.
        let any = self.sees(b"{}") || !matches!(becomes, As::InSingle);
        let Some((length, placeholder)) = self.placeholder().filter(|_| any) else {
            let mut foreign = FOREIGN.into_iter();
            match foreign.find(|word| any && self.sees(word.as_bytes())) {
                Some(placeholder) => {
                    return Err(TemplateError::Foreign {
                        placeholder,
                        position,
                    });
                }
                None => self.copy(1),
            }
            return Ok(());
        };
        if let As::Nothing(place) = becomes {
            return Err(TemplateError::Misplaced { place, position });
        }
        match placeholder {
            Placeholder::Variable(name) => {
                let name = match (becomes, self.shown) {
                    (As::Word, None) => format!("\"${name}\""),
                    (As::InSingle, _) => format!("'\"${name}\"'"),
                    (_, Some(item)) if name == INDEX => item.number.to_string(),
                    _ => format!("${{{name}}}"),
                };
                self.script.extend_from_slice(name.as_bytes());
            }
            Placeholder::Value(_) if self.inner => {
                let place = Place::InnerScript;
                return Err(TemplateError::Misplaced { place, position });
            }
            Placeholder::Value(value) => {
                self.check(value, length, becomes)?;
                self.put(value, becomes);
            }
        }
        self.at += length;
        self.solid = self.script.len();
        self.ending = None;
        self.replaced = true;
        Ok(())
    }

    /// What stands here, and its length.
    fn placeholder(&self) -> Option<(usize, Placeholder)> {
        let end = self.rest().iter().take(12).position(|byte| *byte == b'}')?;
        let inner = std::str::from_utf8(&self.rest()[1..end]).ok()?;
        let variable = |name| Some((end + 1, Placeholder::Variable(name)));
        match inner {
            "#" => return variable(INDEX),
            "%" => return variable(SLOT),
            _ => {}
        }
        let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
        let column = match inner[..digits].parse::<usize>() {
            Ok(0) => return None,
            Ok(number) => Some(number - 1),
            Err(_) if digits == 0 => None,
            Err(_) => return None,
        };
        let part = match &inner[digits..] {
            "" => Part::Whole,
            "." => Part::WithoutExtension,
            "/" => Part::Name,
            "//" => Part::Folder,
            "/." => Part::NameWithoutExtension,
            _ => return None,
        };
        // The only argument and the first one are the same.
        let column = column.filter(|column| self.columns != Columns::One || *column > 0);
        Some((end + 1, Placeholder::Value(Value { column, part })))
    }

    fn check(&self, value: Value, length: usize, becomes: As) -> Read {
        let position = self.at + 1;
        let columns = match self.columns {
            Columns::None => return Err(TemplateError::NoArgument { position }),
            Columns::One => Some(1),
            Columns::Several(columns) => columns,
        };
        if let (Some(column), Some(columns)) = (value.column, columns) {
            if column >= columns {
                let number = column + 1;
                return Err(TemplateError::NoColumn {
                    number,
                    columns,
                    position,
                });
            }
        }
        if self.columns == Columns::One || value.column.is_some() {
            return Ok(());
        }
        let ends_word = |byte: Option<&u8>| byte.is_none_or(|byte| b" \t\n;&|()<>".contains(byte));
        let alone = ends_word(self.script.last()) && ends_word(self.rest().get(length));
        if value.part == Part::Whole && (alone || !matches!(becomes, As::Word)) {
            return Ok(());
        }
        let placeholder = String::from_utf8_lossy(&self.rest()[..length]).into_owned();
        Err(TemplateError::Joined {
            placeholder,
            position,
        })
    }

    fn put(&mut self, value: Value, becomes: As) {
        if let Some(item) = self.shown {
            let all = value.column.is_none() && value.part == Part::Whole;
            let text = match becomes {
                As::Word if all => {
                    let words = item.columns.iter().map(|word| quoted(word.as_bytes()));
                    words.collect::<Vec<_>>().join(&b' ')
                }
                As::Word => quoted(value.of(item).as_bytes()),
                As::InSingle => in_single(value.of(item).as_bytes()),
                As::InDouble | As::Nothing(_) => in_double(value.of(item).as_bytes()),
            };
            self.script.extend(text);
            return;
        }
        let name = match (self.columns, value) {
            (Columns::One, value) => (self.parameter_of(value) + 1).to_string(),
            (Columns::None, _) => return,
            (Columns::Several(_), Value { column: None, .. }) => match becomes {
                As::Word => "@".to_owned(),
                _ => "*".to_owned(),
            },
            (
                Columns::Several(_),
                Value {
                    column: Some(column),
                    part: Part::Whole,
                },
            ) => (column + 1).to_string(),
            (Columns::Several(_), value) => {
                format!("{VARIABLE}{}", self.parameter_of(value) + 1)
            }
        };
        let text = match becomes {
            As::Word if name.len() == 1 => format!("\"${name}\""),
            As::Word => format!("\"${{{name}}}\""),
            As::InSingle if name.len() == 1 => format!("'\"${name}\"'"),
            As::InSingle => format!("'\"${{{name}}}\"'"),
            As::InDouble | As::Nothing(_) => format!("${{{name}}}"),
        };
        self.script.extend_from_slice(text.as_bytes());
    }

    fn parameter_of(&mut self, value: Value) -> usize {
        let known = self.values.iter().position(|known| *known == value);
        known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        })
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        if self.depth == DEEPEST {
            return Err(TemplateError::TooDeep);
        }
        self.depth += 1;
        let inner = self.inner;
        let read = read(self);
        self.inner = inner;
        self.depth -= 1;
        read
    }

    fn commands(&mut self, until: Until) -> Read {
        let opened = self.at;
        // Open parentheses and `case … esac`, in which a parenthesis closes nothing.
        let (mut parentheses, mut cases) = (0, 0);
        let (mut word_begins, mut command_begins) = (true, true);
        let outer = self.inner;
        while let Some(&byte) = self.bytes.get(self.at) {
            let (word_began, command_began) = (word_begins, command_begins);
            if word_began {
                // A script that is all of an argument is meant as one.
                let is_written = byte == b'\'' || byte == b'"';
                let is_script = is_written && is_before_script(&self.bytes[..self.at]);
                self.inner = outer || is_script;
            }
            (word_begins, command_begins) = (false, false);
            match byte {
                b'`' if matches!(until, Until::Backquote(_)) => {
                    self.copy(1);
                    return Ok(());
                }
                b')' if until == Until::Parenthesis && parentheses == 0 && cases == 0 => {
                    self.copy(1);
                    return Ok(());
                }
                b' ' | b'\t' => {
                    self.copy_blank();
                    (word_begins, command_begins) = (true, command_began);
                }
                b'\n' => {
                    self.copy_blank();
                    self.documents()?;
                    (word_begins, command_begins) = (true, true);
                }
                b'#' if word_began => self.comment(until),
                b'(' | b')' | b';' | b'&' | b'|' => {
                    if command_began && self.sees(b"((") {
                        self.copy(2);
                        self.deeper(|reader| reader.arithmetic(2))?;
                    } else {
                        match byte {
                            b'(' => parentheses += 1,
                            b')' if parentheses > 0 => parentheses -= 1,
                            _ => {}
                        }
                        self.copy(1);
                        self.ending = (byte != b')').then_some(Ending::Operator);
                        (word_begins, command_begins) = (true, true);
                    }
                }
                b'<' if self.sees(b"<<<") => self.copy(3),
                b'<' if self.sees(b"<<") => self.document_begins()?,
                b'\\' => self.copy(2),
                b'\'' => self.single()?,
                b'"' => self.deeper(|reader| reader.double(As::InDouble))?,
                b'`' => {
                    self.copy(1);
                    self.deeper(|reader| reader.commands(Until::Backquote(false)))?;
                }
                b'$' if self.sees(b"$'") => self.copy(1),
                b'$' => self.dollar(false)?,
                b'{' if self.placeholder().is_some() || !word_began => self.brace(match until {
                    Until::Backquote(true) => As::Nothing(Place::BackquotesInDouble),
                    _ => As::Word,
                })?,
                _ if word_began => {
                    let word = self.rest().split(|byte| b" \t\n;&|()<>".contains(byte));
                    let word = word.into_iter().next().unwrap_or_default();
                    let (is_case, is_esac) = (word == b"case", word == b"esac");
                    command_begins = command_began && BEFORE_COMMAND.contains(&word);
                    match command_began {
                        true if is_case => cases += 1,
                        true if is_esac && cases > 0 => cases -= 1,
                        _ => {}
                    }
                    match byte {
                        b'{' => self.brace(As::Word)?,
                        _ => self.copy(1),
                    }
                    // The rest of a reserved word changes nothing.
                    if command_begins {
                        while self.rest().first().is_some_and(u8::is_ascii_alphabetic) {
                            self.copy(1);
                        }
                    }
                }
                _ => self.copy(1),
            }
        }
        let what = match until {
            // A last here-document may lack its lines, for the shell.
            Until::End => return Ok(()),
            Until::Parenthesis => "parenthesis",
            Until::Backquote(_) => "`",
        };
        Err(TemplateError::Unclosed {
            what,
            position: opened,
        })
    }

    /// Up to the end of the line. Nothing in it means anything, and a `{}` stays.
    fn comment(&mut self, until: Until) {
        let ends =
            |byte: &u8| *byte == b'\n' || (*byte == b'`' && matches!(until, Until::Backquote(_)));
        let rest = self.rest();
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.copy(length);
        self.ending = Some(Ending::Comment);
    }

    fn single(&mut self) -> Read {
        let position = self.at + 1;
        self.copy(1);
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\'' => {
                    self.copy(1);
                    return Ok(());
                }
                b'{' => self.brace(As::InSingle)?,
                _ => self.copy(1),
            }
        }
        Err(TemplateError::Unclosed {
            what: "'",
            position,
        })
    }

    fn double(&mut self, becomes: As) -> Read {
        let position = self.at + 1;
        self.copy(1);
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.copy(1);
                    return Ok(());
                }
                _ => self.expanded(becomes)?,
            }
        }
        Err(TemplateError::Unclosed {
            what: "\"",
            position,
        })
    }

    /// One thing in a text in which the shell replaces, but does not split: a quotation, a
    /// here-document.
    fn expanded(&mut self, becomes: As) -> Read {
        match self.bytes[self.at] {
            b'\\' => self.copy(2),
            b'$' => return self.dollar(true),
            b'`' => {
                self.copy(1);
                return self.deeper(|reader| reader.commands(Until::Backquote(true)));
            }
            b'{' => return self.brace(becomes),
            _ => self.copy(1),
        }
        Ok(())
    }

    fn dollar(&mut self, in_double: bool) -> Read {
        if self.sees(b"$((") {
            self.copy(3);
            self.deeper(|reader| reader.arithmetic(2))
        } else if self.sees(b"$(") {
            self.copy(2);
            self.deeper(|reader| {
                // Here-documents inside have their lines inside.
                let outer = std::mem::take(&mut reader.documents);
                reader.commands(Until::Parenthesis)?;
                reader.documents = outer;
                Ok(())
            })
        } else if self.sees(b"${}") {
            Err(TemplateError::Misplaced {
                place: Place::AfterDollar,
                position: self.at + 2,
            })
        } else if self.sees(b"${") {
            self.copy(2);
            self.deeper(|reader| reader.parameter(in_double))
        } else {
            self.copy(1);
            Ok(())
        }
    }

    /// After `${`.
    fn parameter(&mut self, in_double: bool) -> Read {
        let position = self.at;
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = self.rest().iter().take_while(|byte| name(byte)).count();
        // A special parameter has one character, as in `${#}` and `${#x}`.
        self.copy(length.max(1));
        // In a pattern, quotation marks quote, even within double quotes.
        let is_pattern = self.sees(b"#") || self.sees(b"%");
        let becomes = match in_double {
            true => As::Nothing(Place::ParameterInDouble),
            false => As::Word,
        };
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'}' => {
                    self.copy(1);
                    return Ok(());
                }
                b'\'' if is_pattern || !in_double => self.single()?,
                b'"' => self.deeper(|reader| reader.double(As::InDouble))?,
                b'$' => self.dollar(in_double)?,
                _ => self.expanded(becomes)?,
            }
        }
        Err(TemplateError::Unclosed {
            what: "{",
            position,
        })
    }

    /// After `((`, with this many open parentheses.
    fn arithmetic(&mut self, mut open: usize) -> Read {
        let position = self.at - 1;
        let becomes = As::Nothing(Place::Arithmetic);
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                b'\'' => {
                    self.single()?;
                    continue;
                }
                b'"' => {
                    self.deeper(|reader| reader.double(becomes))?;
                    continue;
                }
                _ => {
                    self.expanded(becomes)?;
                    continue;
                }
            }
            self.copy(1);
            if open == 0 {
                return Ok(());
            }
        }
        Err(TemplateError::Unclosed {
            what: "((",
            position,
        })
    }

    /// At `<<`: remembers what ends the document, which begins on the next line.
    fn document_begins(&mut self) -> Read {
        let position = self.at + 1;
        self.copy(2);
        let strips_tabs = self.sees(b"-");
        self.copy(usize::from(strips_tabs));
        while self.sees(b" ") || self.sees(b"\t") {
            self.copy_blank();
        }
        let (mut delimiter, mut quoted, mut quote) = (Vec::new(), false, None);
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.sees(b"{}") {
                return Err(TemplateError::Misplaced {
                    place: Place::Delimiter,
                    position: self.at + 1,
                });
            }
            match (byte, quote) {
                (b'\'' | b'"', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                (b'\\', None) => {
                    quoted = true;
                    self.copy(1);
                    delimiter.extend(self.rest().first());
                }
                (_, None) if b" \t\n;&|()<>".contains(&byte) => break,
                _ => delimiter.push(byte),
            }
            quoted |= quote.is_some();
            self.copy(1);
        }
        self.documents.push(Document {
            delimiter,
            quoted,
            strips_tabs,
            position,
        });
        Ok(())
    }

    /// The here-documents that begin here, at the start of a line.
    fn documents(&mut self) -> Read {
        for document in std::mem::take(&mut self.documents) {
            self.document(&document)?;
            self.ending = Some(Ending::HereDocument);
        }
        Ok(())
    }

    fn document(&mut self, document: &Document) -> Read {
        let mut line_begins = true;
        while let Some(&byte) = self.bytes.get(self.at) {
            if line_begins {
                let rest = self.rest();
                let length = rest.iter().position(|byte| *byte == b'\n');
                let length = length.unwrap_or(rest.len());
                let line = &rest[..length];
                let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
                let skipped = if document.strips_tabs { tabs } else { 0 };
                if line[skipped..] == *document.delimiter {
                    self.copy(length);
                    return Ok(());
                }
            }
            line_begins = byte == b'\n';
            match byte {
                b'{' if document.quoted => {
                    if self.sees(b"{}") {
                        return Err(TemplateError::Misplaced {
                            place: Place::QuotedHereDocument,
                            position: self.at + 1,
                        });
                    }
                    self.copy(1);
                }
                _ if document.quoted => self.copy(1),
                _ => self.expanded(As::InDouble)?,
            }
        }
        Err(TemplateError::Unclosed {
            what: "here-document",
            position: document.position,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command as Shell;

    fn script(template: &str) -> Result<String, TemplateError> {
        let script = Script::from_template(OsStr::new(template), Columns::One)?;
        Ok(script.text.into_string().unwrap())
    }

    /// What the shell makes of the template with this argument.
    fn printed(template: &str, argument: &str) -> String {
        let script = script(template).unwrap_or_else(|error| panic!("{template}: {error}"));
        let output = Shell::new("sh")
            .args(["-c", &script, "sh", argument])
            .output();
        let output = output.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{template} as {script}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    const NASTY: &str = "a  b'\"`$(touch x)`\\;*\n{}|&";

    #[test]
    fn nothing_in_an_argument_is_code() {
        for (template, expected) in [
            ("printf %s {}", NASTY.to_owned()),
            ("printf %s", NASTY.to_owned()),
            ("printf %s  \n\n", NASTY.to_owned()),
            ("printf %s \"<{}>\"", format!("<{NASTY}>")),
            ("printf %s '<{}>'", format!("<{NASTY}>")),
            ("printf %s x{}y", format!("x{NASTY}y")),
            ("printf %s%s {} {}", format!("{NASTY}{NASTY}")),
            ("printf %s \\'{}", format!("'{NASTY}")),
        ] {
            assert_eq!(printed(template, NASTY), expected, "{template}");
        }
    }

    /// There the argument would be code after all, though not for the shell that gets it.
    #[test]
    fn the_script_of_another_shell_is_no_place_for_an_argument() {
        for (template, position) in [
            ("sh -c 'echo {}'", 13),
            ("sh -c \"echo {}\"", 13),
            ("x | sudo /bin/bash -o pipefail -ec 'echo {}'", 42),
            ("sh -c 'echo '{}", 14),
            ("sh -c \"echo $(basename {})\"", 24),
            ("eval \"echo {}\"", 12),
            ("y=$(sh -c 'echo {}'); echo $y", 17),
        ] {
            let place = Place::InnerScript;
            let expected = TemplateError::Misplaced { place, position };
            assert_eq!(script(template).unwrap_err(), expected, "{template}");
        }
        // The argument is an argument, a number, or all of the script; or there is no shell.
        for template in [
            "sh -c 'printf %s \"$1\"' sh {}",
            "sh -c 'printf %s \"$1\"' sh",
            "sh -c 'echo {#} {%}'",
            "sh -c {}",
            "sh -c 'true'; printf %s '{}'",
            "grep -c '{}' sh",
            "python3 -c 'print(\"{}\")'",
        ] {
            assert!(script(template).is_ok(), "{template}");
        }
        let template = "sh -c 'printf %s \"$1\"' sh {}";
        assert_eq!(printed(template, NASTY), NASTY);
    }

    /// Each place in which the shell can take an argument as it is.
    #[test]
    fn an_argument_is_itself_wherever_it_stands() {
        for template in [
            "printf %s \"$(printf %s {})\"",
            "printf %s \"$(printf %s \"{}\")\"",
            "printf %s \"$(printf %s '{}')\"",
            "printf %s \"$(printf %s \"$(printf %s {})\")\"",
            "x=`printf %s {}`; printf %s \"$x\"",
            "x=${y:-{}}; printf %s \"$x\"",
            "x={}; printf %s \"${x#nothing}\"",
            "printf %s \"$(case x in x) printf %s {} ;; esac)\"",
            "printf %s \"$( (printf %s {}) )\"",
            "printf %s \"$(cat <<E\n{}\nE\n)\"",
            "x=$(printf %s {} # don't )\n); printf %s \"$x\"",
        ] {
            assert_eq!(printed(template, NASTY), NASTY, "{template}");
        }
    }

    #[test]
    fn a_here_document_gets_no_quotation_marks() {
        let nasty = format!("name = {NASTY}\n");
        assert_eq!(printed("cat <<EOF\nname = {}\nEOF", NASTY), nasty);
        assert_eq!(printed("cat <<-EOF\n\tname = {}\n\tEOF\n", NASTY), nasty);
        assert_eq!(
            printed("cat <<EOF; echo {}\n'{}'\nEOF", "a b"),
            "'a b'\na b\n"
        );
        assert_eq!(
            printed("cat <<A; cat <<B\n{}\nA\n<{}>\nB\n", "x"),
            "x\n<x>\n"
        );
        assert_eq!(printed("cat <<E\n$(echo {})\nE", "a"), "a\n");
        assert_eq!(
            printed("cat <<E\n\"$(echo \"{}\")\"\nE", "a  b"),
            "\"a  b\"\n"
        );
    }

    #[test]
    fn where_an_argument_cannot_stand_it_is_refused() {
        let misplaced = |place, position| Err(TemplateError::Misplaced { place, position });
        for (template, place, position) in [
            ("echo $(( {} * 2 ))", Place::Arithmetic, 10),
            ("sleep 0.$((4-{}))", Place::Arithmetic, 14),
            ("echo \"$(( \"{}\" ))\"", Place::Arithmetic, 12),
            ("(( {} > 3 )) && x", Place::Arithmetic, 4),
            ("cat <<\"E\"\n{}\nE", Place::QuotedHereDocument, 11),
            ("cat <<\\E\n{}\nE", Place::QuotedHereDocument, 10),
            ("cat <<{}\nx\n{}", Place::Delimiter, 7),
            ("echo \"`basename {}`\"", Place::BackquotesInDouble, 17),
            ("echo \"${x:-{}}\"", Place::ParameterInDouble, 12),
            ("echo ${}", Place::AfterDollar, 7),
        ] {
            assert_eq!(script(template), misplaced(place, position), "{template}");
        }
        // A command in there is a command.
        assert_eq!(printed("echo $(( $(echo {}) * 2 ))", "4"), "8\n");
    }

    #[test]
    fn an_apostrophe_in_a_comment_or_a_here_document_opens_nothing() {
        assert_eq!(printed("# don't\necho {}", "a"), "a\n");
        assert_eq!(printed("echo {} # it's", "a"), "a\n");
        assert_eq!(printed("echo a#'{}' {}", "b"), "a#b b\n");
        assert_eq!(printed("cat <<E\ndon't {}\nE", "a"), "don't a\n");
        assert_eq!(printed("cat <<'E'; echo {}\ndon't\nE", "a"), "don't\na\n");
        assert_eq!(
            printed("echo ${x:+don\\'t}{} \"${x:-don't}\"", "a"),
            "a don't\n"
        );
    }

    /// Appended there, the argument would be lost, or would be a command.
    #[test]
    fn without_a_place_the_argument_comes_where_it_is_an_argument() {
        let no_end = |ending| Err(TemplateError::NoEnd(ending));
        assert_eq!(script("echo a # b"), no_end(Ending::Comment));
        assert_eq!(script("cat <<E\na\nE\n"), no_end(Ending::HereDocument));
        for template in ["echo a;", "echo a; ", "echo a &\n", "echo a |"] {
            assert_eq!(script(template), no_end(Ending::Operator), "{template}");
        }
        assert_eq!(printed("echo a # {}\necho b", "c"), "a\nb c\n");
        assert_eq!(script("echo \\ ").unwrap(), "echo \\  \"$1\"");
    }

    #[test]
    fn what_is_open_at_the_end_is_told_with_its_place() {
        let unclosed = |what, position| Err(TemplateError::Unclosed { what, position });
        assert_eq!(script("echo 'a"), unclosed("'", 6));
        assert_eq!(script("echo \"a\\\""), unclosed("\"", 6));
        assert_eq!(script("echo $(a {}"), unclosed("parenthesis", 7));
        assert_eq!(script("echo `a {}"), unclosed("`", 6));
        assert_eq!(script("echo ${a"), unclosed("{", 7));
        assert_eq!(script("echo $((1"), unclosed("((", 7));
        assert_eq!(script("cat <<E\na {}"), unclosed("here-document", 5));
        assert!(script("echo 'a\\'").is_ok());
        assert_eq!(script(&"$(".repeat(200_000)), Err(TemplateError::TooDeep));
        assert_eq!(
            script(&"\"${x:-".repeat(200_000)),
            Err(TemplateError::TooDeep)
        );
    }

    #[test]
    fn placeholders_of_others_are_refused_where_they_could_be_meant() {
        for placeholder in FOREIGN {
            for (template, position) in [
                (format!("gzip {placeholder}"), 6),
                (format!("echo \"{placeholder}\" {{}}"), 7),
            ] {
                let expected = TemplateError::Foreign {
                    placeholder,
                    position,
                };
                assert_eq!(script(&template), Err(expected));
            }
        }
        let second = TemplateError::NoColumn {
            number: 2,
            columns: 1,
            position: 6,
        };
        assert_eq!(script("echo {2}"), Err(second));
        for plain in [
            "awk '{1}' {}",
            "echo ${#} ${1}",
            "echo {1..3}",
            "echo {a,b}",
            "{ echo {}; }",
        ] {
            assert!(script(plain).is_ok(), "{plain}");
        }
    }

    #[test]
    fn parts_of_paths() {
        for (path, whole, name, base, folder) in [
            ("a/b.tar.gz", "a/b.tar", "b.tar.gz", "b.tar", "a"),
            ("b.c", "b", "b.c", "b", "."),
            ("a.b/c", "a.b/c", "c", "c", "a.b"),
            ("/x.y", "/x", "x.y", "x", "/"),
            ("a/.rc", "a/.rc", ".rc", ".rc", "a"),
            ("a/b.c/", "a/b", "b.c", "b", "a"),
            ("/", "/", "/", "/", "/"),
            ("", "", "", "", "."),
            ("a b/c d.e f", "a b/c d", "c d.e f", "c d", "a b"),
        ] {
            let of = |part: Part| str::from_utf8(part.of(path.as_bytes())).unwrap();
            assert_eq!(of(Part::WithoutExtension), whole, "{path}");
            assert_eq!(of(Part::Name), name, "{path}");
            assert_eq!(of(Part::NameWithoutExtension), base, "{path}");
            assert_eq!(of(Part::Folder), folder, "{path}");
            assert_eq!(of(Part::Whole), path, "{path}");
        }
    }

    /// What the shell makes of the template, and what people are shown: by a shell, it gives the
    /// same.
    fn both(template: &str, columns: Columns, arguments: &[&str]) -> String {
        let script = Script::from_template(OsStr::new(template), columns);
        let script = script.unwrap_or_else(|error| panic!("{template}: {error}"));
        let item = Item {
            columns: arguments.iter().map(OsString::from).collect(),
            number: 7,
        };
        let Command::Filled {
            script,
            arguments,
            shown,
            ..
        } = script.command(&item)
        else {
            panic!("it is filled in");
        };
        let run = |text: &OsStr, arguments: &[OsString]| {
            let mut shell = Shell::new("sh");
            shell.arg("-c").arg(text).arg("sh").args(arguments);
            let output = shell.env(INDEX, "7").env(SLOT, "3").output().unwrap();
            assert!(output.status.success(), "{template} as {text:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let out = run(&script, &arguments);
        assert_eq!(run(&shown, &[]), out, "{template} as {shown:?}");
        out
    }

    #[test]
    fn every_placeholder_is_one_word_of_data() {
        for (template, expected) in [
            (
                "printf '<%s>' {.} {/} {//} {/.} {#} {%} {1}",
                "<a b/c'$x><c'$x.d e><a b><c'$x><7><3><a b/c'$x.d e>",
            ),
            (
                "printf '<%s>' \"{.}-{#}\" '{}' x{/}y",
                "<a b/c'$x-7><a b/c'$x.d e><xc'$x.d ey>",
            ),
            ("cat <<E\n{/}\nE", "c'$x.d e\n"),
            (
                "printf '<%s>' {} {.} {/} {//} {/.} {1.} {1/} {1//} {1/.} {}",
                concat!(
                    "<a b/c'$x.d e><a b/c'$x><c'$x.d e><a b><c'$x><a b/c'$x><c'$x.d e><a b><c'$x>",
                    "<a b/c'$x.d e>"
                ),
            ),
        ] {
            assert_eq!(
                both(template, Columns::One, &["a b/c'$x.d e"]),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn several_arguments_are_words_of_their_own() {
        for (template, expected) in [
            ("printf '<%s>'", "<a  b><'$x><c.d>"),
            ("printf '<%s>' {}", "<a  b><'$x><c.d>"),
            ("printf '<%s>' {2} {1} {3.} {3}", "<'$x><a  b><c><c.d>"),
            (
                "printf '<%s>' \"{}\" '{}' '{1}' {4} {#}",
                "<a  b '$x c.d><a  b '$x c.d><{1}><><7>",
            ),
            (
                "printf '<%s>' {1.} {2/} {3.} {3.} {}",
                "<a  b><'$x><c><c><a  b><'$x><c.d>",
            ),
        ] {
            let out = both(template, Columns::Several(None), &["a  b", "'$x", "c.d"]);
            assert_eq!(out, expected, "{template}");
        }
        let several = |template: &str, columns| {
            let script = Script::from_template(OsStr::new(template), Columns::Several(columns));
            script.map(|_| ()).unwrap_err().to_string()
        };
        assert!(several("echo x{}", None).contains("{} at character 7, which stands for several"));
        assert!(several("echo {.}", None).contains("write {1.} for the first one"));
        assert!(several("echo {3}", Some(2)).contains("but each command has 2 arguments"));
        let many: String = (1..=12).map(|n| format!(" {{{n}}}")).collect();
        let arguments: Vec<String> = (1..=12).map(|n| format!("a{n}")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let out = both(
            &format!("echo{many}"),
            Columns::Several(Some(12)),
            &arguments,
        );
        assert_eq!(out, arguments.join(" ") + "\n");
    }
}
