//! The fields that the payloads of version 3 are made of, beside those of [`envelope`](crate::envelope).

use std::fmt;

use binrw::io::{Read, Seek, Write};
use binrw::{BinRead, BinResult, BinWrite, Endian, binrw};

use super::bounded::custom;
pub use super::bounded::{AtMost, BoundedBytes};
use super::limits::{CODE_DIGITS, ENVELOPE_MAX, PHONE_DIGITS, SEALED_CHUNK_MAX};
use crate::envelope::field::{DhPublicKey, OneTimeId, bytes_fields, number_fields};
use crate::envelope::{EnvelopeKind, Prefix};
use crate::error::{FieldError, WireError};
use crate::fields::Name;

bytes_fields! {
    /// A server's number for a registration that is not finished.
    RegistrationId: 16;
}

number_fields! {
    /// A server's number for a stored envelope: those of one recipient grow.
    Sequence: u64;
    /// Minutes since 1970-01-01 00:00 UTC.
    UnixMinutes: u32;
    /// A client's number for a request, chosen as it likes: the response carries it too.
    #[cfg_attr(feature = "spec", spec(name = "RequestTag"))]
    Tag: u32;
}

/// A sealed chunk of a file, as it is stored.
pub type ChunkBytes = BoundedBytes<SEALED_CHUNK_MAX>;

/// An envelope as it was stored, whatever it is.
pub type EnvelopeBytes = BoundedBytes<ENVELOPE_MAX>;

/// `size u32 ‖ envelope`: at most 128 KiB that begin as every envelope does. Nothing behind the prefix is looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    bytes: EnvelopeBytes,
    prefix: Prefix,
}

impl Envelope {
    /// Takes bytes as an envelope.
    ///
    /// # Errors
    /// What [`Prefix::peek`] refuses.
    pub fn new(bytes: Vec<u8>) -> Result<Self, WireError> {
        EnvelopeBytes::new(bytes).and_then(Self::from_bytes)
    }

    /// What its prefix says it is.
    #[must_use]
    pub fn kind(&self) -> EnvelopeKind {
        self.prefix.kind
    }

    /// The whole envelope.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole envelope, to be stored.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    fn from_bytes(bytes: EnvelopeBytes) -> Result<Self, WireError> {
        Prefix::peek(&bytes).map(|prefix| Self { bytes, prefix })
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Envelope({}, {:?})", self.kind(), self.bytes)
    }
}

impl BinRead for Envelope {
    type Args<'a> = ();

    fn read_options<R: Read + Seek>(reader: &mut R, endian: Endian, (): ()) -> BinResult<Self> {
        let pos = reader.stream_position()?;
        let bytes = EnvelopeBytes::read_options(reader, endian, ())?;
        Self::from_bytes(bytes).map_err(|error| custom(pos, error))
    }
}

impl BinWrite for Envelope {
    type Args<'a> = ();

    fn write_options<W: Write + Seek>(&self, writer: &mut W, endian: Endian, (): ()) -> BinResult<()> {
        self.bytes.write_options(writer, endian, ())
    }
}

/// A phone number as E.164 writes it: `+` and 5 to 15 digits, of which the first is not 0.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Takes a text as a phone number.
    ///
    /// # Errors
    /// [`FieldError::PhoneNumber`] for any other text.
    pub fn new(text: &str) -> Result<Self, FieldError> {
        let digits = text.strip_prefix('+').ok_or(FieldError::PhoneNumber)?;
        let fits = PHONE_DIGITS.contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if fits && !digits.starts_with('0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(FieldError::PhoneNumber)
        }
    }

    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number is its owner's: it is in no log.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

/// The code that a registration is finished with: 6 decimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistrationCode([u8; CODE_DIGITS]);

impl RegistrationCode {
    /// Takes digits as a code.
    ///
    /// # Errors
    /// [`FieldError::RegistrationCode`] for anything but 6 digits.
    pub fn new(digits: &[u8]) -> Result<Self, FieldError> {
        let digits = <[u8; CODE_DIGITS]>::try_from(digits).ok();
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        digits.map(Self).ok_or(FieldError::RegistrationCode)
    }

    /// The last 6 decimal digits of a number.
    #[must_use]
    pub fn of_number(number: u32) -> Self {
        let (mut digits, mut rest) = ([b'0'; CODE_DIGITS], number);
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        Self(digits)
    }

    /// The digits, in ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; CODE_DIGITS] {
        &self.0
    }
}

/// A code is a secret while it can be used.
impl fmt::Debug for RegistrationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationCode(…)")
    }
}

impl BinRead for RegistrationCode {
    type Args<'a> = ();

