//! A decoder that knows the wire from `generated/wire.json` alone: it shares with the wire the type that the file is read
//! into, and nothing that reads bytes.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::str;

use messageu_wire::spec::{
    Argument, ByteOrder, Check, Comparison, Content, Counted, Declaration, Encoding, Field, Format, Kind,
    Named, Operand, Role, Size, Spec, TextKind, Type, Value,
};

/// Why bytes are no value.
pub type Refusal = String;

/// What a field that says something of others is, beside what values have.
type Fields = Vec<(String, Value)>;

pub struct Interpreter {
    pub spec: Spec,
}

/// Bytes, how far they were read, and what stood there.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    order: ByteOrder,
    marks: Vec<Mark>,
    /// The fields around.
    path: Vec<String>,
}

/// Where bytes stand that may decide on whether all are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    pub at: usize,
    pub size: usize,
    /// The field, `a.b`.
    pub field: String,
    pub of: Marked,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Marked {
    /// A number, of which as many follow.
    Count { min: u64, max: u64 },
    /// A number.
    Number,
    /// Bytes that are zeros.
    Zeros,
    /// A text.
    Text,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, size: u64) -> Result<&'a [u8], Refusal> {
        let end = usize::try_from(size).ok().and_then(|size| self.at.checked_add(size));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or("too short")?;
        self.at += taken.len();
        Ok(taken)
    }

    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// Notes what stood between a place and here.
    fn mark(&mut self, at: usize, of: Marked) {
        self.marks.push(Mark { at, size: self.at - at, field: self.path.join("."), of });
    }

    fn integer(&mut self, size: u8) -> Result<u64, Refusal> {
        let bytes = self.take(size.into())?;
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(match self.order {
            ByteOrder::Little => bytes.iter().rev().fold(0, fold),
            ByteOrder::Big => bytes.iter().fold(0, fold),
        })
    }
}

impl Interpreter {
    /// Of the file as it is committed.
    pub fn committed() -> Self {
        let form = include_str!("../../../generated/wire.json");
        Self { spec: serde_json::from_str(form).unwrap() }
    }

    pub fn declaration(&self, name: &str) -> &Declaration {
        self.spec.types.iter().find(|declaration| declaration.name == name).unwrap()
    }

    /// A value of a type that takes all of `bytes`.
    pub fn whole(&self, name: &str, bytes: &[u8], order: ByteOrder) -> Result<Value, Refusal> {
        self.whole_with(name, bytes, order, &BTreeMap::new()).map(|(value, _)| value)
    }

