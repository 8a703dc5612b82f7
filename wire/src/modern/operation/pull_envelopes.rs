//! PullEnvelopes: what waits for the asker, or, if nothing does, what comes within a time. Nothing is deleted:
//! Acknowledge does that.

use binrw::io::{Read, Seek, SeekFrom, Write};
use binrw::{BinRead, BinResult, BinWrite, Endian, binrw};

use super::Payload;
use crate::error::WireError;
use crate::modern::field::{EnvelopeBytes, Sequence, UnixMinutes};
use crate::modern::limits::PULL_MAX;

/// Bytes of a [`Delivery`] before its envelope.
pub const DELIVERY_HEADER_SIZE: usize = 16;

/// ```text
/// 0 after u64 ‖ 8 max bytes u32 ‖ 12 wait u32
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// 0: only what has a larger number.
    pub after: Sequence,
    /// 8: bytes of payload that the response should stay within. If anything waits, there is one envelope at least.
    pub max_bytes: u32,
    /// 12: milliseconds to wait for something, if nothing is there. A server may wait less.
    pub wait_ms: u32,
}

/// ```text
/// n × (sequence u64 ‖ time u32 ‖ size u32 ‖ envelope)
/// ```
/// To the end of the payload, which has [`PULL_MAX`] bytes at most; n is 0 if nothing came in time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Response {
    deliveries: Vec<Delivery>,
}

/// ```text
/// 0 sequence u64 ‖ 8 time u32 ‖ 12 size u32 ‖ 16 envelope
/// ```
#[cfg_attr(feature = "spec", derive(crate::spec::WireSpec))]
#[binrw]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// 0: the number that acknowledges it.
    pub sequence: Sequence,
    /// 8: when it came: minutes, so that no more is stored than is needed.
    pub time: UnixMinutes,
    /// 12: the envelope, as its sender sent it.
    pub envelope: EnvelopeBytes,
}

impl Delivery {
    /// Bytes that it takes in a response.
    #[must_use]
    pub fn size(&self) -> usize {
        DELIVERY_HEADER_SIZE + self.envelope.len()
    }
}

impl Response {
    /// Takes these as a response.
    ///
    /// # Errors
    /// [`WireError::TooMany`] if together they have more than [`PULL_MAX`] bytes.
    pub fn new(deliveries: Vec<Delivery>) -> Result<Self, WireError> {
        let size = deliveries.iter().map(Delivery::size).fold(0, usize::saturating_add);
        if size <= PULL_MAX {
            Ok(Self { deliveries })
        } else {
            Err(WireError::TooMany { count: size, limit: PULL_MAX })
        }
    }

    /// What was waiting, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// What was waiting, in order.
    #[must_use]
    pub fn into_deliveries(self) -> Vec<Delivery> {
        self.deliveries
    }
}

impl BinRead for Response {
    type Args<'a> = ();

    fn read_options<R: Read + Seek>(reader: &mut R, endian: Endian, (): ()) -> BinResult<Self> {
        let start = reader.stream_position()?;
        let end = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(start))?;
        let mut deliveries = Vec::new();
        while reader.stream_position()? < end {
            deliveries.push(Delivery::read_options(reader, endian, ())?);
        }
        Ok(Self { deliveries })
    }
}

impl BinWrite for Response {
    type Args<'a> = ();

    fn write_options<W: Write + Seek>(&self, writer: &mut W, endian: Endian, (): ()) -> BinResult<()> {
        self.deliveries.write_options(writer, endian, ())
    }
}

impl Payload for Request {
    const WHAT: &'static str = "request to pull envelopes";
    const MAX_SIZE: usize = 16;
}

impl Payload for Response {
    const WHAT: &'static str = "response to pull envelopes";
    const MAX_SIZE: usize = PULL_MAX;
}

#[cfg(feature = "spec")]
mod described {
    use super::{Delivery, Response};
    use crate::spec::{Declarations, Field, Kind, Role, Type, Value, WireSpec};

    impl WireSpec for Response {
        fn refer(declarations: &mut Declarations) -> Type {
            let doc = "What was waiting, to the end of the payload.";
            let path = "modern::operation::pull_envelopes::Response";
            declarations.declare(path, None, doc, |declarations| {
                let deliveries = Type::Repeated(Box::new(Delivery::refer(declarations)));
                let doc = "0: in order; none if nothing came in time.";
                let field = Field::new("deliveries", doc, deliveries, Role::Value, Vec::new());
                Kind::structure(Vec::new(), vec![field], Vec::new())
            })
        }

        fn value(&self) -> Value {
            let deliveries = self.deliveries().iter().map(Delivery::value).collect();
            Value::Structure(vec![("deliveries".into(), Value::List(deliveries))])
        }
    }
}