    fn read_options<R: Read + Seek>(reader: &mut R, endian: Endian, (): ()) -> BinResult<Self> {
        let pos = reader.stream_position()?;
        let digits = <[u8; CODE_DIGITS]>::read_options(reader, endian, ())?;
        Self::new(&digits).map_err(|error| custom(pos, WireError::Field(error)))
    }
}

impl BinWrite for RegistrationCode {
    type Args<'a> = ();

    fn write_options<W: Write + Seek>(&self, writer: &mut W, endian: Endian, (): ()) -> BinResult<()> {
        self.0.write_options(writer, endian, ())
    }
}

/// `one-time id u32 ‖ X25519 32`: a one-time key that is published, whose id is 1 to 2^31 - 1.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[br(assert(id >= OneTimeId::FIRST && id <= OneTimeId::LAST, WireError::Field(FieldError::OneTimeId)))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OneTimeKey {
    /// 0: which of its owner's one-time keys.
    id: OneTimeId,
    /// 4: the key.
    key: DhPublicKey,
}

impl OneTimeKey {
    /// A key and its number.
    ///
    /// # Errors
    /// [`FieldError::OneTimeId`] for 0, and for those numbers from 2^31 on that offers have.
    pub fn new(id: OneTimeId, key: DhPublicKey) -> Result<Self, FieldError> {
        if Self::is_id(id) { Ok(Self { id, key }) } else { Err(FieldError::OneTimeId) }
    }

    /// Which of its owner's one-time keys.
    #[must_use]
    pub fn id(&self) -> OneTimeId {
        self.id
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> DhPublicKey {
        self.key
    }

    fn is_id(id: OneTimeId) -> bool {
        (OneTimeId::FIRST..=OneTimeId::LAST).contains(&id)
    }
}

/// `chunks u32 ‖ index u32`: which of a file's chunks, of which there is one at least.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[br(assert(index < chunks, WireError::Field(FieldError::ChunkPlace { index, chunks })))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkPlace {
    /// 0: how many chunks the file has.
    chunks: u32,
    /// 4: which of them, from 0 on.
    index: u32,
}

impl ChunkPlace {
    /// Chunk `index` of `chunks`.
    ///
    /// # Errors
    /// [`FieldError::ChunkPlace`] unless the index is below the number of chunks.
    pub fn new(index: u32, chunks: u32) -> Result<Self, FieldError> {
        if index < chunks {
            Ok(Self { chunks, index })
        } else {
            Err(FieldError::ChunkPlace { index, chunks })
        }
    }

    /// How many chunks the file has.
    #[must_use]
    pub fn chunks(self) -> u32 {
        self.chunks
    }

    /// Which of them: from 0 on.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }
}

/// What became of what was to be stored.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StoreStatus(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl StoreStatus {
    /// 0: it is stored now.
    pub const STORED: Self = Self(0);
    /// 1: it was stored by an earlier request, and nothing changed.
    pub const STORED_ALREADY: Self = Self(1);
}

/// What state a registration is in.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RegistrationState(pub u8);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl RegistrationState {
    /// 0: the account is there.
    pub const REGISTERED: Self = Self(0);
    /// 1: a code is on its way to the phone number, and finishes the registration.
    pub const CODE_EXPECTED: Self = Self(1);
}

/// What a server says of itself.
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec), spec(named, bits))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct ServerFlags(pub u16);

#[cfg_attr(feature = "spec", crate::spec::named_values)]
impl ServerFlags {
    /// Bit 0: a registration needs a phone number, and a code that is sent to it.
    pub const CODE: Self = Self(1);
    /// Bit 1: somebody else claims the asker's phone number. Said on a connection alone that is authenticated.
    pub const PHONE_CLAIMED: Self = Self(2);

    /// Whether all bits of another are set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `size u8 ‖ name`
pub(super) mod short_name {
    use super::{BinResult, Name, WireError, custom, read_short, write_short};

    #[binrw::parser(reader)]
    pub(in super::super) fn read() -> BinResult<Name> {
        let pos = reader.stream_position()?;
        let text = read_short(reader)?;
        Name::new(&text).map_err(|error| custom(pos, WireError::Field(error)))
    }

    #[binrw::writer(writer)]
    pub(in super::super) fn write(name: &Name) -> BinResult<()> {
        write_short(name.as_str(), writer)
    }

    #[cfg(feature = "spec")]
    pub(in super::super) use super::described::{name_type as spec_type, name_value as spec_value};
}

/// `size u8 ‖ phone number`; size 0 for none.
pub(super) mod short_phone {
    use super::{BinResult, PhoneNumber, WireError, custom, read_short, write_short};