    /// A value of a format, which takes all of `bytes`.
    pub fn format(&self, name: &str, bytes: &[u8]) -> Result<Value, Refusal> {
        let format: &Format = self.spec.formats.iter().find(|format| format.name == name).unwrap();
        let mut parameters = BTreeMap::new();
        for argument in &format.arguments {
            let size = (bytes.len() as u64).checked_sub(argument.less).ok_or("too short")?;
            let fits = size >= argument.min
                && size <= argument.max
                && size % argument.multiple_of == 0
                && (argument.one_of.is_empty() || argument.one_of.contains(&size));
            if !fits {
                return Err("a size that it does not have".into());
            }
            parameters.insert(argument.parameter.clone(), size);
        }
        let (value, fields) = self.whole_with(&format.r#type, bytes, ByteOrder::Little, &parameters)?;
        for check in &format.checks {
            holds(check, &fields)?;
        }
        Ok(value)
    }

    fn whole_with(
        &self,
        name: &str,
        bytes: &[u8],
        order: ByteOrder,
        parameters: &BTreeMap<String, u64>,
    ) -> Result<(Value, Fields), Refusal> {
        let mut cursor = Cursor { bytes, at: 0, order, marks: Vec::new(), path: Vec::new() };
        let (value, fields) = self.kind(&self.declaration(name).kind, &mut cursor, parameters)?;
        if cursor.left() == 0 { Ok((value, fields)) } else { Err("bytes behind it".into()) }
    }

    /// What may decide in a value of a type, in the order of the bytes.
    pub fn marks(&self, name: &str, bytes: &[u8]) -> Vec<Mark> {
        self.marks_with(name, bytes, &BTreeMap::new())
    }

    /// What may decide in a value of a format.
    pub fn marks_of_format(&self, name: &str, bytes: &[u8]) -> Vec<Mark> {
        let format: &Format = self.spec.formats.iter().find(|format| format.name == name).unwrap();
        let arguments = format.arguments.iter();
        let sizes =
            arguments.map(|argument| (argument.parameter.clone(), bytes.len() as u64 - argument.less));
        self.marks_with(&format.r#type, bytes, &sizes.collect())
    }

    fn marks_with(&self, name: &str, bytes: &[u8], parameters: &BTreeMap<String, u64>) -> Vec<Mark> {
        let mut cursor =
            Cursor { bytes, at: 0, order: ByteOrder::Little, marks: Vec::new(), path: Vec::new() };
        self.kind(&self.declaration(name).kind, &mut cursor, parameters).unwrap();
        cursor.marks
    }

    /// The value, and all fields of a structure, those that say something of others too.
    fn kind(
        &self,
        kind: &Kind,
        cursor: &mut Cursor<'_>,
        parameters: &BTreeMap<String, u64>,
    ) -> Result<(Value, Fields), Refusal> {
        let value = match kind {
            Kind::Integer(integer) => {
                let at = cursor.at;
                let number = cursor.integer(integer.size)?;
                cursor.mark(at, Marked::Number);
                Value::Integer(number)
            }
            Kind::Bytes(bytes) => Value::Bytes(cursor.take(bytes.size)?.to_vec()),
            Kind::Text(text) => {
                let at = cursor.at;
                let bytes = cursor.take(cursor.left())?;
                cursor.mark(at, Marked::Text);
                check_text(text, bytes)?;
                Value::Bytes(bytes.to_vec())
            }
            Kind::Decimal(decimal) => {
                let digits = cursor.take(cursor.left())?;
                let number = str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
                let number = number.filter(|number| number.to_string().as_bytes() == digits);
                Value::Integer(number.filter(|number| *number <= decimal.max).ok_or("no number")?)
            }
            Kind::Structure(structure) => {
                let start = cursor.at;
                let mut all = Fields::new();
                for field in &structure.fields {
                    cursor.path.push(field.name.clone());
                    let value = self.field(field, cursor, start, &all, parameters)?;
                    cursor.path.pop();
                    all.push((field.name.clone(), value));
                    for check in &field.checks {
                        holds(check, &self.seen(&all, &structure.fields))?;
                    }
                }
                let seen = self.seen(&all, &structure.fields);
                for check in &structure.checks {
                    holds(check, &seen)?;
                }
                let is_value = |field: &&Field| field.role == Role::Value;
                let values = structure.fields.iter().zip(all);
                let values = values.filter(|(field, _)| is_value(field)).map(|(_, value)| value);
                return Ok((Value::Structure(values.collect()), seen));
            }
        };
        Ok((value, Fields::new()))
    }

    fn field(
        &self,
        field: &Field,
        cursor: &mut Cursor<'_>,
        start: usize,
        before: &Fields,
        parameters: &BTreeMap<String, u64>,
    ) -> Result<Value, Refusal> {
        if let Some(offset) = field.offset {
            assert_eq!(offset, (cursor.at - start) as u64, "the offset of {}", field.name);
        }
        let began = cursor.at;
        let value = match &field.r#type {
            Type::Bytes(size) => {
                let size = match size {
                    Size::Fixed(size) => *size,
                    Size::Field(name) => integer(&look_up(before, name)?)?,
                    Size::Parameter(name) => parameters[name],
                    Size::UpTo(sizes) => {
                        let here = (cursor.at - start) as u64;
                        let end = sizes.iter().filter(|size| **size >= here).min().ok_or("too long")?;
                        end - here
                    }
                };
                Value::Bytes(cursor.take(size)?.to_vec())
            }
            other => self.type_(other, cursor, parameters)?,
        };
        let size = (cursor.at - began) as u64;
        if field.role == Role::Zeros {
            cursor.mark(began, Marked::Zeros);
        }
        let fits = size >= field.size.min && field.size.max.is_none_or(|max| size <= max);
        assert!(fits, "the size of {}: {size}, {:?}", field.name, field.size);
        match (field.role, &value) {
            (Role::Zeros, Value::Bytes(bytes)) if bytes.iter().any(|byte| *byte != 0) => {
                Err("not zeros".into())
            }
            _ => Ok(value),
        }
    }

    fn type_(
        &self,
        r#type: &Type,
        cursor: &mut Cursor<'_>,
        parameters: &BTreeMap<String, u64>,
    ) -> Result<Value, Refusal> {
        match r#type {
            Type::Integer(size) => {
                let at = cursor.at;
                let number = cursor.integer(*size)?;
                cursor.mark(at, Marked::Number);
                Ok(Value::Integer(number))
            }
            Type::Bytes(Size::Fixed(size)) => Ok(Value::Bytes(cursor.take(*size)?.to_vec())),
            Type::Bytes(_) => panic!("only a field's size depends on others"),
            Type::Named(Named { name, arguments }) => {
                let of = |argument: &Argument| match argument {
                    Argument::Size(size) => *size,
                    Argument::Parameter(outer) => parameters[outer],
                };
                let arguments =
                    arguments.iter().map(|argument| (argument.parameter.clone(), of(&argument.is))).collect();
                self.kind(&self.declaration(name).kind, cursor, &arguments).map(|(value, _)| value)
            }
            Type::Counted(counted) => self.counted(counted, cursor, parameters),
            Type::Repeated(item) => {
                let mut items = Vec::new();
                while cursor.left() > 0 {
                    items.push(self.type_(item, cursor, parameters)?);
                }
                Ok(Value::List(items))
            }
        }
    }

