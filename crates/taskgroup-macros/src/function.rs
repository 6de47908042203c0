//! The annotated function: what may be annotated, and the error for anything else.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute as Outer, Error, Signature, Visibility};

use crate::expand::Attribute;

/// A function whose body stays unparsed tokens (invariant 2 of the crate).
pub(crate) struct Function {
    pub(crate) attrs: Vec<Outer>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Self {
            attrs: input.call(Outer::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl Function {
    /// Reports everything about the function that the attribute cannot work with.
    pub(crate) fn check(&self, attribute: Attribute) -> Result<(), Vec<Error>> {
        let sig = &self.sig;
        let name = attribute.path();
        let mut errors = Vec::new();
        if sig.asyncness.is_none() {
            errors.push(Error::new(
                sig.fn_token.span,
                format!(
                    "`#[{name}]` runs an async function: write `async fn {}`",
                    sig.ident
                ),
            ));
        }
        if !sig.inputs.is_empty() {
            let advice = match attribute {
                Attribute::Main => "read the command line with `std::env::args()`",
                Attribute::Test => "call a helper that takes them from several tests",
            };
            errors.push(Error::new(
                sig.inputs.span(),
                format!("a function under `#[{name}]` takes no arguments: {advice}"),
            ));
        }
        if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
            errors.push(Error::new(
                if sig.generics.params.is_empty() {
                    sig.generics.where_clause.span()
                } else {
                    sig.generics.span()
                },
                format!("a function under `#[{name}]` cannot be generic"),
            ));
        }
        if attribute == Attribute::Main && sig.ident != "main" {
            errors.push(Error::new(
                sig.ident.span(),
                format!(
                    "`#[{name}]` is for the entry point of a program: name the function `main`, or run it with \
                     `taskgroup::Runner`"
                ),
            ));
        }
        if attribute == Attribute::Test {
            errors.extend(self.attrs.iter().filter(|attr| is_test(attr)).map(|attr| {
                Error::new(
                    attr.span(),
                    format!("`#[{name}]` makes the function a test already: remove this attribute"),
                )
            }));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

/// `#[test]`, `#[tokio::test]` and similar: with two of them the body would run twice.
fn is_test(attr: &Outer) -> bool {
    let last = attr.path().segments.last();
    last.is_some_and(|segment| segment.ident == "test")
}
