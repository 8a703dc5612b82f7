//! Conditions: comparisons of fields with each other and with constants, joined by `&&`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{BinOp, Error, Expr, Ident, Lit, Member, Result};

use crate::attributes::Assert;

/// The names that a condition may use: the fields of the structure.
pub(crate) struct Scope<'a> {
    pub(crate) fields: &'a [Ident],
}

impl Scope<'_> {
    /// The checks that an assert makes, as expressions of `messageu_wire::spec::Check`, and the fields that it names.
    pub(crate) fn checks(&self, assert: &Assert) -> Result<(Vec<TokenStream>, Vec<Ident>)> {
        let mut checks = Vec::new();
        let mut used = Vec::new();
        let error = assert.error.as_ref().map_or_else(
            || quote!(None),
            |error| {
                let error = error.to_string();
                quote!(Some(#error.into()))
            },
        );
        let mut waiting = vec![&assert.condition];
        while let Some(condition) = waiting.pop() {
            let Expr::Binary(comparison) = condition else { return Err(not_understood(condition)) };
            let operator = match comparison.op {
                BinOp::And(_) => {
                    waiting.push(&comparison.right);
                    waiting.push(&comparison.left);
                    continue;
                }
                BinOp::Eq(_) => quote!(Equal),
                BinOp::Lt(_) => quote!(Below),
                BinOp::Le(_) => quote!(AtMost),
                BinOp::Ge(_) => quote!(AtLeast),
                _ => return Err(not_understood(condition)),
            };
            let left = self.operand(&comparison.left, &mut used)?;
            let right = self.operand(&comparison.right, &mut used)?;
            checks.push(quote! {
                ::messageu_wire::spec::Check {
                    left: #left,
                    holds: ::messageu_wire::spec::Comparison::#operator,
                    right: #right,
                    error: #error,
                    only_if: None,
                }
            });
        }
        Ok((checks, used))
    }

    fn operand(&self, expression: &Expr, used: &mut Vec<Ident>) -> Result<TokenStream> {
        if let Some(path) = self.field_path(expression, used) {
            return Ok(quote!(::messageu_wire::spec::Operand::Field(#path.into())));
        }
        match expression {
            Expr::Lit(literal) if matches!(literal.lit, Lit::Int(_)) => {
                Ok(quote!(::messageu_wire::spec::Operand::Integer(#literal)))
            }
            // A constant: a newtype's, or a number.
            Expr::Path(_) => Ok(quote! {
                ::messageu_wire::spec::Operand::from(::messageu_wire::spec::WireSpec::value(&#expression))
            }),
            _ => Err(not_understood(expression)),
        }
    }

    /// `field`, `field.0` (the number in a newtype), and `field.part()`, which is written `field.part`.
    fn field_path(&self, expression: &Expr, used: &mut Vec<Ident>) -> Option<String> {
        match expression {
            Expr::Path(path) => {
                let name = path.path.get_ident()?;
                self.fields.contains(name).then(|| {
                    used.push(name.clone());
                    name.to_string()
                })
            }
            Expr::Field(field) => match &field.member {
                Member::Unnamed(index) if index.index == 0 => self.field_path(&field.base, used),
                _ => None,
            },
            Expr::MethodCall(call) if call.args.is_empty() => {
                let base = self.field_path(&call.receiver, used)?;
                Some(format!("{base}.{}", call.method))
            }
            _ => None,
        }
    }
}

fn not_understood(expression: &Expr) -> Error {
    Error::new(
        expression.span(),
        "WireSpec understands comparisons (==, <, <=, >=) of fields, constants and numbers, joined by &&",
    )
}