    fn counted(
        &self,
        counted: &Counted,
        cursor: &mut Cursor<'_>,
        parameters: &BTreeMap<String, u64>,
    ) -> Result<Value, Refusal> {
        let at = cursor.at;
        let count = cursor.integer(counted.prefix)?;
        cursor.mark(at, Marked::Count { min: counted.min, max: counted.max });
        if count < counted.min || count > counted.max {
            return Err("a count beyond its bounds".into());
        }
        if let Content::Items(item) = &counted.of {
            let items = (0..count).map(|_| self.type_(item, cursor, parameters));
            return items.collect::<Result<_, _>>().map(Value::List);
        }
        let at = cursor.at;
        let bytes = cursor.take(count)?;
        if let Content::Text(_) | Content::TextOrNone(_) = &counted.of {
            cursor.mark(at, Marked::Text);
        }
        match &counted.of {
            Content::BytesBeginningWith(beginning) => {
                let mut inside = Cursor { at, marks: Vec::new(), path: cursor.path.clone(), ..*cursor };
                // The checks say it where these are too short.
                let _ = self.kind(&self.declaration(&beginning.name).kind, &mut inside, &BTreeMap::new());
                cursor.marks.append(&mut inside.marks);
                for check in &beginning.checks {
                    holds(check, &self.beginning(&beginning.name, bytes)?)?;
                }
            }
            Content::TextOrNone(_) if count == 0 => {}
            Content::Text(name) | Content::TextOrNone(name) => match &self.declaration(name).kind {
                Kind::Text(text) => check_text(text, bytes)?,
                _ => panic!("{name} is no text"),
            },
            Content::Bytes | Content::Items(_) => {}
        }
        Ok(Value::Bytes(bytes.to_vec()))
    }

