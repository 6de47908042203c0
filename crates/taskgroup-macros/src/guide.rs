//! The chapters of the guide as modules, for the pages of the library's documentation.
//!
//! The chapters are written for the book. Here their links lead to the pages of rustdoc instead:
//! `[Errors](errors.md#panics)` becomes `[Errors](crate::_guide::errors#panics)`, which rustdoc
//! checks. A link to a page that only the book has becomes its text, and a picture goes. As in the
//! book, a line of 100 columns fits, and one that does not is broken instead of cut.

use std::fs;
use std::path::Path;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Token;
use syn::parse::Parser;
use syn::punctuated::Punctuated;

/// One module for each name. The folder `guide` of the package has the chapter.
pub(crate) fn expand(names: TokenStream) -> syn::Result<TokenStream> {
    let names = Punctuated::<Ident, Token![,]>::parse_terminated.parse2(names)?;
    let package = std::env::var("CARGO_MANIFEST_DIR")
        .map_err(|error| syn::Error::new(Span::call_site(), error))?;
    let package = Path::new(&package);
    let known: Vec<_> = names
        .iter()
        .map(|name| file_of(&name.to_string()))
        .collect();
    let mut modules = TokenStream::new();
    for (name, file) in names.iter().zip(&known) {
        let path = package.join("guide").join(file);
        let say = |what: String| syn::Error::new(name.span(), what);
        let text = read(&path).map_err(say)?;
        let page = page(&text, &known, &|file| read(&package.join(file))).map_err(say)? + STYLE;
        let path = path.display().to_string();
        modules.extend(quote! {
            #[doc = #page]
            pub mod #name {
                // So that Cargo looks whether the chapter has changed.
                const _: &str = include_str!(#path);
            }
        });
    }
    Ok(modules)
}

const STYLE: &str = "

<style>
.docblock pre > code { font-size: 0.92em; white-space: pre-wrap; overflow-wrap: anywhere; }
.docblock table code { white-space: normal; overflow-wrap: anywhere; }
</style>
";

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn file_of(name: &str) -> String {
    format!("{}.md", name.replace('_', "-"))
}

/// The chapter as a page of rustdoc. `include` reads a file of the package.
fn page(
    text: &str,
    known: &[String],
    include: &dyn Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let (mut page, mut prose, mut fenced) = (String::new(), String::new(), false);
    for line in text.split_inclusive('\n') {
        if line.starts_with("```") {
            page.push_str(&linked(&std::mem::take(&mut prose), known));
            fenced = !fenced;
            // Rust that the tests of the book do not run. rustdoc colours it by its full name.
            page.push_str(if line == "```rs\n" { "```rust\n" } else { line });
        } else if !fenced {
            prose.push_str(line);
        } else if let Some(file) = included(line) {
            page.push_str(&include(file)?);
        } else {
            page.push_str(line);
        }
    }
    page.push_str(&linked(&prose, known));
    Ok(page)
}

/// The file of the package that a line of the book includes.
fn included(line: &str) -> Option<&str> {
    let path = line
        .trim()
        .strip_prefix("{{#include ")?
        .strip_suffix("}}")?;
    path.strip_prefix("../../../crates/taskgroup/")
}

/// Prose whose links lead to pages of rustdoc.
fn linked(prose: &str, known: &[String]) -> String {
    let mut parts = prose.split("](");
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, rest) = part.split_once(')').unwrap_or((part, ""));
        let (file, heading) = match target.split_once('#') {
            Some((file, heading)) => (file, format!("#{heading}")),
            None => (target, String::new()),
        };
        let text = done.rfind('[').unwrap_or_default();
        if done[..text].ends_with('!') {
            done.truncate(text - 1);
        } else if known.iter().any(|known| known == file) {
            let module = file.trim_end_matches(".md").replace('-', "_");
            done.push_str(&format!("](crate::_guide::{module}{heading})"));
        } else if file.ends_with(".md") {
            done.remove(text);
        } else {
            done.push_str(&format!("]({target})"));
        }
        done.push_str(rest);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let known = ["errors.md", "from-trio.md"].map(str::to_owned);
        let include = |file: &str| Ok(format!("<{file}>\n"));
        page(text, &known, &include).unwrap()
    }

    #[test]
    fn links_lead_to_modules() {
        assert_eq!(
            shown("See [From\nTrio](from-trio.md) and [a `b`](errors.md#c-d)."),
            "See [From\nTrio](crate::_guide::from_trio) and [a `b`](crate::_guide::errors#c-d)."
        );
    }

    #[test]
    fn links_within_the_page_and_out_of_the_book_stay() {
        let text = "[here](#here), [there](https://docs.rs/tokio) (and more)";
        assert_eq!(shown(text), text);
    }

    #[test]
    fn a_link_to_a_page_of_the_book_alone_becomes_its_text() {
        assert_eq!(
            shown("[one](command.md), [two](errors.md)"),
            "one, [two](crate::_guide::errors)"
        );
    }

    #[test]
    fn a_picture_goes() {
        assert_eq!(
            shown("a ![b](c/d.svg) [e](errors.md)"),
            "a  [e](crate::_guide::errors)"
        );
    }

    #[test]
    fn code_stays_and_programs_are_included() {
        assert_eq!(
            shown("```text\n[a](errors.md)\n```\n"),
            "```text\n[a](errors.md)\n```\n"
        );
        assert_eq!(
            shown("```rs\n{{#include ../../../crates/taskgroup/examples/a.rs}}\n```\n"),
            "```rust\n<examples/a.rs>\n```\n"
        );
    }
}
