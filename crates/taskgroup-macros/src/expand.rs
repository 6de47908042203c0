//! From the annotated function and its options to the code that the compiler sees.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ReturnType};

use crate::function::Function;
use crate::options::Options;

/// One of the two attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Main,
    Test,
}

impl Attribute {
    /// The attribute as the reader writes it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Main => "taskgroup::main",
            Self::Test => "taskgroup::testing::test",
        }
    }

    /// Replaces a rejected function, so that the rejection is the only error (invariant 3 of the
    /// crate).
    fn substitute(self) -> TokenStream {
        match self {
            Self::Main => quote!(
                fn main() {}
            ),
            Self::Test => TokenStream::new(),
        }
    }
}

pub(crate) fn expand(attribute: Attribute, args: TokenStream, item: TokenStream) -> TokenStream {
    match try_expand(attribute, args, item) {
        Ok(expanded) => expanded,
        Err(errors) => {
            let errors = errors.iter().map(Error::to_compile_error);
            let substitute = attribute.substitute();
            quote!(#(#errors)* #substitute)
        }
    }
}

fn try_expand(
    attribute: Attribute,
    args: TokenStream,
    item: TokenStream,
) -> Result<TokenStream, Vec<Error>> {
    let function: Function = syn::parse2(item).map_err(|error| {
        let message = format!("`#[{}]` belongs on an `async fn`", attribute.path());
        vec![Error::new(error.span(), message)]
    })?;
    let options = match (Options::read(attribute, args), function.check(attribute)) {
        (Ok(options), Ok(())) => options,
        (Ok(_), Err(errors)) | (Err(errors), Ok(())) => return Err(errors),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            return Err(errors);
        }
    };
    Ok(generate(attribute, &function, &options))
}

fn generate(attribute: Attribute, function: &Function, options: &Options) -> TokenStream {
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = function;
    let name = &sig.ident;
    let output = &sig.output;
    // The runner must accept the output type. One that it does not accept is reported where it is
    // written.
    let place = match output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let settings = settings(options);
    let runner = quote!(::taskgroup::Runner::new() #settings);
    match attribute {
        Attribute::Main => {
            let run = quote_spanned!(place=> #runner.run_main(#name));
            quote! {
                #(#attrs)*
                #vis fn #name() -> ::std::process::ExitCode {
                    #sig #body
                    #run
                }
            }
        }
        Attribute::Test => {
            let run = quote_spanned!(place=> #runner.run_test(#name));
            quote! {
                #[::core::prelude::v1::test]
                #(#attrs)*
                #vis fn #name() #output {
                    #sig #body
                    #run
                }
            }
        }
    }
}

/// The builder calls that differ from a runner's defaults.
fn settings(options: &Options) -> TokenStream {
    let mut calls = TokenStream::new();
    if options.current_thread {
        calls.extend(quote!(.current_thread()));
    }
    if let Some(threads) = options.worker_threads {
        calls.extend(quote!(.worker_threads(#threads)));
    }
    if options.start_paused {
        calls.extend(quote!(.start_paused(true)));
    }
    if let Some(grace) = options.grace.as_ref().map(Duration::as_millis) {
        // Read from a 64-bit number of milliseconds, so it fits into one.
        let millis = u64::try_from(grace).unwrap_or(u64::MAX);
        calls.extend(quote!(.grace(::core::time::Duration::from_millis(#millis))));
    }
    if options.graceful {
        calls.extend(quote!(.graceful()));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(attribute: Attribute, args: &str, item: &str) -> String {
        expand(attribute, args.parse().unwrap(), item.parse().unwrap()).to_string()
    }

    /// The same tokens, spelt as the compiler's printer spells them.
    fn tokens(text: &str) -> String {
        text.parse::<TokenStream>().unwrap().to_string()
    }

    #[test]
    fn main_with_every_option() {
        let got = expanded(
            Attribute::Main,
            r#"flavor = "multi_thread", worker_threads = 2, start_paused = false, grace = "5s", graceful"#,
            "/// Docs.\n async fn main() -> Result<(), Boxed> { work().await }",
        );
        let want = tokens(
            "/// Docs.
            fn main() -> ::std::process::ExitCode {
                async fn main() -> Result<(), Boxed> { work().await }
                ::taskgroup::Runner::new()
                    .worker_threads(2usize)
                    .grace(::core::time::Duration::from_millis(5000u64))
                    .graceful()
                    .run_main(main)
            }",
        );
        assert_eq!(got, want);
    }

    #[test]
    fn a_plain_test_has_paused_time() {
        let got = expanded(
            Attribute::Test,
            "",
            "#[should_panic] async fn panics() { panic!() }",
        );
        let want = tokens(
            "#[::core::prelude::v1::test]
            #[should_panic]
            fn panics() {
                async fn panics() { panic!() }
                ::taskgroup::Runner::new().current_thread().start_paused(true).run_test(panics)
            }",
        );
        assert_eq!(got, want);
    }

    #[test]
    fn a_half_written_body_is_passed_on() {
        let got = expanded(Attribute::Main, "", "async fn main() { let half = group. }");
        assert!(got.contains("let half = group ."), "{got}");
    }

    #[test]
    fn both_kinds_of_misuse_are_reported_at_once() {
        let got = expanded(Attribute::Main, "banana = 1", "fn main(argument: u8) {}");
        assert_eq!(got.matches("compile_error").count(), 3, "{got}");
    }
}
