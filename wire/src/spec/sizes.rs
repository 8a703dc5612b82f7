//! Where fields stand and how many bytes they take, from what they are made of.

use std::collections::BTreeMap;

use super::{Argument, Content, Counted, Declaration, Field, Kind, Named, Size, SizeRange, Structure, Type};

/// What the parameters of a structure are, as far as it is known.
type Parameters = BTreeMap<String, u64>;

/// The same types with their sizes and offsets.
pub(super) fn with_sizes(types: &[Declaration]) -> Vec<Declaration> {
    let sizes = Sizes { types };
    let sized = types.iter().map(|declaration| {
        let none = Parameters::new();
        let mut declaration = declaration.clone();
        declaration.size = sizes.of_kind(&declaration.kind, &none);
        if let Kind::Structure(structure) = &mut declaration.kind {
            let mut offset = Some(0_u64);
            for field in &mut structure.fields {
                field.offset = offset;
                field.size = sizes.of_type(&field.r#type, &none);
                offset = match field.size {
                    SizeRange { min, max } if max == Some(min) => offset.map(|offset| offset + min),
                    _ => None,
                };
            }
        }
        declaration
    });
    sized.collect()
}

struct Sizes<'a> {
    types: &'a [Declaration],
}

const fn exactly(size: u64) -> SizeRange {
    SizeRange { min: size, max: Some(size) }
}

const ANY: SizeRange = SizeRange { min: 0, max: None };

impl Sizes<'_> {
    fn of_kind(&self, kind: &Kind, parameters: &Parameters) -> SizeRange {
        match kind {
            Kind::Integer(integer) => exactly(integer.size.into()),
            Kind::Bytes(bytes) => exactly(bytes.size),
            Kind::Text(text) => SizeRange { min: text.min, max: Some(text.max) },
            Kind::Decimal(decimal) => {
                SizeRange { min: 1, max: Some(super::size(decimal.max.to_string().len())) }
            }
            Kind::Structure(structure) => self.of_structure(structure, parameters),
        }
    }

    fn of_structure(&self, structure: &Structure, parameters: &Parameters) -> SizeRange {
        structure.fields.iter().fold(exactly(0), |sum, Field { r#type, .. }| {
            let size = match r#type {
                // The whole is one of these sizes.
                Type::Bytes(Size::UpTo(sizes)) => {
                    let smallest = sizes.iter().copied().filter(|size| *size >= sum.min).min();
                    return SizeRange { min: smallest.unwrap_or(sum.min), max: sizes.iter().copied().max() };
                }
                other => self.of_type(other, parameters),
            };
            let max = sum.max.zip(size.max).and_then(|(sum, size)| sum.checked_add(size));
            SizeRange { min: sum.min + size.min, max }
        })
    }

    fn of_type(&self, r#type: &Type, parameters: &Parameters) -> SizeRange {
        match r#type {
            Type::Integer(size) => exactly((*size).into()),
            Type::Bytes(Size::Fixed(size)) => exactly(*size),
            Type::Bytes(Size::Parameter(name)) => parameters.get(name).map_or(ANY, |size| exactly(*size)),
            Type::Bytes(Size::Field(_) | Size::UpTo(_)) | Type::Repeated(_) => ANY,
            Type::Named(named) => self.of_named(named, parameters),
            Type::Counted(counted) => self.of_counted(counted, parameters),
        }
    }

    fn of_named(&self, named: &Named, parameters: &Parameters) -> SizeRange {
        let Some(declaration) = self.types.iter().find(|declaration| declaration.name == named.name) else {
            return ANY;
        };
        let arguments = named.arguments.iter().filter_map(|argument| {
            let size = match &argument.is {
                Argument::Size(size) => Some(*size),
                Argument::Parameter(outer) => parameters.get(outer).copied(),
            };
            size.map(|size| (argument.parameter.clone(), size))
        });
        self.of_kind(&declaration.kind, &arguments.collect())
    }

    fn of_counted(&self, counted: &Counted, parameters: &Parameters) -> SizeRange {
        let prefix = u64::from(counted.prefix);
        let one = match &counted.of {
            Content::Items(item) => self.of_type(item, parameters),
            Content::Bytes | Content::BytesBeginningWith(_) | Content::Text(_) | Content::TextOrNone(_) => {
                exactly(1)
            }
        };
        let max = one.max.and_then(|one| one.checked_mul(counted.max)?.checked_add(prefix));
        SizeRange { min: prefix + one.min * counted.min, max }
    }
}
