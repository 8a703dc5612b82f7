//! The declarations as data, for the specification: behind the feature `spec`, which only `xtask` asks for.
//!
//! [`spec`] gathers all of it. What binrw compiles is read by `#[derive(WireSpec)]`; the few types that binrw's attributes
//! cannot say describe themselves beside their readers. That this is enough to read every frame is tested in `xtask`, with
//! an interpreter that knows nothing else.

mod classic;
mod constants;
mod declarations;
mod formats;
mod model;
mod modern;
mod sizes;

pub use declarations::Declarations;
pub use model::*;

pub use messageu_wire_derive::{WireSpec, named_values};

/// What is written of a value: its fields, and in the end integers and bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A number.
    Integer(u64),
    /// Bytes, also of a text.
    Bytes(Vec<u8>),
    /// Values of one type.
    List(Vec<Value>),
    /// Fields by name. Those that are made from others are not among them.
    Structure(Vec<(String, Value)>),
}

/// A declaration of the wire.
pub trait WireSpec {
    /// What stands where a value of this type is; what that refers to is declared.
    fn refer(declarations: &mut Declarations) -> Type;

    /// The value, as far as it is written.
    fn value(&self) -> Value;
}

/// A newtype whose numbers have names.
pub trait NamedValues {
    /// The names.
    fn named_values() -> Vec<NamedValue>;
}

/// The whole wire.
#[must_use]
pub fn spec() -> Spec {
    let mut declarations = Declarations::default();
    let modern = modern::modern(&mut declarations);
    let classic = classic::classic(&mut declarations);
    let formats = formats::formats(&mut declarations);
    let statements = formats::statements(&mut declarations);
    Spec {
        format: 1,
        constants: constants::constants(),
        types: declarations.finish(),
        modern,
        classic,
        formats,
        statements,
    }
}

macro_rules! integers {
    ($($integer:ident $size:literal)*) => {$(
        impl WireSpec for $integer {
            fn refer(_: &mut Declarations) -> Type {
                Type::Integer($size)
            }

            fn value(&self) -> Value {
                Value::Integer((*self).into())
            }
        }
    )*};
}

integers!(u8 1 u16 2 u32 4 u64 8);

impl<const SIZE: usize> WireSpec for [u8; SIZE] {
    fn refer(_: &mut Declarations) -> Type {
        Type::Bytes(Size::Fixed(size(SIZE)))
    }

    fn value(&self) -> Value {
        Value::Bytes(self.to_vec())
    }
}

impl WireSpec for Vec<u8> {
    fn refer(_: &mut Declarations) -> Type {
        Type::Bytes(Size::Parameter(String::new()))
    }

    fn value(&self) -> Value {
        Value::Bytes(self.clone())
    }
}

/// A size of ours, as the form has it.
pub(crate) fn size(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// Bytes, as the form has them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<Value> for Operand {
    fn from(value: Value) -> Self {
        match value {
            Value::Integer(number) => Self::Integer(number),
            Value::Bytes(bytes) => Self::Bytes(hex(&bytes)),
            Value::List(_) | Value::Structure(_) => Self::Bytes(String::new()),
        }
    }
}

impl Type {
    /// The name of a type that has one.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Named(named) => &named.name,
            _ => "",
        }
    }

    /// The same with arguments.
    #[must_use]
    pub fn with(self, arguments: Vec<(String, Argument)>) -> Self {
        match self {
            Self::Named(named) => {
                let arguments = arguments.into_iter();
                let arguments = arguments.map(|(parameter, is)| NamedArgument { parameter, is }).collect();
                Self::Named(Named { arguments, ..named })
            }
            other => other,
        }
    }
}

impl Argument {
    /// A size that is always the same.
    #[must_use]
    pub fn size(bytes: usize) -> Self {
        Self::Size(size(bytes))
    }
}

impl Kind {
    /// What a newtype is of.
    #[must_use]
    pub fn newtype(wrapped: &Type, values: Vec<NamedValue>, bits: bool) -> Self {
        match wrapped {
            Type::Integer(size) => Self::Integer(IntegerKind { size: *size, values, bits }),
            Type::Bytes(Size::Fixed(size)) => Self::Bytes(BytesKind { size: *size }),
            other => Self::structure(
                Vec::new(),
                vec![Field::new("value", "", other.clone(), Role::Value, Vec::new())],
                Vec::new(),
            ),
        }
    }

    /// Fields in their order.
    #[must_use]
    pub fn structure(parameters: Vec<String>, fields: Vec<Field>, checks: Vec<Check>) -> Self {
        Self::Structure(Structure { parameters, fields, checks })
    }

    /// An ASCII text of these runs.
    #[must_use]
    pub fn ascii(runs: Vec<Run>) -> Self {
        let min = runs.iter().map(|run| run.min).sum();
        let max = runs.iter().map(|run| run.max).sum();
        let encoding = Encoding::Ascii;
        Self::Text(TextKind { encoding, min, max, runs, forbidden: Vec::new(), except: Vec::new() })
    }
}

impl Field {
    /// A field; where it stands and what it takes is found out later.
    #[must_use]
    pub fn new(name: &str, doc: &str, r#type: Type, role: Role, checks: Vec<Check>) -> Self {
        let size = SizeRange { min: 0, max: None };
        Self { name: name.into(), doc: tidy(doc), offset: None, size, role, r#type, checks }
    }

    /// Bytes that nobody looks at.
    #[must_use]
    pub fn padding(size: u64) -> Self {
        Self::new("", "", Type::Bytes(Size::Fixed(size)), Role::Gap, Vec::new())
    }
}

impl Check {
    /// That a field is a number.
    #[must_use]
    pub fn equal(field: &str, value: u64, error: &str) -> Self {
        Self {
            left: Operand::Field(field.into()),
            holds: Comparison::Equal,
            right: Operand::Integer(value),
            error: Some(error.into()),
            only_if: None,
        }
    }
}

/// A comment as a sentence: one line, without the marks that link to Rust.
pub(crate) fn tidy(doc: &str) -> String {
    let mut text = String::new();
    let mut rest = doc.trim();
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        let Some((name, behind)) = after.split_once(']') else {
            text.push('[');
            rest = after;
            continue;
        };
        text.push_str(name.trim_matches('`').strip_prefix("mod@").unwrap_or(name.trim_matches('`')));
        rest = match behind.strip_prefix('(').and_then(|link| link.split_once(')')) {
            Some((_, behind)) => behind,
            None => behind,
        };
    }
    text.push_str(rest);
    text
}
