//! What the allowlist lets pass, and what it stops.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test should stop")]

use syn::{DeriveInput, ItemImpl, parse_str};

use crate::{derive, named};

/// What a declaration is refused with.
fn refusal(declaration: &str) -> String {
    match derive::expand(&parse_str::<DeriveInput>(declaration).unwrap()) {
        Ok(_) => panic!("accepted: {declaration}"),
        Err(error) => error.to_string(),
    }
}

fn is_accepted(declaration: &str) {
    derive::expand(&parse_str::<DeriveInput>(declaration).unwrap()).unwrap();
}

#[test]
fn what_the_wire_declares_is_accepted() {
    is_accepted("#[binrw] struct Empty;");
    is_accepted("/// A number.\n#[binrw] #[derive(Clone)] struct Epoch(pub u64);");
    is_accepted("#[spec(name = \"Other\", named, bits)] #[binrw] struct Flags(pub u16);");
    is_accepted(
        "#[binrw] #[br(import { n: usize })] struct Sealed { iv: Iv, #[br(count = n)] ciphertext: Vec<u8>, tag: Tag }",
    );
    is_accepted(
        "#[binrw] struct Outer { #[br(args { n: SIZE })] inner: Inner, #[brw(pad_after = 3)] kind: u8 }",
    );
    is_accepted(
        "#[binrw] struct Counted { #[br(temp)] #[bw(calc = size(&body))] size: u32, #[br(count = size)] body: Vec<u8> }",
    );
    is_accepted(
        "#[binrw] struct Text { #[br(parse_with = name::read)] #[bw(write_with = name::write)] name: Name }",
    );
    is_accepted(
        "#[binrw] #[br(assert(id >= Id::FIRST && id.0 <= 7 && index < chunks, Wrong::Id))] \
         struct Key { id: Id, index: u32, chunks: u32 }",
    );
}

#[test]
fn an_unknown_attribute_is_named() {
    let message = refusal("#[binrw] struct A { #[br(if(b > 0))] a: u8 }");
    assert!(message.contains("does not understand the attribute of binrw `if`"), "{message}");
    for (attribute, name) in [
        ("#[br(map = |x: u8| x)]", "map"),
        ("#[br(little)]", "little"),
        ("#[brw(big)]", "big"),
        ("#[br(ignore)]", "ignore"),
        ("#[br(default)]", "default"),
        ("#[br(try)]", "try"),
        ("#[brw(seek_before = x)]", "seek_before"),
        ("#[brw(align_after = 4)]", "align_after"),
        ("#[brw(magic = b\"MU3\")]", "magic"),
        ("#[br(restore_position)]", "restore_position"),
        ("#[serde(skip)]", "serde"),
        ("#[spec(hidden)]", "hidden"),
    ] {
        let message = refusal(&format!("#[binrw] struct A {{ {attribute} a: u8 }}"));
        assert!(
            message.contains("does not understand") && message.contains(&format!("`{name}`")),
            "{message}"
        );
    }
}

#[test]
fn a_form_that_is_not_understood_is_refused() {
    for (declaration, part) in [
        ("enum A { B }", "reads structures"),
        ("struct A<T> { a: T }", "without parameters"),
        ("struct A(u8, u16);", "fields need names"),
        ("struct A { #[br(assert(check(a)))] a: u8 }", "understands comparisons"),
        ("struct A { #[br(assert(a != 3))] a: u8 }", "understands comparisons"),
        ("struct A { #[br(assert(a < 3 || a > 7))] a: u8 }", "understands comparisons"),
        ("struct A { #[br(assert(a + 1 < 3))] a: u8 }", "understands comparisons"),
        ("struct A { b: u8, #[br(count = b * 2)] a: Vec<u8> }", "a count is a field"),
        ("struct A { #[br(count = MAX)] a: Vec<u8> }", "a count is a field"),
        ("struct A { b: u8, #[br(count = b)] a: Vec<u16> }", "what is counted is bytes"),
        ("struct A { a: Vec<u8> }", "bytes need a count"),
        ("#[br(import { n: u32 })] struct A { a: u8 }", "is a size"),
        ("struct A { #[br(args { n: n + 1 })] a: B }", "an argument is a constant"),
    ] {
        let message = refusal(&format!("#[binrw] {declaration}"));
        assert!(message.contains(part), "{declaration}: {message}");
    }
}

#[test]
fn what_is_read_has_to_be_what_is_written() {
    for (declaration, part) in [
        ("struct A { #[br(pad_after = 3)] a: u8 }", "another of br, bw and brw"),
        ("struct A { #[bw(assert(a < 3))] a: u8 }", "another of br, bw and brw"),
        ("struct A { #[br(temp)] a: u8 }", "stand together"),
        ("struct A { #[bw(calc = 3)] a: u8 }", "stand together"),
        ("struct A { #[br(temp)] #[bw(calc = 3)] a: u8 }", "nothing says what this field is"),
        ("struct A { #[br(parse_with = a::read)] a: u8 }", "stand together"),
        ("struct A { #[br(parse_with = a::read)] #[bw(write_with = b::write)] a: u8 }", "into one module"),
        ("struct A { #[br(parse_with = read)] #[bw(write_with = write)] a: u8 }", "a module of their own"),
    ] {
        let message = refusal(&format!("#[binrw] {declaration}"));
        assert!(message.contains(part), "{declaration}: {message}");
    }
}

#[test]
fn an_attribute_in_the_wrong_place_is_refused() {
    for (declaration, part) in [
        ("#[br(count = n)] struct A { a: u8 }", "belongs to a field"),
        ("struct A { #[br(import { n: usize })] a: u8 }", "belongs to a structure"),
        ("#[br(assert(a < 3))] struct A(u8);", "no more than what it wraps"),
        ("struct A(#[brw(pad_after = 1)] u8);", "no more than what it wraps"),
        ("#[spec(named)] struct A { a: u8 }", "only a newtype"),
    ] {
        let message = refusal(&format!("#[binrw] {declaration}"));
        assert!(message.contains(part), "{declaration}: {message}");
    }
}

#[test]
fn an_impl_without_named_values_is_refused() {
    let item: ItemImpl = parse_str("impl A { const B: u8 = 3; }").unwrap();
    assert!(named::expand(&quote::quote!(), &item).is_err());
    let item: ItemImpl = parse_str("impl A { /// 3: it.\n pub const B: Self = Self(3); }").unwrap();
    assert!(named::expand(&quote::quote!(), &item).unwrap().to_string().contains("3: it."));
    assert!(named::expand(&quote::quote!(all), &item).is_err());
}