    /// The fields of what bytes begin with.
    fn beginning(&self, name: &str, bytes: &[u8]) -> Result<Fields, Refusal> {
        let mut cursor =
            Cursor { bytes, at: 0, order: ByteOrder::Little, marks: Vec::new(), path: Vec::new() };
        self.kind(&self.declaration(name).kind, &mut cursor, &BTreeMap::new()).map(|(_, fields)| fields)
    }

    /// The fields as checks see them: of bytes that begin as something, the fields of that.
    fn seen(&self, values: &Fields, fields: &[Field]) -> Fields {
        let see = |((name, value), field): (&(String, Value), &Field)| {
            let begins = match (&field.r#type, value) {
                (
                    Type::Counted(Counted { of: Content::BytesBeginningWith(beginning), .. }),
                    Value::Bytes(bytes),
                ) => self.beginning(&beginning.name, bytes).ok(),
                _ => None,
            };
            (name.clone(), begins.map_or_else(|| value.clone(), Value::Structure))
        };
        values.iter().zip(fields).map(see).collect()
    }
}

fn look_up(fields: &Fields, path: &str) -> Result<Value, Refusal> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (_, value) = fields.iter().find(|(found, _)| found == name).ok_or("no such field")?;
    match (rest, value) {
        (None, value) => Ok(value.clone()),
        (Some(rest), Value::Structure(fields)) => look_up(fields, rest),
        (Some(_), _) => panic!("{path} is in no structure"),
    }
}

fn integer(value: &Value) -> Result<u64, Refusal> {
    match value {
        Value::Integer(number) => Ok(*number),
        _ => panic!("{value:?} is no number"),
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn holds(check: &Check, fields: &Fields) -> Result<(), Refusal> {
    if let Some(only_if) = &check.only_if
        && holds(only_if, fields).is_err()
    {
        return Ok(());
    }
    let operand = |operand: &Operand| {
        Ok::<_, Refusal>(match operand {
            Operand::Field(path) => look_up(fields, path)?,
            Operand::Integer(number) => Value::Integer(*number),
            Operand::Bytes(digits) => Value::Bytes(unhex(digits)),
            Operand::Parts(parts) => {
                Value::Integer(integer(&look_up(fields, &parts.of)?)?.div_ceil(parts.size).max(parts.min))
            }
        })
    };
    let (left, right) = (operand(&check.left)?, operand(&check.right)?);
    let holds = match check.holds {
        Comparison::Equal => left == right,
        Comparison::Below => integer(&left)? < integer(&right)?,
        Comparison::AtMost => integer(&left)? <= integer(&right)?,
        Comparison::AtLeast => integer(&left)? >= integer(&right)?,
    };
    if holds { Ok(()) } else { Err(format!("{:?} does not hold", check.error)) }
}

fn check_text(text: &TextKind, bytes: &[u8]) -> Result<(), Refusal> {
    let size = bytes.len() as u64;
    let letters = str::from_utf8(bytes).map_err(|_| "no text")?;
    let fits = size >= text.min && size <= text.max && !text.except.iter().any(|except| except == letters);
    let forbidden = |letter: char| {
        text.forbidden.iter().any(|points| (points.from..=points.to).contains(&u32::from(letter)))
    };
    if !fits || letters.chars().any(forbidden) {
        return Err("no such text".into());
    }
    if text.encoding == Encoding::Utf8 {
        return Ok(());
    }
    let mut rest = bytes;
    for run in &text.runs {
        let most = usize::try_from(run.max).unwrap();
        let count = rest.iter().take(most).take_while(|byte| (run.from..=run.to).contains(byte)).count();
        if (count as u64) < run.min {
            return Err("not so spelled".into());
        }
        rest = &rest[count..];
    }
    if rest.is_empty() { Ok(()) } else { Err("not so spelled".into()) }
}
