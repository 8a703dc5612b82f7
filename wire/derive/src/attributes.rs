//! The attributes of declarations, by the allowlist.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Meta, Path, Result, Token, braced,
    parenthesized,
};

/// Attributes that say nothing about bytes.
const WITHOUT_BYTES: [&str; 8] =
    ["derive", "arbitrary", "binrw", "zeroize", "expect", "allow", "must_use", "cfg_attr"];

/// What the attributes of a structure or of a field say.
#[derive(Default)]
pub(crate) struct Attributes {
    /// The comment, a line each.
    pub(crate) doc: String,
    /// `spec(name = "...")`
    pub(crate) name: Option<LitStr>,
    /// `spec(named)`
    pub(crate) named: bool,
    /// `spec(bits)`
    pub(crate) bits: bool,
    /// `br(temp)`
    pub(crate) temp: bool,
    /// `bw(calc = ...)`
    pub(crate) calc: Option<Span>,
    /// `br(count = ...)`
    pub(crate) count: Option<Expr>,
    /// `br(assert(...))`
    pub(crate) asserts: Vec<Assert>,
    /// `br(args { ... })`
    pub(crate) args: Vec<(Ident, Expr)>,
    /// `br(import { ... })`
    pub(crate) imports: Vec<Ident>,
    /// `brw(pad_before = ...)`
    pub(crate) pad_before: Option<u64>,
    /// `brw(pad_after = ...)`
    pub(crate) pad_after: Option<u64>,
    /// `br(parse_with = ...)`
    pub(crate) parse_with: Option<Path>,
    /// `bw(write_with = ...)`
    pub(crate) write_with: Option<Path>,
    /// Where something stands that no structure has, and where something stands that no field has.
    pub(crate) of_field: Option<Span>,
    pub(crate) of_structure: Option<Span>,
}

/// What a declaration holds its bytes to.
pub(crate) struct Assert {
    pub(crate) condition: Expr,
    /// The error, if it is named: the last name of its path.
    pub(crate) error: Option<Ident>,
}

/// One of the directives between `br(` and `)`.
enum Directive {
    Temp,
    Calc(Span),
    Count(Expr),
    Assert(Assert),
    Args(Vec<(Ident, Expr)>),
    Import(Vec<Ident>),
    PadBefore(u64),
    PadAfter(u64),
    ParseWith(Path),
    WriteWith(Path),
}

/// Whether a directive stands in `br`, `bw` or `brw`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Reading,
    Writing,
    Both,
}

impl Attributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in attributes {
            let Some(name) = attribute.path().get_ident().map(Ident::to_string) else {
                return Err(unknown(attribute.path(), "attribute"));
            };
            match name.as_str() {
                "doc" => found.add_doc(attribute)?,
                "spec" => found.add_spec(attribute)?,
                "br" => found.add_directives(attribute, Side::Reading)?,
                "bw" => found.add_directives(attribute, Side::Writing)?,
                "brw" => found.add_directives(attribute, Side::Both)?,
                known if WITHOUT_BYTES.contains(&known) => {}
                _ => return Err(unknown(attribute.path(), "attribute")),
            }
        }
        Ok(found)
    }

    fn add_doc(&mut self, attribute: &Attribute) -> Result<()> {
        let line = doc_line(attribute)?;
        if !self.doc.is_empty() {
            self.doc.push('\n');
        }
        self.doc.push_str(line.strip_prefix(' ').unwrap_or(&line));
        Ok(())
    }

    fn add_spec(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                self.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("named") {
                self.named = true;
            } else if meta.path.is_ident("bits") {
                self.bits = true;
            } else {
                return Err(unknown(&meta.path, "word in spec(...)"));
            }
            Ok(())
        })
    }

    fn add_directives(&mut self, attribute: &Attribute, side: Side) -> Result<()> {
        let parser = Punctuated::<(Span, Side, Directive), Token![,]>::parse_terminated_with;
        let parse = |input: ParseStream<'_>| parser(input, Directive::parse);
        for (span, needed, directive) in attribute.parse_args_with(parse)? {
            if side != needed {
                return Err(Error::new(
                    span,
                    "WireSpec: this stands in another of br, bw and brw, so that what is read is what is written",
                ));
            }
            match &directive {
                Directive::Import(_) => self.of_structure = Some(span),
                Directive::Assert(_) => {}
                _ => self.of_field = Some(span),
            }
            match directive {
                Directive::Temp => self.temp = true,
                Directive::Calc(span) => self.calc = Some(span),
                Directive::Count(count) => self.count = Some(count),
                Directive::Assert(assert) => self.asserts.push(assert),
                Directive::Args(args) => self.args = args,
                Directive::Import(imports) => self.imports = imports,
                Directive::PadBefore(size) => self.pad_before = Some(size),
                Directive::PadAfter(size) => self.pad_after = Some(size),
                Directive::ParseWith(path) => self.parse_with = Some(path),
                Directive::WriteWith(path) => self.write_with = Some(path),
            }
        }
        Ok(())
    }
}

