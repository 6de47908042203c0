//! The manual pages: clap's description of the command, plus sections for examples and exit codes.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::RUNNING;
use crate::exit::Exit;
use crate::plan::file::KEYS;

/// Writes the page of `command`, which has been built.
pub(crate) fn write(command: Command, out: &mut impl Write) -> io::Result<()> {
    let examples = command.get_after_help().map(ToString::to_string);
    // Only verbs that run commands have a long help, which ends with the exit codes.
    let runs = command.get_after_long_help().is_some();
    let has_options = command
        .get_arguments()
        .any(|argument| !argument.is_hide_set());
    let has_verbs = command.has_subcommands();
    // The page of the whole, and those of the verbs that read files of tasks.
    let names_file = |argument: &Arg| argument.get_id() == "file" && !argument.is_hide_set();
    let files = has_verbs || command.get_arguments().any(names_file);
    let man = Man::new(command).source(concat!("taskgroup ", env!("CARGO_PKG_VERSION")));
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    if runs {
        let mut text = Roff::default();
        for paragraph in RUNNING {
            text.control("PP", []);
            text.text([roman(paragraph)]);
        }
        text.to_writer(out)?;
    }
    if has_options {
        man.render_options_section(out)?;
    }
    if has_verbs {
        man.render_subcommands_section(out)?;
    }
    let mut rest = Roff::default();
    if files {
        keys_of_files(&mut rest);
    }
    if let Some(examples) = examples {
        rest.control("SH", ["EXAMPLES"]);
        // The title of the section replaces this line.
        as_it_stands(
            &mut rest,
            examples
                .lines()
                .skip(1)
                .map(|line| line.get(2..).unwrap_or("")),
        );
    }
    if runs {
        rest.control("SH", ["EXIT STATUS"]);
        for exit in Exit::ALL {
            rest.control("TP", ["6"]);
            rest.text([roman(exit.code().to_string())]);
            rest.text([roman(exit.meaning())]);
        }
    }
    rest.to_writer(out)
}

/// What may stand in a file of tasks.
fn keys_of_files(roff: &mut Roff) {
    roff.control("SH", ["FILES OF TASKS"]);
    roff.text([roman(
        "A file of tasks is TOML. A task is a table [tasks.NAME], a group a table [groups.NAME] \
         with tasks and groups of its own, and the file itself is a group. Where a key may stand is \
         said in brackets. What is \"passed down\" counts for everything in the group.",
    )]);
    for key in KEYS {
        roff.control("TP", ["6"]);
        roff.text([bold(key.name), roman(format!(" [{}]", key.of.shown()))]);
        roff.text([roman(key.about)]);
    }
}

/// Writes lines that are not filled.
fn as_it_stands<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
