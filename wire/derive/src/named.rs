//! Constants of a newtype.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ImplItem, ItemImpl, Result, Type};

use crate::attributes::doc_line;

pub(crate) fn expand(arguments: &TokenStream, item: &ItemImpl) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "named_values takes no arguments"));
    }
    let of = &item.self_ty;
    let mut values = Vec::new();
    for constant in item.items.iter().filter_map(|item| match item {
        ImplItem::Const(constant) => Some(constant),
        _ => None,
    }) {
        if !is_self(&constant.ty) || !is_self_of_something(&constant.expr) {
            continue;
        }
        let doc = constant
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc"))
            .map(doc_line)
            .collect::<Result<Vec<_>>>()?
            .iter()
            .map(|line| line.trim())
            .collect::<Vec<_>>()
            .join(" ");
        let ident = &constant.ident;
        let name = ident.to_string();
        values.push(quote! {
            ::messageu_wire::spec::NamedValue {
                name: #name.into(),
                value: Self::#ident.0.into(),
                doc: #doc.into(),
            }
        });
    }
    if values.is_empty() {
        return Err(Error::new_spanned(of, "here is no constant `NAME: Self = Self(...)`"));
    }
    Ok(quote! {
        #item

        impl ::messageu_wire::spec::NamedValues for #of {
            fn named_values() -> Vec<::messageu_wire::spec::NamedValue> {
                vec![#(#values),*]
            }
        }
    })
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("Self"))
}

fn is_self_of_something(expression: &Expr) -> bool {
    matches!(expression, Expr::Call(call) if matches!(&*call.func, Expr::Path(path) if path.path.is_ident("Self")))
}
