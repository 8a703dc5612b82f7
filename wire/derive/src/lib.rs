//! Reads the declarations of the wire as the specification needs them: the very attributes that binrw compiles.
//!
//! [`WireSpec`] stands above `#[binrw]`, so that it sees what binrw sees. It goes by an allowlist: an attribute, or a
//! form of one, that it does not understand is an error of the compiler that says so. So nothing that decides on bytes
//! can be added to a declaration and be missing from the specification.
//!
//! What it generates is behind the feature `spec` of `messageu-wire`; binrw stays the only parser.
#![forbid(unsafe_code)]

mod attributes;
mod condition;
mod derive;
mod named;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemImpl, parse_macro_input};

/// Implements `messageu_wire::spec::WireSpec` for a declaration of the wire.
///
/// `#[spec(name = "...")]` gives another name than the type's own; `#[spec(named)]` says that [`named_values`] stands at
/// one of its impls, and `#[spec(bits)]` that besides, each of those values is a bit.
#[proc_macro_derive(WireSpec, attributes(spec))]
pub fn derive_wire_spec(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Reads the constants of a newtype, `pub const NAME: Self = Self(...)`, with what their comments say.
///
/// Stands at the impl that has them.
#[proc_macro_attribute]
pub fn named_values(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    named::expand(&arguments.into(), &item).unwrap_or_else(|error| error.into_compile_error()).into()
}