    #[binrw::parser(reader)]
    pub(in super::super) fn read() -> BinResult<Option<PhoneNumber>> {
        let pos = reader.stream_position()?;
        let text = read_short(reader)?;
        if text.is_empty() {
            return Ok(None);
        }
        PhoneNumber::new(&text).map(Some).map_err(|error| custom(pos, WireError::Field(error)))
    }

    #[binrw::writer(writer)]
    pub(in super::super) fn write(phone: &Option<PhoneNumber>) -> BinResult<()> {
        write_short(phone.as_ref().map_or("", PhoneNumber::as_str), writer)
    }

    #[cfg(feature = "spec")]
    pub(in super::super) use super::described::{phone_type as spec_type, phone_value as spec_value};
}

/// `size u8 ‖ text`, with U+FFFD for what is no UTF-8, which neither names nor numbers have.
fn read_short<R: Read + Seek>(reader: &mut R) -> BinResult<String> {
    let mut size = [0];
    reader.read_exact(&mut size)?;
    let mut bytes = vec![0; usize::from(u8::from_le_bytes(size))];
    reader.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write_short<W: Write + Seek>(text: &str, writer: &mut W) -> BinResult<()> {
    let size = u8::try_from(text.len()).map_err(|error| custom(0, error))?;
    writer.write_all(&[size])?;
    writer.write_all(text.as_bytes()).map_err(binrw::Error::Io)
}

#[cfg(feature = "spec")]
mod described {
    use super::{CODE_DIGITS, ENVELOPE_MAX, Envelope, PHONE_DIGITS, PhoneNumber, RegistrationCode};
    use crate::envelope::{MAGIC, PREFIX_SIZE, Prefix};
    use crate::fields::{NAME_MAX, Name};
    use crate::spec::{
        Beginning, Check, Comparison, Content, Counted, Declarations, Kind, Operand, Run, Type, Value,
        WireSpec, hex, size,
    };

    const fn digits(from: u8, min: usize, max: usize) -> (u8, usize, usize) {
        (from, min, max)
    }

    fn runs(of: &[(u8, usize, usize)]) -> Vec<Run> {
        of.iter().map(|&(from, min, max)| Run { from, to: b'9', min: size(min), max: size(max) }).collect()
    }

    impl WireSpec for Envelope {
        fn refer(declarations: &mut Declarations) -> Type {
            let magic = Check {
                left: Operand::Field("magic".into()),
                holds: Comparison::Equal,
                right: Operand::Bytes(hex(&MAGIC)),
                error: Some("NotAnEnvelope".into()),
                only_if: None,
            };
            let name = Prefix::refer(declarations).name().to_owned();
            let of = Content::BytesBeginningWith(Beginning { name, checks: vec![magic] });
            Type::Counted(Counted { prefix: 4, min: size(PREFIX_SIZE), max: size(ENVELOPE_MAX), of })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.as_bytes().to_vec())
        }
    }

    impl WireSpec for PhoneNumber {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc =
                "A phone number as E.164 writes it: `+` and 5 to 15 digits, of which the first is not 0.";
            declarations.declare("modern::field::PhoneNumber", None, doc, |_| {
                let mut all = vec![Run { from: b'+', to: b'+', min: 1, max: 1 }];
                let more = digits(b'0', PHONE_DIGITS.start() - 1, PHONE_DIGITS.end() - 1);
                all.extend(runs(&[digits(b'1', 1, 1), more]));
                Kind::ascii(all)
            })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.as_str().into())
        }
    }

    impl WireSpec for RegistrationCode {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc = "The code that a registration is finished with: 6 decimal digits.";
            declarations.declare("modern::field::RegistrationCode", None, doc, |_| {
                Kind::ascii(runs(&[digits(b'0', CODE_DIGITS, CODE_DIGITS)]))
            })
        }

        fn value(&self) -> Value {
            Value::Bytes(self.as_bytes().to_vec())
        }
    }

    pub(in super::super) fn name_type(declarations: &mut Declarations) -> Type {
        let of = Content::Text(Name::refer(declarations).name().to_owned());
        Type::Counted(Counted { prefix: 1, min: 1, max: size(NAME_MAX), of })
    }

    pub(in super::super) fn name_value(name: &Name) -> Value {
        name.value()
    }

    pub(in super::super) fn phone_type(declarations: &mut Declarations) -> Type {
        let of = Content::TextOrNone(PhoneNumber::refer(declarations).name().to_owned());
        Type::Counted(Counted { prefix: 1, min: 0, max: size(1 + PHONE_DIGITS.end()), of })
    }

    pub(in super::super) fn phone_value(phone: &Option<PhoneNumber>) -> Value {
        phone.as_ref().map_or(Value::Bytes(Vec::new()), PhoneNumber::value)
    }
}