impl Directive {
    /// The directive, and where it has to stand.
    fn parse(input: ParseStream<'_>) -> Result<(Span, Side, Self)> {
        let name = input.call(Ident::parse_any)?;
        let number = |input: ParseStream<'_>| -> Result<u64> {
            input.parse::<Token![=]>()?;
            input.parse::<LitInt>()?.base10_parse()
        };
        let path = |input: ParseStream<'_>| -> Result<Path> {
            input.parse::<Token![=]>()?;
            input.parse()
        };
        let (side, directive) = match name.to_string().as_str() {
            "temp" => (Side::Reading, Self::Temp),
            "calc" => {
                input.parse::<Token![=]>()?;
                (Side::Writing, Self::Calc(input.parse::<Expr>()?.span()))
            }
            "count" => {
                input.parse::<Token![=]>()?;
                (Side::Reading, Self::Count(input.parse()?))
            }
            "assert" => (Side::Reading, Self::Assert(input.parse()?)),
            "args" => {
                let content;
                braced!(content in input);
                let args =
                    Punctuated::<(Ident, Expr), Token![,]>::parse_terminated_with(&content, |input| {
                        let name: Ident = input.parse()?;
                        input.parse::<Token![:]>()?;
                        Ok((name, input.parse()?))
                    })?;
                (Side::Reading, Self::Args(args.into_iter().collect()))
            }
            "import" => {
                let content;
                braced!(content in input);
                let imports = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, |input| {
                    let name: Ident = input.parse()?;
                    input.parse::<Token![:]>()?;
                    let of: Ident = input.parse()?;
                    if of == "usize" {
                        Ok(name)
                    } else {
                        Err(Error::new(of.span(), "WireSpec: what is imported is a size, a usize"))
                    }
                })?;
                (Side::Reading, Self::Import(imports.into_iter().collect()))
            }
            "pad_before" => (Side::Both, Self::PadBefore(number(input)?)),
            "pad_after" => (Side::Both, Self::PadAfter(number(input)?)),
            "parse_with" => (Side::Reading, Self::ParseWith(path(input)?)),
            "write_with" => (Side::Writing, Self::WriteWith(path(input)?)),
            _ => return Err(unknown(&name, "attribute of binrw")),
        };
        Ok((name.span(), side, directive))
    }
}

impl Parse for Assert {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let content;
        parenthesized!(content in input);
        let mut terms = Punctuated::<Expr, Token![,]>::parse_terminated(&content)?.into_iter();
        let condition = terms.next().ok_or_else(|| content.error("WireSpec: a condition is missing"))?;
        let error = terms.next().as_ref().and_then(error_name);
        Ok(Self { condition, error })
    }
}

/// The name of an error: `FieldValue` of `WireError::FieldValue { ... }`, `OneTimeId` of
/// `WireError::Field(FieldError::OneTimeId)`.
fn error_name(error: &Expr) -> Option<Ident> {
    match error {
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.clone()),
        Expr::Struct(value) => value.path.segments.last().map(|segment| segment.ident.clone()),
        Expr::Call(call) => call.args.first().and_then(error_name).or_else(|| error_name(&call.func)),
        _ => None,
    }
}

/// The text of `#[doc = "..."]`.
pub(crate) fn doc_line(attribute: &Attribute) -> Result<String> {
    if let Meta::NameValue(meta) = &attribute.meta
        && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value
    {
        return Ok(text.value());
    }
    Err(Error::new(attribute.span(), "WireSpec: a comment has to be a text"))
}

/// The error that makes the allowlist one.
fn unknown(what: &(impl Spanned + quote::ToTokens), kind: &str) -> Error {
    let name = quote::quote!(#what).to_string();
    Error::new(
        what.span(),
        format!(
            "WireSpec does not understand the {kind} `{name}`: say in wire/derive what it means to the specification, or \
             do without"
        ),
    )
}
