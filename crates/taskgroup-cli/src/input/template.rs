//! From a template with `{}` to a shell script that has its argument in `$1`.
//!
//! What takes the place of `{}` depends on the quotation around it, so the template is read as a
//! shell reads it: quotations, substitutions, comments and here-documents, also within each other.
//! Where the shell has no way to take an argument as it is, the template is refused.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A shell script that has its argument in `$1`, where the template had `{}`.
///
/// The argument is never part of the script, so the shell never runs any of it as code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script(pub(super) OsString);

/// An error in a template, and its byte, counted from 1.
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
const FOREIGN: [&str; 9] = [
    "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}", "{0}", "{1}", "{2}",
];

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
                "the command has {placeholder} at character {position}, but the only placeholder \
                 is {{}}; let the shell do the rest: x={{}}; mv \"$x\" \"${{x%.*}}.bak\" (in single \
                 quotes {placeholder} is left alone)"
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

impl Script {
    /// Replaces `{}`, inside and outside of quotations, by what the shell takes as exactly one
    /// word, or as a part of one. A template without `{}` gets the argument at its end.
    pub(crate) fn from_template(template: &OsStr) -> Result<Script, TemplateError> {
        let mut reader = Reader {
            bytes: template.as_bytes(),
            at: 0,
            script: Vec::new(),
            solid: 0,
            replaced: false,
            ending: None,
            documents: Vec::new(),
            depth: 0,
        };
        reader.commands(Until::End)?;
        let mut script = reader.script;
        if !reader.replaced {
            // On a line of its own the argument would be a command.
            script.truncate(reader.solid);
            if let Some(ending) = reader.ending {
                return Err(TemplateError::NoEnd(ending));
            }
            script.extend_from_slice(br#" "$1""#);
        }
        Ok(Script(OsString::from_vec(script)))
    }
}

type Read = Result<(), TemplateError>;

struct Reader<'a> {
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
        if self.sees(b"{}") {
            self.script.extend_from_slice(match becomes {
                As::Word => br#""$1""#,
                As::InDouble => b"${1}",
                As::InSingle => br#"'"$1"'"#,
                As::Nothing(place) => return Err(TemplateError::Misplaced { place, position }),
            });
            self.at += 2;
            self.solid = self.script.len();
            self.ending = None;
            self.replaced = true;
            return Ok(());
        }
        if !matches!(becomes, As::InSingle) {
            let mut foreign = FOREIGN.into_iter();
            if let Some(placeholder) = foreign.find(|word| self.sees(word.as_bytes())) {
                return Err(TemplateError::Foreign {
                    placeholder,
                    position,
                });
            }
        }
        self.copy(1);
        Ok(())
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        if self.depth == DEEPEST {
            return Err(TemplateError::TooDeep);
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn commands(&mut self, until: Until) -> Read {
        let opened = self.at;
        // Open parentheses and `case … esac`, in which a parenthesis closes nothing.
        let (mut parentheses, mut cases) = (0, 0);
        let (mut word_begins, mut command_begins) = (true, true);
        while let Some(&byte) = self.bytes.get(self.at) {
            let (word_began, command_began) = (word_begins, command_begins);
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
                b'{' if self.sees(b"{}") || !word_began => self.brace(match until {
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
        let script = Script::from_template(OsStr::new(template))?;
        Ok(script.0.into_string().unwrap())
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
}
