//! A declaration, as an implementation of `WireSpec`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Ident, Path, PathArguments, Result,
    Token, Type,
};

use crate::attributes::Attributes;
use crate::condition::Scope;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            input,
            "WireSpec reads structures: what has several forms is a newtype with named values, so that unknown ones are \
             values too",
        ));
    };
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(parameter, "WireSpec reads structures without parameters"));
    }
    let attributes = Attributes::parse(&input.attrs)?;
    if let Some(span) = attributes.of_field {
        return Err(Error::new(span, "WireSpec: this belongs to a field"));
    }
    let (content, value) = match &data.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => newtype(&attributes, fields.unnamed.first())?,
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(fields, "WireSpec: fields need names, unless there is one"));
        }
        Fields::Named(fields) => structure(&attributes, &fields.named)?,
        Fields::Unit => structure(&attributes, &Punctuated::new())?,
    };
    let ident = &input.ident;
    let name = ident.to_string();
    let given = attributes.name.map_or_else(|| quote!(None), |name| quote!(Some(#name)));
    let doc = attributes.doc;
    Ok(quote! {
        impl ::messageu_wire::spec::WireSpec for #ident {
            fn refer(
                declarations: &mut ::messageu_wire::spec::Declarations,
            ) -> ::messageu_wire::spec::Type {
                declarations.declare(concat!(module_path!(), "::", #name), #given, #doc, |declarations| {
                    #content
                })
            }

            fn value(&self) -> ::messageu_wire::spec::Value {
                #value
            }
        }
    })
}

/// A newtype is a kind of what it wraps.
fn newtype(attributes: &Attributes, field: Option<&Field>) -> Result<(TokenStream, TokenStream)> {
    let field =
        field.ok_or_else(|| Error::new(proc_macro2::Span::call_site(), "WireSpec: a field is missing"))?;
    let own = Attributes::parse(&field.attrs)?;
    if let Some(span) = own.of_field.or(own.of_structure).or(attributes.of_structure) {
        return Err(Error::new(span, "WireSpec: a newtype is no more than what it wraps"));
    }
    if let Some(assert) = attributes.asserts.first().or(own.asserts.first()) {
        return Err(Error::new_spanned(
            &assert.condition,
            "WireSpec: a newtype is no more than what it wraps",
        ));
    }
    let ty = &field.ty;
    let values = if attributes.named {
        quote!(<Self as ::messageu_wire::spec::NamedValues>::named_values())
    } else {
        quote!(Vec::new())
    };
    let bits = attributes.bits;
    Ok((
        quote! {
            let wrapped = <#ty as ::messageu_wire::spec::WireSpec>::refer(declarations);
            ::messageu_wire::spec::Kind::newtype(&wrapped, #values, #bits)
        },
        quote!(::messageu_wire::spec::WireSpec::value(&self.0)),
    ))
}

fn structure(
    attributes: &Attributes,
    fields: &Punctuated<Field, Token![,]>,
) -> Result<(TokenStream, TokenStream)> {
    if attributes.named || attributes.bits {
        return Err(Error::new(proc_macro2::Span::call_site(), "WireSpec: only a newtype has named values"));
    }
    let names = fields.iter().filter_map(|field| field.ident.clone()).collect::<Vec<_>>();
    let scope = Scope { fields: &names };
    let (of_structure, mut used) = checks(&scope, attributes)?;
    let mut declared = Vec::new();
    let mut values = Vec::new();
    let mut temporary = Vec::new();
    for (field, name) in fields.iter().zip(&names) {
        let own = Attributes::parse(&field.attrs)?;
        if let Some(span) = own.of_structure {
            return Err(Error::new(span, "WireSpec: this belongs to a structure"));
        }
        if own.temp != own.calc.is_some() {
            return Err(Error::new(
                own.calc.unwrap_or_else(|| name.span()),
                "WireSpec: br(temp) and bw(calc = ...) stand together: what is not kept is made anew",
            ));
        }
        let ty = field_type(field, &own, &attributes.imports, &names, &mut used)?;
        let (checks, more) = checks(&scope, &own)?;
        used.extend(more);
        let text = name.to_string();
        let doc = &own.doc;
        let padding = |size: Option<u64>| {
            size.map(|size| quote!(fields.push(::messageu_wire::spec::Field::padding(#size));))
        };
        let (before, after) = (padding(own.pad_before), padding(own.pad_after));
        let role = if own.temp { quote!(Calculated) } else { quote!(Value) };
        declared.push(quote! {
            #before
            let field_type = #ty;
            fields.push(::messageu_wire::spec::Field::new(
                #text,
                #doc,
                field_type,
                ::messageu_wire::spec::Role::#role,
                vec![#(#checks),*],
            ));
            #after
        });
        if own.temp {
            temporary.push(name);
            continue;
        }
        let value = match own.parse_with.as_ref().map(module_of).transpose()? {
            Some(module) => quote!(#module::spec_value(&self.#name)),
            None => quote!(::messageu_wire::spec::WireSpec::value(&self.#name)),
        };
        values.push(quote!((#text.into(), #value)));
    }
    if let Some(unused) = temporary.into_iter().find(|name| !used.contains(name)) {
        return Err(Error::new_spanned(
            unused,
            "WireSpec: nothing says what this field is: no count and no assert names it",
        ));
    }
    let imports = attributes.imports.iter().map(Ident::to_string);
    Ok((
        quote! {
            let mut fields = Vec::new();
            #(#declared)*
            ::messageu_wire::spec::Kind::structure(vec![#(#imports.into()),*], fields, vec![#(#of_structure),*])
        },
        quote!(::messageu_wire::spec::Value::Structure(vec![#(#values),*])),
    ))
}

fn checks(scope: &Scope<'_>, attributes: &Attributes) -> Result<(Vec<TokenStream>, Vec<Ident>)> {
    let (mut checks, mut used) = (Vec::new(), Vec::new());
    for assert in &attributes.asserts {
        let (more, names) = scope.checks(assert)?;
        checks.extend(more);
        used.extend(names);
    }
    Ok((checks, used))
}

/// What stands on the wire for a field.
fn field_type(
    field: &Field,
    own: &Attributes,
    imports: &[Ident],
    names: &[Ident],
    used: &mut Vec<Ident>,
) -> Result<TokenStream> {
    let ty = &field.ty;
    match (&own.parse_with, &own.write_with) {
        (None, None) => {}
        (Some(read), Some(write)) => {
            let (module, writer) = (module_of(read)?, module_of(write)?);
            if quote!(#module).to_string() != quote!(#writer).to_string() {
                return Err(Error::new_spanned(write, "WireSpec: reader and writer belong into one module"));
            }
            return Ok(quote!(#module::spec_type(declarations)));
        }
        (Some(path), None) | (None, Some(path)) => {
            return Err(Error::new_spanned(path, "WireSpec: parse_with and write_with stand together"));
        }
    }
    match (is_bytes(ty), &own.count) {
        (true, Some(count)) => {
            let name = plain_name(count).ok_or_else(|| {
                Error::new(count.span(), "WireSpec: a count is a field or what is imported")
            })?;
            let text = name.to_string();
            if imports.contains(name) {
                return Ok(quote!(::messageu_wire::spec::Type::Bytes(
                    ::messageu_wire::spec::Size::Parameter(#text.into())
                )));
            }
            if names.contains(name) {
                used.push(name.clone());
                return Ok(
                    quote!(::messageu_wire::spec::Type::Bytes(::messageu_wire::spec::Size::Field(#text.into()))),
                );
            }
            Err(Error::new_spanned(name, "WireSpec: a count is a field or what is imported"))
        }
        (true, None) => Err(Error::new_spanned(ty, "WireSpec: bytes need a count")),
        (false, Some(count)) => Err(Error::new_spanned(count, "WireSpec: what is counted is bytes")),
        (false, None) => {
            let mut arguments = Vec::new();
            for (name, value) in &own.args {
                let name = name.to_string();
                let value = match plain_name(value) {
                    Some(import) if imports.contains(import) => {
                        let import = import.to_string();
                        quote!(::messageu_wire::spec::Argument::Parameter(#import.into()))
                    }
                    _ if matches!(value, Expr::Path(_) | Expr::Lit(_)) => {
                        quote!(::messageu_wire::spec::Argument::size(#value))
                    }
                    _ => {
                        return Err(Error::new(
                            value.span(),
                            "WireSpec: an argument is a constant or what is imported",
                        ));
                    }
                };
                arguments.push(quote!((#name.into(), #value)));
            }
            let refer = quote!(<#ty as ::messageu_wire::spec::WireSpec>::refer(declarations));
            Ok(if arguments.is_empty() { refer } else { quote!(#refer.with(vec![#(#arguments),*])) })
        }
    }
}

/// `a::b` of `a::b::read`: that module has `spec_type` and `spec_value` beside its reader and writer.
fn module_of(path: &Path) -> Result<Path> {
    let mut module = path.clone();
    module.segments.pop();
    module.segments.pop_punct();
    if module.segments.is_empty() {
        return Err(Error::new_spanned(
            path,
            "WireSpec: a reader and its writer belong into a module of their own",
        ));
    }
    Ok(module)
}

fn plain_name(expression: &Expr) -> Option<&Ident> {
    match expression {
        Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}

/// Whether this is `Vec<u8>`.
fn is_bytes(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else { return false };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
    let of_u8 = |argument: &GenericArgument| matches!(argument, GenericArgument::Type(Type::Path(path)) if path.path.is_ident("u8"));
    last.ident == "Vec" && arguments.args.iter().all(of_u8)
}
