//! The manual pages: clap's description of the command, plus sections for examples and exit codes.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::RUNNING;
use crate::exit::Exit;

/// Writes the page of `command`, which has been built.
pub(crate) fn write(command: Command, out: &mut impl Write) -> io::Result<()> {
    let examples = command.get_after_help().map(ToString::to_string);
    // Only verbs that run commands have a long help, which ends with the exit codes.
    let runs = command.get_after_long_help().is_some();
    let has_options = command
        .get_arguments()
        .any(|argument| !argument.is_hide_set());
    let has_verbs = command.has_subcommands();
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

/// Writes lines that are not filled.
fn as_it_stands<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
