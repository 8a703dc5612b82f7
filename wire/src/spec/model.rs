//! The intermediate form: what `generated/wire.json` has, and every table, parser and dissector is made from.
//!
//! Sizes and offsets are in bytes, and integers unsigned, in the byte order of the dialect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares structures and choices of the form.
macro_rules! form {
    ($($(#[$meta:meta])* pub $what:ident $name:ident $content:tt)*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "snake_case")]
        pub $what $name $content
    )*};
}

form! {
    /// The wire as data.
    pub struct Spec {
        /// The version of this form: it grows when a reader of the older one would read this one wrongly.
        pub format: u32,
        /// The named numbers, by name.
        pub constants: Vec<Constant>,
        /// Every type that something refers to, by name.
        pub types: Vec<Declaration>,
        /// Version 3.
        pub modern: Modern,
        /// The classic dialects.
        pub classic: Classic,
        /// What is read as a whole, beside frames: envelopes and what is in them.
        pub formats: Vec<Format>,
        /// What is signed, and under which words.
        pub statements: Vec<Statement>,
    }

    /// A named number.
    pub struct Constant {
        /// Its name.
        pub name: String,
        /// The number.
        pub value: u64,
        /// What it is.
        pub doc: String,
    }

    /// A type.
    pub struct Declaration {
        /// Its name here: unique.
        pub name: String,
        /// Where it is declared.
        pub rust: String,
        /// What it is.
        pub doc: String,
        /// Bytes that it takes.
        pub size: SizeRange,
        /// What it is made of.
        pub kind: Kind,
    }

    /// Bytes that something takes.
    #[derive(Copy)]
    pub struct SizeRange {
        /// The fewest.
        pub min: u64,
        /// The most; `null` where only what is around it bounds it.
        pub max: Option<u64>,
    }

    /// What a type is made of.
    pub enum Kind {
        /// A number.
        Integer(IntegerKind),
        /// Bytes without structure.
        Bytes(BytesKind),
        /// A text; it takes all bytes that it is given.
        Text(TextKind),
        /// A number in decimal digits, without zeros in front; it takes all bytes that it is given.
        Decimal(DecimalKind),
        /// Fields in their order, without gaps.
        Structure(Structure),
    }

    /// A number.
    pub struct IntegerKind {
        /// Bytes.
        pub size: u8,
        /// Those that have a name. Any other is a value too, unless a check says something else.
        pub values: Vec<NamedValue>,
        /// Whether each named value is a bit, and several may be set.
        pub bits: bool,
    }

    /// A number with a name.
    pub struct NamedValue {
        /// The name.
        pub name: String,
        /// The number.
        pub value: u64,
        /// What it means.
        pub doc: String,
    }

    /// Bytes without structure.
    pub struct BytesKind {
        /// How many.
        pub size: u64,
    }

    /// A text.
    pub struct TextKind {
        /// What it is made of.
        pub encoding: Encoding,
        /// Fewest bytes.
        pub min: u64,
        /// Most bytes.
        pub max: u64,
        /// Of an ASCII text: which characters stand one after the other, as many as there are of each.
        pub runs: Vec<Run>,
        /// Of a UTF-8 text: code points that it does not have.
        pub forbidden: Vec<Points>,
        /// Texts that it is not.
        pub except: Vec<String>,
    }

    /// The encoding of a text.
    #[derive(Copy)]
    pub enum Encoding {
        /// ASCII.
        Ascii,
        /// UTF-8.
        Utf8,
    }

    /// Characters of one kind.
    pub struct Run {
        /// The first that may stand there.
        pub from: u8,
        /// The last.
        pub to: u8,
        /// Fewest of them.
        pub min: u64,
        /// Most of them.
        pub max: u64,
    }

    /// A range of code points.
    pub struct Points {
        /// The first.
        pub from: u32,
        /// The last.
        pub to: u32,
    }

    /// A number in decimal digits.
    pub struct DecimalKind {
        /// The largest.
        pub max: u64,
    }

    /// Fields in their order.
    pub struct Structure {
        /// Sizes that stand nowhere in it: who refers to it says them.
        pub parameters: Vec<String>,
        /// The fields.
        pub fields: Vec<Field>,
        /// What has to hold once all fields are there.
        pub checks: Vec<Check>,
    }

    /// A field.
    pub struct Field {
        /// Its name; empty for a gap.
        pub name: String,
        /// What it is.
        pub doc: String,
        /// Where it begins; `null` if that depends on fields before it.
        pub offset: Option<u64>,
        /// Bytes that it takes.
        pub size: SizeRange,
        /// What it is there for.
        pub role: Role,
        /// What stands there.
        pub r#type: Type,
        /// What has to hold as soon as it is there.
        pub checks: Vec<Check>,
    }

    /// What a field is there for.
    #[derive(Copy)]
    pub enum Role {
        /// To carry a value.
        Value,
        /// To say of other fields what they say too.
        Calculated,
        /// To fill: written as zeros, and not looked at.
        Gap,
        /// To fill: zeros, and nothing else is accepted.
        Zeros,
    }

    /// What stands where a field is.
    pub enum Type {
        /// A number of so many bytes.
        Integer(u8),
        /// Bytes without structure.
        Bytes(Size),
        /// A type of this name. A text or a decimal takes the rest.
        Named(Named),
        /// A number, and behind it as many bytes or items.
        Counted(Counted),
        /// Items up to the end, none at least.
        Repeated(Box<Type>),
    }

    /// A reference to a type.
    pub struct Named {
        /// Its name.
        pub name: String,
        /// What its parameters are.
        pub arguments: Vec<NamedArgument>,
    }

    /// What a parameter is.
    pub struct NamedArgument {
        /// The parameter.
        pub parameter: String,
        /// What it is.
        pub is: Argument,
    }

    /// What a parameter is.
    pub enum Argument {
        /// A number of bytes.
        Size(u64),
        /// What a parameter of the structure around is.
        Parameter(String),
    }

    /// A number, and behind it as many.
    pub struct Counted {
        /// Bytes of the number.
        pub prefix: u8,
        /// The least that it is.
        pub min: u64,
        /// The most.
        pub max: u64,
        /// What is counted.
        pub of: Content,
    }

    /// What is counted.
    pub enum Content {
        /// Bytes without structure.
        Bytes,
        /// Bytes that begin as this type.
        BytesBeginningWith(Beginning),
        /// The bytes of a text of this type.
        Text(String),
        /// The bytes of a text of this type, or none.
        TextOrNone(String),
        /// Items.
        Items(Box<Type>),
    }

    /// What bytes begin with.
    pub struct Beginning {
        /// The type of the first of them. Its fields can be named in checks as if they were fields of the bytes.
        pub name: String,
        /// What has to hold of it.
        pub checks: Vec<Check>,
    }

    /// How many bytes.
    pub enum Size {
        /// Always as many.
        Fixed(u64),
        /// As many as a field before says, `a` or `a.b`.
        Field(String),
        /// As many as a parameter says.
        Parameter(String),
        /// As many as there are up to the first of these sizes, counted from the structure's beginning, that is not
        /// behind.
        UpTo(Vec<u64>),
    }

    /// Something that has to hold.
    pub struct Check {
        /// What is compared.
        pub left: Operand,
        /// How.
        pub holds: Comparison,
        /// With what.
        pub right: Operand,
        /// The error where it does not hold, by the name that the wire has for it.
        pub error: Option<String>,
        /// Where this does not hold, the check says nothing.
        pub only_if: Option<Box<Check>>,
    }

    /// A comparison.
    #[derive(Copy)]
    pub enum Comparison {
        /// Both are the same.
        Equal,
        /// The left is less.
        Below,
        /// The left is not more.
        AtMost,
        /// The left is not less.
        AtLeast,
    }

    /// What is compared.
    pub enum Operand {
        /// A field, `a` or `a.b`.
        Field(String),
        /// A number.
        Integer(u64),
        /// Bytes, in hexadecimal digits.
        Bytes(String),
        /// How many parts a field makes.
        Parts(Parts),
    }

    /// A field by a number, rounded up.
    pub struct Parts {
        /// The field.
        pub of: String,
        /// Of which size the parts are.
        pub size: u64,
        /// How many there are at least.
        pub min: u64,
    }

    /// Version 3.
    pub struct Modern {
        /// The version byte of every frame.
        pub version: u8,
        /// The order of the bytes of every integer.
        pub byte_order: ByteOrder,
        /// The protocol's name in the handshake of TLS.
        pub alpn: String,
        /// What a connection of TLS begins with, in hexadecimal digits.
        pub record_start: String,
        /// The label of the exporter that authentications are bound to.
        pub exporter_label: String,
        /// The type of a request's header: `size` bytes of payload follow.
        pub request_header: String,
        /// The type of a response's header: `size` bytes of payload follow.
        pub response_header: String,
        /// Most bytes of the payload of a request with an unknown code.
        pub unknown_request_max: u64,
        /// What a server answers to what it does not do.
        pub refusal: Payload,
        /// The operations, in the order of the table.
        pub operations: Vec<ModernOperation>,
    }

    /// The order of the bytes of integers.
    #[derive(Copy)]
    pub enum ByteOrder {
        /// Least significant byte first.
        Little,
        /// Most significant byte first.
        Big,
    }

    /// An operation of version 3.
    pub struct ModernOperation {
        /// Its name.
        pub name: String,
        /// What it does.
        pub meaning: String,
        /// Whether the connection has to be authenticated.
        pub for_clients: bool,
        /// What is asked.
        pub request: Payload,
        /// What is answered.
        pub response: Payload,
    }

    /// A payload.
    pub struct Payload {
        /// The code in the header.
        pub code: u16,
        /// The type of the payload.
        pub r#type: String,
        /// Most bytes of it.
        pub max: u64,
    }

    /// The classic dialects.
    pub struct Classic {
        /// The families.
        pub families: Vec<Family>,
        /// The profiles.
        pub profiles: Vec<Profile>,
        /// Each family in each of its profiles.
        pub dialects: Vec<Dialect>,
        /// The code of every refusal, which has no payload.
        pub refusal: u16,
        /// The operations, in the order of the table.
        pub operations: Vec<ClassicOperation>,
    }

    /// A family: a generation of programs.
    pub struct Family {
        /// Its name.
        pub name: String,
        /// Bytes of a request code.
        pub code_size: u8,
    }

    /// What programs need beyond the codes of their family.
    pub struct Profile {
        /// Its name.
        pub name: String,
        /// The families that it is spoken in.
        pub families: Vec<String>,
        /// How a server comes to know it.
        pub recognised_by: String,
        /// The order of the bytes of every integer.
        pub byte_order: ByteOrder,
        /// The version bytes of requests, of versions 1 and 2.
        pub request_versions: Vec<u8>,
        /// The version byte of responses.
        pub answer_version: u8,
        /// Frames both ways are filled with zeros, which no size counts, to a multiple of this.
        pub block: u32,
        /// Zeros behind each request, which no size counts.
        pub stray: u64,
        /// Bytes of every send, if they are always as many.
        pub fixed_send: Option<u32>,
        /// What is added to a message's type where it is sent, modulo 256.
        pub sent_type_offset: u8,
        /// What is added to a message's type where it is pulled, modulo 256.
        pub pulled_type_offset: u8,
        /// Bytes of an entry before its content that the size of a pull counts.
        pub entry_counted: u32,
        /// Whether ids are shown as 16 printable characters.
        pub printable_ids: bool,
        /// Response codes behind whose header the asker's id stands, which no size counts.
        pub echoes: Vec<u16>,
        /// Whether the server closes the connection after each answer.
        pub closes: bool,
        /// Bytes that an empty key request has in a pull.
        pub key_request_filler: u32,
        /// Whether its clients may delete their account.
        pub deletable: bool,
        /// What it is.
        pub doc: String,
    }

    /// A family in a profile.
    pub struct Dialect {
        /// Its name.
        pub name: String,
        /// The family.
        pub family: String,
        /// The profile.
        pub profile: String,
        /// The type of a request's header: `size` bytes of payload and content follow.
        pub request_header: String,
        /// The type of a response's header: `size` bytes of payload follow.
        pub response_header: String,
    }

    /// An operation of the classic dialects.
    pub struct ClassicOperation {
        /// Its name.
        pub name: String,
        /// What it does.
        pub meaning: String,
        /// Its codes, in each family that has it.
        pub codes: Vec<FamilyCodes>,
        /// The types of a request's payload.
        pub request: Vec<Layout>,
        /// The field of that payload that says how many bytes of content follow it.
        pub content_size: Option<String>,
        /// The types of a response's payload.
        pub response: Vec<Layout>,
        /// Types that a client takes instead, if the payload has exactly their size.
        pub response_instead: Vec<String>,
    }

    /// The codes of an operation in a family.
    pub struct FamilyCodes {
        /// The family.
        pub family: String,
        /// What a request carries.
        pub request: u16,
        /// What a response carries.
        pub response: u16,
    }

    /// Which profiles have which type.
    pub struct Layout {
        /// The type.
        pub r#type: String,
        /// The profiles.
        pub profiles: Vec<String>,
    }

    /// What is read as a whole.
    pub struct Format {
        /// Its name.
        pub name: String,
        /// What it is.
        pub doc: String,
        /// Its type.
        pub r#type: String,
        /// The type's parameters, which follow from how many bytes there are.
        pub arguments: Vec<WholeArgument>,
        /// What has to hold, before anything of the type does.
        pub checks: Vec<Check>,
    }

    /// A parameter that follows from how many bytes there are.
    pub struct WholeArgument {
        /// The parameter.
        pub parameter: String,
        /// How many bytes are not counted.
        pub less: u64,
        /// What it may be; anything where this is empty.
        pub one_of: Vec<u64>,
        /// What it is a multiple of.
        pub multiple_of: u64,
        /// The least that it is.
        pub min: u64,
        /// The most.
        pub max: u64,
    }

    /// What is signed.
    pub struct Statement {
        /// Its name.
        pub name: String,
        /// What it says.
        pub doc: String,
        /// The bytes before the fields, in hexadecimal digits.
        pub context: String,
        /// The types of what follows, one behind the other.
        pub types: Vec<String>,
    }
}
